"""When tasks have to be looked at again because of the time: one heap for all of them."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from supervisor import lifecycle
from supervisor.model import Task


class Timetable:
    """Of each task the earliest of its timers. Instants are monotonic."""

    def __init__(self) -> None:
        self._tasks: dict[str, tuple[float, Task]] = {}
        self._heap: list[tuple[float, str]] = []
        """An entry whose task has another instant by now is stale, and skipped."""

    def enter(self, task: Task) -> None:
        """The task as it is now, in the place of what it was."""
        at = min((at for at, _ in lifecycle.timers(task)), default=None)
        if at is None:
            self._tasks.pop(task.task_id, None)
            return
        before = self._tasks.get(task.task_id)
        self._tasks[task.task_id] = at, task
        if before is None or before[0] != at:
            heapq.heappush(self._heap, (at, task.task_id))

    def next_at(self) -> float | None:
        """The next instant at which something is due."""
        while self._heap:
            at, task_id = self._heap[0]
            if task_id in self._tasks and self._tasks[task_id][0] == at:
                return at
            heapq.heappop(self._heap)
        return None

    def take_due(self, now: float) -> Iterator[tuple[str, lifecycle.Event]]:
        """What is due by now, each with its task's id. The task is out of the table until it is entered again."""
        while (at := self.next_at()) is not None and at <= now:
            _, task_id = heapq.heappop(self._heap)
            _, task = self._tasks.pop(task_id)
            yield from ((task_id, event) for instant, event in lifecycle.timers(task) if instant <= now)
