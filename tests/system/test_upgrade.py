"""Another version in the place of the one that runs: the same processes, nothing lost, and nobody turned away."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from supervisor import __version__
from supervisor.cli.client import Client, Connection
from supervisor.cli.failures import AgentRefused
from supervisor.posix import proc
from tests.conftest import PATIENCE
from tests.process import observed
from tests.process.observed import Process
from tests.system.conftest import StartDaemon
from tests.system.daemon import FACTOR, MS, SOON, Daemon, Json
from tests.system.release import Release

pytestmark = pytest.mark.system

WINDOW = int(6 * FACTOR)
"""Seconds, longer than an upgrade takes."""
UPGRADES = int(os.environ.get("SUPERVISOR_TEST_UPGRADES", "3"))
"""One after the other."""

HOLD = """
import sys
if sys.argv[1:] != ["--prove"]:
    with open({!r}, "rb") as fifo:
        fifo.read()
"""
"""A keeper that begins only when it is let: so long it is neither the old one nor the new one."""


@pytest.fixture
def release(tmp_path: Path) -> Release:
    """One that can be replaced."""
    return Release(tmp_path / "release")


Start = Callable[..., Daemon]


@pytest.fixture
def start(start_daemon: StartDaemon, release: Release) -> Start:
    """Starts a daemon of that release."""
    return lambda *args, **tables: start_daemon(*args, command=release.command, **tables)


def health(daemon: Daemon) -> Json:
    return daemon.client.look("GetHealth", "/v1/health")


def refusal(daemon: Daemon) -> str:
    """What the command says of an upgrade that is not to be."""
    return daemon.cli("upgrade", status=1).stderr


@contextlib.contextmanager
def between_two_keepers(daemon: Daemon, release: Release, directory: Path, status: int | None = 0) -> Iterator[None]:
    """In the middle of the keeper's exec; afterwards it is over, and the command that asked for it ends so."""
    fifo = str(directory / "hold")
    os.mkfifo(fifo)
    release.begin_with("keeper/__main__.py", HOLD.format(fifo))

    def held() -> int | None:
        with contextlib.suppress(OSError):  # ENXIO: nobody reads it yet
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        return None

    with asked(daemon) as upgrade:
        let_go = daemon.until(held, "the exec of the keeper")
        try:
            yield
        finally:
            os.close(let_go)
        _, complained = upgrade.communicate(timeout=PATIENCE)
        assert status in (None, upgrade.returncode), complained


@contextlib.contextmanager
def asked(daemon: Daemon) -> Iterator[subprocess.Popen[str]]:
    """The command, under way."""
    with daemon.cli_under_way("upgrade") as popen:
        try:
            yield popen
        finally:
            popen.kill()


def open_files(process: Process) -> str:
    """The limits that it was born with."""
    text = Path(f"/proc/{process.pid}/limits").read_text()
    return next(line for line in text.splitlines() if line.startswith("Max open files"))


def test_the_installed_version_takes_over_in_the_same_processes(start: Start, release: Release, tracking: str) -> None:
    daemon = start(tracking, popen={"prefix": ["sh", "-c", 'ulimit -Sn 512 && exec "$@"', "sh"]})
    keeper, agent = daemon.keeper, daemon.agent()
    arn, main = daemon.begin("graceful.py", "7")
    daemon.wait(arn, "RUNNING")
    release.install("9.9.9")
    said = daemon.cli("upgrade").stdout
    assert said == f"upgraded from {__version__} to 9.9.9: keeper {keeper.pid}, agent {agent.pid}\n"
    facts = {"status": "ok", "version": "9.9.9", "pid": agent.pid, "keeperPid": keeper.pid}
    assert health(daemon) == facts
    assert (keeper.alive, agent.alive, main.alive, daemon.find_agent()) == (True, True, True, agent.pid)
    assert proc.read_stat(main.pid).ppid == keeper.pid  # type: ignore[union-attr]
    again, other = daemon.begin("graceful.py", "8")
    assert open_files(other) == open_files(main), "what the keeper has raised for itself is not for the tasks"
    for each, code in ((arn, 7), (again, 8)):
        daemon.stop(each)
        assert daemon.wait(each)["containers"][0]["exitCode"] == code
    (taken_over,) = daemon.logged("runs_taken_over")
    assert (taken_over["children"], taken_over["adopted"]) == (1, 0)
    assert not daemon.logged("agent_died")


def test_a_stop_under_way_keeps_its_deadline(start: Start) -> None:
    daemon = start()
    arn, last = daemon.begin("ignores.py", stopTimeout=WINDOW)
    asked_at = time.monotonic()
    daemon.stop(arn)
    deadline = daemon.until(lambda: next(windows(daemon, arn), None), "the window")
    daemon.client.begin_upgrade()
    assert abs(next(windows(daemon, arn)) - deadline) < SOON, "as far as the way of the answer lets it be seen"
    assert last.alive, "an upgrade takes less time than that"
    assert asked_at + WINDOW <= last.death() < asked_at + WINDOW + SOON
    record = daemon.wait(arn)
    assert record["containers"][0]["exitCode"] == 137
    assert record["containers"][0]["reason"].startswith(f"Killed {WINDOW:.1f} s after the stop signal: {last.pid} (")
    assert WINDOW - MS <= record["stoppedAt"] - record["stoppingAt"] < WINDOW + SOON


def windows(daemon: Daemon, arn: str) -> Iterator[float]:
    """The deadline as a caller can see it, monotonic, if there is one."""
    for reply in daemon.client.watch(None, [arn], PATIENCE):
        now = time.monotonic()
        yield from (now + window["remaining"] for window in reply["windows"])
        return


def test_what_happens_in_between_is_seen_by_the_next(start: Start, release: Release, tmp_path: Path) -> None:
    daemon = start()
    exits, exit_main = daemon.begin("graceful.py", "31")
    killed, kill_main = daemon.begin("unhandled.py")
    leaves, leave_main = daemon.begin("leaves_child.py", "stubborn", "asked", stopTimeout=1)
    (left,) = daemon.hear("child")
    for arn in (exits, killed, leaves):
        daemon.wait(arn, "RUNNING")
    replies: list[Json] = []
    asking = threading.Thread(target=lambda: replies.append(daemon.task(exits)))
    first = daemon.agent()
    with between_two_keepers(daemon, release, tmp_path):
        for main in (exit_main, leave_main):
            main.signal(signal.SIGTERM)
        kill_main.signal(signal.SIGKILL)
        first.signal(signal.SIGKILL)
        for one in (exit_main, kill_main, leave_main, first):
            one.death()
        asking.start()
    asking.join(PATIENCE)
    assert [reply["taskArn"] for reply in replies] == [exits]
    records = [daemon.wait(arn) for arn in (exits, killed, leaves)]
    assert [record["containers"][0]["exitCode"] for record in records] == [31, 137, 3]
    assert {record["stopCode"] for record in records} == {"EssentialContainerExited"}
    left.death()
    assert daemon.agent().pid != first.pid, "whom the new keeper had to start, for it found the first one dead"
    assert daemon.logged("agent_died", signal=9)


def test_a_keeper_that_is_told_to_end_in_between_drains(start: Start, release: Release, tmp_path: Path) -> None:
    daemon = start()
    _, main = daemon.begin("graceful.py", "7")
    with between_two_keepers(daemon, release, tmp_path, None):  # the command may be told of it, or find nobody
        for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
            daemon.keeper.signal(signum)
    daemon.has_ended()
    assert not main.alive
    assert daemon.logged("task_stopped", exit_codes={"main": 7})


def test_nobody_is_turned_away(start: Start) -> None:
    daemon = start()
    arn, _ = daemon.begin("graceful.py")
    over = threading.Event()
    trouble: list[object] = []
    served = [0, 0]

    def ask(number: int) -> None:
        while not over.is_set():
            try:
                described(daemon.socket, arn)
                served[number] += 1
            except Exception as exc:  # noqa: BLE001  whatever a caller could see
                trouble.append(exc)
                return

    askers = [threading.Thread(target=ask, args=(number,)) for number in range(len(served))]
    for asker in askers:
        asker.start()
    try:
        for step in (lambda: None, daemon.client.begin_upgrade, lambda: health(daemon)):
            step()
            before = list(served)
            daemon.until(functools.partial(more, served, before, trouble), "more requests")
    finally:
        over.set()
        for asker in askers:
            asker.join(PATIENCE)
    assert not trouble


def more(served: list[int], before: list[int], trouble: list[object]) -> object:
    """Whether each has been served since, or one never will be."""
    return trouble or all(map(int.__lt__, before, served)) or None


def described(path: str, arn: str) -> None:
    """One request over one connection, not sent again whatever becomes of it."""
    client = Client(path)
    assert client._post("DescribeTasks", "/", {"tasks": [arn]}, TARGET)["tasks"]


TARGET = {"X-Amz-Target": "AmazonEC2ContainerServiceV20141113.DescribeTasks"}


def test_who_has_connected_and_not_asked_yet_is_answered(start: Start) -> None:
    daemon = start()
    connections = [Connection(daemon.socket, PATIENCE) for _ in range(3)]
    for connection in connections:
        connection.connect()
    health(daemon)  # asked later, so those before it have come in
    daemon.client.begin_upgrade()
    for connection in connections:
        with connection.exchange("GET", "/v1/health") as response:
            assert response.status == 200
        connection.close()


BROKEN: dict[str, tuple[str, str, str]] = {
    "keeper": ("keeper/loop.py", "import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    "agent": ("agent/engine.py", "1 / 0", "ZeroDivisionError: division by zero"),
    "ends": ("keeper/__main__.py", "import os; os._exit(0)", "does not start: status 0"),
    "dies": ("keeper/settings.py", "import os; os.kill(os.getpid(), 9)", "does not start: signal 9"),
}


def test_a_version_that_could_not_take_over_does_not(start: Start, release: Release) -> None:
    daemon = start()
    arn, _ = daemon.begin("graceful.py", "7")
    agent = daemon.agent()
    for name, code, why in BROKEN.values():
        release.begin_with(name, code)
        assert why in refusal(daemon)
        release.repair(name)

    real = os.readlink(release.python)
    release.python.unlink()
    release.python.symlink_to("/nowhere/python3")
    assert f"cannot run {release.python}: No such file or directory; version {__version__} goes on" in refusal(daemon)
    release.python.unlink()
    release.python.symlink_to(real)

    records = f"{daemon.state_dir}/supervisor.db"
    schema = set_schema(records, 99)
    assert "its schema is version 99, and this release knows up to" in refusal(daemon)
    set_schema(records, schema)

    assert len(daemon.logged("upgrade_refused")) == len(BROKEN) + 2
    assert not daemon.logged("keeper_replaced")
    assert daemon.find_agent() == agent.pid
    assert health(daemon)["pid"] == agent.pid
    daemon.stop(arn)
    assert daemon.wait(arn)["containers"][0]["exitCode"] == 7


def set_schema(path: str, version: int) -> int:
    """The version that the records say they have is that one now; what it was."""
    with contextlib.closing(sqlite3.connect(path, timeout=PATIENCE)) as connection:
        ((before,),) = connection.execute("PRAGMA user_version").fetchall()
        connection.execute(f"PRAGMA user_version = {version}")
    return int(before)


def test_there_is_one_upgrade_at_a_time_and_none_at_the_end(start: Start) -> None:
    daemon = start()
    _, main = daemon.begin("works_on.py", stopTimeout=20)
    first = threading.Thread(target=daemon.client.begin_upgrade)
    first.start()
    daemon.until(lambda: daemon.logged("change_asked") or None, "the first")
    with pytest.raises(AgentRefused, match="another upgrade is under way"):
        daemon.client.begin_upgrade()
    first.join(PATIENCE)
    health(daemon)
    daemon.terminate()
    daemon.until(lambda: daemon.logged("task_stopping") or None, "the drain")
    with pytest.raises(AgentRefused, match="cannot upgrade: the supervisor is shutting down"):
        daemon.client.begin_upgrade()
    main.signal(signal.SIGKILL)


def test_many_upgrades_leave_nothing_behind(start: Start) -> None:
    daemon = start()
    agent = daemon.agent()
    tasks = [daemon.begin("graceful.py", str(code))[0] for code in range(3)]
    held = open_fds(daemon.keeper.pid), open_fds(agent.pid)
    for _ in range(UPGRADES):
        daemon.client.begin_upgrade()
        assert health(daemon)["pid"] == agent.pid
        assert set(proc.children_of(daemon.keeper.pid)) == {agent.pid, *mains(daemon, tasks)}
        daemon.until(lambda: (open_fds(daemon.keeper.pid), open_fds(agent.pid)) == held or None, f"{held} descriptors")
    for code, arn in enumerate(tasks):
        daemon.stop(arn)
        assert daemon.wait(arn)["containers"][0]["exitCode"] == code


def open_fds(pid: int) -> int:
    return len(observed.descriptors(pid))


def mains(daemon: Daemon, tasks: list[str]) -> set[int]:
    ids = {arn.rpartition("/")[2] for arn in tasks}
    return {line["pid"] for line in daemon.logged("container_started") if line["task"] in ids}
