"""The operations on clusters. A cluster is a name that tasks are run under; the host is in every one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from supervisor import shapes
from supervisor.agent.caller import Caller
from supervisor.agent.draft import Draft
from supervisor.agent.world import World, in_cluster
from supervisor.errors import ClusterContainsContainerInstancesError, ClusterContainsTasksError, ClusterNotFoundError
from supervisor.log import get_logger
from supervisor.model import Cluster, ClusterStatus, Task
from supervisor.shapes import resource_requests as requests

_log = get_logger("agent")


class ClusterService(World):
    """Create, describe, list, delete."""

    async def create_cluster(self, request: requests.CreateCluster, _: Caller) -> dict[str, Any]:
        """A new cluster, or the one that has the name already, as it is."""
        wanted = shapes.cluster_from(request)

        def create(draft: Draft) -> Cluster:
            known = self._store.cluster(wanted.name)
            if known is not None and known.status is ClusterStatus.ACTIVE:
                return known
            draft.resources.append(wanted)
            return wanted

        cluster = await self._engine.submit(create)
        _log.info("cluster_created", cluster=cluster.name)
        return {"cluster": self._shown(cluster, self._engine.live(), ("TAGS", "SETTINGS", "CONFIGURATIONS"))}

    async def describe_clusters(self, request: requests.DescribeClusters, _: Caller) -> dict[str, Any]:
        """Clusters by name or ARN, deleted ones too; those that never were are failures, not an error."""
        asked, include = shapes.check_describe_clusters(request, self._names)
        clusters: dict[str, dict[str, Any]] = {}
        failures = []
        for text in asked:
            names = shapes.find_cluster_names(text, self._names)
            cluster = None if names is None else self._store.cluster(names.cluster)
            if cluster is not None:
                clusters[cluster.name] = self._shown(cluster, self._engine.live(), include)
            else:
                arn = text if names is None else names.cluster_arn()
                failures.append(shapes.render_failure(arn))
        return {"clusters": list(clusters.values()), "failures": failures}

    async def list_clusters(self, request: requests.ListClusters, _: Caller) -> dict[str, Any]:
        """ARNs, a page at a time, in the order of their names."""
        count = shapes.check_max_results(request.max_results)
        after = shapes.read_token(request.next_token, str) or ""
        page, rest = shapes.one_page(self._store.cluster_names(after=after, limit=count + 1), count)
        return {"clusterArns": [self._names.of_cluster(name).cluster_arn() for name in page], **rest}

    async def delete_cluster(self, request: requests.DeleteCluster, caller: Caller) -> dict[str, Any]:
        """INACTIVE from now on. Only a cluster without tasks can be deleted, and never the agent's own."""
        name = self._names.of_cluster(request.cluster).cluster

        def delete(draft: Draft) -> dict[str, Any]:
            cluster = self._store.cluster(name)
            if cluster is None or cluster.status is not ClusterStatus.ACTIVE:
                raise ClusterNotFoundError
            if name == self._settings.agent.cluster:
                raise ClusterContainsContainerInstancesError
            live = draft.live()
            if in_cluster(live.values(), name):
                raise ClusterContainsTasksError
            deleted = msgspec.structs.replace(cluster, status=ClusterStatus.INACTIVE)
            draft.resources.append(deleted)
            return self._shown(deleted, live)

        shown = await self._engine.submit(delete)
        _log.info("cluster_deleted", cluster=name, **caller.facts)
        return {"cluster": shown}

    def _shown(self, cluster: Cluster, live: Mapping[str, Task], include: Collection[str] = ()) -> dict[str, Any]:
        tasks = in_cluster(live.values(), cluster.name)
        return shapes.render_cluster(cluster, self._names.of_cluster(cluster.name), tasks, include)
