"""Reading the journal of events, which the engine writes in the commit of the change itself.

A follower holds nothing but the number of the last event that it gave: it reads on from the store, a page at a time,
when its client has taken the last one. So a slow client holds up nobody, and costs no memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import msgspec

from supervisor.agent.engine import Engine
from supervisor.store import Store

_PAGE = 100


class Asked(NamedTuple):
    """Which events, from where on, and whether to wait for more."""

    after: int
    task_id: str | None
    follow: bool


async def read(engine: Engine, store: Store, asked: Asked) -> AsyncIterator[dict[str, Any]]:
    """The events in the order of the commits, each with its number as ``seq``."""
    after = asked.after
    with engine.following() as grown:
        while True:
            grown.clear()  # before the read: what is committed after it sets it again
            page = store.events(after, _PAGE, asked.task_id)
            for seq, body in page:
                yield {"seq": seq, **msgspec.json.decode(body)}
                after = seq
            if len(page) < _PAGE:
                if not asked.follow:
                    return
                await grown.wait()
