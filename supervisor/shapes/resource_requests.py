"""The inputs of the operations on clusters, tags and the container instance; in the manner of ``requests``.

Source: botocore 1.44.5, ``ecs/2014-11-13/service-2.json``.
"""

from __future__ import annotations

from typing import Annotated

from .parts import Integer, Loose, Shape, Tag, about


class ClusterSetting(Shape, frozen=True, kw_only=True):
    """A setting of a cluster."""

    name: Annotated[str | None, about("The setting; ECS knows `containerInsights`.")] = None
    value: Annotated[str | None, about("`enabled`, `enhanced` or `disabled`; kept and shown.")] = None


class ManagedStorage(Shape, frozen=True, kw_only=True):
    """Keys for AWS's storage."""

    kms_key_id: Annotated[str | None, about("Kept and shown.")] = None
    fargate_ephemeral_storage_kms_key_id: Annotated[str | None, about("Kept and shown.")] = None


class ClusterConfiguration(Shape, frozen=True, kw_only=True):
    """What ECS Exec and AWS's storage are configured to do; kept and shown."""

    execute_command_configuration: Annotated[Loose | None, about("ECS Exec; not supported.")] = None
    managed_storage_configuration: Annotated[ManagedStorage | None, about("Keys for AWS's storage.")] = None


class CreateCluster(Shape, frozen=True, kw_only=True):
    """Make a cluster: a name that tasks are run under. The host is in every cluster."""

    cluster_name: Annotated[
        str | None,
        about("Up to 255 letters, digits, `-` and `_`; when absent, `default`. One that exists is answered as it is."),
    ] = None
    tags: Annotated[list[Tag] | None, about("Up to 50 tags for the cluster.")] = None
    settings: Annotated[list[ClusterSetting] | None, about("Kept and shown.")] = None
    configuration: Annotated[ClusterConfiguration | None, about("Kept and shown.")] = None
    capacity_providers: Annotated[list[str] | None, about("Capacity providers; not supported.")] = None
    default_capacity_provider_strategy: Annotated[list[Loose] | None, about("Capacity providers; not supported.")] = (
        None
    )
    service_connect_defaults: Annotated[Loose | None, about("Service Connect; not supported.")] = None


class DescribeClusters(Shape, frozen=True, kw_only=True):
    """Show up to 100 clusters; those that are not found are listed under `failures`."""

    clusters: Annotated[list[str] | None, about("Up to 100 short names or ARNs; when absent, the agent's cluster.")] = (
        None
    )
    include: Annotated[
        list[str] | None,
        about("What else to show: `ATTACHMENTS`, `CONFIGURATIONS`, `SETTINGS`, `STATISTICS`, `TAGS`."),
    ] = None


class ListClusters(Shape, frozen=True, kw_only=True):
    """List the ARNs of the clusters."""

    next_token: Annotated[str | None, about("The `nextToken` of the reply before, to go on from there.")] = None
    max_results: Annotated[Integer | None, about("How many ARNs a reply may hold, 1 to 100 (as when absent).")] = None


class DeleteCluster(Shape, frozen=True, kw_only=True):
    """Delete a cluster that has no tasks any more. The agent's own cluster cannot be deleted."""

    cluster: Annotated[str, about("The cluster, by short name or ARN.")]


class TagResource(Shape, frozen=True, kw_only=True):
    """Add tags to a task, a task definition, a cluster or the container instance; a key that is there is replaced."""

    resource_arn: Annotated[str, about("The ARN of what is tagged.")]
    tags: Annotated[list[Tag], about("The tags to add; a resource has up to 50.")]


class UntagResource(Shape, frozen=True, kw_only=True):
    """Remove tags from a task, a task definition, a cluster or the container instance."""

    resource_arn: Annotated[str, about("The ARN of what is tagged.")]
    tag_keys: Annotated[list[str], about("The keys of the tags to remove; one that is not there is no error.")]


class ListTagsForResource(Shape, frozen=True, kw_only=True):
    """Show the tags of a task, a task definition, a cluster or the container instance."""

    resource_arn: Annotated[str, about("The ARN of what is tagged.")]


class ListContainerInstances(Shape, frozen=True, kw_only=True):
    """List the container instances of a cluster: this host."""

    cluster: Annotated[
        str | None,
        about("The cluster, by short name or ARN; when absent, the agent's cluster."),
    ] = None
    filter: Annotated[str | None, about("An expression in the cluster query language; not supported.")] = None
    next_token: Annotated[str | None, about("The `nextToken` of the reply before, to go on from there.")] = None
    max_results: Annotated[Integer | None, about("How many ARNs a reply may hold, 1 to 100 (as when absent).")] = None
    status: Annotated[
        str | None, about("Only instances in this status: `ACTIVE`, `DRAINING`, or others, which never match.")
    ] = None


class DescribeContainerInstances(Shape, frozen=True, kw_only=True):
    """Show container instances: this host's CPU, memory and ports, and what is left of them."""

    cluster: Annotated[
        str | None,
        about("The cluster, by short name or ARN; when absent, the agent's cluster."),
    ] = None
    container_instances: Annotated[list[str], about("Up to 100 ids or ARNs.")]
    include: Annotated[list[str] | None, about("What else to show: `TAGS`, `CONTAINER_INSTANCE_HEALTH`.")] = None


class UpdateContainerInstancesState(Shape, frozen=True, kw_only=True):
    """Drain this host, or let it take tasks again.

    `DRAINING` stops every task of the host, each container with its own stop timeout, and takes no new ones,
    in any cluster, until it is `ACTIVE` again.
    """

    cluster: Annotated[
        str | None,
        about("The cluster, by short name or ARN; when absent, the agent's cluster."),
    ] = None
    container_instances: Annotated[list[str], about("Up to 10 ids or ARNs.")]
    status: Annotated[str, about("`DRAINING` or `ACTIVE`.")]


ResourceRequest = (
    CreateCluster
    | DescribeClusters
    | ListClusters
    | DeleteCluster
    | TagResource
    | UntagResource
    | ListTagsForResource
    | ListContainerInstances
    | DescribeContainerInstances
    | UpdateContainerInstancesState
)

RESOURCE_OPERATIONS: dict[str, type[ResourceRequest]] = {
    "CreateCluster": CreateCluster,
    "DescribeClusters": DescribeClusters,
    "ListClusters": ListClusters,
    "DeleteCluster": DeleteCluster,
    "TagResource": TagResource,
    "UntagResource": UntagResource,
    "ListTagsForResource": ListTagsForResource,
    "ListContainerInstances": ListContainerInstances,
    "DescribeContainerInstances": DescribeContainerInstances,
    "UpdateContainerInstancesState": UpdateContainerInstancesState,
}
