"""What people ask after a stop: the report of it, and the runs that a task has had."""

from __future__ import annotations

import asyncio
from typing import Any

from supervisor import report
from supervisor.agent import logs
from supervisor.agent.world import World
from supervisor.model import Task

LOG_LINES = 20
"""Of the end of each container's log."""


class ReportService(World):
    """Looks that ECS has no operation for. They are there as long as the task is."""

    async def stop_report(self, task: str | None, cluster: str | None) -> dict[str, Any]:
        """How the task stopped, or how far its stop is; ``InvalidParameterError`` where there is no such task."""
        found = self._find_task(task, cluster)
        moments = self._store.moments(found.task_id)
        tails = await asyncio.to_thread(_tails, f"{self._settings.agent.state_dir}/logs", found)
        return report.build_report(found, moments, tails)

    async def history(self, task: str | None, cluster: str | None) -> dict[str, Any]:
        """Every run of each of the task's containers; ``InvalidParameterError`` where there is no such task."""
        found = self._find_task(task, cluster)
        return report.build_history(found, self._store.runs(found.task_id))

    def _find_task(self, text: str | None, cluster: str | None) -> Task:
        """By id or ARN, as StopTask finds it."""
        names = self._cluster(cluster)
        return self._recorded(names.parse_task_id(text or ""), names)


def _tails(log_dir: str, task: Task) -> dict[str, list[str]]:
    """The last lines of every container that has a file for them."""
    names = [container.name for container in task.containers]
    return {name: logs.tail(log_dir, task.task_id, name, LOG_LINES) for name in names}
