"""``python -m supervisor.daemon``: the agent, as the keeper starts it; with ``--prove``, whether it could be."""

from __future__ import annotations

import asyncio
import functools
import os
import socket
import sys
from typing import TextIO, cast

import msgspec

from supervisor import log, wire
from supervisor.agent import drain, history
from supervisor.agent.configured import Configured
from supervisor.agent.engine import Engine
from supervisor.agent.health import Health
from supervisor.agent.inside import Addresses, Inside
from supervisor.agent.link import Link
from supervisor.agent.log_files import LogFiles
from supervisor.agent.service import Service
from supervisor.agent.task_files import Asked
from supervisor.agent.upgrade import Upgrade, hand_over
from supervisor.api.inside import application as inside_application
from supervisor.api.server import Server, application
from supervisor.clock import SystemClock
from supervisor.config import Settings
from supervisor.daemon import doors, prove, records
from supervisor.daemon.start import AGENT_ARGV, AGENT_VARIABLE, ASKED_VARIABLE, LISTENERS_VARIABLE
from supervisor.errors import SupervisorError
from supervisor.lifecycle import HealthChanged
from supervisor.model import HealthStatus
from supervisor.posix import journal, process
from supervisor.procinfo import LocalHost
from supervisor.shapes import Names

LINK_FD = 3
LISTENERS_FD = 4
"""The first of the listening sockets."""


def main() -> int:
    """Returns 0 at the end of a drain; every other end of the agent has status 1."""
    if sys.argv[1:] == ["--prove"]:
        return prove.prove()
    process.ignore_stray_signals()  # sent to everything of the service, say; to die of one would do no good
    given = {name: os.environ.pop(name) for name in (AGENT_VARIABLE, ASKED_VARIABLE, LISTENERS_VARIABLE)}
    settings = msgspec.json.decode(given[AGENT_VARIABLE], type=Settings)
    asked = msgspec.json.decode(given[ASKED_VARIABLE], type=Asked)
    log.configure(cast("TextIO", journal.stderr()))  # a reader that has stopped reading must not stop the API
    asyncio.run(_live(settings, asked, given))
    return 0


async def _live(settings: Settings, asked: Asked, given: dict[str, str]) -> None:
    """The life of the agent, until a drain is over or an upgrade agreed. A failure ends the process here and now.

    ``given``: the environment that an agent is given, for the one that this process becomes.
    """
    refused = ""
    try:
        while (link := await Agent(settings, asked, _listeners(given), refused).run()) is not None:
            refused = await hand_over(link)
            if not refused:
                # Its descriptors are the first ones, which the keeper has placed; all others close by themselves.
                process.execute(AGENT_ARGV, os.environ | given)
            await link.close()
    except SupervisorError as exc:
        records.end_agent(exc)
    except Exception:  # noqa: BLE001  a bug of ours: the keeper starts another agent
        log.get_logger("agent").exception("agent_failed")
        os._exit(1)


def _listeners(given: dict[str, str]) -> dict[str, socket.socket]:
    """The listening sockets by name: copies, for those that we were given stay open for who comes after us."""
    names = given[LISTENERS_VARIABLE].split()
    return {name: socket.socket(fileno=os.dup(LISTENERS_FD + number)) for number, name in enumerate(names)}


class Agent:
    """One life of the agent: recover, serve, and at the end of the keeper's day drain."""

    def __init__(self, settings: Settings, asked: Asked, listeners: dict[str, socket.socket], refused: str) -> None:
        """``refused``: why the life before did not make way for another version, if it was to."""
        self._settings = settings
        self._asked = asked
        self._listeners = listeners
        self._refused = refused
        self._clock = SystemClock()

    async def run(self) -> Link | None:
        """Until drained, or until an upgrade is agreed: then the link, for the agreement with the keeper.

        ``LinkLost`` when the keeper is gone, ``StoreError`` when the records cannot be read.
        """
        link = await Link.open(os.dup(LINK_FD))
        agent = self._settings.agent
        link.send(wire.List())
        listed = await self._listed(link)
        names = Names(agent.region, agent.account, agent.cluster)
        path = f"{agent.state_dir}/supervisor.db"
        self._store = await records.open_records(path, link, self._clock, names, listed.runs)
        inside = self._inside()
        engine = Engine(self._store, self._clock, link.send, inside.environ if inside is not None else None)
        upgrade = Upgrade(engine, link.send, self._refused)
        health = self._health(engine, link)
        log_files = LogFiles(self._log_dir, self._store.definition)
        engine.observers.append(log_files.observe)
        await engine.recover(listed.runs, listed.boot_id)
        service = Service(engine, self._store, self._clock, self._settings, LocalHost())
        configured = Configured(
            service, engine, store=self._store, clock=self._clock, table=agent, asked=self._asked, send=link.send
        )
        engine.observers.append(configured.observe)
        api = doors.api_doors(self._settings, self._clock, self._listeners)
        greet = functools.partial(self._greet, link)
        servers = [Server(application(service, agent.account, upgrade), api, serving=greet)]
        if inside is not None:
            door = doors.inside_door(self._settings, self._listeners)
            servers.insert(0, Server(inside_application(Inside(engine, self._store, self._clock, inside)), [door]))
        try:
            async with asyncio.TaskGroup() as group:
                serving = [group.create_task(each.serve()) for each in servers]
                keep_days = self._settings.history.keep_days
                writing = group.create_task(engine.run())
                others = [
                    group.create_task(health.run()),
                    group.create_task(log_files.run()),
                    group.create_task(configured.run()),
                    group.create_task(history.prune(engine, self._clock, keep_days, self._log_dir)),
                ]
                drained = await self._follow_keeper(link, engine, configured, upgrade)
                if drained:
                    others.append(group.create_task(_answer_pings(link)))
                for server in servers:
                    server.end() if drained else server.make_way()
                upgrade.make_way()
                await asyncio.wait(serving)
                engine.end()
                await asyncio.wait([writing])
                for task in others:
                    task.cancel()
        except* SupervisorError as errors:
            raise errors.exceptions[0] from None
        self._store.close()
        if not drained:
            return link
        await link.close()
        return None

    @staticmethod
    def _greet(link: Link) -> None:
        link.send(wire.Hello(wire.VERSION))
        link.send(wire.List())  # answered when everything has been told that had happened before

    async def _listed(self, link: Link) -> wire.Listed:
        """What the keeper holds. What comes before it was for the agent that this one follows."""
        while True:
            for message in await link.receive():
                if isinstance(message, wire.Proven):  # it could not become the version that we are
                    self._refused = message.why_not
                if isinstance(message, wire.Listed):
                    return message

    async def _follow_keeper(self, link: Link, engine: Engine, configured: Configured, upgrade: Upgrade) -> bool:
        """Take the keeper's events; True when a drain that it asked for is over, False if it is to be an upgrade."""
        agreed = asyncio.ensure_future(upgrade.agreed.wait())
        draining: asyncio.Task[None] | None = None
        receiving = asyncio.ensure_future(link.receive())
        while True:
            await asyncio.wait([receiving, draining or agreed], return_when=asyncio.FIRST_COMPLETED)
            if (draining or agreed).done():
                receiving.cancel()
                agreed.cancel()
                if draining is not None:
                    draining.result()
                return draining is not None
            for event in receiving.result():
                if isinstance(event, wire.Ping):
                    link.send(wire.Pong(event.number))
                    continue
                if isinstance(event, wire.Listed):
                    configured.know_what_lives()
                    continue
                if isinstance(event, wire.Proven):
                    upgrade.take(event)
                    continue
                if isinstance(event, wire.Draining) and draining is None:
                    draining = asyncio.ensure_future(drain.drain(engine, self._clock, event.budget))
                    await asyncio.sleep(0)  # its stops are asked for before the event: one commit stores both
                engine.take(event)
            receiving = asyncio.ensure_future(link.receive())

    def _health(self, engine: Engine, link: Link) -> Health:
        """The health checks; what they find out goes through the engine like all else."""

        def report(run_id: str, status: HealthStatus, output: str, exit_code: int | None) -> None:
            engine.happen(HealthChanged(run_id, self._clock.wall(), status, output, exit_code))

        health = Health(self._clock, link.send, engine.request_of, report, self._log_dir)
        engine.observers.append(health.observe)
        engine.take_aside = health.take
        return health

    @property
    def _log_dir(self) -> str:
        return f"{self._settings.agent.state_dir}/logs"

    def _inside(self) -> Addresses | None:
        """Where the processes of tasks find us; None where that is turned off."""
        listener = self._listeners.get("inside")
        if listener is None:
            return None
        instance = self._store.instance()
        assert instance is not None, "it was established"
        return Addresses(listener.getsockname()[1], bytes.fromhex(instance.inside_key))


async def _answer_pings(link: Link) -> None:
    """The last requests may take a second: longer than the keeper waits in a drain for a sign of life."""
    while True:
        for message in await link.receive():
            if isinstance(message, wire.Ping):
                link.send(wire.Pong(message.number))


if __name__ == "__main__":
    sys.exit(main())
