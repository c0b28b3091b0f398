"""From records to what an ECS client reads: members and types of the ECS model, times in seconds with milliseconds.

What is not known is left out (an exit code, a time that has not come); lists that ECS always shows are there, empty.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from supervisor.errors import SupervisorError
from supervisor.model import (
    MAX_REASON,
    Container,
    ContainerDefinition,
    ContainerOverride,
    LastStatus,
    NetworkBinding,
    Tag,
    Task,
    TaskDefinition,
)

BIND_IP = "0.0.0.0"  # noqa: S104 - shown, not bound: which addresses a process listens on is its own affair
COMPATIBILITIES = ["EXTERNAL", "EC2"]

_NOT_FILLED_IN = {"restartPolicy": "ignoredExitCodes", "healthCheck": "startPeriod"}
"""Of these, ECS shows the member only where it was given, and of what was left out beside it the default."""


def render_task(task: Task, *, include_tags: bool = False) -> dict[str, Any]:
    """A ``Task`` of the ECS model; its tags only where the request includes them."""
    rendered = {
        "attachments": [],
        "attributes": [],
        "clusterArn": task.cluster_arn,
        "connectivity": "CONNECTED",
        "connectivityAt": _time(task.created_at),
        "containerInstanceArn": task.container_instance_arn,
        "containers": [_render_container(container, task.task_arn) for container in task.containers],
        "cpu": task.cpu,
        "createdAt": _time(task.created_at),
        "desiredStatus": task.desired_status,
        "enableExecuteCommand": False,
        "executionStoppedAt": _time(task.execution_stopped_at),
        "group": task.group,
        "healthStatus": task.health_status,
        "lastStatus": task.last_status,
        "launchType": task.launch_type,
        "memory": task.memory,
        "overrides": _render_overrides(task),
        "startedAt": _time(task.started_at),
        "startedBy": task.started_by,
        "stopCode": task.stop_code,
        "stoppedAt": _time(task.stopped_at),
        "stoppedReason": _short(task.stopped_reason),
        "stoppingAt": _time(task.stopping_at),
        "tags": render_tags(task.tags) if include_tags else [],
        "taskArn": task.task_arn,
        "taskDefinitionArn": task.task_definition_arn,
        "version": task.version,
    }
    return _known(rendered)


def _render_container(container: Container, task_arn: str) -> dict[str, Any]:
    rendered = {
        "containerArn": container.container_arn,
        "taskArn": task_arn,
        "name": container.name,
        "image": container.image,
        "runtimeId": container.run_id,
        "lastStatus": container.last_status,
        "exitCode": None if container.exit is None else container.exit.exit_code,
        "reason": _short(container.reason),
        "networkBindings": _network_bindings(container),
        "networkInterfaces": [],
        "healthStatus": container.health_status,
        "managedAgents": [],
        "cpu": container.cpu,
        "memory": container.memory,
        "memoryReservation": container.memory_reservation,
    }
    return _known(rendered)


def _network_bindings(container: Container) -> list[dict[str, Any]]:
    """Shown from RUNNING on, and kept in the record; a container that never ran was bound to nothing."""
    if container.last_status is not LastStatus.RUNNING and container.started_at is None:
        return []
    return [
        msgspec.to_builtins(NetworkBinding(BIND_IP, port.container_port, port.on_host, port.protocol))
        for port in container.port_mappings
    ]


def _render_overrides(task: Task) -> dict[str, Any]:
    """Every container is named, as ECS does, whether anything of it was overridden or not."""
    given = {override.name: override for override in task.overrides}
    names = [container.name for container in task.containers]
    containers = [msgspec.to_builtins(given.get(name, ContainerOverride(name=name))) for name in names]
    for override in containers:
        if "environment" in override:
            override["environment"] = _pairs(override["environment"])
    return {"containerOverrides": containers, **task.task_overrides}


def render_definition(definition: TaskDefinition) -> dict[str, Any]:
    """A ``TaskDefinition`` of the ECS model, defaults filled in; its tags are beside it in a reply, not in it."""
    rendered = {
        "taskDefinitionArn": definition.task_definition_arn,
        "containerDefinitions": [_render_definition(one) for one in definition.container_definitions],
        "family": definition.family,
        "revision": definition.revision,
        "volumes": [],
        "status": definition.status,
        "requiresAttributes": [],
        "placementConstraints": [],
        "compatibilities": COMPATIBILITIES,
        "cpu": definition.cpu,
        "memory": definition.memory,
        "registeredAt": _time(definition.registered_at),
        "registeredBy": definition.registered_by,
        "deregisteredAt": _time(definition.deregistered_at),
        "deleteRequestedAt": _time(definition.delete_requested_at),
        **definition.echo,
    }
    return _known(rendered)


def _render_definition(container: ContainerDefinition) -> dict[str, Any]:
    members: dict[str, Any] = msgspec.to_builtins(container)
    members.pop("echo", None)
    defaults = {
        "cpu": 0,
        "essential": True,
        "environment": [],
        "mountPoints": [],
        "volumesFrom": [],
        "portMappings": [],
    }
    rendered = {**defaults, **members, **container.echo}
    rendered["environment"] = _pairs(rendered["environment"])
    rendered["portMappings"] = [{"hostPort": 0, "protocol": "tcp", **port} for port in rendered["portMappings"]]
    for name, unsaid in _NOT_FILLED_IN.items():
        if name in members:
            filled_in = {member: value for member, value in members[name].items() if member != unsaid}
            rendered[name] = filled_in | container.echo[name]
    return rendered


def render_tags(tags: Iterable[Tag]) -> list[dict[str, str]]:
    """``tags[]``."""
    return [{"key": tag.key, "value": tag.value} for tag in tags]


def render_failure(arn: str, reason: str = "MISSING", detail: str | None = None) -> dict[str, Any]:
    """One of ``failures[]``: what was asked for and is not there."""
    return _known({"arn": arn, "reason": reason, "detail": detail})


def render_error(error: Exception) -> dict[str, Any]:
    """The body of an error: its wire code and text. Of an error that is none of ours only that it happened."""
    if isinstance(error, SupervisorError):
        return {"__type": error.code, "message": str(error), **error.members}
    return {"__type": SupervisorError.code, "message": "the agent could not answer; its log says why"}


def _pairs(variables: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records leave defaults out; ECS shows an empty value."""
    return [{"value": "", **variable} for variable in variables]


def _known(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _time(at: float | None) -> float | None:
    return None if at is None else round(at, 3)


def _short(text: str | None) -> str | None:
    """None for an empty text too: a reason that says nothing is not shown."""
    return text[:MAX_REASON] if text else None
