"""Checks of the operations on definitions already made, clusters, tags and the container instance."""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple

import msgspec

from supervisor.errors import (
    ClusterNotFoundError,
    InvalidParameterError,
    LimitExceededError,
    ResourceNotFoundError,
    UnsupportedFeatureError,
)
from supervisor.model import Cluster, DefinitionStatus, InstanceStatus, Tag

from . import parts
from .arns import FAMILY, Names, shown
from .checks import MAX_TAGS, check_tags, says_something
from .pages import read_token
from .queries import check_include
from .requests import ListTaskDefinitionFamilies, ListTaskDefinitions
from .resource_requests import (
    CreateCluster,
    DescribeClusters,
    DescribeContainerInstances,
    ListContainerInstances,
    UpdateContainerInstancesState,
)

MAX_DESCRIBED = 100
MAX_CHANGED = 10
"""Things that one request may describe; definitions or instances that one may change."""

CLUSTER_FIELDS = ("ATTACHMENTS", "CONFIGURATIONS", "SETTINGS", "STATISTICS", "TAGS")
INSTANCE_FIELDS = ("TAGS", "CONTAINER_INSTANCE_HEALTH")
INSTANCE_STATUSES = ("ACTIVE", "DRAINING", "REGISTERING", "DEREGISTERING", "REGISTRATION_FAILED")
REFUSED = ("capacityProviders", "defaultCapacityProviderStrategy", "serviceConnectDefaults")
"""Members of CreateCluster that one host cannot honour."""

_ARN = re.compile(r"arn:([^:]*):([^:]*):([^:]*):([^:]*):([a-z-]+)/(.+)", re.DOTALL)
Revision = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


class Tagged(NamedTuple):
    """What the ARN of a tag operation names. ``cluster`` is None for a definition."""

    kind: str
    cluster: str | None
    name: str
    """The task's or instance's id, the definition's ``family:revision``, the cluster's name."""


def check_definition_list(request: ListTaskDefinitions) -> tuple[DefinitionStatus, bool, tuple[str, int] | None]:
    """The status asked for, whether from the end, and the position to go on from."""
    if request.family_prefix:
        _check_family(request.family_prefix)
    status = request.status or "ACTIVE"
    if status not in set(DefinitionStatus):
        raise InvalidParameterError(f"status: expected {' or '.join(DefinitionStatus)}, got {shown(status)}")
    if request.sort not in (None, "ASC", "DESC"):
        raise InvalidParameterError(f"sort: expected ASC or DESC, got {shown(request.sort)}")
    after = read_token(request.next_token, tuple[str, Revision])
    return DefinitionStatus(status), request.sort == "DESC", after


def check_family_list(request: ListTaskDefinitionFamilies) -> tuple[str, str]:
    """The status asked for, and the position to go on from."""
    if request.family_prefix:
        _check_family(request.family_prefix)
    status = request.status or "ALL"
    if status not in ("ACTIVE", "INACTIVE", "ALL"):
        raise InvalidParameterError(f"status: expected ACTIVE, INACTIVE or ALL, got {shown(status)}")
    return status, read_token(request.next_token, str) or ""


def _check_family(text: str) -> None:
    if not FAMILY.fullmatch(text):
        raise InvalidParameterError(f"familyPrefix: expected 1 to 255 letters, digits, - and _, got {shown(text)}")


def parse_revision(text: str, names: Names) -> tuple[str, int]:
    """Family and revision; ``InvalidParameterError`` where no revision is given."""
    family, revision = names.parse_task_definition(text)
    if revision is None:
        raise InvalidParameterError(f"taskDefinition: expected family:revision, got {shown(text)}; add the revision")
    return family, revision


def check_several(member: str, texts: list[str], limit: int) -> list[str]:
    """Each once, in the request's order; at least one, and not more than that many."""
    if not texts:
        raise InvalidParameterError(f"{member}: it is empty; give at least one")
    if len(texts) > limit:
        raise InvalidParameterError(f"{member}: expected up to {limit}, got {len(texts)}")
    return list(dict.fromkeys(texts))


def cluster_from(request: CreateCluster) -> Cluster:
    """The record of a new cluster."""
    name = request.cluster_name or "default"
    if not FAMILY.fullmatch(name):
        raise InvalidParameterError(f"clusterName: expected 1 to 255 letters, digits, - and _, got {shown(name)}")
    members = msgspec.to_builtins(request)
    for member in REFUSED:
        if says_something(members.get(member)):
            raise UnsupportedFeatureError(f"{member}: this host cannot do it; remove it")
    configuration = members.get("configuration", {})
    if says_something(configuration.get("executeCommandConfiguration")):
        raise UnsupportedFeatureError("configuration.executeCommandConfiguration: this host cannot do it; remove it")
    for index, setting in enumerate(request.settings or ()):
        path = f"settings[{index}]"
        if setting.name != "containerInsights":
            raise InvalidParameterError(f"{path}.name: expected containerInsights, got {shown(setting.name or '')}")
        if setting.value not in ("enabled", "enhanced", "disabled"):
            raise InvalidParameterError(
                f"{path}.value: expected enabled, enhanced or disabled, got {shown(setting.value or '')}"
            )
    echo = {name: members[name] for name in ("settings", "configuration") if name in members}
    return Cluster(name=name, tags=check_tags(request.tags, InvalidParameterError), echo=echo)


def check_describe_clusters(request: DescribeClusters, names: Names) -> tuple[list[str], frozenset[str]]:
    """The clusters asked for, as the caller named them, and what else to show."""
    include = check_include(request.include, CLUSTER_FIELDS)
    asked = request.clusters or [names.cluster]
    return check_several("clusters", asked, MAX_DESCRIBED), include


def find_cluster_names(text: str, names: Names) -> Names | None:
    """The names in a cluster, None for what cannot be one here: DescribeClusters calls it MISSING."""
    try:
        return names.of_cluster(text)
    except ClusterNotFoundError:
        return None


def parse_tagged(arn: str, names: Names) -> Tagged | None:
    """What an ARN names; None for a resource of another account, region or kind, which is not here."""
    match = _ARN.fullmatch(arn)
    if match is None or match[2] != "ecs":
        raise InvalidParameterError(f"resourceArn: expected arn:aws:ecs:<region>:<account>:<kind>/…, got {shown(arn)}")
    if match.group(1, 3, 4) != ("aws", names.region, names.account):
        return None
    kind, path = match.group(5, 6)
    if kind == "cluster":
        return Tagged(kind, path, path)
    if kind == "task-definition":
        family, _, revision = path.partition(":")
        known = FAMILY.fullmatch(family) and re.fullmatch(r"[1-9][0-9]{0,9}", revision)
        return Tagged(kind, None, path) if known else None
    cluster, slash, name = path.partition("/")
    return Tagged(kind, cluster, name) if kind in ("task", "container-instance") and slash else None


def add_tags(present: tuple[Tag, ...], tags: list[parts.Tag]) -> tuple[Tag, ...]:
    """Those and these, a key once; ``LimitExceededError`` where that is more than 50."""
    added = {tag.key: tag for tag in check_tags(tags, InvalidParameterError)}
    merged = {tag.key: tag for tag in present} | added
    if len(merged) > MAX_TAGS:
        raise LimitExceededError(f"tags: with those that are there it would be {len(merged)}; {MAX_TAGS} are allowed")
    return tuple(merged.values())


def remove_tags(present: tuple[Tag, ...], keys: list[str]) -> tuple[Tag, ...]:
    """Those whose key is not named."""
    for index, key in enumerate(keys):
        if not 1 <= len(key) <= 128:
            raise InvalidParameterError(f"tagKeys[{index}]: expected 1 to 128 characters, got {len(key)}")
        if key.lower().startswith("aws:"):
            raise InvalidParameterError(f"tagKeys[{index}]: {shown(key)} begins with 'aws:', which is reserved")
    return tuple(tag for tag in present if tag.key not in keys)


def resource_not_found(arn: str) -> ResourceNotFoundError:
    """The error for an ARN that names nothing."""
    return ResourceNotFoundError(f"resourceArn: there is no {shown(arn)} here")


def check_list_instances(request: ListContainerInstances) -> str | None:
    """The status asked for, None for any."""
    if request.filter:
        raise InvalidParameterError("filter: the cluster query language is not supported; remove it")
    if request.status is not None and request.status not in INSTANCE_STATUSES:
        raise InvalidParameterError(
            f"status: expected one of {', '.join(INSTANCE_STATUSES)}, got {shown(request.status)}"
        )
    return request.status


def check_describe_instances(request: DescribeContainerInstances) -> tuple[list[str], frozenset[str]]:
    """The instances asked for, as the caller named them, and what else to show."""
    include = check_include(request.include, INSTANCE_FIELDS)
    return check_several("containerInstances", request.container_instances, MAX_DESCRIBED), include


def check_update_instances(request: UpdateContainerInstancesState) -> tuple[list[str], InstanceStatus]:
    """The instances, as the caller named them, and the status that they shall have."""
    if request.status not in set(InstanceStatus):
        raise InvalidParameterError(f"status: expected ACTIVE or DRAINING, got {shown(request.status)}")
    asked = check_several("containerInstances", request.container_instances, MAX_CHANGED)
    return asked, InstanceStatus(request.status)
