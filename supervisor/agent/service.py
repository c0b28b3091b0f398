"""The ECS operations: typed requests in, replies as ECS spells them out. What changes anything goes to the engine."""

from __future__ import annotations

import functools
import uuid
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from typing import Any

from supervisor import lifecycle, shapes
from supervisor.agent import journal, protection
from supervisor.agent.caller import Caller
from supervisor.agent.clusters import ClusterService
from supervisor.agent.definitions import DefinitionService
from supervisor.agent.draft import Draft
from supervisor.agent.instances import InstanceService
from supervisor.agent.log_reading import LogService
from supervisor.agent.placement import Placement
from supervisor.agent.reports import ReportService
from supervisor.agent.tags import TagService
from supervisor.errors import ClientError, InvalidParameterError
from supervisor.log import get_logger
from supervisor.model import DesiredStatus, LastStatus, StopCode, Task, TaskDefinition
from supervisor.shapes import requests

_log = get_logger("agent")


class Service(DefinitionService, ClusterService, InstanceService, TagService, ReportService, LogService):
    """One method for each operation, here those on tasks, and the watch that ``wait`` stands on."""

    async def run_task(self, request: requests.RunTask, caller: Caller) -> dict[str, Any]:
        """New tasks, PENDING, or a failure for each; the same ``clientToken`` again answers with the same tasks."""
        return _asked(await self._engine.submit(functools.partial(self.run_in, request)), caller)

    def run_in(self, request: requests.RunTask, draft: Draft) -> dict[str, Any]:
        """The same as a part of a change that is made of more."""
        names = self._cluster(request.cluster)
        known = self._made_before(request, names, draft)
        if known:  # asked first: the definition may have been deregistered since, and the answer is the same
            return _started(known)
        definition = self._runnable(request)
        return self._place(request, definition, names, [None] * (request.count or 1), draft)

    async def start_task(self, request: requests.StartTask, caller: Caller) -> dict[str, Any]:
        """A new task for each mention of this host, and a failure for each of another."""
        asked = request.container_instances
        shapes.check_several("containerInstances", asked, shapes.MAX_CHANGED)
        as_run = request.as_run_task()

        def start(draft: Draft) -> dict[str, Any]:
            names = self._cluster(request.cluster)
            return self._place(as_run, self._runnable(as_run), names, asked, draft)

        return _asked(await self._engine.submit(start), caller)

    def _made_before(self, request: requests.RunTask, names: shapes.Names, draft: Draft) -> list[Task]:
        """The tasks that the token has made; ``ConflictError`` if another request made them."""
        token = request.client_token
        if token is None:
            return []
        # Of what is not stored yet one request has made all, so that either place holds them all.
        known = self._store.tasks_of_token(token)
        known = known or [task for task in draft.live().values() if task.client_token == token]
        shapes.check_same_request(known, shapes.request_digest(request, names.cluster))
        return [draft.task(task.task_id) or task for task in known]

    def _runnable(self, request: requests.RunTask) -> TaskDefinition:
        family, revision = self._names.parse_task_definition(request.task_definition)
        definition = self._store.definition(family, revision)
        if definition is None:
            raise ClientError("TaskDefinition not found.")
        shapes.check_run_task(request, definition, strict=self._settings.api.strict)
        return definition

    def _place(
        self,
        request: requests.RunTask,
        definition: TaskDefinition,
        names: shapes.Names,
        places: Sequence[str | None],
        draft: Draft,
    ) -> dict[str, Any]:
        """A task for each place (None: wherever there is room), as long as the host has room for it."""
        if self._engine.draining:
            raise ClientError("cannot run tasks: the supervisor is shutting down")
        instance = self._instance()
        arn = names.container_instance_arn(instance.instance_id)
        placement = Placement(self._host, instance.status, draft.live().values())
        now = self._clock.wall()
        tasks: list[Task] = []
        failures: list[dict[str, Any]] = []
        for place in places:
            if place is not None and not self._is_this_host(place, names):
                failures.append(shapes.render_failure(place))
                continue
            task = self._new_task(request, definition, names, arn, now)
            reason = placement.refusal(task)
            if reason is not None:
                failures.append(shapes.render_failure(arn, reason))
                continue
            placement.take(task)
            tasks.append(draft.add(task, now))
        return _started(tasks, failures)

    def _new_task(
        self, request: requests.RunTask, definition: TaskDefinition, names: shapes.Names, instance_arn: str, now: float
    ) -> Task:
        return shapes.new_task(
            request,
            definition,
            names,
            task_id=uuid.uuid4().hex,
            container_uuids=_uuids(),
            container_instance_arn=instance_arn,
            created_at=now,
            default_stop_timeout=self._settings.stop.timeout,
        )

    async def stop_task(
        self, request: requests.StopTask, caller: Caller, stop_timeout: str | None = None
    ) -> dict[str, Any]:
        """The task as it is asked to stop; it is STOPPED when every process of it has been seen to be gone.

        ``stop_timeout``: seconds for this stop in place of each container's own; of a stop under way it can only
        bring the deadline forward.
        """
        names = self._cluster(request.cluster)
        task_id = shapes.check_stop_task(request, names)
        timeout = shapes.check_stop_timeout(stop_timeout)
        reason = request.reason or lifecycle.STOPPED_BY_USER
        now = self._clock.wall()

        def stop(draft: Draft) -> Task:
            task = draft.task(task_id)
            if task is None or task.cluster != names.cluster:
                raise InvalidParameterError(shapes.TASK_NOT_FOUND)
            event = lifecycle.StopRequested(StopCode.USER_INITIATED, reason, timeout)
            return draft.follow(task, event, now)

        task = await self._engine.submit(stop, urgent=True)
        asked = {} if timeout is None else {"timeout": timeout}
        _log.info("stop_requested", task=task_id, reason=reason, **asked, **caller.facts)
        return {"task": shapes.render_task(task)}

    async def describe_tasks(self, request: requests.DescribeTasks, _: Caller) -> dict[str, Any]:
        """Tasks by id or ARN; those not found are failures, not an error."""
        names = self._cluster(request.cluster)
        return self._describe(shapes.check_describe_tasks(request, names), names, tags=bool(request.include))

    def _describe(self, asked: list[shapes.TaskAsked], names: shapes.Names, *, tags: bool) -> dict[str, Any]:
        found = self._find_tasks(asked, names)
        missing = [one for one in asked if one.task_id not in found]
        return {
            "tasks": [
                shapes.render_task(found[one.task_id], include_tags=tags) for one in asked if one.task_id in found
            ],
            "failures": [
                shapes.render_failure(one.text if one.task_id is None else names.task_arn(one.task_id))
                for one in missing
            ],
        }

    def _find_tasks(self, asked: Collection[shapes.TaskAsked], names: shapes.Names) -> dict[str, Task]:
        """Those that are in the cluster, by id."""
        tasks = self._engine.tasks([one.task_id for one in asked if one.task_id is not None])
        return {task_id: task for task_id, task in tasks.items() if task.cluster == names.cluster}

    async def get_task_protection(self, request: requests.GetTaskProtection, _: Caller) -> dict[str, Any]:
        """Whether tasks are protected, and until when."""
        names = self._cluster(request.cluster)
        asked = shapes.check_get_task_protection(request, names)
        return self._protected(asked, self._find_tasks(asked, names), names)

    async def update_task_protection(self, request: requests.UpdateTaskProtection, _: Caller) -> dict[str, Any]:
        """Protect tasks for a time, or no longer; one that is being stopped cannot be."""
        names = self._cluster(request.cluster)
        asked, minutes = shapes.check_update_task_protection(request, names)
        changed = await protection.protect(self._engine, self._clock, self._find_tasks(asked, names), minutes)
        return self._protected(asked, changed, names)

    def _protected(self, asked: list[shapes.TaskAsked], found: dict[str, Task], names: shapes.Names) -> dict[str, Any]:
        """The reply of both: those not found fail, and so do those that exist and cannot be protected."""
        now = self._clock.wall()
        known = self._find_tasks(asked, names)
        failures = [
            shapes.render_failure(
                one.text if one.task_id is None else names.task_arn(one.task_id),
                *((shapes.NOT_VALID, shapes.NOT_VALID_DETAIL) if one.task_id in known else ("MISSING",)),
            )
            for one in asked
            if one.task_id not in found
        ]
        tasks = [found[one.task_id] for one in asked if one.task_id in found]
        return {"protectedTasks": [shapes.render_protected_task(task, now) for task in tasks], "failures": failures}

    async def list_tasks(self, request: requests.ListTasks, _: Caller) -> dict[str, Any]:
        """ARNs of tasks, a page at a time, the newest first."""
        names = self._cluster(request.cluster)
        wanted = shapes.check_list_tasks(request)
        elsewhere = wanted.container_instance is not None and not self._is_this_host(wanted.container_instance, names)
        if wanted.desired_status == "PENDING" or elsewhere:
            return {"taskArns": []}
        positions = self._store.task_positions(
            cluster=names.cluster,
            desired_status=DesiredStatus(wanted.desired_status),
            family=wanted.family,
            started_by=wanted.started_by,
            launch_type=wanted.launch_type,
            after=wanted.after,
            limit=wanted.max_results + 1,
        )
        page, rest = shapes.one_page(positions, wanted.max_results)
        return {"taskArns": [names.task_arn(task_id) for _, task_id in page], **rest}

    async def watch(self, request: requests.DescribeTasks) -> AsyncIterator[dict[str, Any]]:
        """As DescribeTasks, now and after every change, with the stops that are running, and what others wait for.

        ``windows``: how long each has, and has left. ``waiting``: whose turn has not come, or whose signal has not.

        Ends when there is nothing left that could change. The first reply raises what DescribeTasks would.
        """
        names = self._cluster(request.cluster)
        asked = shapes.check_describe_tasks(request, names)
        ids = [one.task_id for one in asked if one.task_id is not None]
        with self._engine.watching(ids) as changed:
            while True:
                changed.clear()
                found = self._find_tasks(asked, names)
                stops = {"windows": list(self._windows(found.values())), "waiting": list(self._waits(found.values()))}
                yield self._describe(asked, names, tags=False) | stops
                if all(task.last_status is LastStatus.STOPPED for task in found.values()):
                    return
                await changed.wait()

    def events(
        self, *, after: str | None, since: str | None, task: str | None, follow: bool
    ) -> AsyncIterator[dict[str, Any]]:
        """The journal after an event or from a time on, of one task or of all; ``follow``: and what is yet to come."""
        number = shapes.parse_after(after)
        if since is not None:
            number = max(number, self._store.event_before(shapes.parse_since(since)))
        task_id = None if task is None else self._names.parse_task_id(task)
        return journal.read(self._engine, self._store, journal.Asked(number, task_id, follow))

    def _windows(self, tasks: Collection[Task]) -> Iterator[dict[str, Any]]:
        now = self._clock.monotonic()
        for task in tasks:
            for container in task.containers:
                if container.deadline is not None and container.last_status is not LastStatus.STOPPED:
                    window = container.stop_timeout if container.window is None else container.window
                    yield {
                        "taskArn": task.task_arn,
                        "containerName": container.name,
                        "stopTimeout": round(window, 3),
                        "remaining": round(max(container.deadline - now, 0.0), 3),
                    }

    def _waits(self, tasks: Collection[Task]) -> Iterator[dict[str, Any]]:
        for task in tasks:
            for one in task.containers if task.desired_status is DesiredStatus.STOPPED else ():
                if one.deadline is not None or one.last_status is LastStatus.STOPPED:
                    continue
                before = lifecycle.in_the_way(task, one)
                if before or (one.stop_asked and one.exit is None and self._has_hook(task, one.name)):
                    yield {"taskArn": task.task_arn, "containerName": one.name, "waitsFor": list(before)}

    def _has_hook(self, task: Task, container: str) -> bool:
        definition = self._store.definition(task.family, task.revision)
        defined = () if definition is None else definition.container_definitions
        return any(one.name == container and shapes.PRE_STOP in one.docker_labels for one in defined)


def _asked(reply: dict[str, Any], caller: Caller) -> dict[str, Any]:
    """The reply, with a log line of who asked for its tasks."""
    _log.info("run_asked", tasks=[task["taskArn"].rpartition("/")[2] for task in reply["tasks"]], **caller.facts)
    return reply


def _started(tasks: Sequence[Task], failures: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    return {"tasks": [shapes.render_task(task, include_tags=True) for task in tasks], "failures": list(failures)}


def _uuids() -> Iterator[str]:
    while True:
        yield str(uuid.uuid4())
