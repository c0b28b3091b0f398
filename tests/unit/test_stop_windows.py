"""A stop's window, from what was asked for to what the record says: a second stop can only shorten it."""

from __future__ import annotations

import signal

import pytest

from supervisor import stopping
from supervisor.lifecycle import Created, Event, Hastened, Signalled, Spawned, Stop, StopRequested, run_id_of, step
from supervisor.model import Container, Identity, StopCode, Task
from supervisor.recovery import recover

TASK_ID = "0123456789abcdef0123456789abcdef"
RUN = run_id_of(TASK_ID, "web", 1)
UP = (Created(), Spawned(RUN, 1001, Identity(4242, 77)))


def task() -> Task:
    arn = "arn:aws:ecs:local:000000000000:"
    return Task(
        task_id=TASK_ID,
        task_arn=f"{arn}task/default/{TASK_ID}",
        cluster_arn=f"{arn}cluster/default",
        task_definition_arn=f"{arn}task-definition/web:1",
        container_instance_arn=f"{arn}container-instance/default/1",
        family="web",
        group="family:web",
        created_at=1000,
        containers=(Container(name="web", container_arn=f"{arn}container/1", stop_timeout=30),),
    )


def after(*events: Event) -> Container:
    return played(*events).containers[0]


def played(*events: Event) -> Task:
    one = task()
    for event in events:
        one, _ = step(one, event, 1010)
    return one


def stop(timeout: float | None = None) -> StopRequested:
    return StopRequested(StopCode.USER_INITIATED, "enough", timeout)


def signalled(deadline: float, window: float) -> Signalled:
    return Signalled(RUN, 1010, signal.SIGTERM, deadline, window=window)


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ((None,), None),
        ((5,), 5),
        ((90,), 90),
        ((0,), 0),
        ((None, 5), 5),
        ((5, None), 5),
        ((5, 90), 5),
        ((None, 90), None),
        ((90, None), None),
        ((90, 60), 60),
    ],
)
def test_an_agent_that_crashed_asks_for_the_shortest_window_again(
    asked: tuple[float | None, ...], kept: float | None
) -> None:
    stopping_task = played(*UP, *map(stop, asked))
    assert recover(stopping_task, {RUN}, 1020) == (stopping_task, [Stop(RUN, kept)])


def test_a_task_that_is_stopped_is_not_changed_by_a_stop() -> None:
    over, _ = step(task(), stop(), 1005)
    assert step(over, stop(0), 1010) == (over, [])


def test_the_record_has_the_window_that_was_used() -> None:
    container = after(*UP, stop(), signalled(530, 30), stop(5), Hastened(RUN, 1010, 512, 12))
    assert (container.deadline, container.window, container.stop_timeout) == (512, 12, 30)


def test_what_is_told_again_pushes_nothing_back() -> None:
    container = after(*UP, stop(), Hastened(RUN, 1010, 512, 12), signalled(530, 30), Hastened(RUN, 1010, 520, 20))
    assert (container.deadline, container.window) == (512, 12)


def test_another_run_s_deadline_is_not_ours() -> None:
    assert after(*UP, Hastened("0" * 32, 1010, 512, 12)) == after(*UP)


def plan() -> stopping.Plan:
    return stopping.started(stopping.Plan(((signal.SIGTERM, 0.0),), stopping.Whom.MAIN, 30.0), 100.0)[0]


def test_a_first_stop_may_have_more_time_than_the_container_s_own() -> None:
    asked, _ = stopping.request(plan(), 100.0, 90.0)
    assert (asked.deadline, asked.length) == (190.0, 90.0)


@pytest.mark.parametrize(
    ("timeout", "deadline", "length"), [(0.0, 110.0, 10.0), (5.0, 115.0, 15.0), (90.0, 130.0, 30.0)]
)
def test_a_second_stop_only_shortens(timeout: float, deadline: float, length: float) -> None:
    first, _ = stopping.request(plan(), 100.0)
    second, orders = stopping.request(first, 110.0, timeout)
    assert (second.deadline, second.length, orders) == (deadline, length, ())


def test_a_cap_is_a_part_of_the_length() -> None:
    asked, _ = stopping.request(stopping.cap(plan(), 104.0), 100.0)
    assert asked.length == 4.0
    assert stopping.cap(asked, 101.5).length == 1.5


def test_a_window_begins_with_the_signal_and_not_with_the_request_before_the_exec() -> None:
    asked, _ = stopping.request(stopping.Plan(((signal.SIGTERM, 0.0),), stopping.Whom.MAIN, 30.0), 100.0)
    assert stopping.started(asked, 103.0)[0].length == 30.0
    assert plan().length is None
