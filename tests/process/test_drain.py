"""The keeper is told to end: everything is stopped within one budget, and nobody is waited for longer than that."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from supervisor import wire
from tests.process import observed
from tests.process.conftest import StartKeeper, whatever_the_tracking
from tests.process.harness import AMPLE, SOON, WINDOW, Keeper
from tests.process.tracer import PTRACE_O_TRACEEXIT, traced

pytestmark = pytest.mark.process

IMPATIENT = (
    "import sys; from supervisor.keeper import loop, __main__ as keeper; loop._GIVE_UP = 0.2; sys.exit(keeper.main())"
)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_the_agent_is_told_once_and_the_keeper_ends_when_all_is_stopped_and_stored(
    start_keeper: StartKeeper, signum: int
) -> None:
    keeper = start_keeper(shutdown_timeout=20.0)
    run, _ = keeper.begin("graceful.py")
    keeper.terminate(signum)
    assert keeper.wait(wire.Draining).budget == pytest.approx(19.0, abs=SOON), "the rest is for the kills at its end"
    keeper.stop(run)
    keeper.wait(wire.Emptied, run)
    assert len(keeper.find(wire.Draining)) == 1
    assert keeper.process.alive, "the agent is there still"


@whatever_the_tracking
def test_nothing_is_started_any_more(keeper: Keeper) -> None:
    keeper.terminate()
    keeper.wait(wire.Draining)
    run = keeper.start("graceful.py")
    failed = keeper.wait(wire.SpawnFailed, run)
    assert (failed.stage, failed.errno) == ("drain", errno.ESHUTDOWN)


def test_a_window_is_cut_to_the_budget(start_keeper: StartKeeper) -> None:
    keeper = start_keeper(shutdown_timeout=0.5)
    run, main = keeper.begin("ignores.py", timeout=AMPLE)
    asked_at = time.monotonic()
    keeper.terminate()
    keeper.send(wire.Forget(keeper.wait(wire.Draining).seq))
    keeper.stop(run)
    deadline = keeper.wait(wire.Signalled, run).deadline
    died_at = keeper.until(lambda: main.died_at, "the death of the main process")
    assert asked_at + 0.4 <= deadline <= died_at < asked_at + 0.5 + SOON
    keeper.wait(wire.Emptied, run)


def test_the_window_of_a_stop_under_way_is_cut_too(start_keeper: StartKeeper) -> None:
    keeper = start_keeper(shutdown_timeout=0.5)
    run, main = keeper.begin("ignores.py", timeout=AMPLE)
    keeper.stop(run)
    keeper.wait(wire.Signalled, run)
    asked_at = time.monotonic()
    keeper.terminate()
    died_at = keeper.until(lambda: main.died_at, "the death of the main process")
    assert asked_at + 0.4 <= died_at < asked_at + 0.5 + SOON


@whatever_the_tracking
def test_a_window_shorter_than_the_budget_is_not_stretched(keeper: Keeper) -> None:
    run, main = keeper.begin("ignores.py", timeout=WINDOW)
    keeper.terminate()
    keeper.wait(wire.Draining)
    asked_at = keeper.stop(run)
    died_at = keeper.until(lambda: main.died_at, "the death of the main process")
    assert asked_at + WINDOW <= died_at < asked_at + WINDOW + SOON


def test_an_agent_that_does_not_react_is_not_waited_for(start_keeper: StartKeeper) -> None:
    keeper = start_keeper(shutdown_timeout=0.6)
    run, _ = keeper.begin("graceful.py")
    asked_at = time.monotonic()
    keeper.terminate()
    assert keeper.wait(wire.Exited, run).code == 7
    assert time.monotonic() >= asked_at + 0.3
    keeper.wait(wire.Emptied, run)
    pid = keeper.wait(wire.Spawned, run).pid
    assert [one["pid"] for line in keeper.logged("agent_not_draining") for one in line["left"]] == [pid]


def test_an_agent_that_has_stored_the_drain_and_then_hangs_keeps_nothing_alive(start_keeper: StartKeeper) -> None:
    keeper = start_keeper(shutdown_timeout=0.5)
    run, main = keeper.begin("ignores.py", timeout=AMPLE)
    asked_at = time.monotonic()
    keeper.terminate()
    keeper.send(wire.Forget(keeper.wait(wire.Draining).seq))
    died_at = keeper.until(lambda: main.died_at, "the death of the main process")
    assert asked_at + 0.4 <= died_at < asked_at + 0.5 + SOON
    keeper.wait(wire.Emptied, run)


@whatever_the_tracking
def test_the_next_agent_is_told_too(keeper: Keeper) -> None:
    run, _ = keeper.begin("graceful.py")
    keeper.terminate()
    keeper.send(wire.Forget(keeper.wait(wire.Draining).seq))
    keeper.listed()
    keeper.lose_agent()
    keeper.greet()
    keeper.wait(wire.Draining)
    keeper.stop(run)
    assert keeper.wait(wire.Exited, run).code == 7


def test_a_second_signal_cuts_every_window_to_nothing(start_keeper: StartKeeper) -> None:
    keeper = start_keeper(shutdown_timeout=AMPLE)
    asked, asked_main = keeper.begin("ignores.py")
    unasked, unasked_main = keeper.begin("ignores.py")
    keeper.terminate()
    keeper.send(wire.Forget(keeper.wait(wire.Draining).seq))
    keeper.stop(asked)
    keeper.wait(wire.Signalled, asked)
    again_at = time.monotonic()
    keeper.terminate()
    for main in (asked_main, unasked_main):
        died_at = keeper.until(lambda main=main: main.died_at, "the death of a main process")  # type: ignore[misc]
        assert again_at <= died_at < again_at + SOON
    keeper.wait(wire.Emptied, asked)
    keeper.wait(wire.Emptied, unasked)
    assert len(keeper.logged("drain_cut_short")) == 1


@whatever_the_tracking
def test_what_cannot_be_stopped_is_named_and_the_status_says_so(start_keeper: StartKeeper) -> None:
    command = [sys.executable, "-P", "-c", IMPATIENT]
    keeper = start_keeper(command=command, shutdown_timeout=0.3, expected_status=1)
    run, main = keeper.begin("ignores.py")
    with traced(main.pid, PTRACE_O_TRACEEXIT):
        keeper.terminate()
        keeper.stop(run)
        keeper.process.death()
        assert keeper.popen.wait() == 1
        assert [one["pid"] for one in keeper.logged("drain_given_up")[0]["left"]] == [main.pid]
        observed.until(lambda: not keeper.agent.alive, "the end of the agent")
        assert keeper.left() == sorted([keeper.agent.pid, main.pid])
    keeper.abort()


@whatever_the_tracking
def test_the_service_manager_is_told(start_keeper: StartKeeper, tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.setblocking(False)
        keeper = start_keeper(greet=False, environ={"NOTIFY_SOCKET": path})
        keeper.take_link()
        keeper.listed()
        with pytest.raises(BlockingIOError):
            manager.recv(100)
        keeper.send(wire.Hello(wire.VERSION))
        keeper.listed()
        assert manager.recv(100) == b"READY=1"
        keeper.lose_agent()
        keeper.greet()
        keeper.listed()
        with pytest.raises(BlockingIOError):
            manager.recv(100)
        keeper.terminate()
        keeper.wait(wire.Draining)
        assert manager.recv(100) == b"STOPPING=1"


@whatever_the_tracking
def test_the_socket_file_goes_with_the_keeper(start_keeper: StartKeeper, tmp_path: Path) -> None:
    path = tmp_path / "supervisor.sock"
    path.touch()
    keeper = start_keeper(socket_path=str(path))
    keeper.lose_agent()
    keeper.greet()
    keeper.listed()
    assert path.exists()
    keeper.end()
    assert not os.path.lexists(path)
