"""The two clocks: wall time stamps records, monotonic time drives deadlines, and nobody mixes them."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the agent asks for the time; a test hands it one that it can turn."""

    def wall(self) -> float:
        """Unix time in seconds, rounded to milliseconds as ECS's records are. It may step, also back."""
        ...

    def monotonic(self) -> float:
        """Seconds since the boot, never stepping (CLOCK_MONOTONIC): the same clock for every process of the host."""
        ...


class SystemClock:
    """The host's clocks."""

    def wall(self) -> float:
        """See `Clock.wall`."""
        return round(time.time(), 3)

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return time.monotonic()
