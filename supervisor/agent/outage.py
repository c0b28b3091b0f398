"""The time in which nothing can be stored: the disk is full, say, or the file system has become read-only.

What is known of it is told once, at its beginning and at its end, however often a commit was tried in between. Stops go
to the keeper nevertheless, each once: it holds the deadlines, and needs no disk for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from supervisor import wire
from supervisor.clock import Clock
from supervisor.errors import StoreError
from supervisor.log import get_logger

SPACING = 0.05
"""Seconds between two commits that are tried, so that many requests do not make as many of them."""

PATIENCE = 2.0
"""Seconds that a commit may take before the disk is taken to hang."""

_RETRY = 1.0
"""Seconds until what could not be stored is tried again, where nothing new has come."""

_log = get_logger("agent")


class Outage:
    """Whether there is one, and what was done meanwhile."""

    def __init__(self, clock: Clock, send: Callable[[wire.Request], None]) -> None:
        self._clock = clock
        self._send = send
        self._began_at: float | None = None
        self._asked: dict[str, float | None] = {}
        """The window of each run that the keeper was asked to stop meanwhile."""
        self.retry_at: float | None = None
        """Monotonic instant of the next try; None while all is well."""

    def begin(self, error: StoreError) -> None:
        """A commit has failed, perhaps not the first."""
        now = self._clock.monotonic()
        if self._began_at is None:
            self._began_at = now
            _log.error("store_failed", error=str(error))
        self.retry_at = now + _RETRY

    def end(self) -> None:
        """A commit has succeeded."""
        if self._began_at is not None:
            _log.warning("store_recovered", seconds=round(self._clock.monotonic() - self._began_at, 3))
        self._began_at = self.retry_at = None
        self._asked.clear()

    def stop(self, requests: Iterable[wire.Stop]) -> None:
        """Pass on those that bring something new."""
        for request in requests:
            if request.run not in self._asked or _is_sooner(request.timeout, self._asked[request.run]):
                self._asked[request.run] = request.timeout
                self._send(request)


def _is_sooner(window: float | None, than: float | None) -> bool:
    return window is not None and (than is None or window < than)


def unrecorded(error: StoreError) -> StoreError:
    """What the caller of a stop is told: it is not acknowledged, and it is not in vain either."""
    return StoreError(f"the stop is under way, and cannot be recorded yet: {error}")
