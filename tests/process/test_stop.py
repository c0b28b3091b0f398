"""The stop contract for a main process: the signal, the window, the kill at the deadline, the exit code."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from supervisor import wire
from supervisor.posix import cgroup
from tests.process import observed
from tests.process.conftest import whatever_the_tracking
from tests.process.harness import AMPLE, SOON, WINDOW, Keeper

pytestmark = pytest.mark.process

TERM_MAIN = (signal.SIGTERM, "main")
TERM_GROUP = (signal.SIGTERM, "group")
KILL_GROUP = (signal.SIGKILL, "group")


def test_a_graceful_exit_gives_its_code_and_there_is_no_kill(keeper: Keeper) -> None:
    run, _ = keeper.begin("graceful.py", "7")
    keeper.stop(run)
    exited = keeper.wait(wire.Exited, run)
    assert (exited.code, exited.signal) == (7, None)
    keeper.wait(wire.Emptied, run)
    assert keeper.signals(run) == [TERM_MAIN]


def test_who_ignores_the_signal_is_killed_at_the_deadline_and_not_before(keeper: Keeper) -> None:
    run, main = keeper.begin("ignores.py", timeout=WINDOW)
    asked_at = keeper.stop(run)
    died_at = keeper.until(lambda: main.died_at, "the death of the main process")
    assert asked_at + WINDOW <= died_at < asked_at + WINDOW + SOON
    exited = keeper.wait(wire.Exited, run)
    assert (exited.code, exited.signal) == (None, signal.SIGKILL)
    keeper.wait(wire.Emptied, run)
    assert keeper.signals(run) == [TERM_MAIN, KILL_GROUP]


def test_the_deadline_that_is_told_is_the_one_that_is_kept(keeper: Keeper) -> None:
    run, main = keeper.begin("ignores.py", timeout=WINDOW)
    keeper.stop(run)
    told = keeper.wait(wire.Signalled, run, signum=signal.SIGTERM)
    assert told.pids == [main.pid]
    died_at = keeper.until(lambda: main.died_at, "the death of the main process")
    assert told.deadline <= died_at < told.deadline + SOON
    assert keeper.wait(wire.Signalled, run, signum=signal.SIGKILL).pids == [main.pid]


def test_who_does_not_handle_the_signal_is_ended_by_it(keeper: Keeper) -> None:
    run, _ = keeper.begin("unhandled.py")
    keeper.stop(run)
    exited = keeper.wait(wire.Exited, run)
    assert (exited.code, exited.signal) == (None, signal.SIGTERM)
    keeper.wait(wire.Emptied, run)
    assert keeper.signals(run) == [TERM_MAIN]


@whatever_the_tracking
def test_the_stop_signal_is_the_one_asked_for(keeper: Keeper) -> None:
    run, _ = keeper.begin("unhandled.py", stop_signals=[(signal.SIGINT, 0.0)])
    keeper.stop(run)
    keeper.wait(wire.Emptied, run)
    assert keeper.signals(run) == [(signal.SIGINT, "main")]


def test_a_stopped_main_process_is_continued_to_act_on_the_signal(keeper: Keeper) -> None:
    run, main = keeper.begin("stopped.py")
    observed.until(lambda: observed.state(main.pid) == "T", "SIGSTOP")
    keeper.stop(run)
    assert keeper.wait(wire.Exited, run).code == 9
    keeper.wait(wire.Emptied, run)
    assert keeper.signals(run) == [TERM_MAIN]


@pytest.mark.parametrize("tracking", ["cgroup"], indirect=True)
@pytest.mark.parametrize("scope", ["main", "group"])
def test_a_frozen_container_is_thawed_to_act_on_the_signal(keeper: Keeper, scope: str) -> None:
    run, main = keeper.begin("graceful.py", stop_scope=scope)
    _freeze(keeper, main.pid)
    keeper.stop(run)
    assert keeper.wait(wire.Exited, run).code == 7
    keeper.wait(wire.Emptied, run)
    assert keeper.signals(run) == [(signal.SIGTERM, scope)]


@pytest.mark.parametrize("tracking", ["cgroup"], indirect=True)
def test_a_frozen_container_costs_the_keeper_nothing(keeper: Keeper) -> None:
    _, main = keeper.begin("graceful.py")
    _freeze(keeper, main.pid)
    assert keeper.is_idle_for(0.2)


def _freeze(keeper: Keeper, pid: int) -> None:
    with open(f"/proc/{pid}/cgroup") as file:
        path = next(line[3:].strip() for line in file if line.startswith("0::"))
    group = f"{cgroup._mount()}{path}"
    assert keeper.settings.cgroup in group
    with open(f"{group}/cgroup.freeze", "w") as file:
        file.write("1")
    with open(f"{group}/cgroup.events") as events:
        observed.until(lambda: events.seek(0) == 0 and "frozen 1" in events.read(), "a frozen cgroup")


def test_a_keeper_with_nothing_to_do_does_nothing(keeper: Keeper) -> None:
    keeper.begin("graceful.py")
    assert keeper.is_idle_for(0.2)


def test_who_works_on_may_finish_within_the_window(keeper: Keeper) -> None:
    go = f"{keeper.directory}/go"
    os.mkfifo(go)
    run, main = keeper.begin("works_on.py", go)
    keeper.stop(run)
    keeper.hear("working")
    assert main.alive
    with open(go, "w") as file:
        file.write(".")
    assert keeper.wait(wire.Exited, run).code == 42
    keeper.wait(wire.Emptied, run)
    assert keeper.signals(run) == [TERM_MAIN]


def test_an_exit_unasked_needs_no_signal_and_is_recorded_once(keeper: Keeper) -> None:
    run = keeper.start("exits.py", "11")
    keeper.wait(wire.Emptied, run)
    keeper.stop(run)
    assert run not in _living(keeper)
    assert [event.code for event in keeper.find(wire.Exited, run)] == [11]
    assert keeper.signals(run) == []


def _living(keeper: Keeper) -> list[str]:
    keeper.forget_all()
    return keeper.listed().runs


def test_a_stop_that_comes_with_the_start_is_signalled_when_there_is_somebody_to_signal(keeper: Keeper) -> None:
    spec = keeper.spec("unhandled.py")
    keeper.send(spec, wire.Stop(spec.run, None))
    keeper.wait(wire.Emptied, spec.run)
    kinds = [type(event) for event in keeper.events if event.run == spec.run]
    assert kinds == [wire.Spawned, wire.Signalled, wire.Exited, wire.Emptied]
    assert keeper.wait(wire.Exited, spec.run).signal == signal.SIGTERM


def test_a_stop_that_comes_with_the_start_has_its_whole_window(keeper: Keeper) -> None:
    spec = keeper.spec("unhandled.py", stop_signals=[(signal.SIGCHLD, 0.0)])  # does nothing to whom does not handle it
    asked_at = time.monotonic()
    keeper.send(spec, wire.Stop(spec.run, WINDOW))
    main = keeper.hear_main(spec.run)
    died_at = keeper.until(lambda: main.died_at, "the death of the main process")
    spawned_at = keeper.wait(wire.Signalled, spec.run, signum=signal.SIGCHLD).deadline - WINDOW
    assert asked_at <= spawned_at <= died_at - WINDOW < spawned_at + SOON
    keeper.wait(wire.Emptied, spec.run)
    assert keeper.signals(spec.run) == [(signal.SIGCHLD, "main"), KILL_GROUP]


def test_a_second_stop_brings_the_deadline_forward(keeper: Keeper) -> None:
    run, main = keeper.begin("ignores.py", timeout=AMPLE)
    keeper.stop(run)
    keeper.wait(wire.Signalled, run)
    asked_at = keeper.stop(run, WINDOW)
    died_at = keeper.until(lambda: main.died_at, "the death of the main process")
    assert asked_at + WINDOW <= died_at < asked_at + WINDOW + SOON
    keeper.wait(wire.Emptied, run)
    assert keeper.signals(run) == [TERM_MAIN, KILL_GROUP]


def test_a_second_stop_never_pushes_the_deadline_back(keeper: Keeper) -> None:
    run, main = keeper.begin("ignores.py", timeout=WINDOW)
    asked_at = keeper.stop(run)
    keeper.stop(run, AMPLE)
    died_at = keeper.until(lambda: main.died_at, "the death of the main process")
    assert asked_at + WINDOW <= died_at < asked_at + WINDOW + SOON
    keeper.wait(wire.Emptied, run)
    assert keeper.signals(run) == [TERM_MAIN, KILL_GROUP]


def test_a_window_of_nothing_kills_at_once(keeper: Keeper) -> None:
    run, main = keeper.begin("ignores.py")
    asked_at = keeper.stop(run, 0.0)
    assert keeper.until(lambda: main.died_at, "the death of the main process") < asked_at + SOON
    assert keeper.wait(wire.Exited, run).signal == signal.SIGKILL


def test_runs_stopped_together_are_killed_together(keeper: Keeper) -> None:
    runs = [keeper.begin("ignores.py", timeout=WINDOW) for _ in range(8)]
    asked_at = time.monotonic()
    keeper.send(*(wire.Stop(run, None) for run, _ in runs))
    for run, main in runs:
        died_at = keeper.until(lambda main=main: main.died_at, "the death of a main process")  # type: ignore[misc]
        assert asked_at + WINDOW <= died_at < asked_at + WINDOW + SOON
        keeper.wait(wire.Emptied, run)
        assert keeper.signals(run) == [TERM_MAIN, KILL_GROUP]
        assert keeper.wait(wire.Signalled, run, signum=signal.SIGKILL).pids == [main.pid]


def test_a_stop_of_one_run_touches_no_other(keeper: Keeper) -> None:
    other, other_main = keeper.begin("graceful.py")
    run, _ = keeper.begin("ignores.py", timeout=0.0)
    keeper.stop(run)
    keeper.wait(wire.Emptied, run)
    assert other_main.alive
    assert _living(keeper) == [other]
    assert keeper.signals(other) == []


def test_a_run_leaves_no_descriptor_in_the_keeper(keeper: Keeper) -> None:
    first, _ = keeper.begin("exits.py")
    keeper.wait(wire.Emptied, first)
    before = observed.descriptors(keeper.popen.pid)
    for argv in (["exits.py"], ["leaves_child.py", "stubborn", "unasked"], ["/nonexistent"]):
        run = keeper.start(*argv, timeout=0.0)
        keeper.until(
            lambda run=run: bool(keeper.find(wire.Emptied, run) or keeper.find(wire.SpawnFailed, run)),  # type: ignore[misc]
            "its end",
        )
    assert observed.descriptors(keeper.popen.pid) == before


def test_a_main_process_without_a_leader_thread_is_alive(keeper: Keeper, compiled: Callable[[str], str]) -> None:
    run, main = keeper.begin(compiled("zombie_leader"), "graceful")
    observed.until(lambda: observed.state(main.pid) == "Z", "a zombie leader")
    keeper.listed()
    assert keeper.find(wire.Exited, run) == []
    assert main.alive
    keeper.stop(run)
    assert keeper.wait(wire.Exited, run).code == 6
    keeper.wait(wire.Emptied, run)
    assert keeper.signals(run) == [TERM_MAIN]


def test_threads_without_a_leader_are_killed_at_the_deadline(keeper: Keeper, compiled: Callable[[str], str]) -> None:
    run, main = keeper.begin(compiled("zombie_leader"), "stubborn", timeout=WINDOW)
    observed.until(lambda: observed.state(main.pid) == "Z", "a zombie leader")
    asked_at = keeper.stop(run)
    died_at = keeper.until(lambda: main.died_at, "the death of the threads")
    assert asked_at + WINDOW <= died_at < asked_at + WINDOW + SOON
    assert keeper.wait(wire.Exited, run).signal == signal.SIGKILL
    keeper.wait(wire.Emptied, run)


def test_a_main_process_blocked_in_vfork_is_killed_with_its_child(
    keeper: Keeper, compiled: Callable[[str], str]
) -> None:
    run, main = keeper.begin(compiled("vfork_blocked"), timeout=WINDOW)
    child = keeper.hear("vforked")
    asked_at = keeper.stop(run)
    died_at = keeper.until(lambda: main.died_at, "the death of the main process")
    assert asked_at + WINDOW <= died_at < asked_at + WINDOW + SOON
    assert keeper.wait(wire.Exited, run).signal == signal.SIGKILL
    keeper.wait(wire.Emptied, run)
    assert not child.alive


def test_a_main_process_blocked_in_vfork_acts_when_the_whole_group_is_signalled(
    keeper: Keeper, compiled: Callable[[str], str]
) -> None:
    run, _ = keeper.begin(compiled("vfork_blocked"), stop_scope="group")
    keeper.hear("vforked")
    keeper.stop(run)
    assert keeper.wait(wire.Exited, run).code == 8
    keeper.wait(wire.Emptied, run)
    assert keeper.signals(run) == [TERM_GROUP]
