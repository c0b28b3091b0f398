"""What an event makes of one container."""

from __future__ import annotations

import hashlib
import signal

import msgspec

from supervisor.lifecycle import order, reasons, restarts
from supervisor.lifecycle.events import (
    DependencyFailed,
    Emptied,
    Event,
    Exited,
    Hastened,
    HealthChanged,
    Looked,
    Lost,
    RestartDue,
    RuntimeExceeded,
    Signalled,
    Spawned,
    SpawnFailed,
    StartTimedOut,
    StopRequested,
)
from supervisor.model import Container, DesiredStatus, HealthStatus, LastStatus, PastRun, Task

_R, _S = LastStatus.RUNNING, LastStatus.STOPPED

_change = msgspec.structs.replace


def run_id_of(task_id: str, container: str, number: int) -> str:
    """The id of a container's run: made, not drawn, so that asking twice for the same run starts it once."""
    return hashlib.blake2s(f"{task_id}/{container}/{number}".encode(), digest_size=16).hexdigest()


def follow(task: Task, container: Container, event: Event, now: float) -> Container:
    """The container after an event that concerns it. ``now``: Unix time of events that have none of their own."""
    match event:
        case StopRequested() if container.run_id is None or container.restart_deadline is not None:
            return _change(container, last_status=_S, stopped_at=now, restart_deadline=None)
        case DependencyFailed() if event.container == container.name:
            return _never_start(container, event.dependency, event.why, now)
        case StartTimedOut() if order.waits_for_more(task, container, event.container):
            limit = task.container(event.container).start_timeout
            return _never_start(
                container, event.container, f"was not ready within its startTimeout of {limit:g} s", now
            )
        case Spawned() if container.running_since is None and container.restart_deadline is None:
            return _spawned(container, event)
        case SpawnFailed() | Lost():
            container = _change(container, last_status=_S, stopped_at=event.at, deadline=None, will_restart=False)
            return _change(container, reason=reasons.cut(event.reason))
        case Signalled():
            return _signalled(container, event)
        case Hastened():
            return _timed(container, event.deadline, event.window)
        case Looked():
            return _change(container, finding=event.finding)
        case Exited() if container.exit is None:
            return _exited(task, container, event)
        case Emptied() if container.will_restart:
            return _pause(container, event)
        case Emptied():
            container = _change(container, reason=reasons.of_end(container))
            return _change(container, last_status=_S, stopped_at=event.at, deadline=None)
        case HealthChanged():
            return _judged(container, event)
        case RestartDue() if container.restart_deadline is not None:
            return begin(task, container)
        case RuntimeExceeded() if task.desired_status is DesiredStatus.RUNNING and expires_at(container) is not None:
            return _change(container, stop_asked=True, reason=reasons.of_runtime(container))
    return container


def _never_start(container: Container, other: str, why: str, now: float) -> Container:
    return _change(container, last_status=_S, reason=reasons.of_dependency(other, why), stopped_at=now)


def begin(task: Task, container: Container) -> Container:
    """The container with its next run, which the keeper is to be asked for; what is told of the last one stays."""
    number = container.run_number + 1
    return _change(
        container,
        run_id=run_id_of(task.task_id, container.name, number),
        run_number=number,
        restarts=number - 1,
        identity=None,
        running_since=None,
        restart_deadline=None,
        stop_asked=False,
        stuck=False,
        finding=None,
        signalled_at=None,
        killed_at=None,
        signal_clock=None,
        kill_clock=None,
        deadline=None,
        window=None,
    )


def _spawned(container: Container, event: Spawned) -> Container:
    limit = container.start_timeout
    first_deadline = None if limit is None or container.run_number > 1 else event.clock + limit
    return _change(
        container,
        last_status=_R,
        identity=event.identity,
        started_at=event.at,
        running_since=event.clock,
        start_deadline=container.start_deadline or first_deadline,
        will_restart=False,
        exit=None,
        exited_at=None,
        reason=None,
        health_status=HealthStatus.UNKNOWN,
        health_since=None,
        health_output=None,
        health_exit_code=None,
    )


def _signalled(container: Container, event: Signalled) -> Container:
    container = _timed(container, event.deadline, event.window)
    if event.signum != signal.SIGKILL:
        if container.signalled_at is not None:
            return container
        return _change(container, signalled_at=event.at, signal_clock=event.clock or None)
    if event.left is not None:
        container = _change(container, reason=reasons.cut(event.left), stuck=True)
    if container.killed_at is not None:
        return container
    return _change(container, killed_at=event.at, kill_clock=event.clock or None)


def _timed(container: Container, deadline: float, window: float | None) -> Container:
    """A deadline only ever moves forward; told again after a newer one, the older one changes nothing."""
    if container.deadline is not None and container.deadline <= deadline:
        return container
    return _change(container, deadline=deadline, window=window)


def _exited(task: Task, container: Container, event: Exited) -> Container:
    again = task.desired_status is DesiredStatus.RUNNING and restarts.follows(container, event.exit, event.clock)
    return _change(
        container,
        exit=event.exit,
        exited_at=event.at,
        reason=reasons.of_exit(container, event),
        will_restart=again,
        short_runs=container.short_runs + 1 if restarts.is_short(container, event.clock) else 0,
    )


def _pause(container: Container, event: Emptied) -> Container:
    """Nothing is left of a run that another one follows."""
    return _change(
        container,
        restart_deadline=event.clock + restarts.pause(container),
        reason=reasons.of_end(container),
        deadline=None,
        identity=None,
        running_since=None,
        health_status=HealthStatus.UNKNOWN,
    )


def _judged(container: Container, event: HealthChanged) -> Container:
    if container.running_since is None or container.exit is not None:
        return container  # the verdict on a run that is over
    since = event.at if event.health is not container.health_status else container.health_since
    return _change(
        container,
        health_status=event.health,
        health_since=since,
        health_output=event.output,
        health_exit_code=event.exit_code,
    )


def run_of(task: Task, container: Container) -> PastRun | None:
    """The container's present run as the record tells it; None where there was none yet.

    What the record says of a start and an exit is the last run's until the present one has started.
    """
    if container.run_id is None:
        return None
    has_started = container.run_number <= 1 or container.running_since is not None
    return PastRun(
        task_id=task.task_id,
        container=container.name,
        number=max(container.run_number, 1),
        run_id=container.run_id,
        pid=container.identity.pid if container.identity is not None else None,
        started_at=container.started_at if has_started else None,
        signalled_at=container.signalled_at,
        window=container.window,
        exited_at=container.exited_at if has_started else None,
        killed_at=container.killed_at,
        stopped_at=container.stopped_at,
        exit=container.exit if has_started else None,
        reason=container.reason,
        restarted=container.will_restart,
    )


def past_run(task: Task, before: Container, after: Container, event: Event) -> PastRun | None:
    """The run that this event has ended, if it has."""
    ends = isinstance(event, Emptied | SpawnFailed | Lost) and event.run_id == before.run_id
    if not ends or before.last_status is _S or before.restart_deadline is not None:
        return None
    run = run_of(task, before)
    if run is None:
        return None
    assert isinstance(event, Emptied | SpawnFailed | Lost)
    restarted = after.restart_deadline is not None
    return _change(run, stopped_at=event.at, reason=after.reason, restarted=restarted)


def is_over(container: Container) -> bool:
    """Whether its last run has ended, or its main process at least."""
    return container.last_status is _S or (container.exit is not None and not container.will_restart)


def expires_at(container: Container) -> float | None:
    """The monotonic instant at which the end of its ``max_runtime`` would stop its run; None where nothing would."""
    if container.max_runtime is None or container.running_since is None:
        return None
    return (
        None if container.stop_asked or container.exit is not None else container.running_since + container.max_runtime
    )
