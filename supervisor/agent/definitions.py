"""The operations on task definitions."""

from __future__ import annotations

import os
from typing import Any

import msgspec

from supervisor import shapes
from supervisor.agent.caller import Caller
from supervisor.agent.draft import Draft
from supervisor.agent.world import World
from supervisor.errors import ClientError
from supervisor.log import get_logger
from supervisor.model import DefinitionStatus, TaskDefinition
from supervisor.posix import process
from supervisor.shapes import requests

_log = get_logger("agent")

NOT_THERE = "The specified task definition does not exist. Specify a valid account, family, revision and try again."
STILL_ACTIVE = "The specified task definition is still in ACTIVE status. Please deregister the target and try again."


class DefinitionService(World):
    """Register, describe, list, deregister, delete."""

    async def register_task_definition(
        self, request: requests.RegisterTaskDefinition, caller: Caller
    ) -> dict[str, Any]:
        """A new revision of the family."""

        def register(draft: Draft) -> TaskDefinition:
            definition = self._definition_from(
                request, self._store.next_revision(request.family), caller.arn(self._settings.agent.account)
            )
            draft.resources.append(definition)
            return definition

        self._definition_from(request, 1)  # once without a number, so that what is refused uses none up
        definition = await self._engine.submit(register)
        _log.info("task_definition_registered", family=definition.family, revision=definition.revision)
        return _described(definition, tags=True)

    async def keep_task_definition(self, request: requests.RegisterTaskDefinition, caller: Caller) -> TaskDefinition:
        """The latest ACTIVE revision of the family where it says the same as the request, else a new one."""

        def keep(draft: Draft) -> TaskDefinition:
            latest = self._store.definition(request.family)
            if latest is not None and _says_the_same(self._definition_from(request, latest.revision), latest):
                return latest
            arn = caller.arn(self._settings.agent.account)
            definition = self._definition_from(request, self._store.next_revision(request.family), arn)
            draft.resources.append(definition)
            _log.info("task_definition_registered", family=definition.family, revision=definition.revision)
            return definition

        self._definition_from(request, 1)  # once without a number, so that what is refused uses none up
        return await self._engine.submit(keep)

    def _definition_from(
        self, request: requests.RegisterTaskDefinition, revision: int, registered_by: str | None = None
    ) -> TaskDefinition:
        definition = shapes.definition_from(
            request,
            names=self._names,
            revision=revision,
            registered_at=self._clock.wall(),
            registered_by=registered_by,
            strict=self._settings.api.strict,
        )
        self._check_users(definition)
        return definition

    def _check_users(self, definition: TaskDefinition) -> None:
        """Users that do not exist here, or that tasks may not run as, are refused before anything depends on them."""
        allowed = self._settings.tasks.allowed_users
        is_separate = self._settings.agent.user is not None  # and the keeper is root
        keeper, agent_uid = ("0", os.geteuid()) if is_separate else (None, None)
        for index, container in enumerate(definition.container_definitions):
            path = f"containerDefinitions[{index}].user"
            try:
                user = process.find_user(container.user or keeper)
            except LookupError as exc:
                raise ClientError(f"{path}: {exc.args[0]} on this host; create it or name another") from None
            if not is_separate and os.geteuid() != 0 and user.uid != os.geteuid():
                raise ClientError(f"{path}: the supervisor does not run as root and can run tasks only as itself")
            if (refusal := process.refusal_of(user, allowed, agent_uid)) is not None:
                raise ClientError(f"{path}: {refusal}")

    async def describe_task_definition(self, request: requests.DescribeTaskDefinition, _: Caller) -> dict[str, Any]:
        """One revision, or the latest active one."""
        asked = shapes.check_describe_task_definition(request, self._names)
        definition = self._store.definition(asked.family, asked.revision)
        if definition is None:
            raise ClientError(shapes.DEFINITION_NOT_FOUND)
        return _described(definition, tags=asked.include_tags)

    async def list_task_definitions(self, request: requests.ListTaskDefinitions, _: Caller) -> dict[str, Any]:
        """ARNs, a page at a time, by family and revision."""
        status, descending, after = shapes.check_definition_list(request)
        count = shapes.check_max_results(request.max_results)
        positions = self._store.definition_positions(
            status=status,
            family=request.family_prefix or None,
            descending=descending,
            after=after,
            limit=count + 1,
        )
        page, rest = shapes.one_page(positions, count)
        return {"taskDefinitionArns": [self._names.task_definition_arn(*position) for position in page], **rest}

    async def list_task_definition_families(
        self, request: requests.ListTaskDefinitionFamilies, _: Caller
    ) -> dict[str, Any]:
        """Names, a page at a time, in their order."""
        status, after = shapes.check_family_list(request)
        count = shapes.check_max_results(request.max_results)
        prefix = request.family_prefix or ""
        families = self._store.families(status=status, prefix=prefix, after=after, limit=count + 1)
        page, rest = shapes.one_page(families, count)
        return {"families": page, **rest}

    async def deregister_task_definition(
        self, request: requests.DeregisterTaskDefinition, caller: Caller
    ) -> dict[str, Any]:
        """INACTIVE from now on: tasks that run are left alone, new ones are not run from it."""
        family, revision = shapes.parse_revision(request.task_definition, self._names)

        def deregister(draft: Draft) -> TaskDefinition:
            definition = self._store.definition(family, revision)
            if definition is None:
                raise ClientError(NOT_THERE)
            if definition.status is DefinitionStatus.ACTIVE:
                definition = msgspec.structs.replace(
                    definition, status=DefinitionStatus.INACTIVE, deregistered_at=self._clock.wall()
                )
                draft.resources.append(definition)
            return definition

        definition = await self._engine.submit(deregister)
        _log.info("task_definition_deregistered", family=family, revision=revision, **caller.facts)
        return {"taskDefinition": shapes.render_definition(definition)}

    async def delete_task_definitions(self, request: requests.DeleteTaskDefinitions, caller: Caller) -> dict[str, Any]:
        """Those that are INACTIVE are DELETE_IN_PROGRESS, and gone with the last task that runs from them."""
        texts = shapes.check_several("taskDefinitions", request.task_definitions, shapes.MAX_CHANGED)
        asked = {shapes.parse_revision(text, self._names): text for text in texts}

        def delete(draft: Draft) -> dict[str, Any]:
            deleted: list[TaskDefinition] = []
            failures = []
            for (family, revision), text in asked.items():
                definition = self._store.definition(family, revision)
                if definition is None:
                    failures.append(shapes.render_failure(text, NOT_THERE))
                elif definition.status is DefinitionStatus.ACTIVE:
                    failures.append(shapes.render_failure(definition.task_definition_arn, STILL_ACTIVE))
                else:
                    deleted.append(_deleted(definition, self._clock.wall()))
            draft.resources += deleted
            return {"taskDefinitions": [shapes.render_definition(one) for one in deleted], "failures": failures}

        reply = await self._engine.submit(delete)
        arns = [one["taskDefinitionArn"] for one in reply["taskDefinitions"]]
        _log.info("task_definitions_deleted", task_definitions=arns, **caller.facts)
        return reply


def _says_the_same(made: TaskDefinition, stored: TaskDefinition) -> bool:
    """Whether the two differ in nothing but when and by whom they were registered."""
    made = msgspec.structs.replace(made, registered_at=stored.registered_at, registered_by=stored.registered_by)
    return msgspec.json.decode(msgspec.json.encode(made), type=TaskDefinition) == stored  # lists for tuples, as stored


def _deleted(definition: TaskDefinition, now: float) -> TaskDefinition:
    return msgspec.structs.replace(
        definition,
        status=DefinitionStatus.DELETE_IN_PROGRESS,
        delete_requested_at=definition.delete_requested_at or now,
    )


def _described(definition: TaskDefinition, *, tags: bool) -> dict[str, Any]:
    reply: dict[str, Any] = {"taskDefinition": shapes.render_definition(definition)}
    return reply | ({"tags": shapes.render_tags(definition.tags)} if tags else {})
