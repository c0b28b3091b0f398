"""What SIGKILL does not end is not called ended, and makes nobody else wait: here, what a hung debugger holds."""

from __future__ import annotations

import signal

import pytest

from supervisor import wire
from tests.process import observed
from tests.process.harness import SOON, WINDOW, Keeper
from tests.process.tracer import PTRACE_O_TRACEEXIT, traced

pytestmark = pytest.mark.process


def test_a_main_process_that_cannot_die_is_not_called_ended_before_it_is(keeper: Keeper) -> None:
    run, main = keeper.begin("ignores.py", timeout=0.0)
    with traced(main.pid, PTRACE_O_TRACEEXIT) as tracee:
        keeper.stop(run)
        keeper.until(lambda: len(keeper.find(wire.Signalled, run, signum=signal.SIGKILL)) >= 2, "a second SIGKILL")
        assert observed.state(main.pid) == "t"
        assert keeper.find(wire.Exited, run) == []
        tracee.let_go()
        assert keeper.wait(wire.Exited, run).signal == signal.SIGKILL
        keeper.wait(wire.Emptied, run)


def test_a_process_left_behind_that_cannot_die_is_waited_for(keeper: Keeper) -> None:
    run, _ = keeper.begin("leaves_child.py", "stubborn", "asked", timeout=0.1)
    child = keeper.hear("child")
    with traced(child.pid, PTRACE_O_TRACEEXIT) as tracee:
        keeper.stop(run)
        keeper.until(lambda: len(keeper.find(wire.Signalled, run, signum=signal.SIGKILL)) >= 2, "a second SIGKILL")
        told = keeper.find(wire.Signalled, run, signum=signal.SIGKILL)[-1]
        assert told.pids == [child.pid], "who cannot die is named"
        assert keeper.wait(wire.Exited, run).code == 3
        assert keeper.find(wire.Emptied, run) == []
        tracee.let_go()
        keeper.wait(wire.Emptied, run)


def test_the_end_of_a_main_process_that_is_owed_to_its_tracer_is_awaited_without_spinning(keeper: Keeper) -> None:
    """A traced zombie: its pidfd is readable, and ``waitid`` has nothing to tell until the tracer has seen it."""
    run, main = keeper.begin("ignores.py", timeout=0.0)
    with traced(main.pid) as tracee:
        keeper.stop(run)
        observed.until(lambda: observed.state(main.pid) == "Z", "a zombie")
        assert keeper.is_idle_for(0.2)
        assert keeper.find(wire.Emptied, run) == []
        tracee.let_go()
        assert keeper.wait(wire.Exited, run).signal == signal.SIGKILL
        keeper.wait(wire.Emptied, run)


def test_a_pre_stop_command_that_cannot_die_and_alone_is_left_is_named(keeper: Keeper) -> None:
    hook = ["/bin/sh", "-c", 'echo "hook $$" >"$READY"; exec sleep 1000']
    run, _ = keeper.begin("graceful.py", timeout=0.2, pre_stop=hook)
    keeper.stop(run)
    held = keeper.hear("hook")
    with traced(held.pid, PTRACE_O_TRACEEXIT) as tracee:
        keeper.wait(wire.Exited, run)
        told = keeper.wait(wire.Signalled, run, signum=signal.SIGKILL)
        assert told.pids == [held.pid]
        assert keeper.find(wire.Emptied, run) == []
        tracee.let_go()
        keeper.wait(wire.Emptied, run)


def test_who_cannot_die_makes_nobody_else_wait(keeper: Keeper) -> None:
    stuck, stuck_main = keeper.begin("ignores.py", timeout=0.0)
    run, main = keeper.begin("ignores.py", timeout=WINDOW)
    with traced(stuck_main.pid, PTRACE_O_TRACEEXIT):
        keeper.stop(stuck)
        keeper.wait(wire.Signalled, stuck, signum=signal.SIGKILL)
        asked_at = keeper.stop(run)
        died_at = keeper.until(lambda: main.died_at, "the death of the other main process")
        assert asked_at + WINDOW <= died_at < asked_at + WINDOW + SOON
        keeper.wait(wire.Emptied, run)
        assert keeper.find(wire.Exited, stuck) == []
    keeper.wait(wire.Emptied, stuck)


def test_a_tracer_that_holds_the_signal_back_is_overcome_by_the_kill(keeper: Keeper) -> None:
    run, main = keeper.begin("graceful.py", timeout=WINDOW)
    with traced(main.pid) as tracee:
        asked_at = keeper.stop(run)
        observed.until(lambda: observed.state(main.pid) == "t", "a signal that is held back")
        died_at = keeper.until(lambda: main.died_at, "the death of the main process")
        assert asked_at + WINDOW <= died_at < asked_at + WINDOW + SOON
        tracee.let_go()
    assert keeper.wait(wire.Exited, run).signal == signal.SIGKILL
    keeper.wait(wire.Emptied, run)
