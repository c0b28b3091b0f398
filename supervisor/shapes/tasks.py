"""RunTask: the checks of its input against the definition, and the record of the task that it makes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

import msgspec

from supervisor import model
from supervisor.errors import ConflictError, InvalidParameterError, UnsupportedFeatureError
from supervisor.model import DefinitionStatus, TaskDefinition

from . import parts
from .arns import Names, shown
from .checks import (
    MAX_TAGS,
    check_arguments,
    check_container_size,
    check_environment,
    check_tags,
    check_task_size,
    check_text,
    cpu_units,
    mebibytes,
    says_something,
)
from .labels import max_runtime, restart_backoff, stop_budget, stop_policy
from .requests import RunTask
from .strict import check_strict_launch

MAX_COUNT = 10
MAX_OVERRIDES = 8192
"""Characters of ``overrides`` as JSON."""

MAX_GROUP = 255
STARTED_BY = re.compile(r"[A-Za-z0-9_/-]{0,128}")
CLIENT_TOKEN = re.compile(r"[!-~]{1,64}")
LAUNCH_TYPES = ("EC2", "FARGATE", "EXTERNAL")

REFUSED = (
    "capacityProviderStrategy",
    "enableExecuteCommand",
    "networkConfiguration",
    "volumeConfigurations",
)
"""Members of RunTask that one host cannot honour; placement is, as there is one place."""

REFUSED_OVERRIDES = ("inferenceAcceleratorOverrides", "ephemeralStorage")
REFUSED_CONTAINER_OVERRIDES = ("environmentFiles", "resourceRequirements")


def check_run_task(request: RunTask, definition: TaskDefinition, *, strict: bool = False) -> None:
    """Refuse what cannot be run, before anything is made: the error names the member's path.

    ``strict`` refuses also what only ECS refuses.
    """
    if definition.status is not DefinitionStatus.ACTIVE:
        raise InvalidParameterError("TaskDefinition is inactive")
    members = msgspec.to_builtins(request)
    for name in REFUSED:
        if says_something(members.get(name)):
            raise UnsupportedFeatureError(f"{name}: this host cannot do it; remove it")
    count = 1 if request.count is None else request.count
    if not 1 <= count <= MAX_COUNT:
        raise InvalidParameterError(f"count: expected 1 to {MAX_COUNT}, got {count}")
    check_launch_type(request.launch_type)
    if strict:
        check_strict_launch(request.launch_type, definition)
    _check_texts(request)
    _merged_tags(request, definition)
    _check_overrides(request.overrides or parts.TaskOverride(), definition)


def request_digest(request: RunTask, cluster: str) -> str:
    """Of what was asked, in the cluster of that name: the same for the same request, whenever it comes."""
    asked = msgspec.structs.replace(request, cluster=cluster, count=request.count or 1, client_token=None)
    return hashlib.blake2s(msgspec.json.encode(asked), digest_size=16).hexdigest()


def check_same_request(made: list[model.Task], digest: str) -> None:
    """``ConflictError`` if the tasks that a token made were made by another request than this one."""
    if any(task.request_digest != digest for task in made):
        raise ConflictError(
            "clientToken: it belongs to another request, whose tasks are in resourceIds; use a new one",
            [task.task_arn for task in made],
        )


def check_launch_type(text: str | None) -> None:
    """``EC2``, ``FARGATE`` or ``EXTERNAL``, or absent."""
    if text is not None and text not in LAUNCH_TYPES:
        raise InvalidParameterError(f"launch type should be one of [{','.join(LAUNCH_TYPES)}]")


def check_started_by(text: str | None) -> None:
    """Up to 128 letters, digits, ``-``, ``_`` and ``/``, or absent."""
    if text is not None and not STARTED_BY.fullmatch(text):
        raise InvalidParameterError(f"startedBy: expected up to 128 letters, digits, -, _ and /, got {shown(text)}")


def _check_texts(request: RunTask) -> None:
    check_started_by(request.started_by)
    if request.client_token is not None and not CLIENT_TOKEN.fullmatch(request.client_token):
        raise InvalidParameterError("clientToken: expected 1 to 64 printable ASCII characters without spaces")
    if request.group is not None:
        check_text(request.group, "group", InvalidParameterError)
        if len(request.group) > MAX_GROUP:
            raise InvalidParameterError(f"group: expected up to {MAX_GROUP} characters, got {len(request.group)}")
    if request.propagate_tags == "SERVICE":
        raise InvalidParameterError("propagateTags: SERVICE is for tasks of a service; use TASK_DEFINITION or NONE")
    if request.propagate_tags not in (None, "TASK_DEFINITION", "NONE"):
        raise InvalidParameterError(
            f"propagateTags: expected TASK_DEFINITION or NONE, got {shown(request.propagate_tags)}"
        )


def _merged_tags(request: RunTask, definition: TaskDefinition) -> tuple[model.Tag, ...]:
    """The request's tags, and with ``propagateTags`` the definition's that it does not replace."""
    tags = check_tags(request.tags, InvalidParameterError)
    if request.propagate_tags != "TASK_DEFINITION":
        return tags
    own = {tag.key for tag in tags}
    merged = (*tags, *(tag for tag in definition.tags if tag.key not in own))
    if len(merged) > MAX_TAGS:
        raise InvalidParameterError(f"tags: with the definition's there are {len(merged)}; {MAX_TAGS} are allowed")
    return merged


def _check_overrides(overrides: parts.TaskOverride, definition: TaskDefinition) -> None:
    if len(msgspec.json.encode(overrides).decode()) > MAX_OVERRIDES:
        raise InvalidParameterError(f"Container Overrides length must be at most {MAX_OVERRIDES}")
    members = msgspec.to_builtins(overrides)
    for name in REFUSED_OVERRIDES:
        if says_something(members.get(name)):
            raise UnsupportedFeatureError(f"overrides.{name}: this host cannot do it; remove it")
    check_task_size(overrides.cpu, overrides.memory, "overrides.", InvalidParameterError)
    _container_overrides(overrides, definition)


def _container_overrides(
    overrides: parts.TaskOverride, definition: TaskDefinition
) -> dict[str, model.ContainerOverride]:
    """By container name; empty overrides, which ECS allows, are left out."""
    defined = {container.name: container for container in definition.container_definitions}
    found: dict[str, model.ContainerOverride] = {}
    for index, override in enumerate(overrides.container_overrides or ()):
        path = f"overrides.containerOverrides[{index}]"
        if override == parts.ContainerOverride():
            continue
        if not override.name:
            raise InvalidParameterError(f"{path}.name: required, but missing")
        if override.name not in defined:
            raise InvalidParameterError(
                f"Override for container named {override.name[:255]} is not a container in the TaskDefinition."
            )
        if override.name in found:
            raise InvalidParameterError(f"{path}.name: {override.name} is overridden twice; make it one override")
        found[override.name] = _container_override(override, defined[override.name], path)
    return found


def _container_override(
    override: parts.ContainerOverride, container: model.ContainerDefinition, path: str
) -> model.ContainerOverride:
    members = msgspec.to_builtins(override)
    for name in REFUSED_CONTAINER_OVERRIDES:
        if says_something(members.get(name)):
            raise UnsupportedFeatureError(f"{path}.{name}: this host cannot do it; remove it")
    command = check_arguments(override.command, f"{path}.command", InvalidParameterError)
    if command and not command[0] and not container.entry_point:
        raise InvalidParameterError(f"{path}.command[0]: the program's name is empty; give its path or name")
    check_container_size(
        override.cpu,
        override.memory,
        override.memory_reservation,
        path,
        InvalidParameterError,
    )
    return model.ContainerOverride(
        name=container.name,
        command=command or None,
        environment=check_environment(override.environment, f"{path}.environment", InvalidParameterError),
        cpu=override.cpu,
        memory=override.memory,
        memory_reservation=override.memory_reservation,
    )


def new_task(
    request: RunTask,
    definition: TaskDefinition,
    names: Names,
    *,
    task_id: str,
    container_uuids: Iterator[str],
    container_instance_arn: str,
    created_at: float,
    default_stop_timeout: float,
) -> model.Task:
    """One task of a request that ``check_run_task`` has passed: PENDING, with all its containers planned.

    ``task_id`` is 32 hex digits; ``container_uuids`` gives one UUID per container, in the definition's order;
    ``created_at`` is Unix time in seconds, ``default_stop_timeout`` the agent's ``stop.timeout``.
    """
    overrides = request.overrides or parts.TaskOverride()
    by_name = _container_overrides(overrides, definition)
    containers = tuple(
        _new_container(
            container,
            by_name.get(container.name),
            arn=names.container_arn(next(container_uuids)),
            default_stop_timeout=default_stop_timeout,
        )
        for container in definition.container_definitions
    )
    whole = msgspec.to_builtins(overrides)
    whole.pop("containerOverrides", None)
    return model.Task(
        task_id=task_id,
        task_arn=names.task_arn(task_id),
        cluster_arn=names.cluster_arn(),
        task_definition_arn=definition.task_definition_arn,
        container_instance_arn=container_instance_arn,
        family=definition.family,
        group=request.group or f"family:{definition.family}",
        created_at=created_at,
        containers=containers,
        overrides=tuple(by_name.values()),
        task_overrides=whole,
        launch_type=request.launch_type or "EXTERNAL",
        started_by=request.started_by or None,
        cpu=overrides.cpu or definition.cpu or str(_reserved_cpu(None, containers)),
        memory=overrides.memory or definition.memory or _total_memory(containers),
        tags=_merged_tags(request, definition),
        client_token=request.client_token,
        request_digest=None if request.client_token is None else request_digest(request, names.cluster),
        reserved_cpu=_reserved_cpu(overrides.cpu or definition.cpu, containers),
        reserved_memory=_reserved_memory(overrides.memory or definition.memory, containers),
        stop_budget=stop_budget(definition.container_definitions),
    )


def _new_container(
    container: model.ContainerDefinition,
    override: model.ContainerOverride | None,
    *,
    arn: str,
    default_stop_timeout: float,
) -> model.Container:
    override = override or model.ContainerOverride(name=container.name)
    cpu = container.cpu if override.cpu is None else override.cpu
    memory = override.memory or container.memory
    reservation = override.memory_reservation or container.memory_reservation
    policy = container.restart_policy
    return model.Container(
        name=container.name,
        container_arn=arn,
        essential=container.essential,
        depends_on=container.depends_on,
        start_timeout=float(container.start_timeout) if container.start_timeout else None,
        restart_policy=policy if policy is not None and policy.enabled else None,
        restart_backoff=restart_backoff(container),
        health_check=container.health_check,
        max_runtime=max_runtime(container),
        stop_timeout=stop_policy(container, default_stop_timeout).timeout,
        image=container.image,
        cpu=str(cpu),
        memory=None if memory is None else str(memory),
        memory_reservation=None if reservation is None else str(reservation),
        port_mappings=container.port_mappings,
    )


def _total_memory(containers: tuple[model.Container, ...]) -> str | None:
    """Where the task says nothing, its containers' limits added up, as ECS does; None where they say nothing."""
    sizes = [container.memory or container.memory_reservation for container in containers]
    known = [int(size) for size in sizes if size is not None]
    return str(sum(known)) if known else None


def _reserved_cpu(whole: str | None, containers: tuple[model.Container, ...]) -> int:
    """What is set aside: what the task says, else its containers added up."""
    return cpu_units(whole) if whole is not None else sum(int(container.cpu) for container in containers)


def _reserved_memory(whole: str | None, containers: tuple[model.Container, ...]) -> int:
    """The same of memory; as ECS does, a container's soft limit is what counts, where it has one."""
    if whole is not None:
        return mebibytes(whole)
    return sum(int(container.memory_reservation or container.memory or 0) for container in containers)
