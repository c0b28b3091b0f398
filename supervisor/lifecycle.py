"""How a task moves: ``step(task, event, now) -> task, effects``. No I/O, no clock, no logging.

Everything that can happen is an event: what a user asks, what the keeper saw. The table says, for each status of a
container and each event, which statuses may follow; a pair that is missing raises ``IllegalTransition``. The task's
own status is the least of its containers' (PENDING < RUNNING < STOPPED), and there is no other way to move it.

::

    PENDING ──Spawned──▶ RUNNING ──Emptied──▶ STOPPED
       └──SpawnFailed, StopRequested before the spawn──▶ STOPPED

Events of the keeper arrive at least once: a repeated one changes nothing. Events name a run; one of a run that is
not the container's present one changes nothing either.
"""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Callable

import msgspec

from supervisor.errors import IllegalTransition
from supervisor.model import (
    MAX_REASON,
    Container,
    DesiredStatus,
    ExitStatus,
    Identity,
    LastStatus,
    StopCode,
    Task,
)

ESSENTIAL_EXITED = "Essential container in task exited"
FAILED_TO_START = "Task failed to start"
STOPPED_BY_USER = "Task stopped by user"
OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"


class Event(msgspec.Struct, frozen=True):
    """A past fact that enters ``step``."""


class Created(Event, frozen=True):
    """The task was accepted: start what depends on nothing."""


class StopRequested(Event, frozen=True):
    """Somebody wants the task stopped. ``timeout``: seconds, None for each container's own."""

    code: StopCode
    reason: str
    timeout: float | None = None


class RunEvent(Event, frozen=True):
    """What the keeper saw of one run. ``at``: Unix time."""

    run_id: str
    at: float


class Spawned(RunEvent, frozen=True):
    """The exec succeeded."""

    identity: Identity


class SpawnFailed(RunEvent, frozen=True):
    """A stage between fork and exec failed; the text says which and why."""

    reason: str


class Signalled(RunEvent, frozen=True):
    """A signal was sent. ``deadline``: monotonic. ``left``: after a repeated SIGKILL, what does not die and why."""

    signum: int
    deadline: float
    left: str | None = None
    window: float | None = None
    """Seconds from the stop signal to the deadline."""


class Hastened(RunEvent, frozen=True):
    """The deadline was brought forward; ``window``: seconds from the stop signal to the new one."""

    deadline: float
    window: float


class Exited(RunEvent, frozen=True):
    """The main process is over. ``out_of_memory``: the kernel had killed it, or others of its run, for want of it."""

    exit: ExitStatus
    out_of_memory: bool = False


class Emptied(RunEvent, frozen=True):
    """No process of the run is left."""


class Lost(RunEvent, frozen=True):
    """The keeper does not hold the run (any more), and nobody can tell how it ended."""

    reason: str


class DependencyFailed(Event, frozen=True):
    """A consequence, not sent by anybody: a container waits for one that can never start."""

    container: str
    dependency: str


class Spawn(msgspec.Struct, frozen=True):
    """Effect: ask the keeper to start this run of this container."""

    container: str
    run_id: str


class Stop(msgspec.Struct, frozen=True):
    """Effect: ask the keeper to stop this run."""

    run_id: str
    timeout: float | None = None


Effect = Spawn | Stop

_P, _R, _S = LastStatus.PENDING, LastStatus.RUNNING, LastStatus.STOPPED

TRANSITIONS: dict[LastStatus, dict[type[Event], frozenset[LastStatus]]] = {
    _P: {
        Created: frozenset({_P}),
        StopRequested: frozenset({_P, _S}),
        Spawned: frozenset({_R}),
        SpawnFailed: frozenset({_S}),
        Signalled: frozenset({_P}),
        Hastened: frozenset({_P}),
        Lost: frozenset({_S}),
        DependencyFailed: frozenset({_P, _S}),
    },
    _R: {
        Created: frozenset({_R}),
        StopRequested: frozenset({_R}),
        Spawned: frozenset({_R}),
        Signalled: frozenset({_R}),
        Hastened: frozenset({_R}),
        Exited: frozenset({_R}),
        Emptied: frozenset({_S}),
        Lost: frozenset({_S}),
        DependencyFailed: frozenset({_R}),
    },
    _S: {
        Created: frozenset({_S}),
        StopRequested: frozenset({_S}),
        Spawned: frozenset({_S}),
        SpawnFailed: frozenset({_S}),
        Signalled: frozenset({_S}),
        Hastened: frozenset({_S}),
        Exited: frozenset({_S}),
        Emptied: frozenset({_S}),
        Lost: frozenset({_S}),
        DependencyFailed: frozenset({_S}),
    },
}
"""(status of a container, event) → the statuses that may follow."""

_change = msgspec.structs.replace


def step(task: Task, event: Event, now: float) -> tuple[Task, list[Effect]]:
    """The task after the event, and what is to be done once that is stored. ``now``: Unix time, for stamps alone."""
    now = max(now, task.created_at, task.started_at or 0, task.stopping_at or 0)  # also if the clock steps back
    after, effects = _apply(task, event, now)
    while (more := _consequence(after)) is not None:
        after, stops = _apply(after, more, now)
        effects += stops
    if after.desired_status is DesiredStatus.RUNNING:
        after, starts = _start_ready(after)
        effects += starts
    after = _restate(after)
    return (after if after == task else _change(after, version=task.version + 1)), effects


def _apply(task: Task, event: Event, now: float) -> tuple[Task, list[Effect]]:
    """One event on every container that it concerns, by the table; for a stop also what the whole task is asked."""
    task = _each(task, lambda container: _moved(container, event, now))
    if not isinstance(event, StopRequested):
        return task, []
    task = _each(task, lambda container: _asked(container, task.desired_status, event.timeout))
    if task.desired_status is DesiredStatus.RUNNING:  # the first to want it gives code and reason
        desired = DesiredStatus.STOPPED
        task = _change(task, desired_status=desired, stopping_at=now, stop_code=event.code, stopped_reason=event.reason)
    live = [c.run_id for c in task.containers if c.run_id is not None and c.last_status is not _S]
    return task, [Stop(run_id, event.timeout) for run_id in live]


def _asked(container: Container, desired: DesiredStatus, timeout: float | None) -> Container:
    """The container with the window that it is to have: a second stop can only make it shorter."""
    if container.last_status is _S:
        return container
    own = container.stop_timeout
    window = own if timeout is None else timeout
    if desired is DesiredStatus.STOPPED:
        window = min(window, own if container.asked_timeout is None else container.asked_timeout)
    return _change(container, asked_timeout=None if window == own else window)


def run_id_of(task_id: str, container: str, number: int) -> str:
    """The id of a container's run: made, not drawn, so that asking twice for the same run starts it once."""
    return hashlib.blake2s(f"{task_id}/{container}/{number}".encode(), digest_size=16).hexdigest()


def _moved(before: Container, event: Event, now: float) -> Container:
    """The container after the event, if the table agrees. An event of another run does not concern it."""
    if isinstance(event, RunEvent) and event.run_id != before.run_id:
        return before
    after = _follow(before, event, now)
    allowed = TRANSITIONS[before.last_status].get(type(event))
    if allowed is None or after.last_status not in allowed:
        name = type(event).__name__
        raise IllegalTransition(f"cannot pass from {before.last_status} to {after.last_status} on {name}")
    return after


def _follow(container: Container, event: Event, now: float) -> Container:
    if container.last_status is _S:
        return container
    match event:
        case StopRequested() if container.run_id is None:
            return _change(container, last_status=_S, stopped_at=now)
        case DependencyFailed() if event.container == container.name:
            reason = f"CannotStartContainerError: container {event.dependency!r}, which it depends on, did not start"
            return _change(container, last_status=_S, reason=_cut(reason), stopped_at=now)
        case Spawned() if container.last_status is _P:
            return _change(container, last_status=_R, identity=event.identity, started_at=event.at)
        case SpawnFailed() | Lost():
            return _change(container, last_status=_S, reason=_cut(event.reason), stopped_at=event.at, deadline=None)
        case Signalled():
            return _signalled(container, event)
        case Hastened():
            return _timed(container, event.deadline, event.window)
        case Exited() if container.exit is None:
            return _exited(container, event)
        case Emptied():
            told = _reason_of(container)
            return _change(container, last_status=_S, reason=told, stopped_at=event.at, deadline=None)
    return container


def _signalled(container: Container, event: Signalled) -> Container:
    container = _timed(container, event.deadline, event.window)
    if event.signum != signal.SIGKILL:
        return _change(container, signalled_at=container.signalled_at or event.at)
    if event.left is not None:
        container = _change(container, reason=_cut(event.left))
    return _change(container, killed_at=container.killed_at or event.at)


def _timed(container: Container, deadline: float, window: float | None) -> Container:
    """A deadline only ever moves forward; told again after a newer one, the older one changes nothing."""
    if container.deadline is not None and container.deadline <= deadline:
        return container
    return _change(container, deadline=deadline, window=window)


def _exited(container: Container, event: Exited) -> Container:
    """The exit, and whose signal it was if not ours: told by the order of events, for stamps can be equal."""
    reason, number = container.reason, event.exit.signal
    if number is not None and container.signalled_at is None and container.killed_at is None:
        reason = f"Ended by {_signal_name(number)}, which was not the supervisor's"
    if event.out_of_memory:
        reason = OUT_OF_MEMORY
    return _change(container, exit=event.exit, exited_at=event.at, reason=reason)


def _reason_of(container: Container) -> str | None:
    """In a person's words, why a container ended otherwise than by an exit of its own; None where it did."""
    if container.killed_at is None or container.reason == OUT_OF_MEMORY:
        return container.reason
    waited = container.killed_at - (container.signalled_at or container.killed_at)
    who = "the main process"
    exited, exited_at = container.exit, container.exited_at or container.killed_at
    if exited is None or exited.signal != signal.SIGKILL or exited_at < container.killed_at:
        who = "processes that the main process left behind"
    return _cut(f"Killed {waited:.1f} s after the stop signal: {who} did not exit in time")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _consequence(task: Task) -> Event | None:
    """What follows from the containers as they are: an essential one that is over, or could not start, stops all."""
    if task.desired_status is DesiredStatus.STOPPED:
        return None
    for container in task.containers:
        if container.essential and container.last_status is _S and container.started_at is None:
            return StopRequested(StopCode.TASK_FAILED_TO_START, FAILED_TO_START)
    for container in task.containers:
        if container.essential and (container.last_status is _S or container.exit is not None):
            return StopRequested(StopCode.ESSENTIAL_CONTAINER_EXITED, ESSENTIAL_EXITED)
        for dependency in map(task.container, container.depends_on):
            never = dependency.last_status is _S and dependency.started_at is None
            if never and container.last_status is _P and container.run_id is None:
                return DependencyFailed(container.name, dependency.name)
    return None


def _start_ready(task: Task) -> tuple[Task, list[Effect]]:
    """Ask for the first run of each container that waits for nothing any more."""
    effects: list[Effect] = []

    def start(container: Container) -> Container:
        waits = any(task.container(name).last_status is _P for name in container.depends_on)
        if container.last_status is not _P or container.run_id is not None or waits:
            return container
        run_id = run_id_of(task.task_id, container.name, 1)
        effects.append(Spawn(container.name, run_id))
        return _change(container, run_id=run_id)

    return _each(task, start), effects


def _restate(task: Task) -> Task:
    """The task's own status and stamps from its containers'. Stamps are set once, in their documented order."""
    status = min((container.last_status for container in task.containers), key=lambda status: status.rank)
    if status is not _P and task.started_at is None and any(c.started_at for c in task.containers):
        started = max(task.created_at, *(c.started_at or 0 for c in task.containers))
        # A stop, or the end of one container, can come before the last start; then they are told as one instant.
        before = min(task.stopping_at or started, task.execution_stopped_at or started)
        task = _change(task, started_at=min(started, before))
    if task.execution_stopped_at is None:
        ends = [c.exited_at or c.stopped_at for c in task.containers if c.essential and c.started_at is not None]
        over = min((end for end in ends if end is not None), default=None)
        if over is not None:
            task = _change(task, execution_stopped_at=max(over, task.started_at or task.created_at))
    if status is _S and task.stopped_at is None:
        ends = [c.stopped_at for c in task.containers]
        latest = max(end for end in ends if end is not None)
        task = _change(task, stopped_at=max(latest, task.stopping_at or 0, task.execution_stopped_at or 0))
    return _change(task, last_status=status)


def _each(task: Task, change: Callable[[Container], Container]) -> Task:
    return _change(task, containers=tuple(change(container) for container in task.containers))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_REASON else text[: MAX_REASON - 1] + "…"
