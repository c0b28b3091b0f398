"""What comes in another order than one would like: dependencies, stops while starting, repeats, clocks set back."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from supervisor.lifecycle import FAILED_TO_START, RunEvent, Spawn, Spawned, Stop, StopRequested, step
from supervisor.model import DesiredStatus, Identity, LastStatus, StopCode
from tests.lives import (
    BORN,
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
CHAIN = task_of(
    container_of("web", depends_on=("cache", "init")),
    container_of("cache", essential=False, depends_on=("init",)),
    container_of("init", essential=False),
)


def spawn(name: str) -> Spawn:
    return Spawn(name, run(name))


# dependencies


def test_containers_start_when_what_they_wait_for_has_started() -> None:
    task, effects = play(CHAIN, CREATED)
    assert effects == [spawn("init")]
    task, effects = play(task, spawned("init", 1001))
    assert (effects, task.last_status) == ([spawn("cache")], PENDING)
    task, effects = play(task, spawned("cache", 1002))
    assert (effects, task.last_status) == ([spawn("web")], PENDING)
    task, effects = play(task, spawned("web", 1003))
    assert (effects, task.last_status, task.started_at) == ([], RUNNING, 1003)


def test_a_dependency_may_be_over_again() -> None:
    task, effects = play(CHAIN, CREATED, spawned("init", 1001), exited("init", 1002, 0), emptied("init", 1002))
    assert effects == [spawn("init"), spawn("cache")]
    _, effects = play(task, spawned("cache", 1003))
    assert effects == [spawn("web")]


def test_what_depends_on_a_failure_fails_down_the_chain() -> None:
    task, effects = play(CHAIN, CREATED, spawn_failed("init", 1001, "no such file"))
    assert effects == [spawn("init")]
    reason = "CannotStartContainerError: container 'init', which it depends on, did not start"
    assert task.container("web").reason == reason
    assert {one.last_status for one in task.containers} == {STOPPED}
    assert (task.last_status, task.stop_code) == (STOPPED, StopCode.TASK_FAILED_TO_START)
    assert task.stopped_reason == FAILED_TO_START


def test_what_depends_on_a_failure_and_is_not_essential_stops_nothing() -> None:
    shape = task_of(
        container_of("main"),
        container_of("init", essential=False),
        container_of("side", essential=False, depends_on=("init",)),
        container_of("last", essential=False, depends_on=("side",)),
    )
    task, effects = play(shape, CREATED, spawn_failed("init", 1001), spawned("main", 1002))
    assert effects == [spawn("main"), spawn("init")]
    assert [one.last_status for one in task.containers] == [RUNNING, STOPPED, STOPPED, STOPPED]
    assert task.containers[3].reason is not None
    assert "'side'" in task.containers[3].reason
    assert (task.last_status, task.desired_status) == (RUNNING, DesiredStatus.RUNNING)


def test_a_stop_starts_nothing_more() -> None:
    task, effects = play(CHAIN, CREATED, asked(1001), spawned("init", 1002))
    assert effects == [spawn("init"), Stop(run("init"))]
    assert [one.last_status for one in task.containers] == [STOPPED, STOPPED, RUNNING]


# stops while starting


def test_a_stop_before_anything_was_asked_for() -> None:
    task, effects = play(ONE, asked(1001))
    assert effects == []
    assert (task.last_status, task.stopping_at, task.stopped_at) == (STOPPED, 1001, 1001)
    assert (task.stop_code, task.started_at) == (StopCode.USER_INITIATED, None)
    assert task.containers[0].reason is None
    assert play(task, CREATED) == (task, [])


def test_a_stop_while_the_spawn_is_on_its_way() -> None:
    task, effects = play(ONE, CREATED, asked(1001))
    assert effects == [spawn("main"), Stop(run("main"))]
    assert (task.last_status, task.desired_status) == (PENDING, DesiredStatus.STOPPED)
    task, effects = play(task, spawned("main", 1002), signalled("main", 1002), exited("main", 1003, 0))
    assert (effects, task.last_status) == ([], RUNNING)
    assert (task.started_at, task.stopping_at) == (1001, 1001), "told as one instant, in the documented order"
    task, _ = play(task, emptied("main", 1004))
    assert (task.last_status, task.stop_code, task.stopped_at) == (STOPPED, StopCode.USER_INITIATED, 1004)


def test_a_stop_while_a_spawn_fails() -> None:
    task, _ = play(ONE, CREATED, asked(1001, "mine"), spawn_failed("main", 1002, "no such file"))
    assert (task.last_status, task.stop_code, task.stopped_reason) == (STOPPED, StopCode.USER_INITIATED, "mine")
    assert task.containers[0].reason == "no such file"


def test_a_kill_while_starting() -> None:
    life = (CREATED, asked(1001), killed("main", 1031), spawned("main", 1031), exited("main", 1031, number=9))
    assert play(ONE, *life)[0].containers[0].reason is None, "the signal was ours"
    task, _ = play(ONE, *life, emptied("main", 1031))
    assert (task.last_status, task.containers[0].killed_at) == (STOPPED, 1031)


def test_one_that_ends_before_the_last_has_started() -> None:
    task, _ = play(PAIR, CREATED, spawned("main", 1001), exited("main", 1002, 0), spawned("side", 1003))
    assert (task.started_at, task.execution_stopped_at, task.stopping_at) == (1002, 1002, 1002)


def test_one_that_ended_before_the_last_has_started_and_is_heard_of_late() -> None:
    _, gone = exited("main", 1002, 0)
    task, _ = play(PAIR, CREATED, spawned("main", 1001), (1002.5, gone), spawned("side", 1003))
    assert (task.started_at, task.execution_stopped_at, task.stopping_at) == (1002, 1002, 1002.5)


# the second stop


def test_the_first_stop_gives_code_and_reason() -> None:
    task, effects = play(ONE, CREATED, spawned("main", 1001), asked(1010, "first", timeout=20))
    again, more = step(task, StopRequested(StopCode.TERMINATION_NOTICE, "second", timeout=3), 1011)
    assert (again.stop_code, again.stopped_reason) == (StopCode.USER_INITIATED, "first")
    assert again.stopping_at == task.stopping_at
    assert effects[1:] + more == [Stop(run("main"), 20), Stop(run("main"), 3)], "the keeper takes the nearer deadline"


def test_a_stop_of_what_has_stopped() -> None:
    life = (CREATED, spawned("main", 1001), exited("main", 1002, 0), emptied("main", 1003))
    task, _ = play(ONE, *life)
    assert play(task, asked(1010)) == (task, [])


def test_an_exit_during_a_stop_changes_neither_code_nor_reason() -> None:
    task, _ = play(PAIR, CREATED, spawned("main", 1001), spawned("side", 1001), asked(1010), exited("main", 1011, 0))
    assert (task.stop_code, task.stopped_reason, task.stopping_at) == (StopCode.USER_INITIATED, "enough", 1010)


# lost, repeated, stale


def test_a_lost_run_has_no_exit_code() -> None:
    task, _ = play(ONE, CREATED, spawned("main", 1001), lost("main", 1010, "the keeper ended"))
    (main,) = task.containers
    assert (main.exit, main.reason, main.stopped_at) == (None, "the keeper ended", 1010)
    assert (task.last_status, task.stop_code) == (STOPPED, StopCode.ESSENTIAL_CONTAINER_EXITED)
    assert task.execution_stopped_at == 1010
    assert play(task, exited("main", 1011, 0), emptied("main", 1012)) == (task, [])


def test_a_start_and_an_exit_are_recorded_once() -> None:
    life = (CREATED, spawned("main", 1001), exited("main", 1002, 3))
    task, _ = play(ONE, *life)
    other = Spawned(run("main"), 1500, Identity(1, 1))
    assert play(task, (1500, other), exited("main", 1500, 0), exited("main", 1500, number=9)) == (task, [])


LIFE: tuple[Happening, ...] = (
    CREATED,
    spawned("main", 1001),
    spawned("side", 1002),
    asked(1010),
    signalled("main", 1010, deadline=540),
    signalled("side", 1010, deadline=540),
    exited("side", 1011, number=15),
    signalled("main", 1012, deadline=515),
    emptied("side", 1012),
    killed("main", 1015, deadline=515),
    exited("main", 1015.5, number=9),
    emptied("main", 1016),
)


@pytest.mark.parametrize("lived", range(1, len(LIFE) + 1))
def test_what_is_told_again_changes_nothing(lived: int) -> None:
    task, _ = play(PAIR, *LIFE[:lived])
    for _, event in LIFE[:lived]:
        after, effects = step(task, event, 5000)
        assert after == task, "not even its version"
        assert isinstance(event, StopRequested) or effects == []


@pytest.mark.parametrize("lived", range(1, len(LIFE) + 1))
def test_an_old_run_changes_nothing(lived: int) -> None:
    task, _ = play(PAIR, *LIFE[:lived])
    events = [event for _, event in (*LIFE, spawn_failed("main", 1001), lost("side", 1001))]
    for event in events:
        if isinstance(event, RunEvent):
            assert step(task, msgspec.structs.replace(event, run_id="f" * 32), 5000) == (task, [])


def test_events_of_one_container_leave_the_others_alone() -> None:
    for first, second in itertools.permutations(["main", "side"]):
        task, _ = play(PAIR, CREATED, spawned(first, 1001), killed(second, 1002, deadline=9), spawned(second, 1003))
        one = task.container(first)
        assert (one.started_at, one.killed_at, one.deadline) == (1001, None, None)


# clocks


def test_stamps_keep_their_order_when_the_clock_is_set_back() -> None:
    life = (CREATED, spawned("main", 990), asked(900), signalled("main", 900), exited("main", 800, 0))
    task, _ = play(ONE, *life, emptied("main", 700))
    assert (task.created_at, task.started_at, task.stopping_at) == (BORN, BORN, BORN)
    assert (task.execution_stopped_at, task.stopped_at) == (BORN, BORN)


def test_the_first_end_of_an_essential_container_is_told_once() -> None:
    both = task_of(container_of("main"), container_of("twin"))
    task, _ = play(both, CREATED, spawned("main", 1001), spawned("twin", 1001), exited("main", 1010, 0))
    task, _ = play(task, exited("twin", 1005, 0))  # the clock was set back meanwhile
    assert task.execution_stopped_at == 1010


def test_a_deadline_told_late_does_not_move_back() -> None:
    task, _ = play(ONE, CREATED, spawned("main", 1001), signalled("main", 1010, 540), signalled("main", 1011, 515))
    assert task.containers[0].deadline == 515
    assert play(task, signalled("main", 1010, 540))[0].containers[0].deadline == 515


def test_the_version_counts_changes() -> None:
    task, _ = play(ONE, CREATED)
    assert task.version == 2, "a run was asked for"
    task, _ = play(task, spawned("main", 1001))
    assert task.version == 3
    task, _ = play(task, spawned("main", 1001), CREATED)
    assert task.version == 3
