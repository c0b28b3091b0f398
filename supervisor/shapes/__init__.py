"""ECS JSON in and out: requests, their validation, records from them, replies from records. Pure."""

from .arns import DEFINITION_NOT_FOUND, TASK_NOT_FOUND, Names
from .checks import cpu_units, mebibytes
from .definitions import definition_from
from .events import iso_time, parse_after, parse_since, render_event
from .labels import PRE_STOP, PRE_STOP_SHARE, StopPolicy, stop_policy
from .log_options import is_file_driver, log_bound
from .logs import LogsAsked, check_container_names, check_logs
from .metadata import render_inside_container, render_inside_task
from .pages import check_max_results, one_page, read_token
from .parse import parse_request
from .protection import (
    NOT_VALID,
    NOT_VALID_DETAIL,
    check_get_task_protection,
    check_update_task_protection,
    parse_state,
    render_protected_task,
    render_state,
    render_state_error,
    render_state_failure,
)
from .queries import (
    DefinitionAsked,
    TaskAsked,
    TaskFilter,
    check_describe_task_definition,
    check_describe_tasks,
    check_list_tasks,
    check_stop_reason,
    check_stop_task,
    check_stop_timeout,
)
from .render import render_definition, render_error, render_failure, render_tags, render_task
from .render_resources import Resources, render_cluster, render_instance
from .requests import OPERATIONS, Request
from .resources import (
    MAX_CHANGED,
    add_tags,
    check_definition_list,
    check_describe_clusters,
    check_describe_instances,
    check_family_list,
    check_list_instances,
    check_several,
    check_update_instances,
    cluster_from,
    find_cluster_names,
    parse_revision,
    parse_tagged,
    remove_tags,
    resource_not_found,
)
from .security import forbids_new_privileges, source_of
from .tasks import check_run_task, check_same_request, new_task, request_digest

__all__ = [
    "DEFINITION_NOT_FOUND",
    "MAX_CHANGED",
    "NOT_VALID",
    "NOT_VALID_DETAIL",
    "OPERATIONS",
    "PRE_STOP",
    "PRE_STOP_SHARE",
    "TASK_NOT_FOUND",
    "DefinitionAsked",
    "LogsAsked",
    "Names",
    "Request",
    "Resources",
    "StopPolicy",
    "TaskAsked",
    "TaskFilter",
    "add_tags",
    "check_container_names",
    "check_definition_list",
    "check_describe_clusters",
    "check_describe_instances",
    "check_describe_task_definition",
    "check_describe_tasks",
    "check_family_list",
    "check_get_task_protection",
    "check_list_instances",
    "check_list_tasks",
    "check_logs",
    "check_max_results",
    "check_run_task",
    "check_same_request",
    "check_several",
    "check_stop_reason",
    "check_stop_task",
    "check_stop_timeout",
    "check_update_instances",
    "check_update_task_protection",
    "cluster_from",
    "cpu_units",
    "definition_from",
    "find_cluster_names",
    "forbids_new_privileges",
    "is_file_driver",
    "iso_time",
    "log_bound",
    "mebibytes",
    "new_task",
    "one_page",
    "parse_after",
    "parse_request",
    "parse_revision",
    "parse_since",
    "parse_state",
    "parse_tagged",
    "read_token",
    "remove_tags",
    "render_cluster",
    "render_definition",
    "render_error",
    "render_event",
    "render_failure",
    "render_inside_container",
    "render_inside_task",
    "render_instance",
    "render_protected_task",
    "render_state",
    "render_state_error",
    "render_state_failure",
    "render_tags",
    "render_task",
    "request_digest",
    "resource_not_found",
    "source_of",
    "stop_policy",
]
