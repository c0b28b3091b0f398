"""A database that is damaged: refused in clear words, kept aside, and its tasks recorded anew from what is seen."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import PATIENCE
from tests.disks import tmpfs
from tests.process import observed
from tests.system.daemon import Daemon
from tests.system.disks import daemon_on

pytestmark = pytest.mark.system

PAGE = 4096


def database(daemon: Daemon) -> Path:
    return Path(daemon.state_dir, "supervisor.db")


def checkpoint(path: Path, *statements: str) -> None:
    """All in the file itself, nothing beside it."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    connection.close()


def garble_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(os.urandom(100))


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // PAGE // 2 * PAGE)


def cut_in_a_page(path: Path) -> None:
    os.truncate(path, PAGE + 100)


def zero_the_middle(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(2 * PAGE)
        file.write(bytes(path.stat().st_size - 4 * PAGE))


def garble_wal(path: Path) -> None:
    Path(f"{path}-wal").write_bytes(os.urandom(3 * PAGE))


def garble_a_record(path: Path) -> None:
    checkpoint(path, "UPDATE tasks SET body = 'no JSON'")


WAYS = [garble_header, truncate, cut_in_a_page, zero_the_middle, garble_wal, garble_a_record]


@contextmanager
def no_agent(daemon: Daemon) -> Iterator[None]:
    """An agent that does nothing meanwhile and is killed at the end: so long nobody touches the database."""
    agent = daemon.agent()
    agent.signal(signal.SIGSTOP)
    observed.until(lambda: observed.state(agent.pid) == "T", "a stopped agent")
    yield
    agent.signal(signal.SIGKILL)
    agent.death()


@pytest.fixture(scope="module")
def running(shared: Daemon) -> tuple[str, list[observed.Process]]:
    """A task of two containers, which is there all the time."""
    environment = [{"name": "OWN", "value": "é"}]
    one = shared.container("graceful.py", "7", name="one", environment=environment, stopTimeout=41)
    arn = shared.run(one, shared.container("graceful.py", "8", name="two"), startedBy="somebody")
    mains = shared.hear("main", 2)
    shared.wait(arn, "RUNNING")
    return arn, mains


@pytest.mark.parametrize("damage", WAYS)
def test_a_damaged_database_is_kept_and_its_tasks_go_on(
    shared: Daemon, running: tuple[str, list[observed.Process]], damage: Callable[[Path], None]
) -> None:
    arn, mains = running
    path = database(shared)
    before = {one["name"]: one for one in shared.task(arn)["containers"]}
    with no_agent(shared):
        checkpoint(path)
        damage(path)
        bytes_before = path.read_bytes()
    task = shared.task(arn)
    told = shared.logged("store_damaged")[-1]
    assert told["error"].startswith("cannot "), told
    assert Path(told["kept"]).read_bytes()[PAGE:] == bytes_before[PAGE:], "nothing of it is lost"
    os.unlink(told["kept"])  # the next one may come within the same second
    assert (task["taskArn"], task["lastStatus"], task["desiredStatus"]) == (arn, "RUNNING", "RUNNING")
    assert task["startedBy"] == "supervisor/rebuilt"
    assert task["startedAt"] == pytest.approx(mains_started(mains), abs=1.0)
    after = {one["name"]: one for one in task["containers"]}
    assert {name: one["runtimeId"] for name, one in after.items()} == {
        name: one["runtimeId"] for name, one in before.items()
    }
    definition = shared.call("DescribeTaskDefinition", taskDefinition=task["taskDefinitionArn"])["taskDefinition"]
    assert definition["status"] == "INACTIVE"
    (one, two) = sorted(definition["containerDefinitions"], key=lambda each: each["name"])
    assert (one["name"], one["command"][-1], one["stopTimeout"], two["name"]) == ("one", "7", 41, "two")
    assert {pair["name"] for pair in one["environment"]} == {"READY", "OWN"}
    assert all(main.alive for main in mains)


def mains_started(mains: list[observed.Process]) -> float:
    """When the first of them was started, Unix time."""
    return min(os.stat(f"/proc/{main.pid}").st_ctime for main in mains)


def test_damage_that_is_met_while_it_serves_ends_that_agent(
    shared: Daemon, running: tuple[str, list[observed.Process]]
) -> None:
    arn, mains = running
    agent = shared.agent()
    damaged = len(shared.logged("store_damaged"))
    path = database(shared)
    checkpoint(path, "CREATE TABLE fresh (a)")  # what others have written is not in the agent's cache
    with path.open("r+b") as file:
        file.seek(PAGE)
        file.write(os.urandom(path.stat().st_size - PAGE))
    shared.client.call("ListTaskDefinitions", {"status": "INACTIVE"})
    agent.death()
    assert "malformed" in shared.logged("agent_failed")[-1]["error"]
    assert len(shared.logged("store_damaged")) == damaged + 1
    assert shared.task(arn)["lastStatus"] == "RUNNING"
    assert all(main.alive for main in mains)


def test_a_rebuilt_task_stops_as_any(shared: Daemon, running: tuple[str, list[observed.Process]]) -> None:
    arn, _ = running
    shared.stop(arn, reason="enough")
    record = shared.wait(arn)
    codes = {one["name"]: one["exitCode"] for one in record["containers"]}
    assert (codes, record["stoppedReason"], record["stopCode"]) == ({"one": 7, "two": 8}, "enough", "UserInitiated")
    events = [event["detail"]["lastStatus"] for event in shared.client.events(follow=False, task=arn)]
    assert (events[0], events[-1]) == ("RUNNING", "STOPPED")


def test_a_database_that_is_gone_is_begun_anew(daemon: Daemon) -> None:
    arn, main = daemon.begin("ignores.py", stopTimeout=1)
    daemon.wait(arn, "RUNNING")
    daemon.stop(arn)
    with no_agent(daemon):
        for path in Path(daemon.state_dir).glob("supervisor.db*"):
            path.unlink()
        main.death()
    # Its end was told to nobody who had a record of it: there is none of what is over.
    assert daemon.call("ListTasks", desiredStatus="RUNNING")["taskArns"] == []


def test_a_database_of_a_later_release_is_left_alone(daemon: Daemon) -> None:
    daemon.end()
    path = database(daemon)
    checkpoint(path, "PRAGMA user_version = 99")
    before = path.read_bytes()
    popen = daemon.spawn()
    assert popen.wait(PATIENCE) == 1
    assert "its schema is version 99" in daemon.logged("agent_failed")[-1]["error"]
    assert path.read_bytes() == before
    assert not daemon.logged("store_damaged")
    daemon.popen = None


def test_damage_on_a_full_disk_waits_for_room() -> None:
    with daemon_on(tmpfs) as (daemon, disk):
        arn, main = daemon.begin("graceful.py", "7")
        daemon.wait(arn, "RUNNING")
        with no_agent(daemon):
            checkpoint(database(daemon))
            garble_header(database(daemon))
            disk.fill()
        daemon.until(lambda: daemon.logged("store_failed") or None, "the agent's word")
        waiting = daemon.agent()
        disk.free()
        assert daemon.task(arn)["startedBy"] == "supervisor/rebuilt"
        assert daemon.agent().pid == waiting.pid
        main.signal(signal.SIGTERM)
        assert daemon.wait(arn)["containers"][0]["exitCode"] == 7
