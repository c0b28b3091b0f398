"""A clock that a test turns."""

from __future__ import annotations


class FakeClock:
    """`supervisor.clock.Clock` that stands still until told otherwise."""

    def __init__(self, wall: float = 1_700_000_000.0, monotonic: float = 1000.0) -> None:
        self._wall = wall
        self._monotonic = monotonic

    def wall(self) -> float:
        return round(self._wall, 3)

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Time passes, for both clocks."""
        self._wall += seconds
        self._monotonic += seconds

    def step_wall(self, seconds: float) -> None:
        """The wall clock is set, forward or back; no time passes."""
        self._wall += seconds
