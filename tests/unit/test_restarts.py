"""Which exits another run follows on, after what pause, and what is kept of the runs before."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from supervisor.lifecycle import (
    Emptied,
    Exited,
    HealthChanged,
    Keep,
    Looked,
    RestartDue,
    RuntimeExceeded,
    Signalled,
    Spawn,
    Spawned,
    SpawnFailed,
    Stop,
    restarts,
    run_id_of,
    step,
    timers,
)
from supervisor.model import (
    MAX_REASON,
    Backoff,
    ExitStatus,
    HealthStatus,
    Identity,
    LastStatus,
    PastRun,
    RestartPolicy,
    StopCode,
    Task,
)
from tests.lives import CREATED, TASK_ID, asked, asked_for, container_of, play, run, task_of

POLICY = RestartPolicy(enabled=True, ignored_exit_codes=(3, 137), restart_attempt_period=60)
RUNNING, STOPPED = LastStatus.RUNNING, LastStatus.STOPPED


def nth(number: int) -> str:
    return run_id_of(TASK_ID, "main", number)


def one(**members: Any) -> Task:
    return task_of(container_of("main", restart_policy=POLICY, **members))


def lived(task: Task, number: int, start: float, end: float, status: ExitStatus) -> Task:
    """That run from its start to its end, the wall clock 1000 s before the other."""
    task, _ = step(task, Spawned(nth(number), 1000 + start, Identity(number, 7), clock=start), 1000 + start, start)
    task, effects = step(task, Exited(nth(number), 1000 + end, status, clock=end), 1000 + end, end)
    assert asked_for(effects) == ([] if task.containers[0].will_restart else [Stop(nth(number))])
    return step(task, Emptied(nth(number), 1000 + end, clock=end), 1000 + end, end)[0]


def first_run(task: Task, lasted: float, status: ExitStatus) -> Task:
    return lived(play(task, CREATED)[0], 1, 100.0, 100.0 + lasted, status)


@pytest.mark.parametrize("status", [ExitStatus(code=0), ExitStatus(code=1), ExitStatus(signal=11)])
def test_an_exit_after_the_period_is_followed_by_a_run_at_once(status: ExitStatus) -> None:
    task = first_run(one(), 60.0, status)
    (main,) = task.containers
    assert (main.last_status, main.exit, task.desired_status, task.last_status) == (RUNNING, status, "RUNNING", RUNNING)
    assert list(timers(task)) == [(160.0, RestartDue(nth(1)))]
    task, effects = step(task, RestartDue(nth(1)), 1160, 160.0)
    assert effects == [Spawn("main", nth(2))]
    assert step(task, RestartDue(nth(1)), 1160, 160.0) == (task, []), "once"


@pytest.mark.parametrize(
    ("lasted", "status"),
    [(59.9, ExitStatus(code=1)), (60.0, ExitStatus(code=3)), (60.0, ExitStatus(signal=9))],
    ids=["too short", "an ignored code", "an ignored signal"],
)
def test_other_exits_are_the_end(lasted: float, status: ExitStatus) -> None:
    task = first_run(one(), lasted, status)
    assert (task.last_status, task.stop_code) == (STOPPED, StopCode.ESSENTIAL_CONTAINER_EXITED)
    assert list(timers(task)) == []


def test_a_policy_that_is_not_enabled_restarts_nothing() -> None:
    policy = RestartPolicy(enabled=False)
    assert first_run(task_of(container_of("main", restart_policy=policy)), 9999.0, ExitStatus(1)).last_status is STOPPED


def test_the_record_of_the_next_run_is_its_own() -> None:
    task = first_run(one(), 60.0, ExitStatus(code=1))
    task, _ = step(task, RestartDue(nth(1)), 1160, 160.0)
    (main,) = task.containers
    assert (main.run_number, main.restarts, main.exit, main.identity) == (2, 1, ExitStatus(code=1), None)
    task, _ = step(task, Spawned(nth(2), 1161.0, Identity(2, 8), clock=161.0), 1161, 161.0)
    (main,) = task.containers
    assert (main.exit, main.exited_at, main.started_at, main.identity) == (None, None, 1161.0, Identity(2, 8))
    assert (task.started_at, task.execution_stopped_at) == (1100.0, None)


def test_every_run_is_kept() -> None:
    task, _ = play(one(), CREATED)
    task, _ = step(task, Spawned(nth(1), 1100.0, Identity(1, 7), clock=100.0), 1100, 100.0)
    task, _ = step(task, Exited(nth(1), 1160.0, ExitStatus(code=1), clock=160.0), 1160, 160.0)
    empty = Emptied(nth(1), 1161.0, clock=161.0)
    task, effects = step(task, empty, 1161, 161.0)
    kept = PastRun(
        task_id=TASK_ID,
        container="main",
        number=1,
        run_id=nth(1),
        pid=1,
        started_at=1100.0,
        exited_at=1160.0,
        stopped_at=1161.0,
        exit=ExitStatus(code=1),
        restarted=True,
    )
    assert effects == [Keep(kept)]
    assert step(task, empty, 1161, 161.0)[1] == [], "once"
    task, _ = step(task, RestartDue(nth(1)), 1161, 161.0)
    task, effects = step(task, SpawnFailed(nth(2), 1162.0, "no such file"), 1162, 162.0)
    (last,) = [effect.run for effect in effects if isinstance(effect, Keep)]
    assert (last.number, last.exit, last.started_at, last.reason, last.restarted) == (
        2,
        None,
        None,
        "no such file",
        False,
    )
    (main,) = task.containers
    assert (main.last_status, main.exit, main.reason) == (STOPPED, ExitStatus(code=1), "no such file")


BACKOFF: dict[str, Any] = {"restart_backoff": Backoff(2.0, 10.0)}


def test_a_backoff_doubles_with_jitter_up_to_its_most_and_begins_anew_after_a_long_run() -> None:
    task, start = play(one(**BACKOFF), CREATED)[0], 100.0
    fulls = [2.0, 4.0, 8.0, 10.0, 10.0, 0.0, 2.0]
    for number, full in enumerate(fulls, 1):
        lasted = 1.0 if full else 60.0
        task = lived(task, number, start, start + lasted, ExitStatus(code=1))
        ((due_at, event),) = timers(task)
        pause = due_at - start - lasted
        assert full / 2 <= pause <= full
        task, effects = step(task, event, 1000 + due_at, due_at)
        assert effects == [Spawn("main", nth(number + 1))]
        start = due_at


def test_the_jitter_is_a_runs_own_and_always_the_same() -> None:
    pauses: dict[str, set[float]] = {}
    for name in ("main", "main", "other", "third"):
        waiting = container_of(name, restart_policy=POLICY, short_runs=1, run_id=run(name), **BACKOFF)
        pauses.setdefault(name, set()).add(restarts.pause(waiting))
    assert [len(drawn) for drawn in pauses.values()] == [1, 1, 1]
    assert len(set.union(*pauses.values())) == 3


def test_a_stop_wins_over_a_restart_that_waits() -> None:
    task = first_run(one(**BACKOFF), 1.0, ExitStatus(code=1))
    task, effects = play(task, asked(1110))
    (main,) = task.containers
    assert (effects, main.last_status, main.exit, main.stopped_at) == ([], STOPPED, ExitStatus(code=1), 1110)
    assert step(task, RestartDue(nth(1)), 1111, 111.0) == (task, [])


def test_a_stop_wins_over_a_restart_that_is_decided() -> None:
    task, _ = play(one(), CREATED)
    task, _ = step(task, Spawned(nth(1), 1100.0, Identity(1, 7), clock=100.0), 1100, 100.0)
    task, _ = step(task, Exited(nth(1), 1160.0, ExitStatus(code=1), clock=160.0), 1160, 160.0)
    task, effects = play(task, asked(1161))
    assert effects == [Stop(nth(1))]
    task, _ = step(task, Emptied(nth(1), 1162.0, clock=162.0), 1162, 162.0)
    assert (task.last_status, task.execution_stopped_at) == (STOPPED, 1160)


def test_a_stop_wins_over_a_restart_that_is_under_way() -> None:
    task = first_run(one(), 60.0, ExitStatus(code=1))
    task, _ = step(task, RestartDue(nth(1)), 1160, 160.0)
    assert play(task, asked(1161))[1] == [Stop(nth(2))]


def test_the_end_of_a_runtime_stops_the_run_and_the_policy_says_what_follows() -> None:
    task, _ = play(one(max_runtime=90.0), CREATED)
    task, _ = step(task, Spawned(nth(1), 1100.0, Identity(1, 7), clock=100.0), 1100, 100.0)
    assert list(timers(task)) == [(190.0, RuntimeExceeded(nth(1)))]
    task, effects = step(task, RuntimeExceeded(nth(1)), 1190, 190.0)
    assert effects == [Stop(nth(1))]
    assert step(task, RuntimeExceeded(nth(1)), 1190, 190.0) == (task, [])
    assert list(timers(task)) == []
    assert task.containers[0].reason == "Stopped after 90 s, its supervisor.max-runtime"
    task, _ = step(task, Exited(nth(1), 1191.0, ExitStatus(code=0), clock=191.0), 1191, 191.0)
    task, _ = step(task, Emptied(nth(1), 1191.0, clock=191.0), 1191, 191.0)
    task, effects = step(task, RestartDue(nth(1)), 1191, 191.0)
    assert effects == [Spawn("main", nth(2))]
    assert task.containers[0].stop_asked is False


def test_who_is_killed_at_the_end_of_its_runtime_has_both_in_its_reason() -> None:
    task, _ = play(one(max_runtime=90.0), CREATED)
    task, _ = step(task, Spawned(nth(1), 1100.0, Identity(1, 7), clock=100.0), 1100, 100.0)
    task, _ = step(task, RuntimeExceeded(nth(1)), 1190, 190.0)
    task, _ = step(task, Signalled(nth(1), 1190.0, signal.SIGTERM, 220.0, window=30.0), 1190, 190.0)
    task, _ = step(task, Looked(nth(1), 1220.0, "7 (web) " + 230 * "x"), 1220, 220.0)
    task, _ = step(task, Signalled(nth(1), 1220.0, signal.SIGKILL, 220.0, window=30.0), 1220, 220.0)
    task, _ = step(task, Exited(nth(1), 1220.0, ExitStatus(signal=9), clock=220.0), 1220, 220.0)
    reason = step(task, Emptied(nth(1), 1220.0, clock=220.0), 1220, 220.0)[0].containers[0].reason
    assert reason is not None
    assert len(reason) == MAX_REASON
    assert reason.startswith(
        "Killed 30.0 s after the stop signal, which came after 90 s (supervisor.max-runtime): 7 (web) x"
    )


def test_the_end_of_a_runtime_changes_no_stop_that_has_begun() -> None:
    """It was due in the same moment: the order of the stop is kept."""
    web, db = container_of("web", depends_on=("db",)), container_of("db", max_runtime=50.0)
    task, _ = play(task_of(web, db), CREATED)
    for name in ("db", "web"):
        task, _ = step(task, Spawned(run(name), 1100, Identity(1, 7), clock=100.0), 1100, 100.0)
    task, _ = play(task, asked(1150))
    assert step(task, RuntimeExceeded(run("db")), 1150, 150.0) == (task, [])


def test_the_health_of_a_run_is_not_the_next_ones() -> None:
    task, _ = play(one(), CREATED)
    task, _ = step(task, Spawned(nth(1), 1100.0, Identity(1, 7), clock=100.0), 1100, 100.0)
    healthy = HealthChanged(nth(1), 1130.0, HealthStatus.HEALTHY, "ok", 0)
    task, _ = step(task, healthy, 1130, 130.0)
    (main,) = task.containers
    assert (main.health_status, main.health_since, main.health_output) == (HealthStatus.HEALTHY, 1130.0, "ok")
    assert task.health_status is HealthStatus.HEALTHY
    task, _ = step(task, Exited(nth(1), 1160.0, ExitStatus(code=1), clock=160.0), 1160, 160.0)
    task, _ = step(task, Emptied(nth(1), 1160.0, clock=160.0), 1160, 160.0)
    assert task.containers[0].health_status is HealthStatus.UNKNOWN
    assert step(task, healthy, 1161, 161.0)[0] == task, "a verdict that comes late"


def test_without_a_policy_the_first_run_is_the_only_one() -> None:
    task = task_of(container_of("main"))
    task, _ = play(task, CREATED)
    assert run("main") == nth(1)
    assert lived(task, 1, 100.0, 9999.0, ExitStatus(code=1)).last_status is STOPPED
