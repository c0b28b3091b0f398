from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import StoreDamaged, StoreError
from supervisor.model import (
    Cluster,
    ClusterStatus,
    Container,
    ContainerDefinition,
    ContainerInstance,
    DefinitionStatus,
    DesiredStatus,
    ExitStatus,
    InstanceStatus,
    KeyValuePair,
    LastStatus,
    Moment,
    PastRun,
    StopCode,
    Tag,
    Task,
    TaskDefinition,
)
from supervisor.store import JournalEntry, Store, set_aside
from supervisor.store import records as store_module

ARN = "arn:aws:ecs:local:000000000000:"
INSTANCE = ContainerInstance(instance_id="c" * 32, registered_at=1.5, status=InstanceStatus.DRAINING, version=2)


def a_task(number: int = 1, **changes: object) -> Task:
    task_id = f"{number:032x}"
    task = Task(
        task_id=task_id,
        task_arn=f"{ARN}task/default/{task_id}",
        cluster_arn=f"{ARN}cluster/default",
        task_definition_arn=f"{ARN}task-definition/web:1",
        container_instance_arn=f"{ARN}container-instance/default/{'c' * 32}",
        family="web",
        group="family:web",
        created_at=1000.0 + number,
        containers=(
            Container(
                name="main",
                container_arn=f"{ARN}container/default/{task_id}/x",
                stop_timeout=30.0,
                exit=ExitStatus(signal=9),
            ),
        ),
    )
    return msgspec.structs.replace(task, **changes)


def a_stopped_task(number: int = 1, **changes: object) -> Task:
    ended = {
        "last_status": LastStatus.STOPPED,
        "desired_status": DesiredStatus.STOPPED,
        "stop_code": StopCode.USER_INITIATED,
        "stopped_at": 2000.0 + number,
    }
    return a_task(number, **(ended | changes))


def a_definition(revision: int = 1, family: str = "web", **changes: object) -> TaskDefinition:
    definition = TaskDefinition(
        task_definition_arn=f"{ARN}task-definition/{family}:{revision}",
        family=family,
        revision=revision,
        container_definitions=(ContainerDefinition(name="main", environment=(KeyValuePair(name="A", value="é\n"),)),),
        registered_at=1.5,
        tags=(Tag(key="k", value="v"),),
    )
    return msgspec.structs.replace(definition, **changes)


def positions(store: Store, desired: DesiredStatus, *, limit: int = 100, **wanted: Any) -> list[tuple[float, str]]:
    return store.task_positions(**{"cluster": "default", "desired_status": desired, "limit": limit, **wanted})


def ids(store: Store, desired: DesiredStatus, **wanted: Any) -> list[str]:
    return [task_id for _, task_id in positions(store, desired, **wanted)]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "state" / "records.db")


@pytest.fixture
def store(path: str) -> Iterator[Store]:
    store = Store(path)
    yield store
    store.close()


def said_while(store: Store, *connections: str) -> list[str]:
    said: list[str] = []
    for name in connections:
        getattr(store, name).raw.set_trace_callback(said.append)
    return said


# -- durability --


def test_every_commit_is_on_the_disk_before_it_is_answered(store: Store) -> None:
    for connection in (store._writer, store._reader):
        assert connection.execute("PRAGMA synchronous") == [(2,)]
        assert connection.execute("PRAGMA foreign_keys") == [(1,)]
    assert store._writer.execute("PRAGMA journal_mode") == [("wal",)]
    assert store._writer.execute("PRAGMA busy_timeout") == [(5000,)]


def test_a_batch_is_one_commit(store: Store) -> None:
    said = said_while(store, "_writer")
    store.save([a_task(n) for n in range(50)], [a_definition(n) for n in range(1, 20)])
    assert [word for word in said if word in {"BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"}] == [
        "BEGIN IMMEDIATE",
        "COMMIT",
    ]
    assert said[0] == "BEGIN IMMEDIATE"
    assert said[-1] == "COMMIT"


def test_another_store_sees_only_what_is_committed(store: Store, path: str) -> None:
    other = Store(path)
    with store._writer.transaction() as connection:
        connection.execute("INSERT INTO clusters (name, status, body) VALUES ('a', 'ACTIVE', '{\"name\": \"a\"}')")
        assert other.cluster("a") is None
        assert store.cluster("a") is None
    assert other.cluster("a") == store.cluster("a") == Cluster(name="a")
    other.close()


def test_a_batch_that_fails_changes_nothing(store: Store) -> None:
    half = a_task(2, last_status=LastStatus.STOPPED)  # STOPPED without an instant: the schema refuses it
    with pytest.raises(StoreError, match=r"cannot write .*records\.db: CHECK constraint failed"):
        store.save([a_task(1), half], [a_definition()])
    assert store.task(a_task(1).task_id) is None
    assert store.definition("web") is None
    store.save([a_task(1)])
    assert store.task(a_task(1).task_id) == a_task(1)


def test_what_was_saved_is_there_after_a_restart(store: Store, path: str) -> None:
    store.save([a_task(1), a_stopped_task(2)], [a_definition()])
    store.save(resources=[INSTANCE])
    store.close()
    again = Store(path)
    assert again.tasks([a_task(1).task_id, a_task(2).task_id]) == {
        a_task(1).task_id: a_task(1),
        a_task(2).task_id: a_stopped_task(2),
    }
    assert again.definition("web") == a_definition()
    assert again.instance() == INSTANCE
    again.close()


# -- the file --


def test_nobody_else_may_read_it(store: Store, path: str) -> None:
    store.save([a_task()])
    assert stat.S_IMODE(Path(path).parent.stat().st_mode) == 0o700
    files = sorted(Path(path).parent.iterdir())
    assert [file.name for file in files] == ["records.db", "records.db-shm", "records.db-wal"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_file_that_others_may_read_is_closed_to_them(path: str) -> None:
    Path(path).parent.mkdir()
    Path(path).touch(0o644)
    Store(path).close()
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600


def test_a_directory_that_others_may_write_is_refused(path: str) -> None:
    directory = Path(path).parent
    directory.mkdir()
    directory.chmod(0o777)
    with pytest.raises(StoreError, match=rf"others may write there \(mode 0777\); chmod 700 {directory}"):
        Store(path)


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"cannot open .*/file/state/records.db: Not a directory"):
        Store(str(tmp_path / "file/state/records.db"))


def test_a_file_that_is_no_database(path: str) -> None:
    Path(path).parent.mkdir()
    Path(path).write_text("these are not the records you are looking for " * 50)
    with pytest.raises(StoreError, match=r"records\.db: file is not a database"):
        Store(path)


@pytest.mark.parametrize(
    ("wal", "refused"), [(b"", False), (bytes(4096), False), (b"\x37\x7f\x06\x82", False), (b"other" * 99, True)]
)
def test_what_is_no_write_ahead_log_is_not_passed_over(store: Store, path: str, wal: bytes, refused: bool) -> None:
    store.save([a_task()])
    store.close()
    Path(f"{path}-wal").write_bytes(wal)
    with pytest.raises(StoreDamaged, match="not a write-ahead log") if refused else contextlib.nullcontext():
        again = Store(path)
        assert again.load_unfinished() == [a_task()]
        again.close()


def test_a_damaged_database_is_kept_with_what_belongs_to_it(store: Store, path: str) -> None:
    store.close()
    for part in ("", "-wal"):
        Path(path + part).write_bytes(b"other" * 999)
    with pytest.raises(StoreDamaged):
        Store(path)
    kept = set_aside(path)
    assert kept.startswith(f"{path}.damaged-")
    assert Path(kept).read_bytes() == Path(f"{kept}-wal").read_bytes() == b"other" * 999
    Store(path).close()


def test_what_cannot_be_set_aside_is_left(store: Store, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store.close()

    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("os.rename", refuse)
    with pytest.raises(StoreError, match=r"cannot set .* aside, which is damaged: Read-only file system"):
        set_aside(path)


def test_a_record_that_cannot_be_read_is_damage(store: Store, path: str) -> None:
    store.save([a_task()])
    store._writer.execute("UPDATE tasks SET body = '{}'")
    store.close()
    with pytest.raises(StoreDamaged, match="cannot read a Task"):
        Store(path)


def test_damage_that_is_found_later_is_told(path: str) -> None:
    told: list[StoreDamaged] = []
    store = Store(path, told.append)
    store.save([a_task()])
    assert store._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")[0][0] == 0
    other = sqlite3.connect(path, isolation_level=None)  # what others have written is not in the cache
    other.execute("CREATE TABLE other (a)")
    other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.close()
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (os.path.getsize(path) - 4096))
    with pytest.raises(StoreDamaged, match="malformed") as caught:
        store.load_unfinished()
    assert told == [caught.value]
    store.close()


def test_a_newer_schema_is_refused(store: Store, path: str) -> None:
    store._writer.execute("PRAGMA user_version = 9")
    store.close()
    with pytest.raises(StoreError, match="its schema is version 9, and this release knows up to 3; start the release"):
        Store(path)


def test_a_file_in_use_is_examined_and_not_changed(store: Store, path: str) -> None:
    store_module.examine(path)
    store._writer.execute("PRAGMA user_version = 2")
    store_module.examine(path)
    assert store._writer.execute("PRAGMA user_version") == [(2,)], "it is for the one who takes over to migrate"
    store._writer.execute("PRAGMA user_version = 9")
    with pytest.raises(StoreError, match="its schema is version 9, and this release knows up to 3; start the release"):
        store_module.examine(path)
    with pytest.raises(StoreError, match=r"nothing\.db: unable to open database file"):
        store_module.examine(f"{path}.nothing.db")
    assert not Path(f"{path}.nothing.db").exists()


def test_migrations_run_once_and_all_or_none(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Store(path).close()
    version = len(store_module.MIGRATIONS) + 1
    files = {"next.sql": "ALTER TABLE clusters ADD COLUMN a;\nALTER TABLE clusters ADD COLUMN a;\n"}
    original = store_module._sql_file
    monkeypatch.setattr(store_module, "_sql_file", lambda name: files.get(name) or original(name))
    monkeypatch.setattr(store_module, "MIGRATIONS", (*store_module.MIGRATIONS, "next.sql"))
    with pytest.raises(StoreError, match="duplicate column name: a"):
        Store(path)
    files["next.sql"] = "ALTER TABLE clusters ADD COLUMN a;\nALTER TABLE clusters ADD COLUMN b;\n"
    for _ in range(2):
        store = Store(path)
        assert store._writer.execute("PRAGMA user_version") == [(version,)]
        store.close()


def test_every_statement_of_the_file_is_found() -> None:
    text = store_module._sql_file("queries.sql")
    assert len(store_module._queries()) == text.count(" --\n") == text.count(";\n")


def test_a_closed_store_says_so(store: Store) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreError, match=r"cannot read .*: Cannot operate on a closed database"):
        store.cluster("a")
    with pytest.raises(StoreError, match=r"cannot write .*: Cannot operate on a closed database"):
        store.save([a_task()])


def test_a_record_that_was_tampered_with_is_named(store: Store) -> None:
    store.save([a_task()])
    store._writer.execute("UPDATE tasks SET body = '{}'")
    with pytest.raises(StoreError, match=r"cannot read a Task in .*missing required field `taskId`"):
        store.load_unfinished()


# -- tasks --


def test_saving_again_replaces(store: Store) -> None:
    store.save([a_task()])
    assert store.load_unfinished() == [a_task()]
    store.save([a_stopped_task()])
    assert store.load_unfinished() == []
    assert store.task(a_task().task_id) == a_stopped_task()
    assert ids(store, DesiredStatus.RUNNING) == []
    assert ids(store, DesiredStatus.STOPPED) == [a_task().task_id]


def test_unfinished_is_what_is_not_stopped_the_oldest_first(store: Store) -> None:
    running = a_task(2, last_status=LastStatus.RUNNING)
    stopping = a_task(1, last_status=LastStatus.RUNNING, desired_status=DesiredStatus.STOPPED)
    store.save([a_task(3), running, stopping, a_stopped_task(4)])
    assert store.load_unfinished() == [stopping, running, a_task(3)]


def test_tasks_that_are_not_there(store: Store) -> None:
    store.save([a_task(1)])
    assert store.task("nope") is None
    assert store.tasks([]) == {}
    assert list(store.tasks(["nope", a_task(1).task_id, "' OR 1=1 --"])) == [a_task(1).task_id]


def test_lists_are_filtered(store: Store) -> None:
    store.save(
        [
            a_task(1),
            a_task(2, family="db"),
            a_task(3, started_by="ada"),
            a_task(4, family="db", started_by="ada"),
            a_stopped_task(5, started_by="ada"),
            a_task(6, cluster_arn=f"{ARN}cluster/other"),
        ]
    )

    def listed(desired: DesiredStatus, family: str | None = None, started_by: str | None = None) -> list[int]:
        return [int(each, 16) for each in ids(store, desired, family=family, started_by=started_by)]

    assert listed(DesiredStatus.RUNNING) == [4, 3, 2, 1]
    assert listed(DesiredStatus.RUNNING, family="db") == [4, 2]
    assert listed(DesiredStatus.RUNNING, started_by="ada") == [4, 3]
    assert listed(DesiredStatus.RUNNING, "db", "ada") == [4]
    assert listed(DesiredStatus.STOPPED, "web") == [5]
    for launch_type, found in (("EXTERNAL", 4), ("FARGATE", 0)):
        assert len(ids(store, DesiredStatus.RUNNING, launch_type=launch_type)) == found
    assert ids(store, DesiredStatus.RUNNING, cluster="other") == [a_task(6).task_id]
    assert listed(DesiredStatus.STOPPED, "db") == []


@given(instants=st.lists(st.integers(0, 3), max_size=12), limit=st.integers(1, 5))
def test_pages_put_together_are_the_list(
    tmp_path_factory: pytest.TempPathFactory, instants: list[int], limit: int
) -> None:
    tasks = [a_task(n, created_at=float(instant)) for n, instant in enumerate(instants)]
    store = Store(str(tmp_path_factory.mktemp("pages") / "records.db"))
    store.save(tasks)
    pages: list[tuple[float, str]] = []
    after = None
    while page := positions(store, DesiredStatus.RUNNING, after=after, limit=limit):
        assert len(page) <= limit
        pages += page
        after = page[-1]
    store.close()
    assert pages == sorted(((t.created_at, t.task_id) for t in tasks), reverse=True)


def test_a_page_goes_on_where_it_was_though_the_task_there_is_gone_and_others_have_come(store: Store) -> None:
    store.save([a_task(n) for n in (2, 4, 6, 8)])
    last = positions(store, DesiredStatus.RUNNING, limit=2)[-1]
    assert last == (a_task(6).created_at, a_task(6).task_id)
    store.save([a_stopped_task(6), a_task(9)])
    store.prune(9999.0, limit=9)
    assert store.task(a_task(6).task_id) is None
    assert ids(store, DesiredStatus.RUNNING, after=last) == [a_task(4).task_id, a_task(2).task_id]


def test_tasks_of_a_token(store: Store) -> None:
    store.save([a_task(2, client_token="t"), a_task(1, client_token="t"), a_task(3, client_token="u"), a_task(4)])
    assert [task.task_id for task in store.tasks_of_token("t")] == [a_task(1).task_id, a_task(2).task_id]
    assert store.tasks_of_token("") == []


def test_pruning_takes_the_first_that_stopped_and_no_others(store: Store) -> None:
    store.save([a_task(1), *(a_stopped_task(n) for n in (2, 3, 4, 5))])
    assert store.prune(2005.0, limit=2) == [a_task(2).task_id, a_task(3).task_id]
    assert set(store.tasks(a_task(n).task_id for n in range(6))) == {a_task(n).task_id for n in (1, 4, 5)}
    assert store.prune(2005.0, limit=2) == [a_task(4).task_id]
    assert store.prune(2005.0, limit=2) == []
    assert store.task(a_task(5).task_id) is not None


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("load_unfinished", "tasks_unfinished"),
        ("list_tasks", "COVERING INDEX tasks_listed"),
        ("load_tasks_of_token", "tasks_by_token"),
        ("find_finished", "tasks_finished"),
        ("remove_deleted_definitions", "tasks_of_definition"),
    ],
)
def test_a_long_history_is_not_read_through(store: Store, query: str, index: str) -> None:
    statement = store_module._queries()[query]
    names = dict.fromkeys(
        ["cluster", "desired_status", "created_at", "after", "family", "started_by", "launch_type", "token", "before"],
        "",
    )
    plan = store._reader.execute("EXPLAIN QUERY PLAN " + statement, {**names, "limit": 1})
    assert index in " ".join(row[3] for row in plan)


# -- task definitions --


def test_the_latest_active_revision(store: Store) -> None:
    assert store.definition("web") is None
    store.save([], [a_definition(1), a_definition(2), a_definition(10), a_definition(11, family="db")])
    assert store.definition("web") == a_definition(10)
    retired = a_definition(10, status=DefinitionStatus.INACTIVE)
    store.save([], [retired])
    assert store.definition("web") == a_definition(2)
    assert store.definition("web", 10) == retired
    assert store.definition("web", 3) is None


def test_a_revision_is_never_given_twice(store: Store, path: str) -> None:
    assert store.next_revision("web") == 1
    assert store.next_revision("web") == 2, "the first is not saved yet, and still taken"
    assert store.next_revision("db") == 1
    store.save([], [a_definition(2)])
    store.save([], [a_definition(1)])
    store._writer.execute("DELETE FROM task_definitions")
    store.close()
    again = Store(path)
    assert again.next_revision("web") == 3
    assert again.next_revision("db") == 1, "it was never saved, so nobody was told of it"
    again.close()


def test_pages_of_revisions_both_ways(store: Store) -> None:
    there = [("a", 1), ("b", 2), ("b", 10), ("c", 1)]
    store.save([], [a_definition(revision, family=family) for family, revision in reversed(there)])
    store.save([], [a_definition(3, family="b", status=DefinitionStatus.INACTIVE)])
    for descending, expected in ((False, there), (True, there[::-1])):
        pages: list[tuple[str, int]] = []
        after = None
        while page := store.definition_positions(
            status=DefinitionStatus.ACTIVE, descending=descending, after=after, limit=1
        ):
            pages += page
            after = page[-1]
        assert pages == expected
    assert store.definition_positions(status=DefinitionStatus.ACTIVE, family="b", limit=9) == [("b", 2), ("b", 10)]
    assert store.definition_positions(status=DefinitionStatus.INACTIVE, limit=9) == [("b", 3)]


def test_families_with_and_without_an_active_revision(store: Store) -> None:
    inactive = DefinitionStatus.INACTIVE
    store.save([], [a_definition(1, "web", status=inactive), a_definition(2, "web"), a_definition(1, "we%")])
    store.save([], [a_definition(1, "old", status=inactive)])
    store.save([a_task(family="gone", task_definition_arn=f"{ARN}task-definition/gone:1")])
    store.save([], [a_definition(1, "gone", status=DefinitionStatus.DELETE_IN_PROGRESS)])

    def listed(status: str, prefix: str = "", after: str = "") -> list[str]:
        return store.families(status=status, prefix=prefix, after=after, limit=9)

    assert listed("ALL") == ["old", "we%", "web"]
    assert listed("ACTIVE") == ["we%", "web"]
    assert listed("INACTIVE") == ["old"]
    assert listed("ALL", prefix="we%") == ["we%"]
    assert listed("ALL", after="old") == ["we%", "web"]
    assert store.families(status="ALL", prefix="", after="", limit=1) == ["old"]


def test_a_deleted_revision_goes_with_the_last_task_that_needs_it(store: Store) -> None:
    deleted = a_definition(1, status=DefinitionStatus.DELETE_IN_PROGRESS)
    store.save([a_task(1), a_task(2)], [a_definition(2)])
    store.save([], [deleted])
    store.save([a_stopped_task(1)])
    assert store.definition("web", 1) == deleted
    store.save([a_stopped_task(2)])
    assert store.definition("web", 1) is None
    assert store.definition("web", 2) is not None


# -- clusters and the host --


def test_clusters(store: Store) -> None:
    batch = Cluster(name="batch", tags=(Tag(key="a", value="b"),), echo={"settings": []})
    store.save(resources=[batch, Cluster(name="a"), Cluster(name="gone", status=ClusterStatus.INACTIVE)])
    assert store.cluster("batch") == batch
    assert store.cluster("gone") == Cluster(name="gone", status=ClusterStatus.INACTIVE)
    assert store.cluster("never") is None
    assert store.cluster_names(after="", limit=9) == ["a", "batch"]
    assert store.cluster_names(after="a", limit=9) == ["batch"]
    assert store.cluster_names(after="", limit=1) == ["a"]


def test_there_is_one_host_and_it_changes(store: Store) -> None:
    assert store.instance() is None
    store.save(resources=[INSTANCE])
    changed = msgspec.structs.replace(INSTANCE, version=3, tags=(Tag(key="a"),))
    store.save(resources=[changed])
    assert store.instance() == changed


# -- threads, and the sum of it --


def test_a_reader_does_not_wait_for_the_writer(store: Store) -> None:
    store.save([a_task()])
    with store._writer.transaction() as connection:
        connection.execute("DELETE FROM tasks")
        assert store.task(a_task().task_id) == a_task()
    assert store.task(a_task().task_id) is None


def test_the_reader_cannot_write(store: Store) -> None:
    with pytest.raises(StoreError, match="attempt to write a readonly database"):
        store._reader.execute("DELETE FROM tasks")


def test_an_error_of_sqlite_has_its_words_and_the_path(store: Store, path: str) -> None:
    other = sqlite3.connect(path, timeout=0, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store._writer.execute("PRAGMA busy_timeout = 0")
    with pytest.raises(StoreError) as caught:
        store.save([a_task()])
    assert str(caught.value) == f"cannot write {path}: database is locked"
    other.close()
    store.save([a_task()])


def test_no_descriptor_is_left_open(path: str) -> None:
    Store(path).close()
    before = os.listdir("/proc/self/fd")
    Store(path).close()
    assert os.listdir("/proc/self/fd") == before


# -- the journal --


def an_event(number: int, at: float = 1.0, task: int = 1) -> JournalEntry:
    return JournalEntry(at, f"{task:032x}", f'{{"n":{number}}}'.encode())


def test_events_are_numbered_in_the_order_of_their_commits(store: Store) -> None:
    store.save(events=[an_event(1), an_event(2, task=2)])
    store.save([a_task()], events=[an_event(3)])
    assert store.events(0, 10) == [(1, '{"n":1}'), (2, '{"n":2}'), (3, '{"n":3}')]
    assert store.events(1, 1) == [(2, '{"n":2}')]
    assert store.events(0, 10, f"{1:032x}") == [(1, '{"n":1}'), (3, '{"n":3}')]
    assert store.events(3, 10) == []


def test_an_event_is_stored_with_its_change_or_not_at_all(store: Store) -> None:
    broken = a_stopped_task(stopped_at=None)
    with pytest.raises(StoreError):
        store.save([broken], events=[an_event(1)])
    assert store.events(0, 10) == []


def test_a_number_is_never_given_twice_however_much_was_pruned(store: Store, path: str) -> None:
    store.save(events=[an_event(1), an_event(2)])
    assert store.prune_events(5.0, 10) == 2
    store.close()
    again = Store(path)
    again.save(events=[an_event(3)])
    assert again.events(0, 10) == [(3, '{"n":3}')]
    again.close()


def test_the_oldest_events_are_pruned_a_few_at_a_time(store: Store) -> None:
    store.save(events=[an_event(1, 3.0), an_event(2, 1.0), an_event(3, 2.0), an_event(4, 4.0)])
    assert store.prune_events(4.0, 2) == 2
    assert store.events(0, 10) == [(1, '{"n":1}'), (4, '{"n":4}')]
    assert [store.prune_events(4.0, 2), store.prune_events(4.0, 2)] == [1, 0]


def test_where_the_journal_stood_at_a_time(store: Store) -> None:
    assert store.event_before(0.0) == 0
    store.save(events=[an_event(1, 1.0), an_event(2, 2.0), an_event(3, 3.0)])
    assert [store.event_before(at) for at in (0.5, 2.0, 2.5, 3.5)] == [0, 1, 2, 3]


def a_run(task: Task, number: int) -> PastRun:
    return PastRun(
        task_id=task.task_id, container="main", number=number, run_id=f"{number:032x}", exit=ExitStatus(code=1)
    )


def a_moment(task: Task, clock: float, kind: str = "Signalled", **facts: Any) -> Moment:
    return Moment(
        task_id=task.task_id, container="main", run_id=f"{1:032x}", at=5.0, clock=clock, kind=kind, facts=facts
    )


def test_what_is_kept_of_a_task_is_kept_once_in_order_and_goes_with_it(store: Store) -> None:
    task, other = a_task(1), a_task(2)
    first, second = a_run(task, 1), a_run(task, 2)
    early, late = a_moment(task, 10.0, signum=15), a_moment(task, 12.5, kind="Exited", code=0)
    store.save([task, other], kept=[second, late, early])
    store.save([task], kept=[first, second, early, a_moment(other, 1.0)])  # an event that came twice
    assert store.runs(task.task_id) == [first, second]
    assert store.moments(task.task_id) == [early, late]
    assert (store.runs(other.task_id), store.moments(other.task_id)) == ([], [a_moment(other, 1.0)])
    store.save([a_stopped_task(1)])
    store.prune(9999.0, limit=9)
    assert (store.runs(task.task_id), store.moments(task.task_id)) == ([], [])
    assert store.moments(other.task_id) != []
