"""What a client may ask: operation → handler and the kind of access that it needs. A missing entry is the refusal."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from supervisor.agent.service import Caller, Service

Handler = Callable[[Service, Any, Caller], Awaitable[dict[str, Any]]]


class Access(enum.StrEnum):
    """What a caller must be allowed to do."""

    READ = "read"
    WRITE = "write"


class Action(NamedTuple):
    """One operation."""

    handler: Handler
    access: Access


ACTIONS: dict[str, Action] = {
    "RegisterTaskDefinition": Action(Service.register_task_definition, Access.WRITE),
    "DescribeTaskDefinition": Action(Service.describe_task_definition, Access.READ),
    "RunTask": Action(Service.run_task, Access.WRITE),
    "StopTask": Action(Service.stop_task, Access.WRITE),
    "DescribeTasks": Action(Service.describe_tasks, Access.READ),
    "ListTasks": Action(Service.list_tasks, Access.READ),
}
