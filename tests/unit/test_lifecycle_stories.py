"""Whole lives of tasks, told event by event."""

from __future__ import annotations

import msgspec
import pytest

from supervisor.lifecycle import ESSENTIAL_EXITED, FAILED_TO_START, Spawn, Stop
from supervisor.model import MAX_REASON, DesiredStatus, ExitStatus, Identity, LastStatus, StopCode
from tests.lives import (
    CREATED,
    Happening,
    asked,
    container_of,
    emptied,
    exited,
    killed,
    lost,
    play,
    run,
    signalled,
    spawn_failed,
    spawned,
    task_of,
)

PENDING, RUNNING, STOPPED = LastStatus.PENDING, LastStatus.RUNNING, LastStatus.STOPPED

ONE = task_of(container_of("main"))
PAIR = task_of(container_of("main"), container_of("side", essential=False))
UP = (CREATED, spawned("main", 1001))
PAIR_UP = (*UP, spawned("side", 1002))


def reason_after(*life: Happening) -> str | None:
    task, _ = play(ONE, *UP, *life)
    return task.containers[0].reason


def test_a_graceful_stop() -> None:
    task, effects = play(
        ONE, *UP, asked(1010), signalled("main", 1010.01), exited("main", 1010.5, 0), emptied("main", 1010.6)
    )
    assert effects == [Spawn("main", run("main")), Stop(run("main"))]
    assert task == msgspec.structs.replace(
        ONE,
        last_status=STOPPED,
        desired_status=DesiredStatus.STOPPED,
        started_at=1001,
        stopping_at=1010,
        execution_stopped_at=1010.5,
        stopped_at=1010.6,
        stop_code=StopCode.USER_INITIATED,
        stopped_reason="enough",
        version=7,
        containers=(
            msgspec.structs.replace(
                ONE.containers[0],
                last_status=STOPPED,
                run_id=run("main"),
                run_number=1,
                running_since=0.0,
                stop_asked=True,
                identity=Identity(4242, 77),
                exit=ExitStatus(code=0),
                started_at=1001,
                signalled_at=1010.01,
                exited_at=1010.5,
                stopped_at=1010.6,
            ),
        ),
    )


def test_a_stop_under_way_is_running_and_desired_stopped() -> None:
    task, _ = play(ONE, *UP, asked(1010), signalled("main", 1010.01, deadline=540.0))
    assert (task.last_status, task.desired_status, task.stopping_at) == (RUNNING, DesiredStatus.STOPPED, 1010)
    assert (task.stopped_at, task.execution_stopped_at) == (None, None)
    assert task.containers[0].deadline == 540.0


def test_a_kill_at_the_deadline() -> None:
    task, _ = play(
        ONE,
        *UP,
        asked(1010),
        signalled("main", 1010),
        killed("main", 1040.04),
        exited("main", 1040.05, number=9),
        emptied("main", 1040.1),
    )
    (main,) = task.containers
    assert main.exit is not None
    assert (main.exit.exit_code, main.killed_at, main.deadline) == (137, 1040.04, None)
    assert main.reason == "Killed 30.0 s after the stop signal: the main process did not exit in time"


def test_a_kill_of_what_the_main_process_left() -> None:
    assert (
        reason_after(
            asked(1010),
            signalled("main", 1010),
            exited("main", 1011, 0),
            signalled("main", 1011),
            killed("main", 1040),
            emptied("main", 1040.1),
        )
        == "Killed 30.0 s after the stop signal: processes that the main process left behind did not exit in time"
    )


def test_a_main_process_that_ended_by_itself_just_then_was_not_killed() -> None:
    reason = reason_after(
        asked(1010), signalled("main", 1010), killed("main", 1040), exited("main", 1040, 0), emptied("main", 1040)
    )
    assert reason is not None
    assert "left behind" in reason


def test_a_foreign_kill_of_the_main_process_is_not_ours_of_those_it_left() -> None:
    reason = reason_after(
        exited("main", 1010, number=9), signalled("main", 1010), killed("main", 1040), emptied("main", 1040.1)
    )
    assert reason is not None
    assert "left behind" in reason


@pytest.mark.parametrize(("number", "name"), [(11, "SIGSEGV"), (9, "SIGKILL"), (15, "SIGTERM"), (40, "signal 40")])
def test_ended_by_a_foreign_signal(number: int, name: str) -> None:
    reason = f"Ended by {name}, which was not the supervisor's"
    assert reason_after(exited("main", 1010, number=number), emptied("main", 1010)) == reason
    # What it left behind is asked to stop within the same millisecond: the signal is still not ours.
    left = (exited("main", 1010, number=number), signalled("main", 1010), emptied("main", 1011))
    assert reason_after(*left) == reason


def test_ended_by_our_signal() -> None:
    life = (asked(1010), signalled("main", 1010), exited("main", 1010, number=15), emptied("main", 1010))
    assert reason_after(*life) is None


def test_an_exit_of_its_own_needs_no_reason() -> None:
    assert reason_after(exited("main", 1010, 3), signalled("main", 1010), emptied("main", 1011)) is None


def test_what_does_not_die_is_told_while_it_lives() -> None:
    life = (asked(1010), signalled("main", 1010), killed("main", 1040), killed("main", 1045, left="pid 7 (D)"))
    assert reason_after(*life) == "pid 7 (D)"
    task, _ = play(ONE, *UP, *life)
    assert (task.last_status, task.containers[0].killed_at) == (RUNNING, 1040)
    assert reason_after(*life, exited("main", 2000, number=9)) == "pid 7 (D)"
    reason = reason_after(*life, exited("main", 2000, number=9), emptied("main", 2000))
    assert reason == "Killed 30.0 s after the stop signal: the main process did not exit in time"


def test_a_reason_has_at_most_255_characters() -> None:
    cut = "x" * (MAX_REASON - 1) + "…"
    life = (asked(1010), signalled("main", 1010), killed("main", 1040), killed("main", 1045, left="x" * 256))
    assert reason_after(*life) == cut
    assert reason_after(lost("main", 1010, "x" * 256)) == cut
    task, _ = play(ONE, CREATED, spawn_failed("main", 1001, "x" * 255))
    assert task.containers[0].reason == "x" * 255


def test_an_essential_exit_stops_the_others() -> None:
    task, effects = play(PAIR, *PAIR_UP, exited("main", 1010, 1))
    assert effects[2:] == [Stop(run("main")), Stop(run("side"))]
    assert (task.stop_code, task.stopped_reason) == (StopCode.ESSENTIAL_CONTAINER_EXITED, ESSENTIAL_EXITED)
    assert (task.last_status, task.stopping_at, task.execution_stopped_at) == (RUNNING, 1010, 1010)
    task, effects = play(
        task, emptied("main", 1010.1), signalled("side", 1010), exited("side", 1011, 0), emptied("side", 1011.5)
    )
    assert effects == []
    assert (task.last_status, task.stopped_at) == (STOPPED, 1011.5)
    assert task.stop_code is StopCode.ESSENTIAL_CONTAINER_EXITED


def test_another_exit_stops_nothing() -> None:
    task, effects = play(PAIR, *PAIR_UP, exited("side", 1010, 1), emptied("side", 1010.1))
    assert effects[2:] == []
    assert (task.last_status, task.desired_status, task.stop_code) == (RUNNING, DesiredStatus.RUNNING, None)
    assert [one.last_status for one in task.containers] == [RUNNING, STOPPED]
    assert task.execution_stopped_at is None


def test_an_exec_that_fails() -> None:
    task, effects = play(ONE, CREATED, spawn_failed("main", 1001, "CannotStartContainerError: no such file"))
    assert effects == [Spawn("main", run("main"))]
    assert (task.stop_code, task.stopped_reason) == (StopCode.TASK_FAILED_TO_START, FAILED_TO_START)
    assert (task.last_status, task.stopped_at, task.stopping_at) == (STOPPED, 1001, 1001)
    assert (task.started_at, task.execution_stopped_at) == (None, None)
    assert task.containers[0].reason == "CannotStartContainerError: no such file"
    assert task.containers[0].exit is None


def test_an_exec_that_fails_stops_those_that_run() -> None:
    task, effects = play(PAIR, CREATED, spawned("side", 1001), spawn_failed("main", 1002))
    assert effects[2:] == [Stop(run("side"))]
    assert (task.last_status, task.stop_code) == (RUNNING, StopCode.TASK_FAILED_TO_START)
    task, _ = play(task, signalled("side", 1002), exited("side", 1003, 0), emptied("side", 1003))
    assert (task.last_status, task.stop_code) == (STOPPED, StopCode.TASK_FAILED_TO_START)


def test_an_exec_of_another_that_fails_stops_nothing() -> None:
    task, effects = play(PAIR, CREATED, spawn_failed("side", 1001), spawned("main", 1002))
    assert effects[2:] == []
    assert (task.last_status, task.desired_status) == (RUNNING, DesiredStatus.RUNNING)
