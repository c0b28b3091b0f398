"""Task protection: the two operations of ECS, and the endpoint by which a task asks for it itself."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from supervisor.errors import InvalidParameterError
from supervisor.model import Task

from .arns import Names
from .events import iso_time
from .queries import MAX_DESCRIBED, TaskAsked, check_tasks
from .requests import GetTaskProtection, UpdateTaskProtection

MAX_UPDATED = 10
"""Tasks that one UpdateTaskProtection may name."""

MINUTES_MOST = 2880
MINUTES = 120
"""Unless said."""

NOT_VALID = "TASK_NOT_VALID"
NOT_VALID_DETAIL = "The task is stopping or has stopped."


class ProtectionAsked(NamedTuple):
    """Which tasks to protect and for how many minutes; None ends the protection."""

    tasks: list[TaskAsked]
    minutes: int | None


def check_get_task_protection(request: GetTaskProtection, names: Names) -> list[TaskAsked]:
    """The tasks asked about."""
    return check_tasks(request.tasks or [], MAX_DESCRIBED, names)


def check_update_task_protection(request: UpdateTaskProtection, names: Names) -> ProtectionAsked:
    """What is asked for. Minutes where protection ends say nothing."""
    tasks = check_tasks(request.tasks, MAX_UPDATED, names)
    minutes = _minutes(request.expires_in_minutes, "expiresInMinutes")
    return ProtectionAsked(tasks, minutes if request.protection_enabled else None)


def render_protected_task(task: Task, now: float) -> dict[str, Any]:
    """One of ``protectedTasks[]``."""
    if not task.is_protected(now):
        return {"taskArn": task.task_arn, "protectionEnabled": False}
    return {"taskArn": task.task_arn, "protectionEnabled": True, "expirationDate": task.protected_until}


class _State(msgspec.Struct, forbid_unknown_fields=True, rename="pascal"):
    """The body of a ``PUT …/task-protection/v1/state``."""

    protection_enabled: bool | None = None
    expires_in_minutes: int | None = None


def parse_state(body: bytes) -> int | None:
    """The minutes that a task asks for itself; None ends its protection. `InvalidParameterError` in ECS's words."""
    try:
        state = msgspec.json.decode(body, type=_State)
    except (ValueError, RecursionError):
        raise InvalidParameterError("UpdateTaskProtection: failed to decode request") from None
    if state.protection_enabled is None:
        raise InvalidParameterError("Invalid request: does not contain 'ProtectionEnabled' field")
    minutes = _minutes(state.expires_in_minutes, "ExpiresInMinutes")
    return minutes if state.protection_enabled else None


def render_state(task: Task, now: float) -> dict[str, Any]:
    """What a task is told of its protection."""
    until = task.protected_until if task.is_protected(now) else None
    date = None if until is None else iso_time(until)
    return {"protection": {"ProtectionEnabled": until is not None, "ExpirationDate": date, "TaskArn": task.task_arn}}


def render_state_failure(task: Task) -> dict[str, Any]:
    """What a task is told that cannot be protected any more."""
    return {"failure": {"Arn": task.task_arn, "Reason": NOT_VALID, "Detail": NOT_VALID_DETAIL}}


def render_state_error(code: str, message: str, arn: str, request_id: str) -> dict[str, Any]:
    """What a task is told whose request is wrong."""
    return {"requestID": request_id, "error": {"Arn": arn, "Code": code, "Message": message}}


def _minutes(given: int | None, member: str) -> int:
    minutes = MINUTES if given is None else given
    if not 1 <= minutes <= MINUTES_MOST:
        raise InvalidParameterError(f"{member}: expected 1 to {MINUTES_MOST}, got {minutes}")
    return minutes
