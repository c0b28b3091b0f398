"""The operations on tags: of tasks, task definitions, clusters and the host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from supervisor import shapes
from supervisor.agent.caller import Caller
from supervisor.agent.draft import Draft
from supervisor.agent.world import World
from supervisor.errors import ClusterNotFoundError, InvalidParameterError, ResourceNotFoundError
from supervisor.model import Cluster, ClusterStatus, ContainerInstance, LastStatus, Tag, Task, TaskDefinition
from supervisor.shapes import resource_requests as requests

Change = Callable[[tuple[Tag, ...]], tuple[Tag, ...]]


class TagService(World):
    """Add, remove, show."""

    async def tag_resource(self, request: requests.TagResource, _: Caller) -> dict[str, Any]:
        """Tags beside those that are there; one of the same key is replaced."""
        return await self._change_tags(request.resource_arn, lambda tags: shapes.add_tags(tags, request.tags))

    async def untag_resource(self, request: requests.UntagResource, _: Caller) -> dict[str, Any]:
        """Without the tags of these keys."""
        return await self._change_tags(request.resource_arn, lambda tags: shapes.remove_tags(tags, request.tag_keys))

    async def list_tags_for_resource(self, request: requests.ListTagsForResource, _: Caller) -> dict[str, Any]:
        """The tags, in the order in which they came."""
        try:
            tagged = self._tagged(request.resource_arn, self._engine.task)
        except ResourceNotFoundError as exc:
            raise InvalidParameterError(str(exc)) from None  # ECS has no other code for this operation
        return {"tags": shapes.render_tags(tagged.tags)}

    async def _change_tags(self, arn: str, change: Change) -> dict[str, Any]:
        def tag(draft: Draft) -> dict[str, Any]:
            tagged = self._tagged(arn, draft.task)
            tags = change(tagged.tags)
            match tagged:
                case Task(last_status=LastStatus.STOPPED):
                    raise InvalidParameterError("The specified task is stopped. Specify a running task and try again.")
                case Task():
                    draft.put(msgspec.structs.replace(tagged, tags=tags, version=tagged.version + 1), [])
                case ContainerInstance():
                    draft.resources.append(msgspec.structs.replace(tagged, tags=tags, version=tagged.version + 1))
                case _:
                    draft.resources.append(msgspec.structs.replace(tagged, tags=tags))
            return {}

        return await self._engine.submit(tag)

    def _tagged(
        self, arn: str, find_task: Callable[[str], Task | None]
    ) -> Task | TaskDefinition | Cluster | ContainerInstance:
        """What the ARN names. ``ClusterNotFoundError`` or ``ResourceNotFoundError`` where that is nothing."""
        asked = shapes.parse_tagged(arn, self._names)
        if asked is None:
            raise shapes.resource_not_found(arn)
        found: Task | TaskDefinition | Cluster | ContainerInstance | None = None
        match asked.kind:
            case "cluster":
                found = self._store.cluster(asked.name)
                if found is None or found.status is not ClusterStatus.ACTIVE:
                    raise ClusterNotFoundError
            case "task-definition":
                found = self._store.definition(*shapes.parse_revision(asked.name, self._names))
            case "task":
                task = find_task(asked.name)
                found = task if task is not None and task.cluster == asked.cluster else None
            case _:
                self._cluster(asked.cluster)
                instance = self._instance()
                found = instance if asked.name == instance.instance_id else None
        if found is None:
            raise shapes.resource_not_found(arn)
        return found
