"""At the agent's start: what the store says × what the keeper holds → events and effects. Pure.

A run that the keeper holds needs nothing but its stop, if one was asked for and perhaps not sent: its events come
again by themselves. A run that it does not hold was asked for and never arrived (PENDING: ask again), or ended in a
way that nobody can tell (RUNNING: *lost*, and its exit code stays unknown).
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from supervisor.lifecycle import Created, Effect, Event, Lost, Spawn, Stop, step
from supervisor.model import Container, DesiredStatus, LastStatus, Task

LOST = "Exit code unknown: the keeper that had started the process ended, and nobody has held it since"
LEFT_LOST = "The keeper that had started it ended, and nobody has held since what the main process had left behind"
NEVER_STARTED = "Never started: the task was stopped first"


def recover(task: Task, held: AbstractSet[str], now: float) -> tuple[Task, list[Effect]]:
    """An unfinished task as it is after a restart of the agent, and what is to be done for it. ``held``: run ids.

    First come the events, for a run that is lost may stop the task; only then is it known what to ask the keeper for,
    and what the events themselves would have asked for is a part of that.
    """
    events: list[Event] = [
        Lost(run_id, now, LOST if container.exit is None else LEFT_LOST)
        for container, run_id in _absent(task, LastStatus.RUNNING, held)
    ]
    for event in [*events, Created()]:  # Created starts what had become ready but was not asked for
        task, _ = step(task, event, now)
    if task.desired_status is DesiredStatus.RUNNING:
        return task, [Spawn(container.name, run_id) for container, run_id in _absent(task, LastStatus.PENDING, held)]
    for _, run_id in _absent(task, LastStatus.PENDING, held):
        task, _ = step(task, Lost(run_id, now, NEVER_STARTED), now)
    # all of them held: the others are over now
    return task, [Stop(run_id, container.asked_timeout) for container, run_id in _asked(task)]


def _asked(task: Task) -> list[tuple[Container, str]]:
    """The containers that are not over, and whose run the keeper was asked for."""
    return [(c, c.run_id) for c in task.containers if c.run_id is not None and c.last_status is not LastStatus.STOPPED]


def _absent(task: Task, status: LastStatus, held: AbstractSet[str]) -> list[tuple[Container, str]]:
    """Those of that status which the keeper does not hold."""
    return [(c, run_id) for c, run_id in _asked(task) if c.last_status is status and run_id not in held]
