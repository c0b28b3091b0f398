"""The pre-stop command: before the signal, within its share of the window, and never a reason for a late kill."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from supervisor import wire
from tests.process import observed
from tests.process.conftest import StartKeeper, whatever_the_tracking
from tests.process.harness import AMPLE, KEEPER, SOON, Keeper

pytestmark = pytest.mark.process

TERM_MAIN = (signal.SIGTERM, "main")
TERM_GROUP = (signal.SIGTERM, "group")
KILL_GROUP = (signal.SIGKILL, "group")

HANGS = 'trap "" TERM; sleep 1000 & echo "child $!" >"$READY"; echo "hook $$" >"$READY"; wait; wait'


def sh(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


def kinds(keeper: Keeper, run: str) -> list[str]:
    return [type(event).__name__ for event in keeper.events if getattr(event, "run", "") == run]


def test_the_command_runs_before_the_signal_as_the_container_does(keeper: Keeper) -> None:
    spec = keeper.spec(
        "graceful.py",
        pre_stop=sh('echo "$SUPERVISOR_CONTAINER_ID in $PWD"; echo "hook $$" >"$READY"; exit 4'),
        cwd="/usr",
    )
    keeper.send(spec)
    main = keeper.hear_main(spec.run)
    keeper.stop(spec.run)
    hook = keeper.hear("hook")
    keeper.wait(wire.Emptied, spec.run)
    assert kinds(keeper, spec.run) == ["Spawned", "HookStarted", "HookEnded", "Signalled", "Exited", "Emptied"]
    ended = keeper.wait(wire.HookEnded, spec.run)
    assert (ended.code, ended.signal, ended.detail) == (4, None, "")
    assert keeper.wait(wire.Exited, spec.run).code == 7
    assert keeper.wait(wire.Signalled, spec.run).pids == [main.pid]
    assert not hook.alive
    assert Path(f"{keeper.settings.log_dir}/{spec.task}/main.log").read_text() == f"{wire.hook_run(spec.run)} in /usr\n"
    assert {event.run for event in keeper.events if hasattr(event, "run")} == {spec.run}, "nobody hears of its run"


def test_a_command_that_hangs_is_killed_with_its_children_at_its_share_and_no_kill_is_late(keeper: Keeper) -> None:
    run, main = keeper.begin("ignores.py", timeout=0.8, pre_stop=sh(HANGS), pre_stop_share=0.5)
    asked_at = keeper.stop(run)
    hook, child = keeper.hear("hook"), keeper.hear("child")
    assert keeper.listed().runs == [run], "it is no run that an agent knows"
    for one in (hook, child):
        died_at = keeper.until(lambda one=one: one.died_at, "the death of the hook")  # type: ignore[misc]
        assert asked_at + 0.4 <= died_at < asked_at + 0.4 + SOON
    signalled = keeper.wait(wire.Signalled, run)
    assert signalled.clock >= asked_at + 0.4
    assert signalled.window == pytest.approx(0.8)
    died_at = keeper.until(lambda: main.died_at, "the death of the main process")
    assert asked_at + 0.8 <= died_at < asked_at + 0.8 + SOON
    keeper.wait(wire.Emptied, run)
    begun, ended = keeper.wait(wire.HookStarted, run), keeper.wait(wire.HookEnded, run)
    assert (begun.deadline, begun.window) == (signalled.deadline, signalled.window)
    assert (ended.code, ended.signal, ended.detail) == (None, signal.SIGKILL, "its time was over")
    assert keeper.signals(run) == [TERM_MAIN, KILL_GROUP]


def test_what_the_command_leaves_behind_is_killed_when_it_exits(keeper: Keeper) -> None:
    hook = sh('sleep 1000 & echo "child $!" >"$READY"')
    run, _ = keeper.begin("graceful.py", pre_stop=hook)
    keeper.stop(run)
    child = keeper.hear("child")
    keeper.wait(wire.Emptied, run)
    assert not child.alive
    assert keeper.wait(wire.HookEnded, run).code == 0
    assert keeper.signals(run) == [TERM_MAIN]


def test_a_command_that_cannot_start_delays_nothing(keeper: Keeper) -> None:
    run, _ = keeper.begin("graceful.py", pre_stop=["/nonexistent"])
    keeper.stop(run)
    keeper.wait(wire.Emptied, run)
    ended = keeper.wait(wire.HookEnded, run)
    assert (ended.code, ended.signal) == (None, None)
    assert ended.detail.startswith("exec: ")
    assert kinds(keeper, run) == ["Spawned", "HookStarted", "HookEnded", "Signalled", "Exited", "Emptied"]


@whatever_the_tracking
def test_a_command_that_there_is_no_descriptor_for_delays_nothing(start_keeper: StartKeeper) -> None:
    command = ["/bin/sh", "-c", 'ulimit -n 64; exec "$@"', "sh", sys.executable, *KEEPER]
    keeper = start_keeper(command=command)
    run, _ = keeper.begin("graceful.py", pre_stop=["true"])
    while not keeper.find(wire.SpawnFailed):
        other = keeper.start("/bin/sleep", "1000", timeout=0.0)
        keeper.until(
            lambda other=other: bool(keeper.find(wire.Spawned, other) or keeper.find(wire.SpawnFailed, other)),  # type: ignore[misc]
            "an answer",
        )
    keeper.stop(run)
    keeper.wait(wire.Emptied, run)
    ended = keeper.wait(wire.HookEnded, run)
    assert (ended.code, ended.signal) == (None, None)
    assert "Too many open files" in ended.detail
    assert keeper.wait(wire.Exited, run).code == 7


def test_if_the_main_process_exits_meanwhile_who_is_left_is_signalled_at_once(keeper: Keeper) -> None:
    run, main = keeper.begin("leaves_child.py", "graceful", "asked", timeout=AMPLE, pre_stop=sh(HANGS))
    child = keeper.hear("child")
    keeper.stop(run)
    hook = keeper.hear("hook")
    main.signal(signal.SIGTERM)
    keeper.hear("child-stopping")
    keeper.until(lambda: child.died_at, "the death of the child")
    assert keeper.wait(wire.Signalled, run).whom == "group"
    keeper.listed()
    assert hook.alive, "it may finish within its share"
    assert keeper.find(wire.Emptied, run) == []
    assert keeper.listed().runs == [run]
    hook.signal(signal.SIGKILL)
    keeper.wait(wire.Emptied, run)
    assert kinds(keeper, run) == ["Spawned", "HookStarted", "Exited", "Signalled", "HookEnded", "Emptied"]
    assert keeper.signals(run) == [TERM_GROUP]


def test_a_main_process_that_exits_meanwhile_and_leaves_nobody_is_waited_for_with_its_command(keeper: Keeper) -> None:
    run, main = keeper.begin("graceful.py", timeout=0.6, pre_stop=sh(HANGS), pre_stop_share=0.5)
    asked_at = keeper.stop(run)
    hook = keeper.hear("hook")
    main.signal(signal.SIGTERM)
    keeper.wait(wire.Exited, run)
    assert keeper.is_idle_for(0.1)
    assert keeper.find(wire.Emptied, run) == []
    died_at = keeper.until(lambda: hook.died_at, "the death of the hook")
    assert asked_at + 0.3 <= died_at < asked_at + 0.3 + SOON
    keeper.wait(wire.Emptied, run)
    assert keeper.signals(run) == []


def test_a_deadline_brought_forward_cuts_the_command_s_time(keeper: Keeper) -> None:
    run, main = keeper.begin("ignores.py", timeout=AMPLE, pre_stop=sh(HANGS))
    keeper.stop(run)
    hook = keeper.hear("hook")
    asked_at = keeper.stop(run, 0.0)
    for one in (hook, main):
        assert keeper.until(lambda one=one: one.died_at, "a death") < asked_at + SOON  # type: ignore[misc]
    keeper.wait(wire.Emptied, run)
    assert keeper.signals(run) == [KILL_GROUP]


def test_a_deadline_brought_forward_ends_a_command_that_alone_is_left(keeper: Keeper) -> None:
    run, main = keeper.begin("graceful.py", timeout=AMPLE, pre_stop=sh(HANGS))
    keeper.stop(run)
    hook = keeper.hear("hook")
    main.signal(signal.SIGTERM)
    keeper.wait(wire.Exited, run)
    keeper.listed()  # what comes now finds nobody else
    asked_at = keeper.stop(run, 0.0)
    assert keeper.until(lambda: hook.died_at, "the death of the hook") < asked_at + SOON
    keeper.wait(wire.Emptied, run)
    assert keeper.signals(run) == []


def test_a_command_whose_time_is_over_before_it_is_started_is_not(keeper: Keeper) -> None:
    run, _ = keeper.begin("ignores.py", timeout=AMPLE, pre_stop=sh(HANGS))
    keeper.send(wire.Stop(run, None), wire.Stop(run, 0.0))
    ended = keeper.wait(wire.HookEnded, run)
    keeper.wait(wire.Emptied, run)
    assert (ended.code, ended.signal) == (None, None)
    assert ended.detail == "its time was over before it could be started"
    assert keeper.heard("hook") is None


def test_there_is_no_command_where_there_is_no_window_or_nobody_to_prepare(keeper: Keeper) -> None:
    at_once, _ = keeper.begin("ignores.py", pre_stop=sh(HANGS))
    keeper.stop(at_once, 0.0)
    early = keeper.spec("unhandled.py", pre_stop=sh(HANGS))
    keeper.send(early, wire.Stop(early.run, None))
    unasked, _ = keeper.begin("exits.py", pre_stop=sh(HANGS))
    for run in (at_once, early.run, unasked):
        keeper.wait(wire.Emptied, run)
    assert keeper.find(wire.HookEnded) == []
    assert keeper.heard("hook") is None


def test_without_an_agent_and_in_a_drain_by_the_keeper_alone(start_keeper: StartKeeper) -> None:
    keeper = start_keeper(shutdown_timeout=1.0)
    run, main = keeper.begin("graceful.py", pre_stop=sh('echo "hook $$" >"$READY"; exit 0'))
    keeper.terminate()
    keeper.lose_agent()
    keeper.hear("hook")
    observed.until(lambda: not main.alive, "the end of the main process")
    keeper.greet()
    keeper.wait(wire.Emptied, run)
    assert [kind for kind in kinds(keeper, run) if kind != "Spawned"] == [
        *("HookStarted", "HookEnded", "Signalled", "Exited", "Emptied")
    ]
    assert keeper.wait(wire.Exited, run).code == 7


def test_a_command_whose_id_a_run_has_is_not_started(keeper: Keeper) -> None:
    run, main = keeper.begin("graceful.py", pre_stop=sh('echo "hook $$" >"$READY"'))
    other, neighbour = keeper.begin("graceful.py", run=wire.hook_run(run))
    keeper.stop(run)
    keeper.wait(wire.Emptied, run)
    assert keeper.wait(wire.HookEnded, run).detail == "another run has its id"
    assert not main.alive
    assert neighbour.alive
    keeper.stop(other)
    keeper.wait(wire.Emptied, other)
    assert kinds(keeper, other) == ["Spawned", "Signalled", "Exited", "Emptied"]
    assert keeper.heard("hook") is None
