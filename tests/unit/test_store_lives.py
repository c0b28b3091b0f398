"""The store against a model of dicts and lists: any calls in any order, failed saves, restarts, crashes at any byte."""

from __future__ import annotations

import contextlib
import copy
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from supervisor.errors import StoreError
from supervisor.model import (
    Cluster,
    ClusterStatus,
    ContainerInstance,
    DefinitionStatus,
    DesiredStatus,
    InstanceStatus,
    LastStatus,
    Moment,
    PastRun,
    Task,
    TaskDefinition,
)
from supervisor.store import JournalEntry, Kept, Resource, Store
from tests import tally
from tests.unit.test_store import ARN, INSTANCE, a_definition, a_stopped_task, a_task

T = TypeVar("T")

FAMILIES = ("web", "worker")
CLUSTERS = ("default", "other")
TOKENS = (None, "one", "two")
TASKS = 8
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""What a crash leaves is seen in copies of the files: no disk need be waited for."""
INSTANTS = st.integers(0, 6).map(lambda number: 2000.0 + number)


def a_life(number: int, stopped_at: float | None, desired: DesiredStatus, version: int) -> Task:
    """What never changes in a task's life follows from its number."""
    planned: dict[str, Any] = {
        "created_at": 1000.0 + number // 3,  # some at the same instant
        "cluster_arn": f"{ARN}cluster/{CLUSTERS[number % 2]}",
        "family": FAMILIES[number // 2 % 2],
        "task_definition_arn": f"{ARN}task-definition/{FAMILIES[number // 2 % 2]}:{1 + number % 3}",
        "started_by": TOKENS[number % 3],
        "client_token": TOKENS[number % 3],
        "version": version,
    }
    if stopped_at is not None:
        return a_stopped_task(number, stopped_at=stopped_at, **planned)
    return a_task(number, desired_status=desired, **planned)


LIVES = st.builds(
    a_life, st.integers(1, TASKS), st.none() | INSTANTS, st.sampled_from(DesiredStatus), st.integers(1, 99)
)
RESOURCES: st.SearchStrategy[Resource] = st.one_of(
    st.builds(
        lambda family, revision, status: a_definition(revision, family, status=status),
        st.sampled_from(FAMILIES),
        st.integers(1, 4),
        st.sampled_from(DefinitionStatus),
    ),
    st.builds(Cluster, st.sampled_from(CLUSTERS), st.sampled_from(ClusterStatus)),
    st.builds(
        lambda status, version: msgspec.structs.replace(INSTANCE, status=status, version=version),
        st.sampled_from(InstanceStatus),
        st.integers(1, 99),
    ),
)
IDS = st.integers(1, TASKS).map(lambda number: f"{number:032x}")
EVENTS = st.builds(lambda at, task_id: JournalEntry(at, task_id, b'{"at":%d}' % at), INSTANTS, IDS)
KEPT: st.SearchStrategy[Kept] = st.one_of(
    st.builds(
        lambda task_id, container, number, pid: PastRun(
            task_id=task_id, container=container, number=number, run_id="a" * 32, pid=pid
        ),
        *(IDS, st.sampled_from(["main", "side"]), st.integers(1, 3), st.integers(1, 99)),
    ),
    st.builds(
        lambda task_id, clock, kind, at: Moment(
            task_id=task_id, container="main", run_id="a" * 32, at=at, clock=clock, kind=kind
        ),
        *(IDS, st.integers(0, 3).map(float), st.sampled_from(["Exited", "Emptied"]), INSTANTS),
    ),
)


class Model:
    """What the store is to hold."""

    def __init__(self) -> None:
        self.tasks: dict[str, Task] = {}
        self.order: list[str] = []
        """Task ids, in the order of their making."""
        self.definitions: dict[tuple[str, int], TaskDefinition] = {}
        self.last_revisions: dict[str, int] = {}
        self.clusters: dict[str, Cluster] = {}
        self.instance: ContainerInstance | None = None
        self.events: list[tuple[int, JournalEntry]] = []
        self.last_event = 0
        self.runs: dict[tuple[str, str, int], PastRun] = {}
        self.moments: dict[tuple[str, str, float, str], Moment] = {}

    def save(self, tasks: list[Task], resources: list[Resource], events: list[JournalEntry], kept: list[Kept]) -> None:
        for resource in resources:
            match resource:
                case TaskDefinition():
                    self.definitions[resource.family, resource.revision] = resource
                    last = self.last_revisions.get(resource.family, 0)
                    self.last_revisions[resource.family] = max(last, resource.revision)
                case Cluster():
                    self.clusters[resource.name] = resource
                case ContainerInstance():
                    self.instance = resource
        for task in tasks:
            if task.task_id not in self.tasks:
                self.order.append(task.task_id)
            self.tasks[task.task_id] = task
        needed = {(one.family, one.revision) for one in self.unfinished()}
        for key, definition in list(self.definitions.items()):
            if definition.status is DefinitionStatus.DELETE_IN_PROGRESS and key not in needed:
                del self.definitions[key]
        for event in events:
            self.last_event += 1
            self.events.append((self.last_event, event))
        for one in kept:
            if isinstance(one, PastRun):
                self.runs[one.task_id, one.container, one.number] = one
            else:
                self.moments.setdefault((one.task_id, one.run_id, one.clock, one.kind), one)

    def unfinished(self) -> list[Task]:
        found = [task for task in self.tasks.values() if task.last_status is not LastStatus.STOPPED]
        return sorted(found, key=lambda task: (task.created_at, task.task_id))

    def remove(self, task_id: str) -> None:
        del self.tasks[task_id]
        self.order.remove(task_id)
        self.runs = {key: run for key, run in self.runs.items() if key[0] != task_id}
        self.moments = {key: moment for key, moment in self.moments.items() if key[0] != task_id}

    def positions(self, cluster: str, desired: DesiredStatus, family: str | None) -> list[tuple[float, str]]:
        found = [
            (task.created_at, task.task_id)
            for task in self.tasks.values()
            if (task.cluster, task.desired_status) == (cluster, desired) and family in (None, task.family)
        ]
        return sorted(found, reverse=True)

    def revisions(self, status: DefinitionStatus, family: str | None) -> list[tuple[str, int]]:
        return sorted(
            key for key, one in self.definitions.items() if one.status is status and family in (None, one.family)
        )


def paged(page: Callable[[T | None], list[T]]) -> list[T]:
    """All the pages of a list, put together."""
    found: list[T] = []
    while more := page(found[-1] if found else None):
        found += more
    return found


def check(store: Store, model: Model) -> None:
    """Every question that the store answers."""
    ids = [f"{number:032x}" for number in range(TASKS + 2)]
    assert store.load_unfinished() == model.unfinished()
    assert store.tasks(ids) == model.tasks
    for token in TOKENS[1:]:
        assert token is not None
        made = [model.tasks[task_id] for task_id in model.order if model.tasks[task_id].client_token == token]
        assert store.tasks_of_token(token) == sorted(made, key=lambda task: task.created_at)
    for cluster, desired, family in itertools.product(CLUSTERS, DesiredStatus, (None, *FAMILIES)):
        pages = paged(
            lambda after, c=cluster, d=desired, f=family: store.task_positions(  # type: ignore[misc]
                cluster=c, desired_status=d, family=f, after=after, limit=2
            )
        )
        assert pages == model.positions(cluster, desired, family)
    check_definitions(store, model)
    for name in CLUSTERS:
        assert store.cluster(name) == model.clusters.get(name)
    active = [name for name, one in model.clusters.items() if one.status is ClusterStatus.ACTIVE]
    assert paged(lambda after: store.cluster_names(after=after or "", limit=1)) == sorted(active)
    assert store.instance() == model.instance
    check_journal(store, model)
    for task_id in ids:
        runs = [run for key, run in sorted(model.runs.items()) if key[0] == task_id]
        assert store.runs(task_id) == runs
        moments = [moment for key, moment in model.moments.items() if key[0] == task_id]
        assert store.moments(task_id) == sorted(moments, key=lambda moment: moment.clock)


def check_definitions(store: Store, model: Model) -> None:
    for family in FAMILIES:
        for revision in range(1, 6):
            assert store.definition(family, revision) == model.definitions.get((family, revision))
        active = model.revisions(DefinitionStatus.ACTIVE, family)
        assert store.definition(family) == (model.definitions[active[-1]] if active else None)
    for status, family_or_none, backwards in itertools.product(DefinitionStatus, (None, "web"), (False, True)):
        pages = paged(
            lambda after, s=status, f=family_or_none, b=backwards: store.definition_positions(  # type: ignore[misc]
                status=s, family=f, descending=b, after=after, limit=2
            )
        )
        revisions = model.revisions(status, family_or_none)
        assert pages == (revisions[::-1] if backwards else revisions)
    having = {one.family for one in model.definitions.values() if one.status is DefinitionStatus.ACTIVE}
    known = {one.family for one in model.definitions.values() if one.status is not DefinitionStatus.DELETE_IN_PROGRESS}
    for name, families in (("ACTIVE", having), ("INACTIVE", known - having), ("ALL", known)):
        assert store.families(status=name, prefix="w", after="", limit=9) == sorted(families)
        assert store.families(status=name, prefix="wo", after="", limit=9) == sorted(families & {"worker"})


def check_journal(store: Store, model: Model) -> None:
    told = [(seq, event.body.decode()) for seq, event in model.events]
    found: list[tuple[int, str]] = []
    while more := store.events(found[-1][0] if found else 0, 2):
        found += more
    assert found == told
    of_one = [(seq, event.body.decode()) for seq, event in model.events if event.task_id == f"{1:032x}"]
    assert store.events(0, 99, f"{1:032x}") == of_one
    since = [seq for seq, event in model.events if event.at >= 2003.0]
    assert store.event_before(2003.0) == (min(since) - 1 if since else model.last_event)


class AnyUse(RuleBasedStateMachine):
    """One store, closed and opened again, and crashed: then it goes on with what a copy of its files has."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.mkdtemp(prefix="supervisor-store-", dir=MEMORY)
        self.copies = itertools.count()
        self.path = f"{self.directory}/state.db"
        self.store = Store(self.path)
        self.model = Model()
        self.before = Model()
        """As it was before the last commit."""
        self.wal_before = 0
        self.reserved: dict[str, int] = {}
        tally.count("store", lives=1)

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.directory)

    def wal(self) -> int:
        with contextlib.suppress(FileNotFoundError):
            return os.stat(f"{self.path}-wal").st_size
        return 0

    def note(self) -> None:
        """A commit comes."""
        self.before, self.wal_before = copy.deepcopy(self.model), self.wal()

    @rule(
        tasks=st.lists(LIVES, max_size=3),
        resources=st.lists(RESOURCES, max_size=3),
        events=st.lists(EVENTS, max_size=3),
        kept=st.lists(KEPT, max_size=3),
    )
    def save(self, tasks: list[Task], resources: list[Resource], events: list[JournalEntry], kept: list[Kept]) -> None:
        there = self.model.tasks.keys() | {task.task_id for task in tasks}
        kept = [one for one in kept if one.task_id in there]
        self.note()
        self.store.save(tasks, resources, events, kept)
        self.model.save(tasks, resources, events, kept)
        tally.count("store", saves=1)

    @rule(task=LIVES, resource=RESOURCES, event=EVENTS, kept=KEPT)
    def save_what_belongs_to_nothing(self, task: Task, resource: Resource, event: JournalEntry, kept: Kept) -> None:
        """The last part is refused: the rest is not there either."""
        nowhere = msgspec.structs.replace(kept, task_id="f" * 32)
        with pytest.raises(StoreError, match="FOREIGN KEY"):
            self.store.save([task], [resource], [event], [nowhere])
        tally.count("store", failed_saves=1)

    @rule(task=LIVES, resource=RESOURCES, event=EVENTS, room=st.integers(0, 3))
    def save_on_a_full_disk(self, task: Task, resource: Resource, event: JournalEntry, room: int) -> None:
        """All or none, also where it would have fitted."""
        raw = self.store._writer.raw
        ((pages,),) = raw.execute("PRAGMA page_count").fetchall()
        raw.execute(f"PRAGMA max_page_count = {pages + room}").fetchall()
        large = JournalEntry(event.at, event.task_id, b'"%s"' % (b"x" * 6000))
        self.note()
        try:
            self.store.save([task], [resource], [event, large])
            self.model.save([task], [resource], [event, large], [])
        except StoreError as exc:
            assert "full" in str(exc)  # noqa: PT017  it need not be
            tally.count("store", failed_saves=1)
        finally:
            raw.execute("PRAGMA max_page_count = 1073741823").fetchall()

    @rule(before=INSTANTS, limit=st.integers(0, 4))
    def prune(self, before: float, limit: int) -> None:
        ends = {
            task_id: task.stopped_at
            for task_id, task in self.model.tasks.items()
            if task.last_status is LastStatus.STOPPED and task.stopped_at is not None and task.stopped_at < before
        }
        self.note()
        gone = self.store.prune(before, limit)
        for task_id in gone:
            self.model.remove(task_id)
        assert set(gone) <= ends.keys()
        assert [ends[task_id] for task_id in gone] == sorted(ends.values())[:limit]

    @rule(before=INSTANTS, limit=st.integers(0, 4))
    def prune_events(self, before: float, limit: int) -> None:
        old = [event.at for _, event in self.model.events if event.at < before]
        self.note()
        count = self.store.prune_events(before, limit)
        left = {seq for seq, _ in self.store.events(0, 999)}
        gone = [event.at for seq, event in self.model.events if seq not in left]
        self.model.events = [one for one in self.model.events if one[0] in left]
        assert sorted(gone) == sorted(old)[:limit]
        assert count == len(gone)

    @rule(family=st.sampled_from(FAMILIES))
    def number_a_revision(self, family: str) -> None:
        given = self.store.next_revision(family)
        assert given == max(self.model.last_revisions.get(family, 0), self.reserved.get(family, 0)) + 1
        self.reserved[family] = given

    @rule()
    def open_again(self) -> None:
        self.store.close()
        self.store, self.reserved = Store(self.path), {}
        self.before, self.wal_before = self.model, self.wal()
        tally.count("store", restarts=1)

    def crashed(self, wal: int) -> Store:
        """A store on what the disk had when everything ended, with so much of the write-ahead log."""
        directory = f"{self.directory}/{next(self.copies)}"
        os.mkdir(directory, mode=0o700)
        shutil.copy(self.path, directory)
        if os.path.exists(f"{self.path}-wal"):
            shutil.copy(f"{self.path}-wal", directory)
            os.truncate(f"{directory}/state.db-wal", wal)
        tally.count("store", crashes=1)
        return Store(f"{directory}/state.db")

    @rule()
    def crash(self) -> None:
        """Everything that was answered is there; then on with the copy."""
        store = self.crashed(self.wal())
        self.store.close()
        self.store, self.path, self.reserved = store, store._reader.path, {}
        self.before, self.wal_before = self.model, self.wal()

    @precondition(lambda self: self.wal_before < self.wal())
    @rule(part=st.floats(0.0, 1.0, exclude_max=True))
    def crash_within_the_last_commit(self, part: float) -> None:
        """What was not answered yet is there as a whole or not at all."""
        wal = self.wal_before + int((self.wal() - self.wal_before) * part)
        store = self.crashed(wal)
        try:
            check(store, self.before)
        finally:
            store.close()

    @invariant()
    def it_answers_as_the_model_does(self) -> None:
        check(self.store, self.model)


TestAnyUse = AnyUse.TestCase
TestAnyUse.settings = settings(stateful_step_count=25)
