"""ECS JSON in and out: requests, their validation, records from them, replies from records. Pure."""

from .arns import DEFINITION_NOT_FOUND, TASK_NOT_FOUND, Names
from .definitions import definition_from
from .labels import StopPolicy, stop_policy
from .parse import parse_request
from .queries import (
    DefinitionAsked,
    TaskAsked,
    TaskFilter,
    check_describe_task_definition,
    check_describe_tasks,
    check_list_tasks,
    check_stop_reason,
    check_stop_task,
)
from .render import render_definition, render_error, render_failure, render_tags, render_task
from .requests import OPERATIONS, Request
from .tasks import check_run_task, new_task

__all__ = [
    "DEFINITION_NOT_FOUND",
    "OPERATIONS",
    "TASK_NOT_FOUND",
    "DefinitionAsked",
    "Names",
    "Request",
    "StopPolicy",
    "TaskAsked",
    "TaskFilter",
    "check_describe_task_definition",
    "check_describe_tasks",
    "check_list_tasks",
    "check_run_task",
    "check_stop_reason",
    "check_stop_task",
    "definition_from",
    "new_task",
    "parse_request",
    "render_definition",
    "render_error",
    "render_failure",
    "render_tags",
    "render_task",
    "stop_policy",
]
