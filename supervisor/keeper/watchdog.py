"""Signs of life: ours to the service manager, and the agent's to us. Pure: times go in, what is to be done comes out.

With ``WatchdogSec=`` the keeper says that it lives at half the interval, and asks the agent at the same pace. Without
it nobody is woken while there is nothing to do: the agent is asked when it has left an event unanswered for seconds,
and during a drain, which must not be lost to an agent that hangs. An agent that has not answered when it would be
asked again is replaced. One whose disk is full still answers, and is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

PATIENCE = 5.0
"""Seconds that the agent has to take an event in, and to answer when it has not."""
DRAIN_PATIENCE = 2.0
START_PATIENCE = 30.0
"""Seconds until a new agent serves; doubled for each that never did: a large record takes its time on a slow disk."""
_DOUBLINGS = 5
_LATE = 1.0
"""Seconds by which we may look late. Later, we did not run ourselves, and neither did the agent: it is asked again."""


class Beat(NamedTuple):
    """Tell the service manager that we live."""


class Ask(NamedTuple):
    """Ask the agent."""

    number: int


class Replace(NamedTuple):
    """The agent hangs."""

    why: str
    seconds: float


Order = Beat | Ask | Replace


def period(environ: Mapping[str, str], pid: int) -> float | None:
    """Seconds between two signs of life, half of what the service manager waits; None where it waits for none."""
    asked = environ.get("WATCHDOG_USEC", "")
    if not asked.isdecimal() or int(asked) == 0 or environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    return int(asked) / 2e6


class Watchdog:
    """Who has to give a sign of life by when. ``owed``: since when the agent has left an event unanswered."""

    def __init__(self, period: float | None) -> None:
        self._period = period
        self._beat_at = 0.0
        self._number = 0
        self._serves_by: float | None = None
        self._patience = 0.0
        self._asked_at: float | None = None
        self._heard_at: float | None = None
        """When the agent has last said that it lives; None while none serves."""

    # told by the loop

    def started(self, now: float, fruitless: int) -> None:
        """A new agent, after so many that never served."""
        self.ended()
        self._patience = START_PATIENCE * 2 ** min(fruitless, _DOUBLINGS)
        self._serves_by = now + self._patience

    def ended(self) -> None:
        """The agent is gone, or on its way."""
        self._serves_by = self._asked_at = self._heard_at = None

    def serves(self, now: float) -> None:
        """The agent has said hello."""
        self.ended()
        self._heard_at = now

    def answered(self, number: int, now: float) -> None:
        """The agent has answered. An answer to anything but the last question says nothing about now."""
        if self._asked_at is not None and number == self._number:
            self._asked_at, self._heard_at = None, now

    # asked by the loop

    def next_at(self, owed: float | None, *, draining: bool) -> float | None:
        """The instant of the next order; None while there is nothing to wait for."""
        due = self._due(owed, draining=draining)
        if self._period is None:
            return due
        return self._beat_at if due is None else min(self._beat_at, due)

    def tick(self, now: float, owed: float | None, *, draining: bool) -> list[Order]:
        """What is to be done now."""
        orders: list[Order] = []
        if self._period is not None and now >= self._beat_at:
            self._beat_at = now + self._period
            orders.append(Beat())
        due = self._due(owed, draining=draining)
        if due is not None and now >= due:
            orders += self._judged(now, due, draining=draining)
        return orders

    def _due(self, owed: float | None, *, draining: bool) -> float | None:
        if self._serves_by is not None:
            return self._serves_by
        if self._asked_at is not None:
            return self._asked_at + self._pace(draining=draining)
        if self._heard_at is None:
            return None
        if draining or self._period is not None:
            return self._heard_at + self._pace(draining=draining)
        return None if owed is None else max(self._heard_at, owed) + PATIENCE

    def _pace(self, *, draining: bool) -> float:
        return DRAIN_PATIENCE if draining else self._period or PATIENCE

    def _judged(self, now: float, due: float, *, draining: bool) -> list[Order]:
        late = now - due > _LATE
        if self._serves_by is not None:
            if late:  # it cannot be asked before it serves
                self._serves_by = now + self._patience
                return []
            self.ended()
            return [Replace("it did not begin to serve", self._patience)]
        if self._asked_at is not None and not late:
            self.ended()
            return [Replace("it did not answer", self._pace(draining=draining))]
        self._asked_at = now
        self._number += 1
        return [Ask(self._number)]
