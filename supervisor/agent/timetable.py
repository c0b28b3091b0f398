"""When tasks have to be looked at again because of the time."""

from __future__ import annotations

from collections.abc import Iterator

from supervisor import lifecycle
from supervisor.agenda import Agenda
from supervisor.model import Task


class Timetable:
    """Of each task the earliest of its timers. Instants are monotonic."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}
        self._agenda = Agenda()

    def enter(self, task: Task) -> None:
        """The task as it is now, in the place of what it was."""
        at = min((at for at, _ in lifecycle.timers(task)), default=None)
        self._agenda.set(task.task_id, at)
        if at is None:
            self._tasks.pop(task.task_id, None)
        else:
            self._tasks[task.task_id] = task

    def next_at(self) -> float | None:
        """The next instant at which something is due."""
        return self._agenda.next_at()

    def take_due(self, now: float) -> Iterator[tuple[str, lifecycle.Event]]:
        """What is due by now, each with its task's id. The task is out of the table until it is entered again."""
        for task_id in self._agenda.take(now):
            task = self._tasks.pop(task_id)
            yield from ((task_id, event) for instant, event in lifecycle.timers(task) if instant <= now)
