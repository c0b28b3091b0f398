"""Clusters and the container instance as ECS clients read them; in the manner of ``render``."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from supervisor.model import Cluster, ClusterStatus, ContainerInstance, LastStatus, Task

from .arns import Names
from .render import render_tags


class Resources(NamedTuple):
    """Of the host as a whole, or what is left of it."""

    cpu: int
    """Units, 1024 a core."""
    memory: int
    """MiB."""
    ports: frozenset[tuple[int, str]] = frozenset()
    """Those taken, with their protocol."""


def render_cluster(
    cluster: Cluster, names: Names, tasks: Iterable[Task], include: Collection[str] = ()
) -> dict[str, Any]:
    """A ``Cluster`` of the ECS model. ``names`` are those in it, ``tasks`` those of it that are not STOPPED."""
    there = list(tasks)
    running, pending = _count(there, LastStatus.RUNNING), _count(there, LastStatus.PENDING)
    return {
        "clusterArn": names.cluster_arn(),
        "clusterName": cluster.name,
        "status": cluster.status,
        "registeredContainerInstancesCount": 1 if cluster.status is ClusterStatus.ACTIVE else 0,
        "runningTasksCount": running,
        "pendingTasksCount": pending,
        "activeServicesCount": 0,
        "statistics": _statistics(there) if "STATISTICS" in include else [],
        "tags": render_tags(cluster.tags) if "TAGS" in include else [],
        "settings": cluster.echo.get("settings", []) if "SETTINGS" in include else [],
        "capacityProviders": [],
        "defaultCapacityProviderStrategy": [],
        **({"attachments": []} if "ATTACHMENTS" in include else {}),
        **_configuration(cluster, include),
    }


def _configuration(cluster: Cluster, include: Collection[str]) -> dict[str, Any]:
    shown = "CONFIGURATIONS" in include and "configuration" in cluster.echo
    return {"configuration": cluster.echo["configuration"]} if shown else {}


def _statistics(tasks: list[Task]) -> list[dict[str, str]]:
    """ECS's counts by launch type, of tasks and of the services that there are none of."""
    pairs: list[tuple[str, int]] = []
    for name, launch_type in (("EC2", "EC2"), ("Fargate", "FARGATE"), ("External", "EXTERNAL")):
        own = [task for task in tasks if task.launch_type == launch_type]
        pairs += [
            (f"running{name}TasksCount", _count(own, LastStatus.RUNNING)),
            (f"pending{name}TasksCount", _count(own, LastStatus.PENDING)),
            (f"active{name}ServiceCount", 0),
            (f"draining{name}ServiceCount", 0),
        ]
    return [{"name": name, "value": str(value)} for name, value in pairs]


def _count(tasks: list[Task], status: LastStatus) -> int:
    return sum(task.last_status is status for task in tasks)


def render_instance(
    instance: ContainerInstance,
    names: Names,
    tasks: Iterable[Task],
    *,
    registered: Resources,
    remaining: Resources,
    agent_version: str,
    architecture: str,
    include: Collection[str] = (),
) -> dict[str, Any]:
    """A ``ContainerInstance`` of the ECS model: the host, as the cluster of ``names`` and ``tasks`` sees it."""
    there = list(tasks)
    health = {"overallStatus": "OK", "details": []}
    return {
        "containerInstanceArn": names.container_instance_arn(instance.instance_id),
        "version": instance.version,
        "versionInfo": {"agentVersion": agent_version},
        "remainingResources": _resources(remaining),
        "registeredResources": _resources(registered),
        "status": instance.status,
        "agentConnected": True,
        "runningTasksCount": _count(there, LastStatus.RUNNING),
        "pendingTasksCount": _count(there, LastStatus.PENDING),
        "attributes": [
            {"name": "ecs.os-type", "value": "linux"},
            {"name": "ecs.cpu-architecture", "value": architecture},
        ],
        "registeredAt": round(instance.registered_at, 3),
        "attachments": [],
        "tags": render_tags(instance.tags) if "TAGS" in include else [],
        **({"healthStatus": health} if "CONTAINER_INSTANCE_HEALTH" in include else {}),
    }


def _resources(resources: Resources) -> list[dict[str, Any]]:
    """As ECS lists them; of ports those that are taken."""

    def number(name: str, value: int) -> dict[str, Any]:
        return {"name": name, "type": "INTEGER", "doubleValue": 0.0, "longValue": 0, "integerValue": value}

    def ports(name: str, protocol: str) -> dict[str, Any]:
        taken = [str(port) for port, used_by in sorted(resources.ports) if used_by == protocol]
        return {**number(name, 0), "type": "STRINGSET", "stringSetValue": taken}

    return [
        number("CPU", resources.cpu),
        number("MEMORY", resources.memory),
        ports("PORTS", "tcp"),
        ports("PORTS_UDP", "udp"),
    ]
