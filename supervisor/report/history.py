"""Every run of every container of a task, for ``supervisor history``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from supervisor.diagnosis import signal_name
from supervisor.lifecycle import run_of
from supervisor.model import ExitStatus, LastStatus, PastRun, Task

from .words import seconds, told


def build_history(task: Task, runs: Sequence[PastRun]) -> dict[str, Any]:
    """The past runs and, from the record, the last one of each container, in the order in which they were started."""
    kept = {run.run_id for run in runs}
    entries = [(_begun(run), _past(run)) for run in runs]
    for container in task.containers:
        present = run_of(task, container)
        if present is not None and present.run_id not in kept:
            running = container.last_status is LastStatus.RUNNING
            entries.append((_begun(present), _past(present) | {"running": running}))
    entries.sort(key=lambda entry: (entry[0], entry[1]["container"], entry[1]["number"]))
    return {"taskArn": task.task_arn, "runs": [entry for _, entry in entries]}


def _begun(run: PastRun) -> float:
    """What it is ordered by: one that never started by its end, one that is yet to start after all others."""
    return next((at for at in (run.started_at, run.stopped_at) if at is not None), float("inf"))


def _past(run: PastRun) -> dict[str, Any]:
    exited = run.exit or ExitStatus()
    lasted = None
    if run.started_at is not None and run.stopped_at is not None:
        lasted = seconds(max(run.stopped_at - run.started_at, 0.0))  # also where the wall clock was set back
    return told(
        container=run.container,
        number=run.number,
        exitCode=exited.exit_code,
        signal=None if exited.signal is None else signal_name(exited.signal),
        reason=run.reason,
        startedAt=run.started_at,
        stoppedAt=run.stopped_at,
        seconds=lasted,
        killed=run.killed_at is not None,
        restarted=run.restarted,
        running=False,
        pid=run.pid,
    )
