"""The other operations: each has one function that checks its input and says what is meant."""

from __future__ import annotations

import re
from typing import NamedTuple

from supervisor.errors import ClientError, InvalidParameterError, ServiceNotFoundError
from supervisor.model import MAX_REASON, DesiredStatus

from .arns import FAMILY, Names, shown
from .pages import MAX_LISTED, check_max_results, read_token
from .requests import DescribeTaskDefinition, DescribeTasks, ListTasks, StopTask
from .tasks import check_launch_type, check_started_by

MAX_DESCRIBED = 100
"""Tasks that one DescribeTasks may name."""


MAX_STOP_TIMEOUT = 2**31 - 1
"""Seconds; the most that ``stopTimeout`` can say too."""

STOP_TIMEOUT = re.compile(r"[0-9]{1,10}(\.[0-9]{1,9})?")


class TaskAsked(NamedTuple):
    """A task that DescribeTasks asks for."""

    text: str
    """As the caller named it."""
    task_id: str | None
    """None for an ARN from elsewhere: it is MISSING."""


class DefinitionAsked(NamedTuple):
    """The task definition that DescribeTaskDefinition asks for."""

    family: str
    revision: int | None
    """None for the latest active one."""
    include_tags: bool


class TaskFilter(NamedTuple):
    """Which tasks ListTasks asks for; what is None matches every task."""

    desired_status: str = DesiredStatus.RUNNING
    family: str | None = None
    started_by: str | None = None
    launch_type: str | None = None
    container_instance: str | None = None
    """An ARN, or the id at its end."""
    max_results: int = MAX_LISTED
    after: tuple[float, str] | None = None
    """Where the page before ended: ``created_at`` and id."""


def check_stop_reason(reason: str | None) -> None:
    """Up to 255 characters, or absent."""
    if reason is not None and len(reason) > MAX_REASON:
        raise InvalidParameterError(f"reason: expected up to {MAX_REASON} characters, got {len(reason)}")


def check_stop_timeout(text: str | None) -> float | None:
    """Seconds, as the header ``x-supervisor-stop-timeout`` says them; None where it is absent."""
    if text is None:
        return None
    seconds = float(text) if STOP_TIMEOUT.fullmatch(text) else None
    if seconds is None or seconds > MAX_STOP_TIMEOUT:
        raise InvalidParameterError(
            f"x-supervisor-stop-timeout: expected 0 to {MAX_STOP_TIMEOUT} seconds, such as 5 or 0.5, got {shown(text)}"
        )
    return seconds


def check_stop_task(request: StopTask, names: Names) -> str:
    """The id of the task to stop."""
    check_stop_reason(request.reason)
    return names.parse_task_id(request.task)


def check_describe_tasks(request: DescribeTasks, names: Names) -> list[TaskAsked]:
    """The tasks asked for, in the request's order, each once."""
    include_tags(request.include)
    return check_tasks(request.tasks, MAX_DESCRIBED, names)


def check_tasks(texts: list[str], most: int, names: Names) -> list[TaskAsked]:
    """The tasks named, in the request's order, each once; at least one."""
    if not texts:
        raise InvalidParameterError("Tasks cannot be empty.")
    if len(texts) > most:
        raise InvalidParameterError(f"tasks: expected up to {most}, got {len(texts)}")
    asked: dict[str, TaskAsked] = {}
    for text in texts:
        task_id = names.find_task_id(text)
        asked.setdefault(task_id or text, TaskAsked(text, task_id))
    return list(asked.values())


def check_describe_task_definition(request: DescribeTaskDefinition, names: Names) -> DefinitionAsked:
    """The definition asked for."""
    family, revision = names.parse_task_definition(request.task_definition)
    return DefinitionAsked(family, revision, include_tags(request.include))


def check_list_tasks(request: ListTasks) -> TaskFilter:
    """The filter asked for: running tasks where nothing is said; ``startedBy`` goes with ``desiredStatus`` only."""
    if request.service_name:
        raise ServiceNotFoundError
    if request.daemon_name:
        raise ClientError("daemonName: there are no daemons on this host; remove it")
    check_launch_type(request.launch_type)
    check_started_by(request.started_by)
    others = {
        "family": request.family,
        "containerInstance": request.container_instance,
        "launchType": request.launch_type,
    }
    for name, value in others.items():
        if request.started_by and value:
            raise InvalidParameterError(f"startedBy: it cannot be combined with {name}; remove one of them")
    if request.family and not FAMILY.fullmatch(request.family):
        raise InvalidParameterError(f"family: expected 1 to 255 letters, digits, - and _, got {shown(request.family)}")
    desired = request.desired_status or DesiredStatus.RUNNING
    if desired not in ("RUNNING", "PENDING", "STOPPED"):
        raise InvalidParameterError(f"desiredStatus: expected RUNNING, PENDING or STOPPED, got {shown(desired)}")
    return TaskFilter(
        desired_status=desired,
        family=request.family or None,
        started_by=request.started_by or None,
        launch_type=request.launch_type,
        container_instance=request.container_instance or None,
        max_results=check_max_results(request.max_results),
        after=read_token(request.next_token, tuple[float, str]),
    )


def include_tags(include: list[str] | None) -> bool:
    """Whether ``TAGS``, the only thing that there is beside, is asked for."""
    return "TAGS" in check_include(include, ("TAGS",))


def check_include(include: list[str] | None, allowed: tuple[str, ...]) -> frozenset[str]:
    """What else is asked for."""
    for index, what in enumerate(include or ()):
        if what not in allowed:
            raise InvalidParameterError(f"include[{index}]: expected {' or '.join(allowed)}, got {shown(what)}")
    return frozenset(include or ())
