"""What is asked of the logs of a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from supervisor.errors import InvalidParameterError
from supervisor.model import Task

from .arns import Names, shown
from .events import parse_since

MAX_TAIL = 10**9


class LogsAsked(NamedTuple):
    """Whose lines, from where on."""

    task_id: str
    containers: tuple[str, ...]
    """None named: all."""
    tail: int | None
    """So many lines of each container at most, its last ones."""
    since: float | None
    """None written before that Unix time."""
    follow: bool
    places: dict[str, str]
    """By container what a line has said was ``next``; goes before ``tail`` and ``since``."""


def check_logs(
    names: Names,
    *,
    task: str | None,
    containers: Sequence[str],
    tail: str | None,
    since: str | None,
    follow: bool,
    places: Sequence[str],
) -> LogsAsked:
    """The query's texts, read; ``InvalidParameterError`` names the one that cannot be."""
    if not task:
        raise InvalidParameterError("task: name the task, by its id or ARN")
    if tail is not None and not (tail.isascii() and tail.isdigit() and len(tail) <= 10 and int(tail) <= MAX_TAIL):
        raise InvalidParameterError(f"tail: expected a number of lines, got {shown(tail)}")
    begun: dict[str, str] = {}
    for place in places:
        container, colon, text = place.partition(":")
        if not colon or not text:
            raise InvalidParameterError(f"from: expected a container's name, a colon and its next, got {shown(place)}")
        begun[container] = text
    return LogsAsked(
        names.parse_task_id(task),
        tuple(dict.fromkeys(containers)),
        None if tail is None else int(tail),
        None if since is None else parse_since(since),
        follow,
        begun,
    )


def check_container_names(asked: LogsAsked, task: Task) -> tuple[str, ...]:
    """The containers that are meant; ``InvalidParameterError`` names those that there are."""
    there = tuple(container.name for container in task.containers)
    for name in asked.containers:
        if name not in there:
            raise InvalidParameterError(
                f"container: the task has no container {shown(name)}; it has {', '.join(there)}"
            )
    return asked.containers or there
