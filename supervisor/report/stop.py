"""The report of a stop: for each container how it ended, its timeline, what was left of it at the end, and its log."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from typing import Any

from supervisor import diagnosis
from supervisor.model import Container, LastStatus, Moment, Task

from .processes import Scene, set_scene
from .timeline import Life, draw, life_of
from .words import seconds, told


def build_report(task: Task, moments: Sequence[Moment], logs: Mapping[str, list[str]]) -> dict[str, Any]:
    """The report as JSON. ``moments``: what was told of the task's runs; ``logs``: the last lines of each container.

    Instants are Unix seconds, durations seconds; those within a stop are of the monotonic clock.
    """
    lives = {container.name: life_of(container, moments) for container in task.containers}
    return told(
        taskArn=task.task_arn,
        taskDefinitionArn=task.task_definition_arn,
        clusterArn=task.cluster_arn,
        lastStatus=str(task.last_status),
        desiredStatus=str(task.desired_status),
        stopCode=None if task.stop_code is None else str(task.stop_code),
        stoppedReason=task.stopped_reason,
        stoppingAt=task.stopping_at,
        stoppedAt=task.stopped_at,
        seconds=_lasted(task, lives),
        containers=[_container(one, lives[one.name], logs.get(one.name, [])) for one in task.containers],
    )


def outcome_of(container: Container, life: Life) -> str:
    """In one word, how it ended.

    graceful: the main process exited by itself after our signal; signalled: that signal ended it, for it had no
    handler; killed: our SIGKILL ended it; left-killed: it had exited, and what it had left had to be killed; exited:
    by itself before any signal of ours, or by one that was none of ours. Or never-started, running, unknown.
    """
    if container.last_status is not LastStatus.STOPPED:
        return "running"
    if container.started_at is None:
        return "never-started"
    exited = container.exit
    if exited is None or exited.exit_code is None:
        return "unknown"
    if life.kills or container.killed_at is not None:
        return "killed" if exited.signal == signal.SIGKILL and _killed_first(container, life) else "left-killed"
    if not _signalled_first(container, life):
        return "exited"
    if exited.signal is None:
        return "graceful"
    sent = {moment.facts.get("signum") for moment in life.signals} or {signal.SIGTERM}
    return "signalled" if exited.signal in sent else "exited"


def _killed_first(container: Container, life: Life) -> bool:
    """Whether the main process lived until our first SIGKILL; by the stamps of the record where nothing was told."""
    if life.kills and life.exited is not None:
        return life.outlived(life.kills[0])
    return container.killed_at is None or (container.exited_at or container.killed_at) >= container.killed_at


def _signalled_first(container: Container, life: Life) -> bool:
    """Whether the main process lived until our first stop signal."""
    if life.signals and life.exited is not None:
        return life.outlived(life.signals[0])
    return container.signalled_at is not None and container.signalled_at <= (container.exited_at or float("inf"))


def _container(container: Container, life: Life, log: list[str]) -> dict[str, Any]:
    scene = set_scene(container, life)
    return told(
        name=container.name,
        essential=container.essential,
        lastStatus=str(container.last_status),
        exitCode=None if container.exit is None else container.exit.exit_code,
        reason=container.reason,
        outcome=outcome_of(container, life),
        finding=_finding(container, scene),
        window=_window(container, life),
        seconds=_took(container, life),
        timeline=draw(life),
        processes=scene.processes,
        advice=scene.advice,
        log=list(log),
    )


def _finding(container: Container, scene: Scene) -> str | None:
    """One sentence on why it did not stop."""
    return container.finding or (diagnosis.summarize(scene.findings) if scene.findings else None)


def _window(container: Container, life: Life) -> float | None:
    """Seconds that its stop had in the end: the shortest that was told of."""
    windows = [moment.facts["window"] for moment in life.moments if moment.facts.get("window") is not None]
    if container.window is not None:
        windows.append(container.window)
    return seconds(min(windows)) if windows else None


def _took(container: Container, life: Life) -> float | None:
    """From the first signal until nothing was left; by the stamps of the record where nothing was told."""
    if life.signals and life.emptied is not None:
        return seconds(life.emptied.clock - life.signals[0].clock)
    if container.signalled_at is None or container.stopped_at is None:
        return None
    return seconds(max(container.stopped_at - container.signalled_at, 0.0))


def _lasted(task: Task, lives: Mapping[str, Life]) -> float | None:
    """From the begin of the task's stop until all of it was over; by the monotonic clock where that was told of."""
    if task.stopping_at is None or task.stopped_at is None:
        return None
    started = [lives[one.name] for one in task.containers if one.started_at is not None]
    ends = [life.emptied.clock for life in started if life.emptied is not None]
    if not ends or len(ends) < len(started):
        return seconds(max(task.stopped_at - task.stopping_at, 0.0))
    # The begin has a stamp alone; what was told nearest to it says where on the monotonic clock that was.
    begun = task.stopping_at
    near = min((moment for life in started for moment in life.moments), key=lambda moment: abs(moment.at - begun))
    return seconds(max(max(ends) - (near.clock + begun - near.at), 0.0))
