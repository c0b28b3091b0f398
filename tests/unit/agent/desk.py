"""The agent's operations without a process: a real store and engine, a clock that stands still, no keeper, a made host.

Every reply is checked against ECS's own model, as a client would read it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from supervisor import config, wire
from supervisor.agent.caller import HostUser
from supervisor.agent.engine import Engine
from supervisor.agent.service import Service
from supervisor.agent.world import establish
from supervisor.api.actions import ACTIONS
from supervisor.errors import ClientError
from supervisor.shapes import parse_request
from supervisor.store import Store
from tests.conformance import assert_matches, service_model
from tests.fake_clock import FakeClock

Json = dict[str, Any]


class MadeHost:
    """Two cores, 1000 MiB, and the ports that a test says are in use."""

    cpu = 2048
    memory = 1000
    architecture = "x86_64"

    def __init__(self) -> None:
        self.bound: set[tuple[int, str]] = set()

    def bound_ports(self) -> frozenset[tuple[int, str]]:
        return frozenset(self.bound)


class Desk:
    """One life of the agent. What it sent to the keeper is in ``sent``."""

    def __init__(self, state_dir: Path, host: MadeHost, clock: FakeClock, **api: Any) -> None:
        settings = config.load(None, state_dir=str(state_dir), socket="/s", environ={"HOME": "/nowhere"}, uid=1)
        api_table = {"socket": "/s", **api}
        self.settings = config.Settings(agent=settings.agent, api=config.ApiTable(**api_table))
        self.host = host
        self.clock = clock
        self.sent: list[wire.Request] = []
        self.store = Store(f"{state_dir}/supervisor.db")
        self.engine = Engine(self.store, clock, self.sent.append)
        self.seq = 0
        self.instance = ""

    async def call(self, operation: str, **members: Any) -> Json:
        """The operation, from the bytes of its body to a reply that ECS's model knows."""
        request = parse_request(operation, json.dumps(members).encode())
        reply = await ACTIONS[operation].handler(self.service, request, HostUser(0, 1))
        assert_matches(operation, "output", reply)
        decoded: Json = json.loads(json.dumps(reply))
        return decoded

    async def refused(self, operation: str, **members: Any) -> tuple[str, str]:
        """Code and text of the refusal; the code is one that ECS has for this operation, or says what we do not do."""
        theirs = {shape.name for shape in service_model().operation_model(operation).error_shapes}
        with pytest.raises(ClientError) as raised:
            await self.call(operation, **members)
        assert raised.value.code in theirs | {"UnsupportedFeatureException"}
        return raised.value.code, str(raised.value)

    async def register(self, family: str = "web", *, names: tuple[str, ...] = ("main",), **container: Any) -> str:
        containers = [{"name": name, "command": ["sleep", "60"], **container} for name in names]
        reply = await self.call("RegisterTaskDefinition", family=family, containerDefinitions=containers)
        arn: str = reply["taskDefinition"]["taskDefinitionArn"]
        return arn

    async def run(self, definition: str = "web", **members: Any) -> list[str]:
        """The ARNs of the tasks, and the reasons of those that were not started."""
        reply = await self.call("RunTask", taskDefinition=definition, **members)
        return [*(task["taskArn"] for task in reply["tasks"]), *(one["reason"] for one in reply["failures"])]

    async def spawned(self, arn: str) -> None:
        """The keeper says that all of the task's containers run."""
        await self._tell(arn, lambda run: [wire.Spawned(self._next(), self.clock.wall(), run, 4711, 1)])

    async def ended(self, arn: str) -> None:
        """The keeper says that they have exited, and that nothing is left of them."""
        now = self.clock.wall()
        await self._tell(
            arn,
            lambda run: [wire.Exited(self._next(), now, run, 0, None), wire.Emptied(self._next(), now, run)],
        )

    async def _tell(self, arn: str, events: Callable[[str], list[wire.Event]]) -> None:
        task = self.engine.task(arn.rpartition("/")[2])
        assert task is not None
        for container in task.containers:
            assert container.run_id is not None
            for event in events(container.run_id):
                self.engine.take(event)
        await self.engine.submit(lambda _: None)  # it comes after them

    def _next(self) -> int:
        self.seq += 1
        return self.seq

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Desk]:
        """As ``daemon`` does it, for as long as the context lasts; then nothing is left but what is stored."""
        establish(self.store, self.clock, self.settings.agent.cluster)
        await self.engine.recover([], "the same boot")
        self.service = Service(self.engine, self.store, self.clock, self.settings, self.host)
        found = await self.call("ListContainerInstances")
        self.instance = found["containerInstanceArns"][0]
        running = asyncio.ensure_future(self.engine.run())
        try:
            yield self
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            self.engine._writer.shutdown()
            self.store.close()


Story = Callable[[Desk], Awaitable[None]]
Tell = Callable[..., None]
