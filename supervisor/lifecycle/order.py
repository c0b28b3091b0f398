"""The order among containers: who may start, who can never start, whose turn it is to stop, and with what window.

Containers start when what they depend on has come true, and stop in the reverse order: one is asked to stop when all
that depend on it, directly or through others, are gone. Those that do not depend on each other stop side by side.
"""

from __future__ import annotations

from supervisor.lifecycle.events import DependencyFailed
from supervisor.model import Condition, Container, ContainerDependency, HealthStatus, LastStatus, Task


def may_start(task: Task, container: Container) -> bool:
    """Whether it waits for its first run, and for nothing else."""
    return _waits(container) and all(_is_met(task, dependency) for dependency in container.depends_on)


def find_failed(task: Task) -> DependencyFailed | None:
    """A container that waits for what can never be, if there is one."""
    for container in task.containers:
        if _waits(container):
            for dependency in container.depends_on:
                why = _why_never(task, dependency)
                if why is not None:
                    return DependencyFailed(container.name, dependency.container_name, why)
    return None


def waits_for_more(task: Task, container: Container, other: str) -> bool:
    """Whether the container waits for more of the other one than its start."""
    return _waits(container) and any(
        dependency.container_name == other
        and dependency.condition is not Condition.START
        and not _is_met(task, dependency)
        for dependency in container.depends_on
    )


def _waits(container: Container) -> bool:
    return container.last_status is LastStatus.PENDING and container.run_id is None


def _is_met(task: Task, dependency: ContainerDependency) -> bool:
    other = task.container(dependency.container_name)
    over = other.last_status is LastStatus.STOPPED
    match dependency.condition:
        case Condition.START:
            return other.started_at is not None
        case Condition.COMPLETE:
            return over and other.exit is not None
        case Condition.SUCCESS:
            return over and other.exit is not None and other.exit.exit_code == 0
        case Condition.HEALTHY:
            return not over and other.health_status is HealthStatus.HEALTHY


def _why_never(task: Task, dependency: ContainerDependency) -> str | None:
    """A clause on the other container, or None while it can still be."""
    other = task.container(dependency.container_name)
    if other.last_status is not LastStatus.STOPPED or _is_met(task, dependency):
        return None
    if other.started_at is None:
        return "did not start"
    if dependency.condition is Condition.HEALTHY:
        return "stopped before it was healthy"
    if other.exit is None:
        return "ended in a way that nobody can tell"
    return f"exited {other.exit.exit_code}"


def is_turn(task: Task, container: Container) -> bool:
    """Whether nothing that depends on it is left."""
    return not in_the_way(task, container)


def in_the_way(task: Task, container: Container) -> tuple[str, ...]:
    """Those that depend on it and are left; it is stopped after them. What SIGKILL did not end holds up nobody."""
    dependents = _dependents(task, container.name)
    left = (one for one in task.containers if one.last_status is not LastStatus.STOPPED and not one.stuck)
    return tuple(one.name for one in left if one.name in dependents)


def _dependents(task: Task, name: str) -> set[str]:
    """The names of all that depend on it, directly or through others."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        direct = {c.name for c in task.containers if any(d.container_name == one for d in c.depends_on)}
        waiting += direct - found
        found |= direct
    return found


def window(task: Task, container: Container, clock: float) -> float | None:
    """Seconds for a stop that begins now; None for the container's own.

    Where the task has a budget, what is left of it is shared along the longest chain from here on, each container by
    what it would have had: what an earlier one has not used is the later ones'.
    """
    if task.stop_deadline is None:
        return container.asked_timeout
    left = max(task.stop_deadline - clock, 0.0)
    chain = _chain(task, container)
    return container.asked_timeout if chain <= left else _own(container) * left / chain


def _own(container: Container) -> float:
    return container.stop_timeout if container.asked_timeout is None else container.asked_timeout


def _chain(task: Task, container: Container) -> float:
    """Seconds that it and those stopped after it would take at most, one after another."""
    after = [task.container(dependency.container_name) for dependency in container.depends_on]
    rest = [_chain(task, one) for one in after if one.last_status is not LastStatus.STOPPED]
    return _own(container) + max(rest, default=0.0)
