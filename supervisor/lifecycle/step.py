"""How a task moves: ``step(task, event, now, clock) -> task, effects``. No I/O, no clock, no logging.

Everything that can happen is an event: what a user asks, what the keeper saw, what time has brought. The table says,
for each status of a container and each event, which statuses may follow; a pair that is missing raises
``IllegalTransition``. The task's own status is the least of its containers' (PENDING < RUNNING < STOPPED), and there is
no other way to move it.

Events of the keeper arrive at least once: a repeated one changes nothing. Events name a run; one of a run that is
not the container's present one changes nothing either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from supervisor.errors import IllegalTransition
from supervisor.lifecycle import containers, order
from supervisor.lifecycle.events import (
    Created,
    DependencyFailed,
    Effect,
    Emptied,
    Event,
    Exited,
    Hastened,
    HealthChanged,
    Keep,
    Looked,
    Lost,
    OfRun,
    RestartDue,
    RuntimeExceeded,
    Signalled,
    Spawn,
    Spawned,
    SpawnFailed,
    StartTimedOut,
    Stop,
    StopRequested,
)
from supervisor.model import Container, DesiredStatus, LastStatus, StopCode, Task

ESSENTIAL_EXITED = "Essential container in task exited"
FAILED_TO_START = "Task failed to start"
STOPPED_BY_USER = "Task stopped by user"

_P, _R, _S = LastStatus.PENDING, LastStatus.RUNNING, LastStatus.STOPPED

_ENDED: dict[type[Event], frozenset[LastStatus]] = dict.fromkeys(
    (
        *(Created, StopRequested, Spawned, SpawnFailed, Signalled, Hastened, Looked, Exited, Emptied, Lost),
        *(HealthChanged, RestartDue, RuntimeExceeded, StartTimedOut, DependencyFailed),
    ),
    frozenset({_S}),
)

TRANSITIONS: dict[LastStatus, dict[type[Event], frozenset[LastStatus]]] = {
    _P: {
        Created: frozenset({_P}),
        StopRequested: frozenset({_P, _S}),
        Spawned: frozenset({_R}),
        SpawnFailed: frozenset({_S}),
        Signalled: frozenset({_P}),
        Hastened: frozenset({_P}),
        Looked: frozenset({_P}),
        Lost: frozenset({_S}),
        StartTimedOut: frozenset({_P, _S}),
        DependencyFailed: frozenset({_P, _S}),
    },
    _R: {
        Created: frozenset({_R}),
        StopRequested: frozenset({_R, _S}),
        Spawned: frozenset({_R}),
        SpawnFailed: frozenset({_S}),
        Signalled: frozenset({_R}),
        Hastened: frozenset({_R}),
        Looked: frozenset({_R}),
        Exited: frozenset({_R}),
        Emptied: frozenset({_R, _S}),
        Lost: frozenset({_S}),
        HealthChanged: frozenset({_R}),
        RestartDue: frozenset({_R}),
        RuntimeExceeded: frozenset({_R}),
        StartTimedOut: frozenset({_R}),
        DependencyFailed: frozenset({_R}),
    },
    _S: _ENDED,
}
"""(status of a container, event) → the statuses that may follow."""

_change = msgspec.structs.replace


def step(task: Task, event: Event, now: float, clock: float = 0.0) -> tuple[Task, list[Effect]]:
    """The task after the event, and what is to be done once that is stored.

    ``now``: Unix time, for stamps alone. ``clock``: the same instant, monotonic, for what is left of a budget.
    """
    now = max(now, task.created_at, task.started_at or 0, task.stopping_at or 0)  # also if the clock steps back
    after, effects = _apply(task, event, now, clock)
    while (more := _consequence(after)) is not None:
        after, others = _apply(after, more, now, clock)
        effects += others
    if after.desired_status is DesiredStatus.RUNNING:
        after, others = _start_ready(after)
    else:
        after, others = _stop_next(after, clock)
    after = _restate(after)
    return (after if after == task else _change(after, version=task.version + 1)), effects + others


def timers(task: Task) -> Iterator[tuple[float, Event]]:
    """What time will bring, if nothing else happens before: monotonic instants, and the events that are due then."""
    for container in task.containers:
        if container.last_status is _S or task.desired_status is DesiredStatus.STOPPED:
            continue
        if container.restart_deadline is not None and container.run_id is not None:
            yield container.restart_deadline, RestartDue(container.run_id)
        elif (expires_at := containers.expires_at(container)) is not None and container.run_id is not None:
            yield expires_at, RuntimeExceeded(container.run_id)
        if container.start_deadline is not None and any(
            order.waits_for_more(task, one, container.name) for one in task.containers
        ):
            yield container.start_deadline, StartTimedOut(container.name)


def _apply(task: Task, event: Event, now: float, clock: float) -> tuple[Task, list[Effect]]:
    """One event on every container that it concerns, by the table, and what that alone asks for."""
    before = task
    task = _each(task, lambda container: _moved(task, container, event, now))
    effects: list[Effect] = []
    if isinstance(event, StopRequested):
        task, effects = _request_stop(task, event, now, clock)
    elif isinstance(event, RuntimeExceeded):
        asked = [one for one in task.containers if one.run_id == event.run_id and one.stop_asked]
        effects = [Stop(event.run_id) for one in asked if not before.container(one.name).stop_asked]
    elif isinstance(event, RestartDue):
        effects = [_spawn(one) for one in task.containers if one.run_id != before.container(one.name).run_id]
    pairs = zip(before.containers, task.containers, strict=True)
    ended = [run for old, new in pairs if (run := containers.past_run(task, old, new, event)) is not None]
    return task, [*map(Keep, ended), *effects]


def _request_stop(task: Task, event: StopRequested, now: float, clock: float) -> tuple[Task, list[Effect]]:
    task = _each(task, lambda container: _asked(container, task.desired_status, event.timeout))
    budgets = [event.budget, task.stop_budget if task.desired_status is DesiredStatus.RUNNING else None]
    deadlines = [clock + seconds for seconds in budgets if seconds is not None]
    deadlines += [task.stop_deadline] if task.stop_deadline is not None else []
    task = _change(task, stop_deadline=min(deadlines, default=None))
    if task.desired_status is DesiredStatus.RUNNING:  # the first to want it gives code and reason
        desired = DesiredStatus.STOPPED
        task = _change(task, desired_status=desired, stopping_at=now, stop_code=event.code, stopped_reason=event.reason)
    # Those that were asked before can have less time now; the others are asked when it is their turn.
    again = [one for one in task.containers if one.stop_asked and one.last_status is not _S]
    return task, [Stop(one.run_id, order.window(task, one, clock)) for one in again if one.run_id is not None]


def _asked(container: Container, desired: DesiredStatus, timeout: float | None) -> Container:
    """The container with the window that it is to have: a second stop can only make it shorter."""
    if container.last_status is _S:
        return container
    own = container.stop_timeout
    window = own if timeout is None else timeout
    if desired is DesiredStatus.STOPPED:
        window = min(window, own if container.asked_timeout is None else container.asked_timeout)
    return _change(container, asked_timeout=None if window == own else window, will_restart=False)


def _moved(task: Task, before: Container, event: Event, now: float) -> Container:
    """The container after the event, if the table agrees. An event of another run does not concern it."""
    if isinstance(event, OfRun) and event.run_id != before.run_id:
        return before
    after = before if before.last_status is _S else containers.follow(task, before, event, now)
    allowed = TRANSITIONS[before.last_status].get(type(event))
    if allowed is None or after.last_status not in allowed:
        name = type(event).__name__
        raise IllegalTransition(f"cannot pass from {before.last_status} to {after.last_status} on {name}")
    return after


def _consequence(task: Task) -> Event | None:
    """What follows from the containers as they are: an essential one that is over, or could not start, stops all."""
    if task.desired_status is DesiredStatus.STOPPED:
        return None
    for container in task.containers:
        if container.essential and container.last_status is _S and container.started_at is None:
            return StopRequested(StopCode.TASK_FAILED_TO_START, FAILED_TO_START)
    for container in task.containers:
        if container.essential and containers.is_over(container):
            return StopRequested(StopCode.ESSENTIAL_CONTAINER_EXITED, ESSENTIAL_EXITED)
    return order.find_failed(task)


def _start_ready(task: Task) -> tuple[Task, list[Effect]]:
    """Ask for the first run of each container that waits for nothing any more."""
    effects: list[Effect] = []

    def start(container: Container) -> Container:
        if not order.may_start(task, container):
            return container
        container = containers.begin(task, container)
        effects.append(_spawn(container))
        return container

    return _each(task, start), effects


def _spawn(container: Container) -> Spawn:
    assert container.run_id is not None, "it was begun"
    return Spawn(container.name, container.run_id)


def _stop_next(task: Task, clock: float) -> tuple[Task, list[Effect]]:
    """Ask for the stop of each container whose turn it is."""
    effects: list[Effect] = []

    def stop(container: Container) -> Container:
        if container.run_id is None or container.last_status is _S or container.stop_asked:
            return container
        if not order.is_turn(task, container):
            return container
        effects.append(Stop(container.run_id, order.window(task, container, clock)))
        return _change(container, stop_asked=True)

    return _each(task, stop), effects


def _restate(task: Task) -> Task:
    """The task's own status and stamps from its containers'. Stamps are set once, in their documented order."""
    status = min((container.last_status for container in task.containers), key=lambda status: status.rank)
    if status is not _P and task.started_at is None and any(c.started_at for c in task.containers):
        started = max(task.created_at, *(c.started_at or 0 for c in task.containers))
        # A stop, or the end of one container, can come before the last start; then they are told as one instant.
        before = min(task.stopping_at or started, task.execution_stopped_at or started)
        task = _change(task, started_at=min(started, before))
    if task.execution_stopped_at is None:
        over_at = [
            c.exited_at or c.stopped_at
            for c in task.containers
            if c.essential and c.started_at is not None and containers.is_over(c)
        ]
        over = min((end for end in over_at if end is not None), default=None)
        if over is not None:
            task = _change(task, execution_stopped_at=max(over, task.started_at or task.created_at))
    if status is _S and task.stopped_at is None:
        ends = [c.stopped_at for c in task.containers]
        latest = max(end for end in ends if end is not None)
        task = _change(task, stopped_at=max(latest, task.stopping_at or 0, task.execution_stopped_at or 0))
    return _change(task, last_status=status)


def _each(task: Task, change: Callable[[Container], Container]) -> Task:
    return _change(task, containers=tuple(change(container) for container in task.containers))
