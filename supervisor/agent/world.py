"""What every operation stands on: the engine, the store, the clock, the settings, and the clusters of this host."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterable

from supervisor import shapes
from supervisor.agent.engine import Engine
from supervisor.agent.placement import Host
from supervisor.clock import Clock
from supervisor.config import Settings
from supervisor.errors import ClusterNotFoundError, InvalidParameterError
from supervisor.model import Cluster, ClusterStatus, ContainerInstance, Task
from supervisor.store import Resource, Store


def establish(store: Store, clock: Clock, cluster: str) -> None:
    """See that the host has a record, the same for as long as the state directory lives, and its own cluster one."""
    missing: list[Resource] = []
    if store.instance() is None:
        missing.append(
            ContainerInstance(
                instance_id=uuid.uuid4().hex, registered_at=clock.wall(), inside_key=secrets.token_hex(32)
            )
        )
    own = store.cluster(cluster)
    if own is None or own.status is not ClusterStatus.ACTIVE:
        missing.append(Cluster(name=cluster))
    if missing:
        store.save(resources=missing)


class World:
    """Base of the groups of operations; `establish` was called before."""

    def __init__(self, engine: Engine, store: Store, clock: Clock, settings: Settings, host: Host) -> None:
        self._engine = engine
        self._store = store
        self._clock = clock
        self._settings = settings
        self._host = host
        agent = settings.agent
        self._names = shapes.Names(agent.region, agent.account, agent.cluster)

    def _cluster(self, text: str | None) -> shapes.Names:
        """The names in an ACTIVE cluster; ``ClusterNotFoundError`` where there is none of that name or ARN."""
        names = self._names.of_cluster(text)
        cluster = self._store.cluster(names.cluster)
        if cluster is None or cluster.status is not ClusterStatus.ACTIVE:
            raise ClusterNotFoundError
        return names

    def _recorded(self, task_id: str, names: shapes.Names) -> Task:
        """The task of that id as last committed; ``InvalidParameterError`` where the cluster has none."""
        task = self._engine.task(task_id)
        if task is None or task.cluster != names.cluster:
            raise InvalidParameterError(shapes.TASK_NOT_FOUND)
        return task

    def _instance(self) -> ContainerInstance:
        instance = self._store.instance()
        assert instance is not None, "it is made before anything is served"
        return instance

    def _is_this_host(self, text: str, names: shapes.Names) -> bool:
        return names.find_instance_id(text) == self._instance().instance_id


def in_cluster(tasks: Iterable[Task], cluster: str) -> list[Task]:
    """Those of the cluster of that name."""
    return [task for task in tasks if task.cluster == cluster]
