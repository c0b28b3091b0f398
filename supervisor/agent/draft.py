"""Changes on their way to a commit: tasks, effects, and whatever else is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from supervisor import lifecycle
from supervisor.model import LastStatus, Task
from supervisor.store import Kept, Resource

Line = tuple[str, str, dict[str, Any]]
"""Level, event, facts."""

Effects = list[tuple[Task, lifecycle.Spawn | lifecycle.Stop]]


class Tasks(Protocol):
    """Where a draft looks for what it does not have: the committed tasks, or the draft that it is a part of."""

    def task(self, task_id: str) -> Task | None:
        """The task of that id, None if there is none."""
        ...

    def live(self) -> Mapping[str, Task]:
        """The tasks that are not STOPPED, by id."""
        ...


class Draft:
    """Changes that will be committed together. A draft of a draft is one change of them: all of it or nothing."""

    def __init__(self, base: Tasks, clock: float) -> None:
        """``clock``: the monotonic instant at which all this happens."""
        self._base = base
        self.clock = clock
        self.tasks: dict[str, Task] = {}
        self.resources: list[Resource] = []
        """Definitions, clusters and the host as they are from now on. They are read from the store: the engine begins
        no other change before these are committed."""
        self.effects: Effects = []
        self.versions: list[Task] = []
        """Each version of a task that came up on the way: the journal has them all."""
        self.kept: list[Kept] = []
        """What is kept of tasks beside their records."""
        self.lines: list[Line] = []
        """For the log, beside what the changes of tasks say themselves."""

    def task(self, task_id: str) -> Task | None:
        """The task as this draft has it."""
        return self.tasks.get(task_id) or self._base.task(task_id)

    def live(self) -> Mapping[str, Task]:
        """The tasks that are not STOPPED, as this draft has them."""
        tasks = {**self._base.live(), **self.tasks}
        return {task_id: task for task_id, task in tasks.items() if task.last_status is not LastStatus.STOPPED}

    def add(self, task: Task, now: float) -> Task:
        """A new task, on its way."""
        return self.follow(task, lifecycle.Created(), now)

    def follow(self, task: Task, event: lifecycle.Event, now: float) -> Task:
        """Let the event happen to the task."""
        task, effects = lifecycle.step(task, event, now, self.clock)
        return self.put(task, effects)

    def put(self, task: Task, effects: list[lifecycle.Effect]) -> Task:
        """A task as it is from now on, and what is to be done for it."""
        before = self.task(task.task_id)
        if before is None or before.version != task.version:
            self.versions.append(task)
        self.tasks[task.task_id] = task
        self.kept += [effect.run for effect in effects if isinstance(effect, lifecycle.Keep)]
        self.effects += [(task, effect) for effect in effects if not isinstance(effect, lifecycle.Keep)]
        return task

    def absorb(self, part: Draft) -> None:
        """Make a part that went well one's own."""
        self.tasks |= part.tasks
        self.resources += part.resources
        self.effects += part.effects
        self.versions += part.versions
        self.kept += part.kept
        self.lines += part.lines
