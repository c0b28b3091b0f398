"""The order of starts and of stops among the containers of a task, and how a budget is shared along it."""

from __future__ import annotations

import msgspec
import pytest

from supervisor.lifecycle import Effect, HealthChanged, Spawn, StartTimedOut, Stop, StopRequested, step, timers
from supervisor.model import Condition, HealthStatus, LastStatus, StopCode, Task
from tests.lives import (
    CREATED,
    asked,
    asked_for,
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

START, COMPLETE, SUCCESS, HEALTHY = Condition
ON = {"depends_on": {"init": START}}
NEVER = "CannotStartContainerError: container 'init', which it depends on, "

MET = {
    START: [spawned("init", 1001)],
    COMPLETE: [spawned("init", 1001), exited("init", 1002, 3), emptied("init", 1002)],
    SUCCESS: [spawned("init", 1001), exited("init", 1002, 0), emptied("init", 1002)],
    HEALTHY: [spawned("init", 1001), (1002, HealthChanged(run("init"), 1002, HealthStatus.HEALTHY))],
}
FAILED = [
    (START, [spawn_failed("init", 1001)], "did not start"),
    (COMPLETE, [spawn_failed("init", 1001)], "did not start"),
    (COMPLETE, [spawned("init", 1001), lost("init", 1002)], "ended in a way that nobody can tell"),
    (SUCCESS, [spawned("init", 1001), exited("init", 1002, 3), emptied("init", 1003)], "exited 3"),
    (HEALTHY, [spawned("init", 1001), exited("init", 1002, 0), emptied("init", 1003)], "stopped before it was healthy"),
]


def pair(condition: Condition) -> Task:
    return task_of(
        container_of("main", depends_on={"init": condition}), container_of("init", essential=False, start_timeout=10.0)
    )


@pytest.mark.parametrize("condition", Condition)
def test_a_container_starts_when_its_condition_is_met_and_not_before(condition: Condition) -> None:
    *before, last = MET[condition]
    task, effects = play(pair(condition), CREATED, *before)
    assert effects == [Spawn("init", run("init"))]
    _, effects = play(task, last)
    assert effects == [Spawn("main", run("main"))]


@pytest.mark.parametrize(("condition", "life", "why"), FAILED)
def test_what_can_never_be_is_not_waited_for(condition: Condition, life: list, why: str) -> None:  # type: ignore[type-arg]
    task, _ = play(pair(condition), CREATED, *life)
    main = task.container("main")
    assert (main.last_status, main.reason, main.exit) == (LastStatus.STOPPED, NEVER + why, None)
    assert (task.stop_code, task.last_status) == (StopCode.TASK_FAILED_TO_START, LastStatus.STOPPED)


def test_a_start_timeout_counts_from_the_start_of_what_is_waited_for() -> None:
    task, _ = play(pair(SUCCESS), CREATED)
    assert list(timers(task)) == []
    (_, event), *_ = MET[SUCCESS]
    task, _ = step(task, msgspec.structs.replace(event, clock=100.0), 1001)
    assert list(timers(task)) == [(110.0, StartTimedOut("init"))]
    task, effects = step(task, StartTimedOut("init"), 1011)
    assert task.container("main").reason == NEVER + "was not ready within its startTimeout of 10 s"
    assert asked_for(effects) == [Stop(run("init"))]
    assert list(timers(task)) == []


def test_a_start_timeout_that_is_over_stops_nobody_whose_condition_was_met() -> None:
    task, _ = play(pair(SUCCESS), CREATED, *MET[SUCCESS], spawned("main", 1003))
    assert play(task, (1011, StartTimedOut("init"))) == (task, [])


CHAIN = task_of(
    container_of("web", depends_on=("app",)),
    container_of("app", depends_on=("db",)),
    container_of("db", stop_timeout=10.0),
    container_of("side", essential=False, depends_on=("db",), stop_timeout=5.0),
)
UP = [CREATED, *(spawned(name, 1001) for name in ("db", "app", "web", "side"))]


def over(name: str, at: float) -> list:  # type: ignore[type-arg]
    return [exited(name, at, 0), emptied(name, at)]


def test_a_stop_goes_from_those_that_depend_to_those_that_are_depended_on() -> None:
    task, _ = play(CHAIN, *UP)
    task, effects = play(task, asked(1010))
    assert effects == [Stop(run("web")), Stop(run("side"))], "branches side by side"
    task, effects = play(task, *over("side", 1011))
    assert effects == []
    task, effects = play(task, *over("web", 1012))
    assert effects == [Stop(run("app"))]
    task, effects = play(task, exited("app", 1013, 0))
    assert effects == [], "what its main process left is still there"
    task, effects = play(task, emptied("app", 1014))
    assert effects == [Stop(run("db"))]


def test_the_order_is_kept_across_one_that_is_gone_already() -> None:
    middle = task_of(
        container_of("web", depends_on=("app",)),
        container_of("app", essential=False, depends_on=("db",)),
        container_of("db"),
    )
    task, _ = play(middle, *UP[:-1], *over("app", 1005))
    _, effects = play(task, asked(1010))
    assert effects == [Stop(run("web"))]


def test_what_cannot_die_holds_up_nobody() -> None:
    task, _ = play(CHAIN, *UP, asked(1010), *over("side", 1011), signalled("web", 1011))
    task, effects = play(task, killed("web", 1040))
    assert effects == [], "it may yet die"
    _, effects = play(task, killed("web", 1042, left="SIGKILL has not ended 4711 (nfsd)"))
    assert effects == [Stop(run("app"))]


def test_a_second_stop_hastens_those_that_are_stopping_and_those_whose_turn_comes_later() -> None:
    task, _ = play(CHAIN, *UP, asked(1010))
    task, effects = play(task, asked(1011, timeout=2.0))
    assert effects == [Stop(run("web"), 2.0), Stop(run("side"), 2.0)]
    _, effects = play(task, *over("web", 1012))
    assert effects == [Stop(run("app"), 2.0)]


def budgeted(seconds: float) -> Task:
    return msgspec.structs.replace(CHAIN, stop_budget=seconds)


def request(clock: float, budget: float | None = None) -> tuple[StopRequested, float, float]:
    return StopRequested(StopCode.USER_INITIATED, "enough", budget=budget), 1010, clock


def windows(effects: list[Effect]) -> dict[str, float | None]:
    return {effect.run_id: effect.timeout for effect in effects if isinstance(effect, Stop)}


def test_a_budget_is_shared_along_the_chain_by_what_each_would_have_had() -> None:
    task, _ = play(budgeted(35.0), *UP)
    task, effects = step(task, *request(clock=100.0))
    assert task.stop_deadline == 135.0
    assert effects == [Stop(run("web"), 15.0), Stop(run("side"))], "30 of 70; 5 and 10 of 35 fit"
    (_, gone), (_, empty) = over("web", 1012)
    task, _ = step(task, gone, 1012, 102.0)
    task, effects = step(task, empty, 1012, 102.0)
    assert windows(effects) == {run("app"): pytest.approx(30 * 33 / 40)}, "what web has not used is theirs"


def test_a_budget_that_is_enough_changes_nothing() -> None:
    task, _ = play(budgeted(70.0), *UP)
    assert step(task, *request(clock=100.0))[1] == [Stop(run("web")), Stop(run("side"))]


def test_a_budget_that_is_used_up_leaves_no_time() -> None:
    task, _ = play(budgeted(20.0), *UP)
    task, _ = step(task, *request(clock=100.0))
    (_, gone), (_, empty) = over("web", 1040)
    task, _ = step(task, gone, 1040, 130.0)
    assert asked_for(step(task, empty, 1040, 130.0)[1]) == [Stop(run("app"), 0.0)]


def test_a_drain_can_shorten_a_budget_and_not_lengthen_it() -> None:
    task, _ = play(budgeted(35.0), *UP)
    task, _ = step(task, *request(clock=100.0))
    assert step(task, *request(clock=101.0, budget=90.0))[0].stop_deadline == 135.0
    after, effects = step(task, *request(clock=101.0, budget=7.0))
    assert after.stop_deadline == 108.0
    assert windows(effects) == {run("web"): 3.0, run("side"): pytest.approx(5 * 7 / 15)}
