"""The keeper's events as the lifecycle's; a task's changes as log lines, and as entries of the journal."""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from supervisor import diagnosis, lifecycle, procinfo, shapes, wire
from supervisor.lifecycle import restarts
from supervisor.model import Container, DesiredStatus, ExitStatus, Identity, LastStatus, Moment, Task
from supervisor.store import JournalEntry

_STUCK_AFTER = 1.0
"""Seconds from the first SIGKILL after which what is left is looked at: most deaths take a millisecond."""

_KEPT = (wire.HookStarted, wire.HookEnded, wire.Signalled, wire.Hastened, wire.Looked, wire.Exited, wire.Emptied)
"""What stop reports are made of."""


def translate(event: wire.RunEvent, container: Container) -> lifecycle.RunEvent | None:
    """What the keeper saw of a container's run, in the lifecycle's terms; None where it moves nothing."""
    run, at, clock = event.run, event.at, event.clock
    match event:
        case wire.Spawned(pid=pid, start_time=start_time):
            return lifecycle.Spawned(run, at, Identity(pid, start_time), clock=clock)
        case wire.SpawnFailed():
            return lifecycle.SpawnFailed(run, at, _spawn_reason(event), clock=clock)
        case wire.Signalled(signum=signum, deadline=deadline, window=window):
            return lifecycle.Signalled(run, at, signum, deadline, _left(event, container), window, clock=clock)
        case wire.Hastened(deadline=deadline, window=window) | wire.HookStarted(deadline=deadline, window=window):
            return lifecycle.Hastened(run, at, deadline, window, clock=clock)
        case wire.Looked():
            return lifecycle.Looked(run, at, _finding(event, container), clock=clock)
        case wire.Exited(code=code, signal=number, oom_kills=oom_kills, unknown=unknown):
            return lifecycle.Exited(run, at, ExitStatus(code, number), oom_kills > 0, unknown, clock=clock)
        case wire.Emptied():
            return lifecycle.Emptied(run, at, clock=clock)
        case wire.HookEnded():
            return None


def moment(task: Task, container: Container, event: wire.RunEvent) -> Moment | None:
    """The event as it is kept for the stop report; None where that has no use for it.

    Of what does not die a SIGKILL is told every few seconds, perhaps for days: once that is known, no more are kept.
    """
    if not isinstance(event, _KEPT) or (container.stuck and isinstance(event, wire.Signalled)):
        return None
    facts: dict[str, Any] = event._asdict()
    for name in ("seq", "run", "at", "clock"):
        del facts[name]
    if isinstance(event, wire.Looked):
        facts["facts"] = [msgspec.to_builtins(sight) for sight in _sights(event)]
    kind = type(event).__name__
    return Moment(
        task_id=task.task_id,
        container=container.name,
        run_id=event.run,
        at=event.at,
        clock=event.clock,
        kind=kind,
        facts=facts,
    )


def _sights(event: wire.Looked) -> list[diagnosis.Sight]:
    """What was seen; nothing where a keeper of another release has told it in another way."""
    try:
        return msgspec.json.decode(event.facts, type=list[diagnosis.Sight])
    except msgspec.DecodeError:
        return []


def _finding(event: wire.Looked, container: Container) -> str:
    main_pid = container.identity.pid if container.identity is not None else 0
    main_over = container.exit is not None
    return diagnosis.summarize(diagnosis.diagnose(_sights(event), event.signums, main_pid, main_over=main_over))


def _spawn_reason(event: wire.SpawnFailed) -> str:
    """``<ErrorName>: <text>``, as the ECS agent gives it; the stage is the member or step at fault."""
    symbol = errno.errorcode.get(event.errno, str(event.errno))
    if event.stage == "secrets":
        return f"ResourceInitializationError: unable to pull secrets: {event.detail} ({symbol})"
    return f"CannotStartContainerError: cannot start, {event.stage}: {event.detail} ({symbol})"


def _left(event: wire.Signalled, container: Container) -> str | None:
    if event.signum != signal.SIGKILL or container.kill_clock is None:
        return None
    if event.clock - container.kill_clock < _STUCK_AFTER:
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


def narrate_hook(task: Task, container: Container, event: wire.HookEnded) -> tuple[str, str, dict[str, Any]]:
    """The end of a pre-stop command for the log, as `narrate` tells it."""
    code = ExitStatus(event.code, event.signal).exit_code
    facts = {"task": task.task_id, "family": task.family, "container": container.name, "exit_code": code}
    return "info" if code == 0 else "warning", "hook_ended", facts | ({"detail": event.detail} if event.detail else {})


def _narrate_container(old: Container | None, new: Container, facts: dict[str, Any]) -> Iterator[Any]:
    if new.identity is not None and (old is None or old.identity != new.identity):
        yield "info", "container_started", {**facts, "pid": new.identity.pid, "run": new.run_number}
    if new.signalled_at is not None and (old is None or old.signalled_at is None):
        yield "info", "container_signalled", {**facts, "stop_timeout": _rounded(new.window)}
    if new.killed_at is not None and (old is None or old.killed_at is None):
        why = {} if not new.finding else {"why": new.finding}
        yield "warning", "container_killed", {**facts, "stop_timeout": _rounded(new.window), **why}
    if new.restart_deadline is not None and (old is None or old.restart_deadline is None):
        code = new.exit.exit_code if new.exit is not None else None
        pause = _rounded(restarts.pause(new))
        yield "warning", "container_restarting", {**facts, "exit_code": code, "pause": pause, "reason": new.reason}
    if new.last_status is LastStatus.STOPPED and (old is None or old.last_status is not LastStatus.STOPPED):
        code = new.exit.exit_code if new.exit is not None else None
        level = "info" if new.reason is None else "warning"
        yield level, "container_stopped", {**facts, "exit_code": code, "reason": new.reason}
    elif new.stuck and old is not None and new.reason != old.reason:
        yield "warning", "container_not_dying", {**facts, "reason": new.reason}


def entries(versions: Iterable[Task], at: float) -> list[JournalEntry]:
    """The journal's entries for these versions of tasks, which are committed together at ``at``."""
    return [JournalEntry(at, task.task_id, msgspec.json.encode(shapes.render_event(task, at))) for task in versions]


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
