"""At the agent's start: what the store says × what the keeper holds → events and effects. Pure.

A run that the keeper holds needs nothing but its stop, if one was asked for and perhaps not sent: its events come
again by themselves. A run that it does not hold was asked for and never arrived (PENDING: ask again), or ended in a
way that nobody can tell (RUNNING: *lost*, and its exit code stays unknown).
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import msgspec

from supervisor.lifecycle import Created, Effect, Event, Keep, Lost, Spawn, Stop, order, restarts, step
from supervisor.model import Container, DesiredStatus, LastStatus, Task

LOST = "Exit code unknown: the keeper that had started the process ended, and nobody has held it since"
LEFT_LOST = "The keeper that had started it ended, and nobody has held since what the main process had left behind"
NEVER_STARTED = "Never started: the task was stopped first"
NOT_AGAIN = "Not started again: the task was stopped first"


def recover(task: Task, held: AbstractSet[str], now: float, clock: float = 0.0) -> tuple[Task, list[Effect]]:
    """An unfinished task as it is after a restart of the agent, and what is to be done for it. ``held``: run ids.

    First come the events, for a run that is lost may stop the task; only then is it known what to ask the keeper for,
    and what the events themselves would have asked for is a part of that.
    """
    task = msgspec.structs.replace(task, containers=tuple(_on_this_clock(one, clock) for one in task.containers))
    events: list[Event] = [
        Lost(run_id, now, LOST if container.exit is None else LEFT_LOST, clock=clock)
        for container, run_id in _started(task)
        if run_id not in held
    ]
    kept: list[Effect] = []
    for event in [*events, Created()]:  # Created starts what had become ready but was not asked for
        task, effects = step(task, event, now, clock)
        kept += [effect for effect in effects if isinstance(effect, Keep)]
    if task.desired_status is DesiredStatus.RUNNING:
        unstarted = [Spawn(one.name, run_id) for one, run_id in _starting(task) if run_id not in held]
        # A run whose time is over was asked to stop, perhaps in vain.
        return task, kept + unstarted + _stops(task, clock)
    for container, run_id in _starting(task):
        if run_id not in held:
            why = NEVER_STARTED if container.run_number == 1 else NOT_AGAIN
            task, effects = step(task, Lost(run_id, now, why, clock=clock), now, clock)
            kept += [effect for effect in effects if isinstance(effect, Keep)]
    # all that are left are held, and asked again; the others are over now, or wait for their turn
    return task, kept + _stops(task, clock)


def _on_this_clock(container: Container, clock: float) -> Container:
    """No wait is longer than if it began now: the monotonic clock begins anew with each boot of the host."""
    restart_deadline, start_deadline = container.restart_deadline, container.start_deadline
    if restart_deadline is not None:
        restart_deadline = min(restart_deadline, clock + restarts.pause(container))
    if start_deadline is not None and container.start_timeout is not None:
        start_deadline = min(start_deadline, clock + container.start_timeout)
    return msgspec.structs.replace(container, restart_deadline=restart_deadline, start_deadline=start_deadline)


def _stops(task: Task, clock: float) -> list[Effect]:
    """Those whose turn had come. Asked again, none of them has more time than before."""
    return [Stop(run_id, order.window(task, one, clock)) for one, run_id in _asked(task) if one.stop_asked]


def _asked(task: Task) -> list[tuple[Container, str]]:
    """The containers that are not over, and whose run the keeper was asked for."""
    return [
        (c, c.run_id)
        for c in task.containers
        if c.run_id is not None and c.last_status is not LastStatus.STOPPED and c.restart_deadline is None
    ]


def _started(task: Task) -> list[tuple[Container, str]]:
    """Those that have said that they run."""
    return [(c, run_id) for c, run_id in _asked(task) if c.identity is not None]


def _starting(task: Task) -> list[tuple[Container, str]]:
    """Those that have not said so yet."""
    return [(c, run_id) for c, run_id in _asked(task) if c.identity is None]
