"""Names of things: making ARNs, and reading the ids and ARNs that requests carry.

A short id and a full ARN mean the same. An ARN of another region, account or cluster is well-formed, but
names nothing here. Error texts are those of ECS.
"""

from __future__ import annotations

import re

import msgspec

from supervisor.errors import ClientError, ClusterNotFoundError, InvalidParameterError

_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
FAMILY = re.compile(r"[A-Za-z0-9_-]{1,255}")
"""A family; names of containers, volumes and clusters are made in the same way."""

TASK_NOT_FOUND = "The referenced task was not found."
DEFINITION_NOT_FOUND = "Unable to describe task definition."
MAX_SHOWN = 64
"""Characters of a caller's text that an error repeats."""


class Names(msgspec.Struct, frozen=True):
    """Region, account and the name of one cluster: the fixed part of every ARN."""

    region: str = "local"
    account: str = "000000000000"
    cluster: str = "default"

    def _arn(self, resource: str) -> str:
        return f"arn:aws:ecs:{self.region}:{self.account}:{resource}"

    def cluster_arn(self) -> str:
        """``…:cluster/<name>``."""
        return self._arn(f"cluster/{self.cluster}")

    def task_arn(self, task_id: str) -> str:
        """``…:task/<cluster>/<32 hex digits>``."""
        return self._arn(f"task/{self.cluster}/{task_id}")

    def task_definition_arn(self, family: str, revision: int) -> str:
        """``…:task-definition/<family>:<revision>``."""
        return self._arn(f"task-definition/{family}:{revision}")

    def container_arn(self, uuid: str) -> str:
        """``…:container/<uuid>``."""
        return self._arn(f"container/{uuid}")

    def container_instance_arn(self, instance_id: str) -> str:
        """``…:container-instance/<cluster>/<32 hex digits>``: the host."""
        return self._arn(f"container-instance/{self.cluster}/{instance_id}")

    def of_cluster(self, text: str | None) -> Names:
        """The names in the cluster of that short name or ARN; these very ones where the text is absent.

        ``ClusterNotFoundError`` for what cannot be the name of a cluster here. Whether there is one is not asked.
        """
        if text is None:
            return self
        names = msgspec.structs.replace(self, cluster=text.removeprefix(self._arn("cluster/")))
        if not FAMILY.fullmatch(names.cluster):
            raise ClusterNotFoundError
        return names

    def find_instance_id(self, text: str) -> str:
        """The id in the ARN of a container instance of this cluster; any other text as it is."""
        return text.removeprefix(self.container_instance_arn(""))

    def parse_task_id(self, text: str) -> str:
        """The 32 hex digits out of an id, a UUID, or an ARN with or without the cluster's name; ours only."""
        task_id = self.find_task_id(text)
        if task_id is None:
            raise InvalidParameterError(TASK_NOT_FOUND)
        return task_id

    def find_task_id(self, text: str) -> str | None:
        """As ``parse_task_id``, but None for the ARN of a task elsewhere: DescribeTasks calls it MISSING."""
        if not text.startswith("arn:"):
            if "/" in text or ":" in text:
                raise InvalidParameterError("Unexpected number of separators")
            return _task_id(text)
        fields = text.split(":")
        path = fields[-1].split("/")
        if len(fields) != 6 or len(path) not in (2, 3):
            raise InvalidParameterError("Unexpected number of separators")
        if path[0] != "task" or fields[2] != "ecs":
            raise InvalidParameterError("Task Identifier is invalid")
        task_id = _task_id(path[-1])
        ours = fields[1:5] == ["aws", "ecs", self.region, self.account]
        return task_id if ours and path[1:-1] in ([], [self.cluster]) else None

    def parse_task_definition(self, text: str) -> tuple[str, int | None]:
        """Family and revision out of ``family``, ``family:revision`` or an ARN; None means the latest active.

        ``InvalidParameterError`` where it is none of these; an ARN from elsewhere is one not found.
        """
        name = text
        if text.startswith("arn:"):
            name = text.removeprefix(self._arn("task-definition/"))
            if name == text:
                raise ClientError(DEFINITION_NOT_FOUND)
        family, colon, revision = name.partition(":")
        if not FAMILY.fullmatch(family):
            raise InvalidParameterError(
                f"cannot find task definition {shown(family)}: a family has 1 to 255 letters, digits, - and _"
            )
        if not colon:
            return family, None
        # more digits than any revision: int() of thousands of digits is refused by Python itself
        if not re.fullmatch(r"[0-9]{1,10}", revision) or int(revision) == 0:
            raise InvalidParameterError(f"Invalid revision number. Number: {revision[:MAX_SHOWN]}")
        return family, int(revision)


def shown(text: str) -> str:
    """A caller's text as errors repeat it: quoted, escaped, cut to ``MAX_SHOWN`` characters."""
    return repr(text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…")


def _task_id(text: str) -> str:
    if len(text) not in (32, 36):
        raise InvalidParameterError("taskId length should be one of [32,36]")
    if not _ID.fullmatch(text.lower()):
        raise InvalidParameterError("Task Identifier is invalid")
    return text.lower().replace("-", "")
