"""The operations on container instances. There is one, this host; each cluster knows it by an ARN of its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from supervisor import __version__, lifecycle, shapes
from supervisor.agent.caller import Caller
from supervisor.agent.draft import Draft
from supervisor.agent.placement import remaining
from supervisor.agent.world import World, in_cluster
from supervisor.log import get_logger
from supervisor.model import ContainerInstance, DesiredStatus, InstanceStatus, StopCode, Task
from supervisor.shapes import resource_requests as requests

DRAINED = "The container instance is draining"

_log = get_logger("agent")


class InstanceService(World):
    """List, describe, drain."""

    async def list_container_instances(self, request: requests.ListContainerInstances, _: Caller) -> dict[str, Any]:
        """The host, unless it is in another status than is asked for."""
        names = self._cluster(request.cluster)
        status = shapes.check_list_instances(request)
        count = shapes.check_max_results(request.max_results)
        after = shapes.read_token(request.next_token, str) or ""
        instance = self._instance()
        matches = status in (None, instance.status) and instance.instance_id > after
        page, rest = shapes.one_page([instance.instance_id] if matches else [], count)
        return {"containerInstanceArns": [names.container_instance_arn(each) for each in page], **rest}

    async def describe_container_instances(
        self, request: requests.DescribeContainerInstances, _: Caller
    ) -> dict[str, Any]:
        """The host, and failures for others."""
        names = self._cluster(request.cluster)
        asked, include = shapes.check_describe_instances(request)
        return self._answer(asked, names, self._instance(), self._engine.live(), include)

    async def update_container_instances_state(
        self, request: requests.UpdateContainerInstancesState, caller: Caller
    ) -> dict[str, Any]:
        """DRAINING: the tasks of the host are asked to stop, and none is taken, until it is ACTIVE again.

        Protected tasks are left alone; asked again, those whose protection is over by then are stopped.
        """
        asked, status = shapes.check_update_instances(request)

        def update(draft: Draft) -> dict[str, Any]:
            names = self._cluster(request.cluster)
            instance = self._instance()
            here = any(self._is_this_host(text, names) for text in asked)
            if here and instance.status is not status:
                instance = msgspec.structs.replace(instance, status=status, version=instance.version + 1)
                draft.resources.append(instance)
            if here and status is InstanceStatus.DRAINING:
                event = lifecycle.StopRequested(StopCode.TERMINATION_NOTICE, DRAINED)
                now = self._clock.wall()
                for task in draft.live().values():
                    if task.desired_status is DesiredStatus.RUNNING and not task.is_protected(now):
                        draft.follow(task, event, now)
            return self._answer(asked, names, instance, draft.live())

        reply = await self._engine.submit(update)
        _log.info("container_instance_state_asked", status=status, **caller.facts)
        return reply

    def _answer(
        self,
        asked: list[str],
        names: shapes.Names,
        instance: ContainerInstance,
        live: Mapping[str, Task],
        include: Collection[str] = (),
    ) -> dict[str, Any]:
        here = [text for text in asked if self._is_this_host(text, names)]
        shown = shapes.render_instance(
            instance,
            names,
            in_cluster(live.values(), names.cluster),
            registered=shapes.Resources(self._host.cpu, self._host.memory),
            remaining=remaining(self._host, live.values()),
            agent_version=__version__,
            architecture=self._host.architecture,
            include=include,
        )
        return {
            "containerInstances": [shown] if here else [],
            "failures": [shapes.render_failure(text) for text in asked if text not in here],
        }
