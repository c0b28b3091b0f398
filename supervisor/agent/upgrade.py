"""An upgrade, as the agent sees it: may the installed version take over? Then make way for it.

The keeper tries that version first (``Prove``). Where it would do, the agent takes no more connections (they wait in
the kernel), answers the requests that it has, stops between two commits, and asks the keeper to become the new version
(``Reexec``). The keeper's last frame is ``Reexecuting``: then the agent does the same, as the process that it is.
Events that come in between are not forgotten, so they come again.

A keeper that stays as it is after all says so by ``Proven`` without a version: the agent begins anew, as it was.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

from supervisor import __version__, wire
from supervisor.agent.engine import Engine
from supervisor.agent.link import Link
from supervisor.errors import ClientError, SupervisorError
from supervisor.log import get_logger

_log = get_logger("agent")


class UpgradeError(SupervisorError):
    """The installed version cannot take over; the one that runs goes on."""


class Upgrade:
    """At most one for each life of the agent. ``refused``: why the one before was not to be, after all."""

    def __init__(self, engine: Engine, send: Callable[[wire.Request], None], refused: str = "") -> None:
        self._engine = engine
        self._send = send
        self._refused = refused
        self._proof: asyncio.Future[wire.Proven] | None = None
        self._way_made = asyncio.Event()
        self.agreed = asyncio.Event()
        """Set when the agent is to make way."""

    def facts(self) -> dict[str, Any]:
        """Who serves: the version and the processes, and why the last upgrade failed where it was begun and did."""
        facts = {"version": __version__, "pid": os.getpid(), "keeperPid": os.getppid()}
        return facts | ({"upgradeRefused": self._refused} if self._refused else {})

    async def ask(self) -> dict[str, Any]:
        """Returns when the way is made: whoever connects from now on is served by the next. Else `SupervisorError`."""
        self._check()
        if self._proof is not None or self.agreed.is_set():
            raise ClientError("cannot upgrade: another upgrade is under way")
        self._proof = asyncio.get_running_loop().create_future()
        self._send(wire.Prove())
        try:
            proven = await self._proof
        finally:
            self._proof = None
        if proven.version is None:
            _log.warning("upgrade_refused", why=proven.why_not)
            raise UpgradeError(f"cannot upgrade: {proven.why_not}; version {__version__} goes on")
        self._check()
        _log.info("upgrade_begun", version=__version__, to=proven.version)
        self.agreed.set()
        await self._way_made.wait()
        self._check()
        return {"from": {"version": __version__, "pid": os.getpid()}, "to": proven.version}

    def _check(self) -> None:
        if self._engine.draining:
            raise ClientError("cannot upgrade: the supervisor is shutting down")

    def take(self, proven: wire.Proven) -> None:
        """What the keeper says of the installed version."""
        if self._proof is not None and not self._proof.done():
            self._proof.set_result(proven)

    def make_way(self) -> None:
        """No door is open any more: who has asked can be told, for the next to answer is not us."""
        self._way_made.set()


async def hand_over(link: Link) -> str:
    """Have the keeper become the new version. Empty when it does; else why it stays, and we do."""
    link.send(wire.Reexec())
    while True:
        messages = await link.receive()
        for message in messages:
            if isinstance(message, wire.Proven) and message.version is None:
                _log.warning("upgrade_refused", why=message.why_not)
                return message.why_not
        if any(isinstance(message, wire.Reexecuting) for message in messages):
            return ""
