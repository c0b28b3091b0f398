"""What a new agent does with an unfinished task: the product of what is stored and what is held, and any crash."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from collections.abc import Set as AbstractSet

import pytest
from hypothesis import given

from supervisor.lifecycle import Effect, Emptied, Exited, RestartDue, Spawn, Spawned, Stop
from supervisor.model import Backoff, ExitStatus, Identity, LastStatus, RestartPolicy, StopCode, Task
from supervisor.recovery import (
    LEFT_BEHIND,
    NEVER_STARTED,
    NOT_AGAIN,
    PERHAPS,
    RESTARTED,
    WENT_DOWN,
    recover,
)
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
MAYBE, STOP = Spawn("main", run("main"), PERHAPS), Stop(run("main"))
AGAIN = Spawn("main", run("main"), Identity(4242, 77))
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
    ("accepted", GONE): (PENDING, None, None, [MAYBE]),
    ("asked for", HELD): (PENDING, None, None, []),
    ("asked for", GONE): (PENDING, None, None, [MAYBE]),
    ("asked for, stopping", HELD): (PENDING, USER, None, [STOP]),
    ("asked for, stopping", GONE): (STOPPED, USER, NEVER_STARTED, []),
    ("running", HELD): (RUNNING, None, None, []),
    ("running", GONE): (RUNNING, None, None, [AGAIN]),
    ("running, stopping", HELD): (RUNNING, USER, None, [STOP]),
    ("running, stopping", GONE): (RUNNING, USER, None, [AGAIN, Stop(run("main"), 30.0)]),
    ("over", HELD): (RUNNING, ESSENTIAL, None, [STOP]),
    ("over", GONE): (RUNNING, ESSENTIAL, None, [AGAIN, STOP]),
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

AFTER_A_RESTART: dict[str, tuple[StopCode, str | None, int | None]] = {
    "accepted": (StopCode.TERMINATION_NOTICE, None, None),
    "asked for": (StopCode.TERMINATION_NOTICE, NEVER_STARTED, None),
    "asked for, stopping": (USER, NEVER_STARTED, None),
    "running": (StopCode.TERMINATION_NOTICE, WENT_DOWN, None),
    "running, stopping": (USER, WENT_DOWN, None),
    "over": (ESSENTIAL, LEFT_BEHIND, 3),
    "stopped": (ESSENTIAL, None, 3),
}


@pytest.mark.parametrize("life", LIVES)
def test_after_a_restart_of_the_host_nothing_is_left(life: str) -> None:
    stored, _ = play(task_of(container_of("main")), *LIVES[life])
    task, effects = recover(stored, frozenset(), NOW, 1.0, restarted=True)
    (main,) = task.containers
    code = main.exit.exit_code if main.exit is not None else None
    assert (task.stop_code, main.reason, code) == AFTER_A_RESTART[life]
    assert task.stop_code is not StopCode.TERMINATION_NOTICE or task.stopped_reason == RESTARTED
    assert (task.last_status, asked_for(effects)) == (STOPPED, [])
    assert recover(task, frozenset(), NOW + 1, 2.0, restarted=True) == (task, [])


def test_a_pause_before_a_restart_of_a_container_ends_with_the_host() -> None:
    policy = RestartPolicy(enabled=True)
    shape = container_of("main", restart_policy=policy, restart_backoff=Backoff(8.0, 100.0))
    stored, _ = play(task_of(shape), *UP, exited("main", 1002, 1), emptied("main", 1002))
    assert stored.containers[0].restart_deadline is not None
    task, effects = recover(stored, frozenset(), NOW, 1.0, restarted=True)
    assert (task.last_status, task.containers[0].exit, asked_for(effects)) == (STOPPED, ExitStatus(code=1), [])


def test_a_stop_goes_on_with_what_was_left_of_its_time() -> None:
    stored, _ = play(task_of(container_of("main")), *LIVES["running, stopping"])
    deadline = stored.containers[0].deadline
    assert deadline is not None
    _, effects = recover(stored, frozenset(), NOW, deadline - 4.5)
    assert effects[-1] == Stop(run("main"), 4.5)
    _, effects = recover(stored, frozenset(), NOW, deadline + 100)
    assert effects[-1] == Stop(run("main"), 0.0)


def test_what_had_become_ready_is_started() -> None:
    """The record of a step and its effects are stored together; one made by hand, or by a later version, may not be."""
    task, effects = recovered(PAIR, frozenset(), NOW)
    assert effects == [MAYBE]
    assert task.container("main").run_id == run("main")


def test_stamps_keep_their_order_when_the_clock_was_set_back() -> None:
    stored, _ = play(task_of(container_of("main")), *LIVES["running"])
    task, _ = recover(stored, frozenset(), 1.0, restarted=True)
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
