"""A version of a task as the event that EventBridge would carry: *ECS Task State Change*."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from supervisor.errors import InvalidParameterError
from supervisor.model import Task

from .arns import shown
from .render import render_task

_NO_HEALTH = ("healthStatus",)
"""ECS tells of health by other means; its events do not carry it."""


def iso_time(at: float) -> str:
    """RFC 3339 in UTC, with milliseconds."""
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def render_event(task: Task, at: float) -> dict[str, Any]:
    """The event of this version of the task, which came to be at ``at``. Made again, it has the same id."""
    _, _, _, region, account, _ = task.task_arn.split(":", 5)
    detail: dict[str, Any] = {
        name: iso_time(value) if name.endswith("At") else value
        for name, value in render_task(task, include_tags=True).items()
        if name not in _NO_HEALTH
    }
    detail["containers"] = [
        {name: value for name, value in container.items() if name not in _NO_HEALTH}
        for container in detail["containers"]
    ]
    return {
        "version": "0",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{task.task_arn}#{task.version}")),
        "detail-type": "ECS Task State Change",
        "source": "aws.ecs",
        "account": account,
        "time": iso_time(at),
        "region": region,
        "resources": [task.task_arn],
        "detail": {**detail, "updatedAt": iso_time(at)},
    }


def parse_after(text: str | None) -> int:
    """The number of an event, 0 for the beginning of the journal."""
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise InvalidParameterError(f"after: expected the seq of an event, got {shown(text)}")
    return int(text)


def parse_since(text: str) -> float:
    """Unix time out of seconds, or of an ISO 8601 time; one without an offset is UTC."""
    try:
        at = float(text)
    except ValueError:
        try:
            moment = dt.datetime.fromisoformat(text)
            at = (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()
        except (ValueError, OverflowError):
            at = float("nan")
    if not abs(at) < 1e15:
        raise InvalidParameterError(f"since: expected Unix time or a time as 2026-01-31T12:00:00Z, got {shown(text)}")
    return at
