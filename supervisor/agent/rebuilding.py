"""Records of tasks whose records are lost, from what the keeper and the kernel still know of them.

A run that the keeper holds and no record names is described by it: what it was started with, and which process it is.
Its environment tells the task, the definition and the container, since every container is told them. So the task has
its id, its ARN and its containers again, can be described and stopped, and its exit is recorded. What nobody knows any
more is left out: tags, overrides, health checks, restart policies, dependencies. The definition made for it is
INACTIVE: no new task is to be run from half a recipe.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable
from typing import NamedTuple

from supervisor import shapes, wire
from supervisor.agent.events import entries
from supervisor.agent.inside import OF_CONTAINER
from supervisor.agent.link import Link
from supervisor.agent.spawning import OF_TASK
from supervisor.clock import Clock
from supervisor.lifecycle import run_id_of
from supervisor.log import get_logger
from supervisor.model import (
    Cluster,
    Container,
    ContainerDefinition,
    DefinitionStatus,
    Identity,
    KeyValuePair,
    LastStatus,
    Task,
    TaskDefinition,
)
from supervisor.posix import proc
from supervisor.shapes.arns import FAMILY
from supervisor.store import Resource, Store

REBUILT = "supervisor/rebuilt"
"""``startedBy`` of such a task: who had started it is not known."""

_RUNS_MOST = 10_000
"""How many runs of one container are tried, to find out which one has this id; then it passes for the first."""

_log = get_logger("agent")


class _Run(NamedTuple):
    """A main process that was described, by what its environment says."""

    described: wire.Described
    number: int
    task_arn: str
    definition: str


async def rebuild(link: Link, store: Store, clock: Clock, names: shapes.Names, held: Collection[str]) -> None:
    """Save records of the tasks of these runs, if there are none. Nothing but ``Hello`` was kept back until now."""
    known = {one.run_id for task in store.load_unfinished() for one in task.containers}
    unknown = [run for run in held if run not in known]
    if not unknown:
        return
    for run in unknown:
        link.send(wire.Describe(run))
    link.send(wire.List())  # its answer comes after theirs; of a run whose end is all that is left there is none
    described: list[wire.Described] = []
    while True:
        for message in await link.receive():
            if isinstance(message, wire.Listed):
                _save(store, clock, names, described)
                return
            described.append(message)


def _save(store: Store, clock: Clock, names: shapes.Names, described: Iterable[wire.Described]) -> None:
    now = clock.wall()
    runs = [run for one in described if (run := _identify(one)) is not None]
    runs.sort(key=lambda run: (run.described.task, run.described.container))
    recorded = store.tasks({run.described.task for run in runs})
    tasks, resources = [], list[Resource]()
    for task_id, group in itertools.groupby(runs, key=lambda run: run.described.task):
        if task_id in recorded:  # a helper of a run that is known, or of one that has ended
            continue
        parts = list(group)
        task = _task(parts, names, _instance_id(store), now)
        tasks.append(task)
        resources += _missing(store, task, parts, now)
        _log.warning("task_rebuilt", task=task_id, family=task.family, containers=[one.name for one in task.containers])
    if tasks:
        store.save(tasks, resources, entries(tasks, now))


def _identify(described: wire.Described) -> _Run | None:
    """None for what is no main process of a container: a health check, say, or what no agent had asked for."""
    arn = described.environ.get("SUPERVISOR_TASK_ARN", "")
    definition = described.environ.get("SUPERVISOR_TASK_DEFINITION", "")
    family, _, revision = definition.rpartition(":")
    if described.beside is not None or arn.rpartition("/")[2] != described.task:
        return None
    if not FAMILY.fullmatch(family) or not revision.isdecimal():
        return None
    tried = range(1, _RUNS_MOST + 1)
    is_it = (run_id_of(described.task, described.container, number) == described.run for number in tried)
    return _Run(described, next(itertools.compress(tried, is_it), 1), arn, definition)


def _instance_id(store: Store) -> str:
    instance = store.instance()
    assert instance is not None, "it was established"
    return instance.instance_id


def _task(runs: list[_Run], names: shapes.Names, instance_id: str, now: float) -> Task:
    first = runs[0]
    names = names.of_cluster(first.task_arn.split("/")[-2])
    family, _, revision = first.definition.rpartition(":")
    containers = tuple(_container(run, names, now) for run in runs)
    started_at = min(one.started_at or now for one in containers)
    return Task(
        task_id=first.described.task,
        task_arn=first.task_arn,
        cluster_arn=names.cluster_arn(),
        task_definition_arn=names.task_definition_arn(family, int(revision)),
        container_instance_arn=names.container_instance_arn(instance_id),
        family=family,
        group=f"family:{family}",
        created_at=started_at,
        containers=containers,
        last_status=LastStatus.RUNNING,
        started_by=REBUILT,
        started_at=started_at,
    )


def _container(run: _Run, names: shapes.Names, now: float) -> Container:
    described = run.described
    return Container(
        name=described.container,
        container_arn=names.container_arn(_uuid(run_id_of(described.task, described.container, 0))),
        stop_timeout=described.stop_timeout,
        last_status=LastStatus.RUNNING,
        run_id=described.run,
        run_number=run.number,
        restarts=run.number - 1,
        identity=Identity(described.pid, described.start_time),
        started_at=round(min(proc.started_at(described.start_time), now), 3),
        running_since=proc.running_since(described.start_time),
    )


def _uuid(digits: str) -> str:
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _missing(store: Store, task: Task, runs: list[_Run], now: float) -> list[Resource]:
    """The definition and the cluster of the task, where the store has none."""
    resources: list[Resource] = []
    if store.cluster(task.cluster) is None:
        resources.append(Cluster(name=task.cluster))
    if store.definition(task.family, task.revision) is None:
        resources.append(
            TaskDefinition(
                task_definition_arn=task.task_definition_arn,
                family=task.family,
                revision=task.revision,
                container_definitions=tuple(_definition(run.described) for run in runs),
                registered_at=now,
                status=DefinitionStatus.INACTIVE,
                deregistered_at=now,
            )
        )
    return resources


def _definition(described: wire.Described) -> ContainerDefinition:
    environment = {name: value for name, value in described.environ.items() if name not in OF_TASK | OF_CONTAINER}
    return ContainerDefinition(
        name=described.container,
        command=tuple(described.argv),
        environment=tuple(KeyValuePair(name, value) for name, value in environment.items()),
        working_directory=described.cwd,
        user=described.user,
        stop_timeout=round(described.stop_timeout),
    )
