"""A task as its own processes see it: members and casing of ECS's task metadata endpoint, version 4.

Beside them stands what ECS does not tell: ``StopDeadline``, ``StopTimeLeft`` (seconds), ``StopReason`` and
``StopCode``, so that a program that was told to stop can see how long it has, and why. Members that a host of processes
knows nothing of (pulls, images' digests, availability zones) are left out.
"""

from __future__ import annotations

from typing import Any

from supervisor.model import Container, ContainerDefinition, LastStatus, Task, TaskDefinition

from .checks import cpu_units, mebibytes
from .events import iso_time

_LABEL = "com.amazonaws.ecs."


def render_inside_task(
    task: Task, definition: TaskDefinition, now: float, monotonic: float, *, tags: bool = False
) -> dict[str, Any]:
    """``/task``: the whole task, at ``now`` on the wall clock and ``monotonic`` on the other."""
    rendered = {
        "Cluster": task.cluster_arn.rpartition("/")[2],
        "TaskARN": task.task_arn,
        "Family": task.family,
        "Revision": str(definition.revision),
        "DesiredStatus": task.desired_status,
        "KnownStatus": task.last_status,
        "Limits": _task_limits(task),
        "LaunchType": task.launch_type,
        "Group": task.group,
        "CreatedAt": iso_time(task.created_at),
        "StartedAt": _iso(task.started_at),
        "ExecutionStoppedAt": _iso(task.execution_stopped_at),
        "TaskTags": {tag.key: tag.value for tag in task.tags} if tags else None,
        "Containers": [render_inside_container(task, one, definition, now, monotonic) for one in task.containers],
        **_stop(task, _last_deadline(task), now, monotonic),
    }
    return _known(rendered)


def render_inside_container(
    task: Task, container: Container, definition: TaskDefinition, now: float, monotonic: float
) -> dict[str, Any]:
    """The root of the endpoint: the container that asks."""
    defined = next(one for one in definition.container_definitions if one.name == container.name)
    log = defined.log_configuration
    rendered = {
        "DockerId": container.run_id,
        "Name": container.name,
        "DockerName": f"ecs-{task.family}-{definition.revision}-{container.name}-{task.task_id}",
        "Image": container.image,
        "Ports": [
            {
                "ContainerPort": port.container_port,
                "Protocol": port.protocol,
                "HostPort": port.host_port or port.container_port,
            }
            for port in container.port_mappings
        ]
        or None,
        "Labels": _labels(task, definition, defined),
        "DesiredStatus": task.desired_status,
        "KnownStatus": container.last_status,
        "ExitCode": None if container.exit is None else container.exit.exit_code,
        "Limits": _container_limits(container),
        "CreatedAt": iso_time(task.created_at),
        "StartedAt": _iso(container.started_at),
        "FinishedAt": _iso(container.stopped_at),
        "Type": "NORMAL",
        "LogDriver": None if log is None else log.log_driver,
        "LogOptions": None if log is None else log.options,
        "Health": _health(container),
        "RestartCount": None if container.restart_policy is None else container.restarts,
        "ContainerARN": container.container_arn,
        "Networks": [{"NetworkMode": "host"}],
        **_stop(task, container.deadline, now, monotonic),
    }
    return _known(rendered)


def _health(container: Container) -> dict[str, Any] | None:
    """What the last check that changed it said; None where nothing is checked."""
    if container.health_check is None:
        return None
    return _known(
        {
            "status": container.health_status,
            "statusSince": _iso(container.health_since),
            "exitCode": container.health_exit_code,
            "output": container.health_output,
        }
    )


def _labels(task: Task, definition: TaskDefinition, defined: ContainerDefinition) -> dict[str, str]:
    """Those of the definition, and those by which the ECS agent marks its containers."""
    return {
        **defined.docker_labels,
        f"{_LABEL}cluster": task.cluster_arn.rpartition("/")[2],
        f"{_LABEL}container-name": defined.name,
        f"{_LABEL}task-arn": task.task_arn,
        f"{_LABEL}task-definition-family": task.family,
        f"{_LABEL}task-definition-version": str(definition.revision),
    }


def _task_limits(task: Task) -> dict[str, float] | None:
    """Of the whole task, in vCPUs and MiB, as far as somebody said them."""
    cpu = cpu_units(task.cpu) / 1024 if task.cpu else None
    return _known({"CPU": cpu or None, "Memory": mebibytes(task.memory) if task.memory else None}) or None


def _container_limits(container: Container) -> dict[str, int]:
    memory = container.memory or container.memory_reservation
    return _known({"CPU": int(container.cpu), "Memory": int(memory) if memory is not None else None})


def _last_deadline(task: Task) -> float | None:
    """When nothing of the task is left any more. Who is stopped after others has no deadline of its own before."""
    waiting = any(one.deadline is None and one.last_status is LastStatus.RUNNING for one in task.containers)
    if waiting and task.stop_deadline is not None:
        return task.stop_deadline
    return max((one.deadline for one in task.containers if one.deadline is not None), default=None)


def _stop(task: Task, deadline: float | None, now: float, monotonic: float) -> dict[str, Any]:
    """What a stop under way means for who asks. The deadline is there as soon as the stop signal was sent."""
    left = None if deadline is None else max(deadline - monotonic, 0.0)
    return {
        "StopDeadline": None if left is None else iso_time(now + left),
        "StopTimeLeft": None if left is None else round(left, 3),
        "StopReason": task.stopped_reason,
        "StopCode": task.stop_code,
    }


def _iso(at: float | None) -> str | None:
    return None if at is None else iso_time(at)


def _known(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
