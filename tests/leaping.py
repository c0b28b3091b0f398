"""An event loop whose time is a fake clock's: where it would wait for a timer, the clock leaps to it."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from tests.fake_clock import FakeClock

T = TypeVar("T")


class _Selector(selectors.SelectSelector):
    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready; if nothing is, the time that would have been waited passes."""
        ready = super().select(0)
        assert ready or timeout is not None, "it would wait for ever"
        if not ready and timeout is not None and timeout > 0:
            self._clock.advance(timeout)
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, clock: FakeClock) -> None:
        super().__init__(_Selector(clock))
        self._clock = clock

    def time(self) -> float:
        """The fake clock's."""
        return self._clock.monotonic()


def run(clock: FakeClock, story: Coroutine[Any, Any, T]) -> T:
    """The story to its end; an hour of it takes no time."""
    with asyncio.Runner(loop_factory=lambda: _Loop(clock)) as runner:
        return runner.run(story)
