"""At the agent's start: what the store says × what the keeper holds → events and effects. Pure.

A run that the keeper holds needs nothing but its stop, if one was asked for and perhaps not sent: its events come
again by themselves. One that it does not hold was asked for and perhaps never arrived (PENDING: ask again), or was
started by a keeper that has left no ledger (RUNNING): this one is to look whether it still lives, take it up, and else
say that it is over. After a restart of the host nothing lives: the rest is *lost*, and its exit codes stay unknown.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import msgspec

from supervisor.lifecycle import (
    Created,
    Effect,
    Event,
    Keep,
    Lost,
    Spawn,
    Stop,
    StopRequested,
    order,
    restarts,
    step,
)
from supervisor.model import Container, DesiredStatus, Identity, LastStatus, StopCode, Task

RESTARTED = "The host was restarted"
WENT_DOWN = "Exit code unknown: the host went down while it ran"
LEFT_BEHIND = "The host went down before what the main process had left behind had ended"
NEVER_STARTED = "Never started: the task was stopped first"
NOT_AGAIN = "Not started again: the task was stopped first"
PERHAPS = Identity(0, 0)
"""Of a run that was asked for and has not said that it runs."""


def recover(
    task: Task, held: AbstractSet[str], now: float, clock: float = 0.0, *, restarted: bool = False
) -> tuple[Task, list[Effect]]:
    """An unfinished task as it is after a restart of the agent, and what is to be done for it. ``held``: run ids.

    ``restarted``: the host was, since this was recorded. Nothing of the task is left then.
    """
    if restarted:
        return _end(task, now, clock)
    task = msgspec.structs.replace(task, containers=tuple(_on_this_clock(one, clock) for one in task.containers))
    task, effects = step(task, Created(), now, clock)  # starts what had become ready but was not asked for
    kept: list[Effect] = [effect for effect in effects if isinstance(effect, Keep)]
    living: list[Effect] = [
        Spawn(one.name, run_id, one.identity) for one, run_id in _started(task) if run_id not in held
    ]
    if task.desired_status is DesiredStatus.RUNNING:
        unstarted = [Spawn(one.name, run_id, PERHAPS) for one, run_id in _starting(task) if run_id not in held]
        # A run whose time is over was asked to stop, perhaps in vain.
        return task, kept + living + unstarted + _stops(task, held, clock)
    for container, run_id in _starting(task):
        if run_id not in held:
            why = NEVER_STARTED if container.run_number == 1 else NOT_AGAIN
            task, effects = step(task, Lost(run_id, now, why, clock=clock), now, clock)
            kept += [effect for effect in effects if isinstance(effect, Keep)]
    # all that are left are asked again; the others are over now, or wait for their turn
    return task, kept + living + _stops(task, held, clock)


def _end(task: Task, now: float, clock: float) -> tuple[Task, list[Effect]]:
    """The host went down, and everything with it: what was not told before will never be."""
    kept: list[Effect] = []
    events: list[Event] = [StopRequested(StopCode.TERMINATION_NOTICE, RESTARTED)]
    for container, run_id in _asked(task):
        if container.identity is None:
            why = NEVER_STARTED if container.run_number == 1 else NOT_AGAIN
        else:
            why = WENT_DOWN if container.exit is None else container.reason or LEFT_BEHIND
        events.append(Lost(run_id, now, why, clock=clock))
    for event in events:
        task, effects = step(task, event, now, clock)
        kept += [effect for effect in effects if isinstance(effect, Keep)]
    return task, kept


def _on_this_clock(container: Container, clock: float) -> Container:
    """No wait is longer than if it began now: the monotonic clock begins anew with each boot of the host."""
    restart_deadline, start_deadline = container.restart_deadline, container.start_deadline
    if restart_deadline is not None:
        restart_deadline = min(restart_deadline, clock + restarts.pause(container))
    if start_deadline is not None and container.start_timeout is not None:
        start_deadline = min(start_deadline, clock + container.start_timeout)
    return msgspec.structs.replace(container, restart_deadline=restart_deadline, start_deadline=start_deadline)


def _stops(task: Task, held: AbstractSet[str], clock: float) -> list[Effect]:
    """Those whose turn had come. Asked again, none of them has more time than before."""
    return [
        Stop(run_id, _window(task, one, clock, known=run_id in held)) for one, run_id in _asked(task) if one.stop_asked
    ]


def _window(task: Task, container: Container, clock: float, *, known: bool) -> float | None:
    """Where the keeper does not know of the stop that was under way, it gets what was left of its time."""
    window = order.window(task, container, clock)
    if known or container.deadline is None:
        return window
    left = max(container.deadline - clock, 0.0)
    return min(left, container.stop_timeout if window is None else window)


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
