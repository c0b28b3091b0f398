"""The record of tasks, definitions, clusters and the host: one SQLite file, every commit on the disk before its answer.

Two connections, so that a reader never waits for a commit and sees only what is committed:

=========== ==================================================== ==========================
connection  methods                                              called from
=========== ==================================================== ==========================
writer      `save`, `prune`, `prune_events`                  the engine's writer thread
reader      all others but `close`                               any other thread
=========== ==================================================== ==========================

Each connection has a lock, so a call from the wrong thread waits and breaks nothing. SQLite's errors leave as
`StoreError` with the path and SQLite's words. The statements are in ``sql/``.
"""

from __future__ import annotations

import contextlib
import functools
import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from importlib import resources
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import msgspec

from supervisor.errors import StoreDamaged, StoreError
from supervisor.model import (
    Cluster,
    ContainerInstance,
    DefinitionStatus,
    DesiredStatus,
    Moment,
    PastRun,
    Task,
    TaskDefinition,
)
from supervisor.store import damage
from supervisor.store.connection import BUSY_TIMEOUT, Connection, is_complete, make_file

MIGRATIONS = ("0001-initial.sql", "0002-events.sql", "0003-runs.sql")
"""In order; their number is the schema's version, kept in ``PRAGMA user_version``. Never changed, only added to."""

Resource = TaskDefinition | Cluster | ContainerInstance
"""What is recorded beside tasks."""

Kept = PastRun | Moment
"""What is kept of a task beside its record, and goes with it."""

T = TypeVar("T")
_QUERY = re.compile(r"^-- (\w+) --\n-- .+\n((?:.+\n)+?.*;)$", re.MULTILINE)


class JournalEntry(NamedTuple):
    """One event, as it is appended; the store numbers it."""

    at: float
    task_id: str
    body: bytes
    """JSON."""


class Store:
    """The database at ``path``, made if it is missing: file 0600, directory 0700.

    Raises `StoreError`, and `StoreDamaged` where what is there cannot be trusted.
    """

    def __init__(self, path: str, damaged: Callable[[StoreDamaged], None] = lambda _: None) -> None:
        """``damaged`` is called, in whatever thread that is, when the damage is found later than here."""
        self._sql = _queries()
        self._reserved: dict[str, int] = {}
        self.path = path
        damage.check_wal(path)
        make_file(path)
        self._writer = Connection(path)
        try:
            self._reader = Connection(path)
        except StoreError:
            self._writer.close()
            raise
        try:
            ((mode,),) = self._writer.execute("PRAGMA journal_mode = WAL")
            if mode != "wal":  # a network file system, say: no shared memory
                raise StoreError(
                    f"cannot keep records in {path}: its file system does not support WAL; use a local one"
                )
            self._migrate(path)
            self._check(path)
            self._reader.execute("PRAGMA query_only = ON")
        except StoreError:
            self.close()
            raise
        self._writer.damaged = self._reader.damaged = damaged

    def close(self) -> None:
        """Closes both connections; the store is of no use afterwards. May be called again."""
        self._reader.close()
        self._writer.close()

    # -- reader --

    def load_unfinished(self) -> list[Task]:
        """Every task that is not STOPPED, the oldest first."""
        return [self._decode(body, Task) for (body,) in self._read("load_unfinished")]

    def task(self, task_id: str) -> Task | None:
        """The task of that id, None if there is none."""
        return self.tasks([task_id]).get(task_id)

    def tasks(self, ids: Iterable[str]) -> dict[str, Task]:
        """The tasks of these ids by id; those not found are not in it."""
        rows = self._read("load_tasks", ids=json.dumps(list(ids)))
        return {task_id: self._decode(body, Task) for task_id, body in rows}

    def task_positions(
        self,
        *,
        cluster: str,
        desired_status: DesiredStatus,
        family: str | None = None,
        started_by: str | None = None,
        launch_type: str | None = None,
        after: tuple[float, str] | None = None,
        limit: int,
    ) -> list[tuple[float, str]]:
        """At most ``limit`` tasks as (``created_at``, id), the newest first.

        ``after`` is the last of the page before, and need not exist any more. Tasks that come in between are not
        repeated, nor are older ones missed.
        """
        created_at, task_id = (float("inf"), "") if after is None else after
        return self._read(
            "list_tasks",
            cluster=cluster,
            desired_status=desired_status.value,
            family=family,
            started_by=started_by,
            launch_type=launch_type,
            created_at=created_at,
            after=task_id,
            limit=limit,
        )

    def tasks_of_token(self, token: str) -> list[Task]:
        """The tasks that a RunTask with this ``clientToken`` made, in the order of their making."""
        return [self._decode(body, Task) for (body,) in self._read("load_tasks_of_token", token=token)]

    def definition(self, family: str, revision: int | None = None) -> TaskDefinition | None:
        """That revision, whatever its status, or the latest ACTIVE one. None if there is none."""
        if revision is None:
            rows = self._read("load_latest_definition", family=family)
        else:
            rows = self._read("load_definition", family=family, revision=revision)
        return self._decode(rows[0][0], TaskDefinition) if rows else None

    def definition_positions(
        self,
        *,
        status: DefinitionStatus,
        family: str | None = None,
        descending: bool = False,
        after: tuple[str, int] | None = None,
        limit: int,
    ) -> list[tuple[str, int]]:
        """At most ``limit`` revisions of that status as (family, revision), in that order or backwards."""
        after_family, after_revision = (None, None) if after is None else after
        return self._read(
            "list_definitions_backwards" if descending else "list_definitions",
            status=status.value,
            family=family,
            after_family=after_family,
            after_revision=after_revision,
            limit=limit,
        )

    def families(self, *, status: str, prefix: str, after: str, limit: int) -> list[str]:
        """At most ``limit`` families, those with an ACTIVE revision, those without (INACTIVE), or ALL."""
        rows = self._read("list_families", status=status, prefix=prefix, after=after, limit=limit)
        return [family for (family,) in rows]

    def cluster(self, name: str) -> Cluster | None:
        """The cluster of that name, also a deleted one. None if there never was one."""
        rows = self._read("load_cluster", name=name)
        return self._decode(rows[0][0], Cluster) if rows else None

    def cluster_names(self, *, after: str, limit: int) -> list[str]:
        """At most ``limit`` names of ACTIVE clusters."""
        return [name for (name,) in self._read("list_clusters", after=after, limit=limit)]

    def instance(self) -> ContainerInstance | None:
        """The host, None before the first start."""
        rows = self._read("load_instance")
        return self._decode(rows[0][0], ContainerInstance) if rows else None

    def next_revision(self, family: str) -> int:
        """A number never given before in this family, 1 for the first.

        It is reserved as long as this store is open, so two registrations whose saves share a commit get two numbers;
        `save` makes it so for ever.
        """
        with self._reader.lock:
            rows = self._read("find_last_revision", family=family)
            last = max(rows[0][0] if rows else 0, self._reserved.get(family, 0))
            self._reserved[family] = last + 1
        return last + 1

    def events(self, after: int, limit: int, task_id: str | None = None) -> list[tuple[int, str]]:
        """At most ``limit`` events of the journal that come after that number: (number, JSON), in order."""
        if task_id is None:
            rows = self._read("load_events", after=after, limit=limit)
        else:
            rows = self._read("load_events_of_task", after=after, limit=limit, task_id=task_id)
        return [(seq, body) for seq, body in rows]

    def event_before(self, since: float) -> int:
        """The number after which the journal's events from that Unix time on come."""
        ((first,),) = self._read("find_event_since", since=since)
        if first is not None:
            return int(first) - 1
        last = self._read("find_last_event")
        return int(last[0][0]) if last else 0

    def runs(self, task_id: str) -> list[PastRun]:
        """The runs of that task's containers that are over, by container and number."""
        return [self._decode(body, PastRun) for (body,) in self._read("load_runs", task_id=task_id)]

    def moments(self, task_id: str) -> list[Moment]:
        """What the keeper told of that task's stops, in the order in which it happened."""
        return [self._decode(body, Moment) for (body,) in self._read("load_moments", task_id=task_id)]

    # -- writer --

    def save(
        self,
        tasks: Iterable[Task] = (),
        resources: Iterable[Resource] = (),
        events: Iterable[JournalEntry] = (),
        kept: Iterable[Kept] = (),
    ) -> None:
        """Writes or replaces all of these in one transaction: one commit, all or none.

        When it returns they are on the disk; when it raises `StoreError` nothing was changed. Definitions that are to
        be deleted go with the last task that needs them. ``kept`` goes with its task.
        """
        rows = [_task_row(each) for each in tasks]
        others = [_resource_row(each) for each in resources]
        entries = [{**each._asdict(), "body": each.body.decode()} for each in events]
        beside = [_kept_row(each) for each in kept]
        with self._writer.transaction() as connection:
            for queries, row in others:
                for query in queries:
                    connection.execute(self._sql[query], row)
            connection.executemany(self._sql["save_task"], rows)
            connection.execute(self._sql["remove_deleted_definitions"])
            connection.executemany(self._sql["save_event"], entries)
            for query, row in beside:
                connection.execute(self._sql[query], row)
        # The first look at a commit is written down in the -shm file. Should the disk hang by the time that somebody
        # reads, they would hang with it.
        with contextlib.suppress(StoreError):
            self._reader.execute("SELECT 1 FROM clusters LIMIT 1")

    def prune(self, before: float, limit: int) -> list[str]:
        """Removes at most ``limit`` tasks that stopped before that Unix time, the first to stop first; their ids."""
        with self._writer.transaction() as connection:
            ids = connection.execute(self._sql["find_finished"], {"before": before, "limit": limit}).fetchall()
            connection.executemany(self._sql["remove_task"], [{"task_id": task_id} for (task_id,) in ids])
        return [task_id for (task_id,) in ids]

    def prune_events(self, before: float, limit: int) -> int:
        """Removes at most ``limit`` events from before that Unix time, the oldest first; how many."""
        with self._writer.transaction() as connection:
            parameters = {"before": before, "limit": limit}
            return connection.execute(self._sql["remove_events"], parameters).rowcount

    def _read(self, query: str, **parameters: object) -> list[Any]:
        return self._reader.execute(self._sql[query], parameters)

    def _decode(self, body: str, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.DecodeError as exc:
            raise StoreError(f"cannot read a {kind.__name__} in {self._reader.path}: {exc}") from exc

    def _migrate(self, path: str) -> None:
        with self._writer.transaction() as connection:
            version = _known_version(connection, path)
            if version == len(MIGRATIONS):  # a full disk keeps nobody from starting with what is there
                return
            for name in MIGRATIONS[version:]:
                for statement in _statements(_sql_file(name)):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

    def _check(self, path: str) -> None:
        """Look through the file now, and at what will be needed first: not in the middle of somebody's stop."""
        said = self._writer.execute("PRAGMA quick_check(1)")
        if said != [("ok",)]:
            raise StoreDamaged(f"cannot trust {path}: {said[0][0]}")
        try:
            self.load_unfinished()
            self.instance()
        except StoreError as exc:
            raise StoreDamaged(str(exc)) from exc


def examine(path: str) -> None:
    """`StoreError` if this release could not use the file; nothing is changed, also while another process uses it."""
    try:
        with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", timeout=BUSY_TIMEOUT, uri=True)) as connection:
            _known_version(connection, path)
    except sqlite3.Error as exc:
        raise StoreError(f"cannot read {path}: {exc}") from exc
    _queries()


def _known_version(connection: sqlite3.Connection, path: str) -> int:
    """The version of the schema; `StoreError` for a later one than ours."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise StoreError(
            f"cannot use {path}: its schema is version {version}, and this release knows up to "
            f"{len(MIGRATIONS)}; start the release that wrote it, or a later one"
        )
    return version


def _task_row(task: Task) -> dict[str, object]:
    return {
        "task_id": task.task_id,
        "cluster": task.cluster,
        "family": task.family,
        "revision": task.revision,
        "desired_status": task.desired_status.value,
        "last_status": task.last_status.value,
        "launch_type": task.launch_type,
        "started_by": task.started_by,
        "client_token": task.client_token,
        "created_at": task.created_at,
        "stopped_at": task.stopped_at,
        "body": msgspec.json.encode(task).decode(),
    }


def _kept_row(kept: Kept) -> tuple[str, dict[str, object]]:
    body = msgspec.json.encode(kept).decode()
    match kept:
        case PastRun(task_id=task_id, container=container, number=number):
            return "save_run", {"task_id": task_id, "container": container, "number": number, "body": body}
        case Moment(task_id=task_id, run_id=run_id, clock=clock, kind=kind):
            return "save_moment", {"task_id": task_id, "run_id": run_id, "clock": clock, "kind": kind, "body": body}


def _resource_row(resource: Resource) -> tuple[tuple[str, ...], dict[str, object]]:
    """The queries that save it, and their parameters."""
    body = msgspec.json.encode(resource).decode()
    match resource:
        case TaskDefinition(family=family, revision=revision, status=status):
            row = {"family": family, "revision": revision, "status": status.value, "body": body}
            return ("save_family", "save_definition"), row
        case Cluster(name=name, status=cluster_status):
            return ("save_cluster",), {"name": name, "status": cluster_status.value, "body": body}
        case ContainerInstance(instance_id=instance_id):
            return ("save_instance",), {"instance_id": instance_id, "body": body}


def _sql_file(name: str) -> str:
    return (resources.files("supervisor") / "sql" / name).read_text()


@functools.cache
def _queries() -> dict[str, str]:
    return dict(_QUERY.findall(_sql_file("queries.sql")))


def _statements(script: str) -> Iterator[str]:
    """The statements of a script one by one: ``executescript`` would commit the transaction that they belong to."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if is_complete(statement):
            yield statement
            statement = ""
