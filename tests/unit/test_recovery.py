"""What a new agent does with an unfinished task: the product of what is stored and what is held, and any crash."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from collections.abc import Set as AbstractSet

import pytest
from hypothesis import given

from supervisor.lifecycle import ESSENTIAL_EXITED, Effect, Emptied, Exited, RestartDue, Spawn, Spawned, Stop
from supervisor.model import Backoff, DesiredStatus, ExitStatus, Identity, LastStatus, RestartPolicy, StopCode, Task
from supervisor.recovery import LEFT_LOST, LOST, NEVER_STARTED, NOT_AGAIN, recover
from tests.lives import (
    CREATED,
    Happening,
    asked,
    asked_for,
    container_of,
    emptied,
    exited,
    play,
    run,
    signalled,
    spawned,
    task_of,
    tasks,
)
from tests.world import CHOICES, World

PENDING, RUNNING, STOPPED = LastStatus.PENDING, LastStatus.RUNNING, LastStatus.STOPPED
SPAWN, STOP = Spawn("main", run("main")), Stop(run("main"))
NOW = 2000.0

UP = (CREATED, spawned("main", 1001))
LIVES: dict[str, tuple[Happening, ...]] = {
    "accepted": (),
    "asked for": (CREATED,),
    "asked for, stopping": (CREATED, asked(1010)),
    "running": UP,
    "running, stopping": (*UP, asked(1010), signalled("main", 1010)),
    "over": (*UP, exited("main", 1010, 3)),
    "stopped": (*UP, exited("main", 1010, 3), emptied("main", 1011)),
}
HELD, GONE = True, False
USER, ESSENTIAL = StopCode.USER_INITIATED, StopCode.ESSENTIAL_CONTAINER_EXITED
ANSWERS: dict[tuple[str, bool], tuple[LastStatus, StopCode | None, str | None, list[Effect]]] = {
    ("accepted", GONE): (PENDING, None, None, [SPAWN]),
    ("asked for", HELD): (PENDING, None, None, []),
    ("asked for", GONE): (PENDING, None, None, [SPAWN]),
    ("asked for, stopping", HELD): (PENDING, USER, None, [STOP]),
    ("asked for, stopping", GONE): (STOPPED, USER, NEVER_STARTED, []),
    ("running", HELD): (RUNNING, None, None, []),
    ("running", GONE): (STOPPED, ESSENTIAL, LOST, []),
    ("running, stopping", HELD): (RUNNING, USER, None, [STOP]),
    ("running, stopping", GONE): (STOPPED, USER, LOST, []),
    ("over", HELD): (RUNNING, ESSENTIAL, None, [STOP]),
    ("over", GONE): (STOPPED, ESSENTIAL, LEFT_LOST, []),
    ("stopped", GONE): (STOPPED, ESSENTIAL, None, []),
}


def recovered(task: Task, held: AbstractSet[str], now: float) -> tuple[Task, list[Effect]]:
    task, effects = recover(task, held, now)
    return task, asked_for(effects)


@pytest.mark.parametrize(("life", "is_held"), ANSWERS)
def test_what_is_stored_and_what_is_held(life: str, is_held: bool) -> None:
    stored, _ = play(task_of(container_of("main")), *LIVES[life])
    held = frozenset({run("main")} if is_held else ())
    task, effects = recovered(stored, held, NOW)
    (main,) = task.containers
    assert (main.last_status, task.stop_code, main.reason, effects) == ANSWERS[life, is_held]
    assert task.last_status is main.last_status
    assert main.exit == stored.containers[0].exit, "an exit code is never invented, and never dropped"
    assert is_held is False or task == stored, "a run that is held tells the rest itself"
    assert recovered(task, held, NOW + 1) == (task, effects if task.last_status is not STOPPED else [])


def test_the_product_is_whole() -> None:
    """Nobody holds what was never asked for, or what was forgotten because its end is stored."""
    impossible = {("accepted", HELD), ("stopped", HELD)}
    assert set(itertools.product(LIVES, (HELD, GONE))) - impossible == set(ANSWERS)


PAIR = task_of(container_of("main"), container_of("side", essential=False, depends_on=("main",)))


def test_a_lost_essential_container_stops_the_others() -> None:
    stored, _ = play(PAIR, *UP, spawned("side", 1002))
    task, effects = recovered(stored, {run("side")}, NOW)
    assert (task.last_status, task.stop_code, task.stopped_reason) == (RUNNING, ESSENTIAL, ESSENTIAL_EXITED)
    assert (task.desired_status, task.stopping_at, task.execution_stopped_at) == (DesiredStatus.STOPPED, NOW, NOW)
    assert effects == [Stop(run("side"))]


def test_nothing_is_asked_for_that_a_loss_has_made_needless() -> None:
    stored, _ = play(PAIR, *UP)
    task, effects = recovered(stored, frozenset(), NOW)
    assert effects == []
    assert [one.reason for one in task.containers] == [LOST, NEVER_STARTED]
    assert (task.last_status, task.stop_code) == (STOPPED, ESSENTIAL)


def test_a_lost_container_that_is_not_essential_stops_nothing() -> None:
    stored, _ = play(PAIR, *UP, spawned("side", 1002))
    task, effects = recovered(stored, {run("main")}, NOW)
    assert effects == []
    assert (task.last_status, task.desired_status) == (RUNNING, DesiredStatus.RUNNING)
    assert task.container("side").reason == LOST


def test_what_had_become_ready_is_started() -> None:
    """The record of a step and its effects are stored together; one made by hand, or by a later version, may not be."""
    task, effects = recovered(PAIR, frozenset(), NOW)
    assert effects == [SPAWN]
    assert task.container("main").run_id == run("main")


def test_a_main_process_that_was_over_keeps_its_code() -> None:
    stored, _ = play(task_of(container_of("main")), *LIVES["over"])
    task, _ = recover(stored, frozenset(), NOW)
    assert task.containers[0].exit == ExitStatus(code=3)
    assert task.execution_stopped_at == 1010


def test_stamps_keep_their_order_when_the_clock_was_set_back() -> None:
    stored, _ = play(task_of(container_of("main")), *LIVES["running"])
    task, _ = recover(stored, frozenset(), 1.0)
    assert task.started_at == task.stopping_at == task.execution_stopped_at == task.stopped_at == 1001


def test_a_wait_of_before_a_boot_is_no_longer_than_one_that_begins_now() -> None:
    """The monotonic clock begins anew: what was a moment is else as long as the host had been up."""
    policy, up = RestartPolicy(enabled=True), 30 * 86400.0
    shape = container_of("main", restart_policy=policy, restart_backoff=Backoff(8.0, 100.0), start_timeout=60.0)
    stored, _ = play(
        task_of(shape),
        CREATED,
        (1001, Spawned(run("main"), 1001, Identity(1, 7), clock=up)),
        (1002, Exited(run("main"), 1002, ExitStatus(code=1), clock=up + 1)),
        (1002, Emptied(run("main"), 1002, clock=up + 1)),
    )
    (main,) = recover(stored, frozenset(), NOW, 10.0)[0].containers
    assert main.restart_deadline is not None
    assert 14.0 <= main.restart_deadline <= 18.0
    assert main.start_deadline == 70.0
    for clock in (up + 2, up + 1000):
        assert recover(stored, frozenset(), NOW, clock)[0] == stored, "the same boot: nothing has changed"


def test_a_further_run_that_was_asked_for_in_vain_is_no_first_one() -> None:
    up = (CREATED, spawned("main", 1001))
    over = (exited("main", 1002, 1), emptied("main", 1002), (1002, RestartDue(run("main"))), asked(1003))
    shape = container_of("main", restart_policy=RestartPolicy(enabled=True, restart_attempt_period=0))
    task, effects = recovered(play(task_of(shape), *up, *over)[0], frozenset(), NOW)
    (main,) = task.containers
    assert (main.last_status, main.exit, main.reason) == (STOPPED, ExitStatus(code=1), NOT_AGAIN)
    assert effects == []


@given(tasks(), CHOICES)
def test_a_crash_of_the_agent_loses_nothing(task: Task, choices: Iterator[int]) -> None:
    """Between any commit and its effects: the life ends properly, nothing runs twice, no exit is missing."""
    world = World(task, may_crash=True)
    world.live(choices)
    world.check_end()
