"""What the log says of a container."""

from __future__ import annotations

from supervisor import lifecycle, wire
from supervisor.agent.events import moment, narrate
from supervisor.model import ExitStatus, Identity, Task
from tests.unit.shapes.samples import run


def told(task: Task, event: lifecycle.Event) -> tuple[Task, list[str]]:
    """The task after the event, and the events that the log has of it."""
    after, _ = lifecycle.step(task, event, 9.0)
    return after, [name for _, name, _ in narrate(task, after)]


def running() -> tuple[Task, str]:
    task, _ = lifecycle.step(run(), lifecycle.Created(), 0)
    run_id = task.containers[0].run_id
    assert run_id is not None
    return lifecycle.step(task, lifecycle.Spawned(run_id, 1.0, Identity(1, 1)), 1.0)[0], run_id


def test_a_crash_is_not_one_that_does_not_die() -> None:
    task, run_id = running()
    task, names = told(task, lifecycle.Exited(run_id, 2.0, ExitStatus(signal=11)))
    assert task.containers[0].reason == "Ended by SIGSEGV, which was not the supervisor's"
    assert "container_not_dying" not in names
    task, names = told(task, lifecycle.Emptied(run_id, 3.0))
    assert "container_stopped" in names


def test_who_does_not_die_is_named() -> None:
    task, run_id = running()
    task, _ = told(task, lifecycle.Signalled(run_id, 2.0, 9, 5.0))
    again = wire.Signalled(2, 4.0, run_id, 9, "group", 5.0, [7], 3.0)
    assert moment(task, task.containers[0], again) is not None
    task, names = told(task, lifecycle.Signalled(run_id, 4.0, 9, 5.0, "SIGKILL has not ended 7 (deaf)"))
    assert names == ["container_not_dying"]
    assert moment(task, task.containers[0], again) is None, "it is told for days, and kept once"
