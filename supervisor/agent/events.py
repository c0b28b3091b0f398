"""The keeper's events as the lifecycle's; a task's changes as log lines, and as entries of the journal."""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from supervisor import lifecycle, procinfo, shapes, wire
from supervisor.model import Container, DesiredStatus, ExitStatus, Identity, LastStatus, Task
from supervisor.store import JournalEntry

_STUCK_AFTER = 1.0
"""Seconds from the first SIGKILL after which what is left is looked at: most deaths take a millisecond."""


def translate(event: wire.Event, container: Container) -> lifecycle.RunEvent:
    """What the keeper saw of a container's run, in the lifecycle's terms."""
    match event:
        case wire.Spawned(at=at, run=run, pid=pid, start_time=start_time):
            return lifecycle.Spawned(run, at, Identity(pid, start_time))
        case wire.SpawnFailed(at=at, run=run):
            return lifecycle.SpawnFailed(run, at, _spawn_reason(event))
        case wire.Signalled(at=at, run=run, signum=signum, deadline=deadline, window=window):
            return lifecycle.Signalled(run, at, signum, deadline, _left(event, container), window)
        case wire.Hastened(at=at, run=run, deadline=deadline, window=window):
            return lifecycle.Hastened(run, at, deadline, window)
        case wire.Exited(at=at, run=run, code=code, signal=number, oom_kills=oom_kills):
            return lifecycle.Exited(run, at, ExitStatus(code, number), oom_kills > 0)
        case wire.Emptied(at=at, run=run):
            return lifecycle.Emptied(run, at)
    raise TypeError(f"cannot translate {type(event).__name__}")


def _spawn_reason(event: wire.SpawnFailed) -> str:
    """``<ErrorName>: <text>``, as the ECS agent gives it; the stage is the member or step at fault."""
    symbol = errno.errorcode.get(event.errno, str(event.errno))
    return f"CannotStartContainerError: cannot start, {event.stage}: {event.detail} ({symbol})"


def _left(event: wire.Signalled, container: Container) -> str | None:
    if event.signum != signal.SIGKILL or container.killed_at is None or event.at - container.killed_at < _STUCK_AFTER:
        return None
    return f"SIGKILL has not ended {procinfo.describe(event.pids) or 'a process that cannot be seen'}"


def narrate(before: Task | None, after: Task) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What changed, as (level, event, facts) for the log."""
    facts: dict[str, Any] = {"task": after.task_id, "family": after.family}
    if before is None:
        yield "info", "task_created", {**facts, "started_by": after.started_by}
    for container in after.containers:
        old = before.container(container.name) if before is not None else None
        yield from _narrate_container(old, container, {**facts, "container": container.name})
    if after.last_status is LastStatus.RUNNING and (before is None or before.last_status is LastStatus.PENDING):
        yield "info", "task_started", facts
    was_asked = before is not None and before.desired_status is DesiredStatus.STOPPED
    if after.desired_status is DesiredStatus.STOPPED and not was_asked:
        yield "info", "task_stopping", {**facts, "stop_code": after.stop_code, "reason": after.stopped_reason}
    if after.last_status is LastStatus.STOPPED and (before is None or before.last_status is not LastStatus.STOPPED):
        codes = {one.name: one.exit.exit_code if one.exit is not None else None for one in after.containers}
        yield "info", "task_stopped", {**facts, "stop_code": after.stop_code, "exit_codes": codes}


def _narrate_container(old: Container | None, new: Container, facts: dict[str, Any]) -> Iterator[Any]:
    if new.identity is not None and (old is None or old.identity is None):
        yield "info", "container_started", {**facts, "pid": new.identity.pid}
    if new.signalled_at is not None and (old is None or old.signalled_at is None):
        yield "info", "container_signalled", {**facts, "stop_timeout": _rounded(new.window)}
    if new.killed_at is not None and (old is None or old.killed_at is None):
        yield "warning", "container_killed", {**facts, "stop_timeout": _rounded(new.window)}
    if new.last_status is LastStatus.STOPPED and (old is None or old.last_status is not LastStatus.STOPPED):
        code = new.exit.exit_code if new.exit is not None else None
        level = "info" if new.reason is None else "warning"
        yield level, "container_stopped", {**facts, "exit_code": code, "reason": new.reason}
    elif new.reason is not None and old is not None and new.reason != old.reason and new.exit == old.exit:
        yield "warning", "container_not_dying", {**facts, "reason": new.reason}


def entries(versions: Iterable[Task], at: float) -> list[JournalEntry]:
    """The journal's entries for these versions of tasks, which are committed together at ``at``."""
    return [JournalEntry(at, task.task_id, msgspec.json.encode(shapes.render_event(task, at))) for task in versions]


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
