"""What a client may ask: operation → handler and the kind of access that it needs. A missing entry is the refusal."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from supervisor.agent.service import Service

Handler = Callable[..., Awaitable[dict[str, Any]]]
"""Takes the service, the request, the caller, and what ``Action.headers`` names."""


class Access(enum.StrEnum):
    """What a caller must be allowed to do."""

    READ = "read"
    WRITE = "write"


class Action(NamedTuple):
    """One operation."""

    handler: Handler
    access: Access
    headers: Mapping[str, str] = {}
    """What can be said beside the body, which stock clients let have ECS's members only: header → keyword argument."""


ACTIONS: dict[str, Action] = {
    "RegisterTaskDefinition": Action(Service.register_task_definition, Access.WRITE),
    "DescribeTaskDefinition": Action(Service.describe_task_definition, Access.READ),
    "DeregisterTaskDefinition": Action(Service.deregister_task_definition, Access.WRITE),
    "ListTaskDefinitions": Action(Service.list_task_definitions, Access.READ),
    "ListTaskDefinitionFamilies": Action(Service.list_task_definition_families, Access.READ),
    "DeleteTaskDefinitions": Action(Service.delete_task_definitions, Access.WRITE),
    "RunTask": Action(Service.run_task, Access.WRITE),
    "StartTask": Action(Service.start_task, Access.WRITE),
    "StopTask": Action(Service.stop_task, Access.WRITE, {"x-supervisor-stop-timeout": "stop_timeout"}),
    "DescribeTasks": Action(Service.describe_tasks, Access.READ),
    "ListTasks": Action(Service.list_tasks, Access.READ),
    "CreateCluster": Action(Service.create_cluster, Access.WRITE),
    "DescribeClusters": Action(Service.describe_clusters, Access.READ),
    "ListClusters": Action(Service.list_clusters, Access.READ),
    "DeleteCluster": Action(Service.delete_cluster, Access.WRITE),
    "TagResource": Action(Service.tag_resource, Access.WRITE),
    "UntagResource": Action(Service.untag_resource, Access.WRITE),
    "ListTagsForResource": Action(Service.list_tags_for_resource, Access.READ),
    "ListContainerInstances": Action(Service.list_container_instances, Access.READ),
    "DescribeContainerInstances": Action(Service.describe_container_instances, Access.READ),
    "UpdateContainerInstancesState": Action(Service.update_container_instances_state, Access.WRITE),
    "GetTaskProtection": Action(Service.get_task_protection, Access.READ),
    "UpdateTaskProtection": Action(Service.update_task_protection, Access.WRITE),
}
