"""From the kernel's count to the words of the record."""

from __future__ import annotations

import pytest

from supervisor import lifecycle, wire
from supervisor.agent.events import translate
from supervisor.model import Container, Identity, Task
from tests.unit.shapes.samples import run

REASON = "OutOfMemoryError: Container killed due to memory usage"


def running() -> Task:
    task, _ = lifecycle.step(run(), lifecycle.Created(), 0)
    run_id = task.containers[0].run_id
    assert run_id is not None
    return lifecycle.step(task, lifecycle.Spawned(run_id, 1.0, Identity(1, 1)), 1.0)[0]


def after(task: Task, *events: wire.RunEvent) -> Container:
    for event in events:
        translated = translate(event, task.containers[0])
        assert translated is not None
        task, _ = lifecycle.step(task, translated, event.at)
    return task.containers[0]


@pytest.mark.parametrize(("code", "number", "shown"), [(None, 9, 137), (3, None, 3)])
def test_it_is_told_as_such_and_the_exit_code_stays_the_true_one(
    code: int | None, number: int | None, shown: int
) -> None:
    task = running()
    run_id = task.containers[0].run_id or ""
    ended = after(task, wire.Exited(2, 2.0, run_id, code, number, 1), wire.Emptied(3, 3.0, run_id))
    assert ended.exit is not None
    assert (ended.exit.exit_code, ended.reason) == (shown, REASON)


def test_it_is_not_forgotten_for_what_was_left_behind_and_had_to_be_killed() -> None:
    task = running()
    run_id = task.containers[0].run_id or ""
    killed = wire.Signalled(3, 3.0, run_id, 9, "group", 3.0, [], 2.0)
    ended = after(task, wire.Exited(2, 2.0, run_id, None, 9, 1), killed, wire.Emptied(4, 4.0, run_id))
    assert ended.reason == REASON


def test_who_was_killed_otherwise_is_not_told_so() -> None:
    task = running()
    run_id = task.containers[0].run_id or ""
    assert (
        after(task, wire.Exited(2, 2.0, run_id, None, 9)).reason == "Ended by SIGKILL, which was not the supervisor's"
    )
