"""A container of a task as the keeper is asked to start it."""

from __future__ import annotations

from typing import Any

from supervisor import shapes, wire
from supervisor.model import Container, ContainerDefinition, Task, TaskDefinition

OF_TASK = frozenset(
    f"SUPERVISOR_{name}" for name in ("CLUSTER", "TASK_ARN", "TASK_DEFINITION", "CONTAINER_NAME", "STOP_TIMEOUT")
)
"""The variables that every container has from its task."""

_MIB = 1024 * 1024
_FILE_DRIVERS = ("file", "json-file")


def spawn_request(
    task: Task, definition: TaskDefinition, container_name: str, run_id: str, environ: dict[str, str]
) -> wire.Spawn:
    """The request for that run: the definition with the task's overrides applied, and the agent's ``environ``."""
    container = task.container(container_name)
    defined = next(one for one in definition.container_definitions if one.name == container_name)
    policy = shapes.stop_policy(defined, container.stop_timeout)
    log = defined.log_configuration
    driver = "file" if log is None or log.log_driver in _FILE_DRIVERS else log.log_driver
    tag = log.options.get("tag", container_name) if log is not None else container_name
    return wire.Spawn(
        run=run_id,
        task=task.task_id,
        container=container_name,
        argv=_argv(task, defined),
        environ=_environ(task, defined) | environ,
        cwd=defined.working_directory or "/",
        user=defined.user,
        ulimits=[(limit.name, limit.soft_limit, limit.hard_limit) for limit in defined.ulimits],
        log_driver=driver,
        log_tag=tag,
        stop_signals=list(policy.signals),
        stop_scope=policy.scope.value,
        stop_timeout=container.stop_timeout,
        pre_stop=list(policy.pre_stop),
        pre_stop_share=shapes.PRE_STOP_SHARE,
        secrets={secret.name: shapes.source_of(secret) for secret in defined.secrets},
        no_new_privileges=shapes.forbids_new_privileges(defined),
        **_limits(task, container, definition),
    )


def _limits(task: Task, container: Container, definition: TaskDefinition) -> dict[str, Any]:
    """What the cgroups of the run and of its task are limited to.

    ``memory`` is the hard limit; ``memoryReservation`` what the kernel does not take away while there is memory without
    a reservation to be had elsewhere (memory.low, as runc does it; memory.high would slow the container down although
    the host has memory to spare). CPU units are shares of what there is: 1024, one vCPU, are the kernel's default
    weight, which is also that of who says nothing.
    """
    whole = task.task_overrides.get("memory") or definition.memory  # the record's may be but a sum of reservations
    reserved = [int(one.memory_reservation) for one in task.containers if one.memory_reservation is not None]
    return {
        "memory_max": _bytes(container.memory),
        "memory_low": _bytes(container.memory_reservation),
        "cpu_weight": _weight(int(container.cpu)),
        "task_memory_max": shapes.mebibytes(whole) * _MIB or None if whole else None,
        "task_memory_low": sum(reserved) * _MIB or None,
        "task_cpu_weight": _weight(shapes.cpu_units(task.cpu)) if task.cpu else None,
    }


def _bytes(mib: str | None) -> int | None:
    return None if mib is None else int(mib) * _MIB


def _weight(units: int) -> int | None:
    return min(max(round(units * 100 / 1024), 1), 10000) if units else None


def _argv(task: Task, defined: ContainerDefinition) -> list[str]:
    command = defined.command
    for override in task.overrides:
        if override.name == defined.name and override.command is not None:
            command = override.command
    return [*defined.entry_point, *command]


def _environ(task: Task, defined: ContainerDefinition) -> dict[str, str]:
    """What the definition says, what the task overrides, and who it is; the keeper adds the user's own."""
    environ = {pair.name: pair.value for pair in defined.environment}
    for override in task.overrides:
        if override.name == defined.name:
            environ |= {pair.name: pair.value for pair in override.environment}
    return environ | {
        "SUPERVISOR_CLUSTER": task.cluster,
        "SUPERVISOR_TASK_ARN": task.task_arn,
        "SUPERVISOR_TASK_DEFINITION": task.task_definition_arn.rpartition("/")[2],
        "SUPERVISOR_CONTAINER_NAME": defined.name,
        "SUPERVISOR_STOP_TIMEOUT": f"{task.container(defined.name).stop_timeout:g}",
    }
