"""What reaches the one writer beside the keeper's events: requests, and what has come to be by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from supervisor import lifecycle, wire
from supervisor.agent.draft import Draft


class Change:
    """A request to the writer, and where its answer goes."""

    def __init__(self, change: Callable[[Draft], Any], answer: asyncio.Future[Any], *, urgent: bool = False) -> None:
        """``urgent``: it stops something. What can be done of it is done also while it cannot be stored."""
        self.change = change
        self.answer = answer
        self.urgent = urgent
        self.result: Any = None

    def succeed(self) -> None:
        """The answer is its result. Its caller may have gone away; the change is made all the same."""
        if not self.answer.done():
            self.answer.set_result(self.result)

    def fail(self, error: Exception) -> None:
        """The answer is an error. Nobody may be waiting for it any more."""
        if not self.answer.done():
            self.answer.set_exception(error)


class Passed(NamedTuple):
    """An event of the keeper that has been taken and has nothing to be stored; it is still to be forgotten there."""

    seq: int


class Happening(NamedTuple):
    """What time has brought, or what was found out here: nobody waits for an answer."""

    task_id: str
    event: lifecycle.Event


Item = Change | Happening | Passed | wire.Event
