"""From RegisterTaskDefinition to the record of a task definition; every refusal names the member's path.

``verdicts`` judges each container by itself; here are the members of the task as a whole, and what containers
and volumes say of each other.
"""

from __future__ import annotations

import graphlib
from typing import Any

import msgspec

from supervisor import model
from supervisor.errors import ClientError
from supervisor.model import Condition

from .arns import FAMILY, Names, shown
from .checks import check_tags, check_task_size, check_text, says_something
from .containers import ContainerDefinition, MountPoint
from .labels import check_budgets
from .parts import Volume
from .requests import RegisterTaskDefinition
from .strict import check_strict
from .verdicts import CANNOT, judge_container

REFUSED = {
    "proxyConfiguration": CANNOT,
    "inferenceAccelerators": CANNOT,
    "enableFaultInjection": CANNOT,
    "trustedExecutionConfiguration": CANNOT,
}
"""Members of the task of which nothing can be obeyed."""

ALLOWED = {
    "networkMode": ("host", "bridge", "none"),
    "pidMode": ("host", "task"),
    "ipcMode": ("host", "task", "none"),
}
"""Members of the task that are kept, and their values."""

MAX_CONTAINERS = 10
COMPATIBILITIES = ("EC2", "FARGATE", "EXTERNAL", "MANAGED_INSTANCES")
OBEYED = frozenset({"family", "containerDefinitions", "cpu", "memory", "tags"})
OTHER_VOLUMES = (
    "dockerVolumeConfiguration",
    "efsVolumeConfiguration",
    "s3filesVolumeConfiguration",
    "fsxWindowsFileServerVolumeConfiguration",
    "configuredAtLaunch",
)


def definition_from(
    request: RegisterTaskDefinition,
    *,
    names: Names,
    revision: int,
    registered_at: float,
    registered_by: str | None = None,
    strict: bool = False,
) -> model.TaskDefinition:
    """The record; ``ClientError`` for what this host cannot run or this version does not support.

    ``registered_at`` is Unix time in seconds, ``registered_by`` the ARN of who asked. ``strict`` refuses also what
    only ECS refuses.
    """
    if not FAMILY.fullmatch(request.family):
        raise ClientError(f"family: expected 1 to 255 letters, digits, - and _, got {shown(request.family)}")
    members: dict[str, Any] = msgspec.to_builtins(request)
    _check_task(members)
    check_task_size(request.cpu, request.memory, "", ClientError)
    tags = check_tags(request.tags, ClientError)
    definition = model.TaskDefinition(
        task_definition_arn=names.task_definition_arn(request.family, revision),
        family=request.family,
        revision=revision,
        container_definitions=_containers(request.container_definitions, request.volumes or []),
        registered_at=registered_at,
        registered_by=registered_by,
        cpu=request.cpu,
        memory=request.memory,
        tags=tags,
        echo={name: value for name, value in members.items() if name not in OBEYED},
    )
    if strict:
        check_strict(definition)
    return definition


def _check_task(members: dict[str, Any]) -> None:
    for name, why in REFUSED.items():
        if says_something(members.get(name)):
            raise ClientError(f"{name}: {why}")
    if members.get("networkMode") == "awsvpc":
        raise ClientError("networkMode: a process host cannot do awsvpc; use host")
    for name, allowed in ALLOWED.items():
        if name in members and members[name] not in allowed:
            raise ClientError(f"{name}: expected one of {', '.join(allowed)}, got {shown(members[name])}")
    for index, launch_type in enumerate(members.get("requiresCompatibilities", ())):
        if launch_type not in COMPATIBILITIES:
            one_of = ", ".join(COMPATIBILITIES)
            raise ClientError(f"requiresCompatibilities[{index}]: expected one of {one_of}, got {shown(launch_type)}")
    family = members.get("runtimePlatform", {}).get("operatingSystemFamily", "LINUX")
    if family != "LINUX":
        raise ClientError(f"runtimePlatform.operatingSystemFamily: expected LINUX, got {shown(family)}")


def _containers(given: list[ContainerDefinition], volumes: list[Volume]) -> tuple[model.ContainerDefinition, ...]:
    if not given:
        raise ClientError("Container list cannot be empty.")
    if len(given) > MAX_CONTAINERS:
        raise ClientError(f"containerDefinitions: expected up to {MAX_CONTAINERS}, got {len(given)}")
    sources = _volumes(volumes)
    judged: dict[str, model.ContainerDefinition] = {}
    for index, container in enumerate(given):
        path = f"containerDefinitions[{index}]"
        record = judge_container(container, path)
        if record.name in judged:
            raise ClientError(f"{path}.name: {record.name} is the name of another container too; rename one")
        _check_mount_points(container.mount_points or [], sources, path)
        judged[record.name] = record
    if not any(container.essential for container in judged.values()):
        raise ClientError("Task definition doesn't have any essential container.")
    _check_dependencies(judged)
    _check_ports(judged)
    check_budgets(judged.values())
    return tuple(judged.values())


def _volumes(volumes: list[Volume]) -> dict[str, str]:
    """The directory of the host behind each volume, by the volume's name."""
    sources: dict[str, str] = {}
    for index, volume in enumerate(volumes):
        path = f"volumes[{index}]"
        members: dict[str, Any] = msgspec.to_builtins(volume)
        for name in OTHER_VOLUMES:
            if says_something(members.get(name)):
                raise ClientError(f"{path}.{name}: {CANNOT}, and name a directory in host.sourcePath")
        if not volume.name or not FAMILY.fullmatch(volume.name):
            raise ClientError(f"{path}.name: expected 1 to 255 letters, digits, - and _")
        if volume.name in sources:
            raise ClientError(f"{path}.name: {volume.name} is the name of another volume too; rename one")
        source = (volume.host and volume.host.source_path) or ""
        check_text(source, f"{path}.host.sourcePath", ClientError)
        if not source.startswith("/"):
            raise ClientError(f"{path}.host.sourcePath: expected the absolute path of a directory of the host")
        sources[volume.name] = source
    return sources


def _check_mount_points(points: list[MountPoint], sources: dict[str, str], path: str) -> None:
    """Processes see the host's files: a volume can only be where it is."""
    for index, point in enumerate(points):
        here = f"{path}.mountPoints[{index}]"
        if point.source_volume not in sources:
            raise ClientError(f"{here}.sourceVolume: no volume has the name {shown(point.source_volume or '')}")
        source = sources[point.source_volume]
        if point.container_path != source:
            raise ClientError(
                f"{here}.containerPath: a process host cannot mount {shown(source)} elsewhere; set it to that path"
            )
        if point.read_only:
            raise ClientError(f"{here}.readOnly: {CANNOT}")


def _check_ports(containers: dict[str, model.ContainerDefinition]) -> None:
    """All containers are on the host's network: a port can be one container's only."""
    claimed: dict[tuple[int, str], str] = {}
    for index, container in enumerate(containers.values()):
        for number, port in enumerate(container.port_mappings):
            path = f"containerDefinitions[{index}].portMappings[{number}]"
            owner = claimed.setdefault((port.on_host, port.protocol), path)
            if owner != path:
                raise ClientError(f"{path}: host port {port.on_host}/{port.protocol} is claimed by {owner}; change one")


def _check_dependencies(containers: dict[str, model.ContainerDefinition]) -> None:
    """Every ``dependsOn`` names another container that can come to its condition, and none waits for itself."""
    for index, container in enumerate(containers.values()):
        for number, dependency in enumerate(container.depends_on):
            path = f"containerDefinitions[{index}].dependsOn[{number}]"
            before = containers.get(dependency.container_name)
            if before is None:
                raise ClientError(f"{path}.containerName: no container has the name {shown(dependency.container_name)}")
            _check_condition(dependency.condition, before, f"{path}.condition")
    order = graphlib.TopologicalSorter(
        {name: [d.container_name for d in container.depends_on] for name, container in containers.items()}
    )
    try:
        order.prepare()
    except graphlib.CycleError as error:
        # graphlib names each before the one that waits for it; dependsOn is read the other way
        cycle = " -> ".join(reversed(error.args[1]))
        raise ClientError(f"containerDefinitions: dependsOn goes round in a circle, {cycle}; remove one") from None


def _check_condition(condition: Condition, before: model.ContainerDefinition, path: str) -> None:
    if condition in (Condition.SUCCESS, Condition.COMPLETE) and before.essential:
        raise ClientError("A dependency container with SUCCESS or COMPLETE condition cannot be an essential container")
    if condition is Condition.HEALTHY and before.health_check is None:
        raise ClientError(
            f"{path}: {before.name} has no healthCheck, so it never is HEALTHY; give it one, or use START"
        )
