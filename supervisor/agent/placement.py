"""Whether the host has room for a task. What is taken is added up from the records: nothing to keep in step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from supervisor.model import InstanceStatus, Task
from supervisor.shapes import Resources

Ports = frozenset[tuple[int, str]]


class Host(Protocol):
    """What the host has; a test hands in one of its own."""

    @property
    def cpu(self) -> int:
        """CPU units, 1024 a core."""
        ...

    @property
    def memory(self) -> int:
        """MiB."""
        ...

    @property
    def architecture(self) -> str:
        """As ECS names it: ``x86_64`` or ``arm64``."""
        ...

    def bound_ports(self) -> Ports:
        """Ports that somebody listens on now, with their protocol (``tcp``, ``udp``)."""
        ...


def ports_of(task: Task) -> Ports:
    """The ports of the host that the task claims."""
    return frozenset((port.on_host, port.protocol) for each in task.containers for port in each.port_mappings)


def taken(tasks: Iterable[Task]) -> Resources:
    """What these tasks, none of them STOPPED, have of the host."""
    there = list(tasks)
    ports: Ports = frozenset().union(*map(ports_of, there))
    return Resources(
        cpu=sum(task.reserved_cpu for task in there), memory=sum(task.reserved_memory for task in there), ports=ports
    )


class Placement:
    """One request's view of the host: what it has given to tasks so far, and why it gives no more."""

    def __init__(self, host: Host, status: InstanceStatus, tasks: Iterable[Task]) -> None:
        self._host = host
        self._status = status
        self._taken = taken(tasks)

    def refusal(self, task: Task) -> str | None:
        """The reason why ECS would not place the task here, None where there is room for it."""
        if self._status is not InstanceStatus.ACTIVE:
            return "AGENT"
        if self._taken.cpu + task.reserved_cpu > self._host.cpu:
            return "RESOURCE:CPU"
        if self._taken.memory + task.reserved_memory > self._host.memory:
            return "RESOURCE:MEMORY"
        ports = ports_of(task)
        if ports and (ports & self._taken.ports or ports & self._host.bound_ports()):
            return "RESOURCE:PORTS"
        return None

    def take(self, task: Task) -> None:
        """The task has its share from now on."""
        self._taken = Resources(
            cpu=self._taken.cpu + task.reserved_cpu,
            memory=self._taken.memory + task.reserved_memory,
            ports=self._taken.ports | ports_of(task),
        )


def remaining(host: Host, tasks: Iterable[Task]) -> Resources:
    """What is left of the host."""
    used = taken(tasks)
    return Resources(cpu=host.cpu - used.cpu, memory=host.memory - used.memory, ports=used.ports)
