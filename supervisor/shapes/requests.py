"""One structure per ECS operation: its input, with all members of the ECS model, each with its help text.

The command line is made from these structures, the API parses bodies into them (``parse``). A docstring says
what the operation does; ``about`` says what a member is.
Source: botocore 1.44.5, ``ecs/2014-11-13/service-2.json``.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from .containers import ContainerDefinition
from .parts import (
    EphemeralStorage,
    Integer,
    Loose,
    PlacementConstraint,
    PlacementStrategy,
    RuntimePlatform,
    Shape,
    Tag,
    TaskOverride,
    Volume,
    about,
)
from .resource_requests import RESOURCE_OPERATIONS, ResourceRequest


class RegisterTaskDefinition(Shape, frozen=True, kw_only=True):
    """Register a new revision of a task definition: the recipe that `run-task` runs."""

    family: Annotated[
        str,
        about("The name under which revisions are counted, up to 255 letters, digits, `-` and `_`."),
    ]
    task_role_arn: Annotated[str | None, about("Kept and shown; nothing here assumes roles.")] = None
    execution_role_arn: Annotated[str | None, about("Kept and shown; nothing here assumes roles.")] = None
    network_mode: Annotated[
        str | None,
        about("`host`, `bridge` or `none`: kept and shown, the host's network is used. `awsvpc` is refused."),
    ] = None
    container_definitions: Annotated[
        list[ContainerDefinition],
        about("The containers, each one main process and all that descends from it; at least one is essential."),
    ]
    volumes: Annotated[
        list[Volume] | None,
        about("Directories of the host that mount points name; each is seen at its own path and nowhere else."),
    ] = None
    placement_constraints: Annotated[
        list[PlacementConstraint] | None, about("Kept and shown; there is one host to be placed on.")
    ] = None
    requires_compatibilities: Annotated[
        list[str] | None, about("Launch types that the definition is meant for; kept and shown.")
    ] = None
    cpu: Annotated[str | None, about("CPU units of the whole task, such as `512`.")] = None
    memory: Annotated[str | None, about("Memory of the whole task in MiB, such as `1024`.")] = None
    tags: Annotated[list[Tag] | None, about("Up to 50 tags for the definition.")] = None
    pid_mode: Annotated[str | None, about("`host` or `task`; kept and shown, processes see the host's.")] = None
    ipc_mode: Annotated[str | None, about("`host`, `task` or `none`; kept and shown.")] = None
    proxy_configuration: Annotated[Loose | None, about("An App Mesh proxy; not supported.")] = None
    inference_accelerators: Annotated[list[Loose] | None, about("Elastic Inference; not supported.")] = None
    ephemeral_storage: Annotated[EphemeralStorage | None, about("Accepted and kept; has no effect.")] = None
    runtime_platform: Annotated[RuntimePlatform | None, about("Kept and shown; a Windows family is refused.")] = None
    enable_fault_injection: Annotated[bool | None, about("Fault injection; true is not supported.")] = None
    trusted_execution_configuration: Annotated[Loose | None, about("Trusted execution; not supported.")] = None


class DescribeTaskDefinition(Shape, frozen=True, kw_only=True):
    """Show one revision of a task definition, or the latest active one of a family."""

    task_definition: Annotated[
        str,
        about("The `family` for its latest active revision, `family:revision`, or the full ARN."),
    ]
    include: Annotated[list[str] | None, about("What else to show: `TAGS`.")] = None


class DeregisterTaskDefinition(Shape, frozen=True, kw_only=True):
    """Make one revision INACTIVE: no new tasks are run from it, and tasks that run are left alone."""

    task_definition: Annotated[str, about("`family:revision`, or the full ARN.")]


class ListTaskDefinitions(Shape, frozen=True, kw_only=True):
    """List the ARNs of task definitions, the active ones unless asked otherwise."""

    family_prefix: Annotated[str | None, about("Only revisions of this family; the whole name, as in ECS.")] = None
    status: Annotated[str | None, about("`ACTIVE` (as when absent), `INACTIVE` or `DELETE_IN_PROGRESS`.")] = None
    sort: Annotated[
        str | None, about("`ASC` (as when absent), by family and revision, or `DESC`, the latest revision first.")
    ] = None
    next_token: Annotated[str | None, about("The `nextToken` of the reply before, to go on from there.")] = None
    max_results: Annotated[Integer | None, about("How many ARNs a reply may hold, 1 to 100 (as when absent).")] = None


class ListTaskDefinitionFamilies(Shape, frozen=True, kw_only=True):
    """List the families of task definitions."""

    family_prefix: Annotated[str | None, about("Only families that begin so.")] = None
    status: Annotated[
        str | None,
        about("`ACTIVE`: with an active revision; `INACTIVE`: with none; `ALL` (as when absent)."),
    ] = None
    next_token: Annotated[str | None, about("The `nextToken` of the reply before, to go on from there.")] = None
    max_results: Annotated[Integer | None, about("How many names a reply may hold, 1 to 100 (as when absent).")] = None


class DeleteTaskDefinitions(Shape, frozen=True, kw_only=True):
    """Delete up to 10 revisions that are INACTIVE; each is gone when no task runs from it any more."""

    task_definitions: Annotated[list[str], about("Up to 10 of `family:revision`, or full ARNs.")]


class RunTask(Shape, frozen=True, kw_only=True):
    """Start one or more tasks from a task definition."""

    capacity_provider_strategy: Annotated[list[Loose] | None, about("Capacity providers; not supported.")] = None
    cluster: Annotated[
        str | None,
        about("The cluster to run in, by short name or ARN; when absent, the agent's cluster."),
    ] = None
    count: Annotated[Integer | None, about("How many tasks to start, 1 (as when absent) to 10.")] = None
    enable_ecs_managed_tags: Annotated[bool | None, about("Accepted; the agent adds no tags of its own.")] = (
        msgspec.field(name="enableECSManagedTags", default=None)
    )
    enable_execute_command: Annotated[bool | None, about("ECS Exec; true is not supported.")] = None
    group: Annotated[
        str | None,
        about("The group of the task, up to 255 characters; when absent, `family:` and the family."),
    ] = None
    launch_type: Annotated[
        str | None, about("`EC2`, `FARGATE` or `EXTERNAL` (as when absent); recorded, all run on this host.")
    ] = None
    network_configuration: Annotated[Loose | None, about("A VPC's subnets and groups; not supported.")] = None
    overrides: Annotated[
        TaskOverride | None, about("What differs from the definition in this run: command and environment.")
    ] = None
    placement_constraints: Annotated[
        list[PlacementConstraint] | None, about("Accepted; there is one host to be placed on.")
    ] = None
    placement_strategy: Annotated[
        list[PlacementStrategy] | None, about("Accepted; there is one host to be placed on.")
    ] = None
    platform_version: Annotated[str | None, about("The Fargate platform; accepted, has no effect.")] = None
    propagate_tags: Annotated[
        str | None,
        about("`TASK_DEFINITION` copies the definition's tags to the task; otherwise none are copied."),
    ] = None
    reference_id: Annotated[str | None, about("A reference of the caller's; accepted, has no effect.")] = None
    started_by: Annotated[
        str | None,
        about("Who started the task, up to 128 letters, digits, `-`, `_` and `/`; `list-tasks` filters on it."),
    ] = None
    tags: Annotated[list[Tag] | None, about("Up to 50 tags for the task.")] = None
    task_definition: Annotated[
        str,
        about("The `family` for its latest active revision, `family:revision`, or the full ARN."),
    ]
    client_token: Annotated[
        str | None,
        about("Up to 64 characters; the same token again answers with the same tasks and starts none."),
    ] = None
    volume_configurations: Annotated[list[Loose] | None, about("EBS volumes; not supported.")] = None


class StartTask(Shape, frozen=True, kw_only=True):
    """Start a task on each of the container instances given: on this host."""

    cluster: Annotated[
        str | None,
        about("The cluster to run in, by short name or ARN; when absent, the agent's cluster."),
    ] = None
    container_instances: Annotated[list[str], about("Up to 10 ids or ARNs of container instances.")]
    enable_ecs_managed_tags: Annotated[bool | None, about("Accepted; the agent adds no tags of its own.")] = (
        msgspec.field(name="enableECSManagedTags", default=None)
    )
    enable_execute_command: Annotated[bool | None, about("ECS Exec; true is not supported.")] = None
    group: Annotated[
        str | None,
        about("The group of the task, up to 255 characters; when absent, `family:` and the family."),
    ] = None
    network_configuration: Annotated[Loose | None, about("A VPC's subnets and groups; not supported.")] = None
    overrides: Annotated[
        TaskOverride | None, about("What differs from the definition in this run: command and environment.")
    ] = None
    propagate_tags: Annotated[
        str | None,
        about("`TASK_DEFINITION` copies the definition's tags to the task; otherwise none are copied."),
    ] = None
    reference_id: Annotated[str | None, about("A reference of the caller's; accepted, has no effect.")] = None
    started_by: Annotated[
        str | None,
        about("Who started the task, up to 128 letters, digits, `-`, `_` and `/`; `list-tasks` filters on it."),
    ] = None
    tags: Annotated[list[Tag] | None, about("Up to 50 tags for the task.")] = None
    task_definition: Annotated[
        str,
        about("The `family` for its latest active revision, `family:revision`, or the full ARN."),
    ]
    volume_configurations: Annotated[list[Loose] | None, about("EBS volumes; not supported.")] = None

    def as_run_task(self) -> RunTask:
        """What RunTask would be asked for: the same, with the place left to the host."""
        members = {name: getattr(self, name) for name in self.__struct_fields__ if name != "container_instances"}
        return RunTask(**members)


class StopTask(Shape, frozen=True, kw_only=True):
    """Stop a running task: each container gets its stop signal, and SIGKILL after its stop timeout.

    A container that exits within the timeout gets no SIGKILL. The signal is SIGTERM and the timeout 30
    seconds, unless the task definition or the agent's configuration say otherwise. The reply comes at once;
    describe-tasks shows the rest as it happens.
    """

    cluster: Annotated[
        str | None,
        about("The cluster that the task is in, by short name or ARN; when absent, the agent's cluster."),
    ] = None
    task: Annotated[str, about("The task to stop: its id or its full ARN.")]
    reason: Annotated[
        str | None,
        about("Why the task is stopped, up to 255 characters; shown as `stoppedReason` by describe-tasks."),
    ] = None


class DescribeTasks(Shape, frozen=True, kw_only=True):
    """Show up to 100 tasks; those that are not found are listed under `failures`."""

    cluster: Annotated[
        str | None,
        about("The cluster that the tasks are in, by short name or ARN; when absent, the agent's cluster."),
    ] = None
    tasks: Annotated[list[str], about("Up to 100 task ids or full ARNs.")]
    include: Annotated[list[str] | None, about("What else to show: `TAGS`.")] = None


class ListTasks(Shape, frozen=True, kw_only=True):
    """List the ARNs of tasks, the running ones unless asked otherwise."""

    cluster: Annotated[
        str | None,
        about("The cluster whose tasks are listed, by short name or ARN; when absent, the agent's cluster."),
    ] = None
    container_instance: Annotated[str | None, about("Only tasks of this container instance: its id or ARN.")] = None
    family: Annotated[str | None, about("Only tasks of this task definition family.")] = None
    next_token: Annotated[str | None, about("The `nextToken` of the reply before, to go on from there.")] = None
    max_results: Annotated[Integer | None, about("How many ARNs a reply may hold, 1 to 100 (as when absent).")] = None
    started_by: Annotated[
        str | None,
        about("Only tasks started with this `startedBy`; it cannot be combined with other filters."),
    ] = None
    service_name: Annotated[str | None, about("Only tasks of this service.")] = None
    desired_status: Annotated[
        str | None, about("`RUNNING` (as when absent), `STOPPED`, or `PENDING`, which never matches.")
    ] = None
    launch_type: Annotated[str | None, about("Only tasks of this launch type: `EC2`, `FARGATE` or `EXTERNAL`.")] = None
    daemon_name: Annotated[str | None, about("Only tasks of this daemon.")] = None


class GetTaskProtection(Shape, frozen=True, kw_only=True):
    """Show which tasks are protected, and until when; those that are not found are listed under `failures`."""

    cluster: Annotated[str, about("The cluster that the tasks are in, by short name or ARN.")]
    tasks: Annotated[list[str] | None, about("Up to 100 task ids or full ARNs.")] = None


class UpdateTaskProtection(Shape, frozen=True, kw_only=True):
    """Protect tasks for a time from whatever would stop them unasked; `stop-task` still stops them."""

    cluster: Annotated[str, about("The cluster that the tasks are in, by short name or ARN.")]
    tasks: Annotated[list[str], about("Up to 10 task ids or full ARNs.")]
    protection_enabled: Annotated[bool, about("True protects, false ends the protection.")]
    expires_in_minutes: Annotated[
        Integer | None, about("How long the protection lasts, 1 to 2880 minutes; when absent, 120.")
    ] = None


Request = (
    RegisterTaskDefinition
    | DescribeTaskDefinition
    | DeregisterTaskDefinition
    | ListTaskDefinitions
    | ListTaskDefinitionFamilies
    | DeleteTaskDefinitions
    | RunTask
    | StartTask
    | StopTask
    | DescribeTasks
    | ListTasks
    | GetTaskProtection
    | UpdateTaskProtection
    | ResourceRequest
)
"""The input of any operation."""

OPERATIONS: dict[str, type[Request]] = {
    "RegisterTaskDefinition": RegisterTaskDefinition,
    "DescribeTaskDefinition": DescribeTaskDefinition,
    "DeregisterTaskDefinition": DeregisterTaskDefinition,
    "ListTaskDefinitions": ListTaskDefinitions,
    "ListTaskDefinitionFamilies": ListTaskDefinitionFamilies,
    "DeleteTaskDefinitions": DeleteTaskDefinitions,
    "RunTask": RunTask,
    "StartTask": StartTask,
    "StopTask": StopTask,
    "DescribeTasks": DescribeTasks,
    "ListTasks": ListTasks,
    "GetTaskProtection": GetTaskProtection,
    "UpdateTaskProtection": UpdateTaskProtection,
    **RESOURCE_OPERATIONS,
}
"""By the name in ``X-Amz-Target``."""
