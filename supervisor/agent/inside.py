"""What the processes of a task may ask the agent: about their own task, and nothing else.

Any process of the host can connect to a loopback port. So each container has an address of its own, made with a key
that only this agent has: who knows it was started in that container, or was told by somebody who was.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from typing import Any, NamedTuple

from supervisor import shapes
from supervisor.agent import protection, usage
from supervisor.agent.engine import Engine
from supervisor.clock import Clock
from supervisor.errors import SupervisorError
from supervisor.model import Container, LastStatus, Task, TaskDefinition
from supervisor.store import Store

METADATA_VARIABLE = "ECS_CONTAINER_METADATA_URI_V4"
AGENT_VARIABLE = "ECS_AGENT_URI"
OF_CONTAINER = frozenset({METADATA_VARIABLE, AGENT_VARIABLE})


class UnknownAddressError(SupervisorError):
    """The address is no container's of ours, or of a task that is not recorded any more."""


class Addresses:
    """Where each container finds us: ``<task id>-<number>-<secret>`` names one container of one task."""

    def __init__(self, port: int, key: bytes) -> None:
        self._base = f"http://127.0.0.1:{port}"
        self._key = key

    def environ(self, task: Task, container_name: str) -> dict[str, str]:
        """What the processes of that container find in their environment."""
        number = [container.name for container in task.containers].index(container_name)
        token = f"{task.task_id}-{number}-{self._secret(task.task_id, number)}"
        return {METADATA_VARIABLE: f"{self._base}/v4/{token}", AGENT_VARIABLE: f"{self._base}/api/{token}"}

    def parse(self, token: str) -> tuple[str, int]:
        """The task's id and the container's number; `UnknownAddressError` where the secret is not theirs."""
        task_id, _, rest = token.partition("-")
        number, _, secret = rest.partition("-")
        if not (number.isascii() and number.isdigit() and len(number) <= 4):
            raise UnknownAddressError
        if not hmac.compare_digest(self._secret(task_id, int(number)).encode(), secret.encode()):
            raise UnknownAddressError
        return task_id, int(number)

    def _secret(self, task_id: str, number: int) -> str:
        message = f"{task_id}-{number}".encode(errors="replace")
        return hashlib.blake2s(message, key=self._key, digest_size=16).hexdigest()


class Asker(NamedTuple):
    """Who asks: a container of a task, as the record has it now."""

    task: Task
    container: Container
    definition: TaskDefinition


class Inside:
    """Answers to the processes of tasks."""

    def __init__(self, engine: Engine, store: Store, clock: Clock, addresses: Addresses) -> None:
        self._engine = engine
        self._store = store
        self._clock = clock
        self._addresses = addresses

    def find(self, token: str) -> Asker:
        """The container whose address has that token. `UnknownAddressError`."""
        task_id, number = self._addresses.parse(token)
        task = self._engine.task(task_id)
        if task is None or number >= len(task.containers):
            raise UnknownAddressError
        family, _, revision = task.task_definition_arn.rpartition("/")[2].rpartition(":")
        definition = self._store.definition(family, int(revision))
        if definition is None:
            raise UnknownAddressError
        return Asker(task, task.containers[number], definition)

    def container(self, asker: Asker) -> dict[str, Any]:
        """The container that asks."""
        now, monotonic = self._clock.wall(), self._clock.monotonic()
        return shapes.render_inside_container(asker.task, asker.container, asker.definition, now, monotonic)

    def task(self, asker: Asker, *, tags: bool = False) -> dict[str, Any]:
        """Its whole task."""
        now, monotonic = self._clock.wall(), self._clock.monotonic()
        return shapes.render_inside_task(asker.task, asker.definition, now, monotonic, tags=tags)

    def protection(self, asker: Asker) -> dict[str, Any]:
        """Whether its task is protected, and until when."""
        return shapes.render_state(asker.task, self._clock.wall())

    async def protect(self, asker: Asker, minutes: int | None) -> dict[str, Any]:
        """Protect its task, or (None) no longer."""
        changed = await protection.protect(self._engine, self._clock, [asker.task.task_id], minutes)
        task = changed.get(asker.task.task_id)
        return (
            shapes.render_state_failure(asker.task) if task is None else shapes.render_state(task, self._clock.wall())
        )

    async def stats(self, asker: Asker) -> dict[str, Any] | None:
        """What the container uses; None where nothing of it runs."""
        return await asyncio.to_thread(self._measure, asker.container)

    async def task_stats(self, asker: Asker) -> dict[str, Any]:
        """The same of each container of the task, by its ``DockerId``."""
        asked = {one.run_id: one for one in asker.task.containers if one.run_id is not None}
        return {run_id: await asyncio.to_thread(self._measure, one) for run_id, one in asked.items()}

    def _measure(self, container: Container) -> dict[str, Any] | None:
        if container.last_status is not LastStatus.RUNNING:
            return None
        measured = usage.measure(container)
        if measured is None:
            return None
        read = shapes.iso_time(self._clock.wall())
        return {"read": read, "id": container.run_id, "name": f"/{container.name}", **measured}
