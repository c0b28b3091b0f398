"""``python -m supervisor.daemon``: the agent, as the keeper starts it."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from typing import TextIO, cast

import msgspec

from supervisor import log, wire
from supervisor.agent import drain, history
from supervisor.agent.engine import Engine
from supervisor.agent.link import Link
from supervisor.agent.service import Service
from supervisor.agent.world import establish
from supervisor.api.server import Server, application
from supervisor.clock import SystemClock
from supervisor.config import Settings
from supervisor.daemon.start import AGENT_VARIABLE
from supervisor.errors import SupervisorError
from supervisor.posix.service import Stderr
from supervisor.procinfo import LocalHost
from supervisor.store import Store

LINK_FD = 3
SOCKET_FD = 4


def main() -> int:
    """The exit status of the agent: 0 only at the end of a drain."""
    settings = msgspec.json.decode(os.environ.pop(AGENT_VARIABLE), type=Settings)
    log.configure(cast("TextIO", Stderr()))  # a reader that has stopped reading must not stop the API
    try:
        asyncio.run(Agent(settings).run())
    except SupervisorError as exc:
        log.get_logger("agent").error("agent_failed", error=str(exc))
        return 1
    return 0


class Agent:
    """One life of the agent: recover, serve, and at the end of the keeper's day drain."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clock = SystemClock()
        self._store = Store(f"{settings.agent.state_dir}/supervisor.db")

    async def run(self) -> None:
        """Until drained; ``LinkLost`` when the keeper is gone, ``StoreError`` when the records cannot be read."""
        link = await Link.open(LINK_FD)
        engine = Engine(self._store, self._clock, link.send)
        link.send(wire.List())
        (listed,) = await link.receive()
        assert isinstance(listed, wire.Listed), "nothing else comes before hello"
        await engine.recover(listed.runs)
        establish(self._store, self._clock, self._settings.agent.cluster)
        service = Service(engine, self._store, self._clock, self._settings, LocalHost())
        server = Server(application(service), serving=lambda: link.send(wire.Hello(wire.VERSION)))
        agent = self._settings.agent
        try:
            async with asyncio.TaskGroup() as group:
                serving = group.create_task(server.serve([socket.socket(fileno=SOCKET_FD)]))
                keep_days = self._settings.history.keep_days
                others = [
                    group.create_task(engine.run()),
                    group.create_task(history.prune(engine, self._clock, keep_days, f"{agent.state_dir}/logs")),
                ]
                await self._follow_keeper(link, engine)
                server.end()
                await serving
                for task in others:
                    task.cancel()
        except* SupervisorError as errors:
            raise errors.exceptions[0] from None
        await link.close()
        self._store.close()

    async def _follow_keeper(self, link: Link, engine: Engine) -> None:
        """Take the keeper's events; returns when a drain that it asked for is over."""
        draining: asyncio.Task[None] | None = None
        receiving = asyncio.ensure_future(link.receive())
        while True:
            await asyncio.wait([receiving, draining] if draining else [receiving], return_when=asyncio.FIRST_COMPLETED)
            if draining is not None and draining.done():
                receiving.cancel()
                return draining.result()
            for event in receiving.result():
                if isinstance(event, wire.Draining) and draining is None:
                    draining = asyncio.ensure_future(drain.drain(engine, self._clock))
                    await asyncio.sleep(0)  # its stops are asked for before the event: one commit stores both
                engine.take(event)
            receiving = asyncio.ensure_future(link.receive())


if __name__ == "__main__":
    sys.exit(main())
