"""The ECS operations: typed requests in, replies as ECS spells them out. What changes anything goes to the engine."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Collection, Iterator
from typing import Any

from supervisor import lifecycle, shapes
from supervisor.agent.engine import Draft, Engine
from supervisor.clock import Clock
from supervisor.config import Settings
from supervisor.errors import ClientError, InvalidParameterError
from supervisor.log import get_logger
from supervisor.model import DesiredStatus, LastStatus, StopCode, Task, TaskDefinition
from supervisor.posix import process
from supervisor.shapes import requests
from supervisor.store import Store

_log = get_logger("agent")


class Caller:
    """Who asks, as the kernel knows it from the socket (SO_PEERCRED)."""

    def __init__(self, uid: int, pid: int) -> None:
        self.uid = uid
        self.pid = pid

    def arn(self, account: str) -> str:
        """``arn:aws:iam::<account>:user/<name>``."""
        return f"arn:aws:iam::{account}:user/{process.find_user(str(self.uid)).name}"


class Service:
    """One method for each operation, and the watch that ``wait`` stands on."""

    def __init__(
        self, engine: Engine, store: Store, clock: Clock, settings: Settings, container_instance_arn: str
    ) -> None:
        self._engine = engine
        self._store = store
        self._clock = clock
        self._settings = settings
        self._instance_arn = container_instance_arn
        agent = settings.agent
        self._names = shapes.Names(agent.region, agent.account, agent.cluster)

    async def register_task_definition(
        self, request: requests.RegisterTaskDefinition, caller: Caller
    ) -> dict[str, Any]:
        """A new revision of the family."""

        def register(draft: Draft) -> TaskDefinition:
            definition = shapes.definition_from(
                request,
                names=self._names,
                revision=self._store.next_revision(request.family),
                registered_at=self._clock.wall(),
                registered_by=caller.arn(self._settings.agent.account),
            )
            self._check_users(definition)
            draft.definitions.append(definition)
            return definition

        # Once without a number, so that what is refused uses none up.
        self._check_users(
            shapes.definition_from(request, names=self._names, revision=1, registered_at=self._clock.wall())
        )
        definition = await self._engine.submit(register)
        _log.info("task_definition_registered", family=definition.family, revision=definition.revision)
        return _described(definition, tags=True)

    def _check_users(self, definition: TaskDefinition) -> None:
        """Users that do not exist here, or that tasks may not run as, are refused before anything depends on them."""
        allowed = self._settings.tasks.allowed_users
        for index, container in enumerate(definition.container_definitions):
            path = f"containerDefinitions[{index}].user"
            try:
                user = process.find_user(container.user)
            except LookupError as exc:
                raise ClientError(f"{path}: {exc.args[0]} on this host; create it or name another") from None
            if os.geteuid() != 0 and user.uid != os.geteuid():
                raise ClientError(f"{path}: the supervisor does not run as root and can run tasks only as itself")
            if (refusal := process.refusal_of(user, allowed)) is not None:
                raise ClientError(f"{path}: {refusal}")

    async def describe_task_definition(self, request: requests.DescribeTaskDefinition, _: Caller) -> dict[str, Any]:
        """One revision, or the latest active one."""
        asked = shapes.check_describe_task_definition(request, self._names)
        definition = self._store.definition(asked.family, asked.revision)
        if definition is None:
            raise ClientError(shapes.DEFINITION_NOT_FOUND)
        return _described(definition, tags=asked.include_tags)

    async def run_task(self, request: requests.RunTask, _: Caller) -> dict[str, Any]:
        """New tasks, PENDING; the same ``clientToken`` again answers with the same tasks."""
        self._names.check_cluster(request.cluster)
        family, revision = self._names.parse_task_definition(request.task_definition)
        definition = self._store.definition(family, revision)
        if definition is None:
            raise ClientError("TaskDefinition not found.")
        shapes.check_run_task(request, definition)

        def run(draft: Draft) -> list[Task]:
            if self._engine.draining:
                raise ClientError("cannot run tasks: the supervisor is shutting down")
            token = request.client_token
            if token is not None:
                known = [task for task in draft.drafted() if task.client_token == token]
                known = known or self._store.tasks_of_token(token)
                if known:
                    return known
            now = self._clock.wall()
            return [draft.add(self._new_task(request, definition, now), now) for _ in range(request.count or 1)]

        tasks = await self._engine.submit(run)
        return {"tasks": [shapes.render_task(task, include_tags=True) for task in tasks], "failures": []}

    def _new_task(self, request: requests.RunTask, definition: TaskDefinition, now: float) -> Task:
        return shapes.new_task(
            request,
            definition,
            self._names,
            task_id=uuid.uuid4().hex,
            container_uuids=_uuids(),
            container_instance_arn=self._instance_arn,
            created_at=now,
            default_stop_timeout=self._settings.stop.timeout,
        )

    async def stop_task(self, request: requests.StopTask, caller: Caller) -> dict[str, Any]:
        """The task as it is asked to stop; it is STOPPED when every process of it has been seen to be gone."""
        task_id = shapes.check_stop_task(request, self._names)
        reason = request.reason or lifecycle.STOPPED_BY_USER

        def stop(draft: Draft) -> Task:
            task = draft.task(task_id)
            if task is None:
                raise InvalidParameterError(shapes.TASK_NOT_FOUND)
            event = lifecycle.StopRequested(StopCode.USER_INITIATED, reason)
            return draft.follow(task, event, self._clock.wall())

        task = await self._engine.submit(stop)
        _log.info("stop_requested", task=task_id, reason=reason, by_uid=caller.uid, by_pid=caller.pid)
        return {"task": shapes.render_task(task)}

    async def describe_tasks(self, request: requests.DescribeTasks, _: Caller) -> dict[str, Any]:
        """Tasks by id or ARN; those not found are failures, not an error."""
        return self._describe(shapes.check_describe_tasks(request, self._names), tags=bool(request.include))

    def _describe(self, asked: list[shapes.TaskAsked], *, tags: bool) -> dict[str, Any]:
        found = self._engine.tasks([one.task_id for one in asked if one.task_id is not None])
        missing = [one for one in asked if one.task_id not in found]
        return {
            "tasks": [
                shapes.render_task(found[one.task_id], include_tags=tags) for one in asked if one.task_id in found
            ],
            "failures": [shapes.render_failure(self._arn_of(one)) for one in missing],
        }

    def _arn_of(self, asked: shapes.TaskAsked) -> str:
        return asked.text if asked.task_id is None else self._names.task_arn(asked.task_id)

    async def list_tasks(self, request: requests.ListTasks, _: Caller) -> dict[str, Any]:
        """ARNs of tasks, a page at a time, the newest first."""
        wanted = shapes.check_list_tasks(request, self._names)
        here = (None, self._instance_arn, self._instance_arn.rpartition("/")[2])
        if wanted.desired_status == "PENDING" or wanted.container_instance not in here:
            return {"taskArns": []}
        ids = self._store.task_ids(
            desired_status=DesiredStatus(wanted.desired_status),
            family=wanted.family,
            started_by=wanted.started_by,
            launch_type=wanted.launch_type,
            after=wanted.next_token,
            limit=wanted.max_results + 1,
        )
        page = ids[: wanted.max_results]
        reply: dict[str, Any] = {"taskArns": [self._names.task_arn(task_id) for task_id in page]}
        return reply | ({"nextToken": page[-1]} if len(ids) > len(page) else {})

    async def watch(self, request: requests.DescribeTasks) -> AsyncIterator[dict[str, Any]]:
        """As DescribeTasks, now and after every change, with ``windows``: the stops that are running, and their rest.

        Ends when there is nothing left that could change. The first reply raises what DescribeTasks would.
        """
        asked = shapes.check_describe_tasks(request, self._names)
        ids = [one.task_id for one in asked if one.task_id is not None]
        with self._engine.watching(ids) as changed:
            while True:
                changed.clear()
                found = self._engine.tasks(ids)
                yield self._describe(asked, tags=False) | {"windows": list(self._windows(found.values()))}
                if all(task.last_status is LastStatus.STOPPED for task in found.values()):
                    return
                await changed.wait()

    def _windows(self, tasks: Collection[Task]) -> Iterator[dict[str, Any]]:
        now = self._clock.monotonic()
        for task in tasks:
            for container in task.containers:
                if container.deadline is not None and container.last_status is not LastStatus.STOPPED:
                    yield {
                        "taskArn": task.task_arn,
                        "containerName": container.name,
                        "stopTimeout": container.stop_timeout,
                        "remaining": round(max(container.deadline - now, 0.0), 3),
                    }


def _described(definition: TaskDefinition, *, tags: bool) -> dict[str, Any]:
    reply: dict[str, Any] = {"taskDefinition": shapes.render_definition(definition)}
    return reply | ({"tags": shapes.render_tags(definition.tags)} if tags else {})


def _uuids() -> Iterator[str]:
    while True:
        yield str(uuid.uuid4())
