"""Opening the records at the agent's start, also where they are damaged, lost, or cannot be written just now."""

from __future__ import annotations

import asyncio
import os

from supervisor import shapes
from supervisor.agent.link import Link
from supervisor.agent.rebuilding import rebuild
from supervisor.agent.world import establish
from supervisor.clock import Clock
from supervisor.errors import StoreDamaged, StoreError, SupervisorError
from supervisor.log import get_logger
from supervisor.store import Store, set_aside

_RETRY = 1.0
"""Seconds until a database that cannot be opened is tried again."""

_log = get_logger("agent")


async def open_records(path: str, link: Link, clock: Clock, names: shapes.Names, held: list[str]) -> Store:
    """The store, with a record of each run that the keeper holds.

    While it cannot be opened, for want of room say, and there are runs, they are worth waiting for: an agent that ended
    would only be followed by one that ends. Without any the reason is told, and that is all.
    """
    told = False
    while True:
        try:
            store = _open(path)
            try:
                establish(store, clock, names.cluster)
                await rebuild(link, store, clock, names, held)
            except StoreError:
                store.close()
                raise
        except StoreError as exc:
            if not held:
                raise
            if not told:
                _log.error("store_failed", error=str(exc), runs_held=len(held))
            told = True
            await asyncio.sleep(_RETRY)
        else:
            if told:
                _log.warning("store_recovered")
            return store


def _open(path: str) -> Store:
    try:
        return Store(path, end_agent)
    except StoreDamaged as exc:
        _log.error("store_damaged", error=str(exc), kept=set_aside(path))
        return Store(path, end_agent)


def end_agent(error: SupervisorError) -> None:
    """Here and now. Unwound, the loop would answer each request under way with an error that is not ECS's; broken off,
    a caller asks the next agent, which finds out at its start what can be done.
    """
    _log.error("agent_failed", error=str(error))
    os._exit(1)
