"""What reaches the one writer beside the keeper's events: requests, and what has come to be by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from supervisor import lifecycle
from supervisor.agent.draft import Draft


class Change:
    """A request to the writer, and where its answer goes."""

    def __init__(self, change: Callable[[Draft], Any], answer: asyncio.Future[Any]) -> None:
        self.change = change
        self.answer = answer
        self.result: Any = None

    def fail(self, error: Exception) -> None:
        """The answer is an error. Nobody may be waiting for it any more."""
        if not self.answer.done():
            self.answer.set_exception(error)


class Happening(NamedTuple):
    """What time has brought, or what was found out here: nobody waits for an answer."""

    task_id: str
    event: lifecycle.Event
