from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from supervisor.clock import Clock, SystemClock
from tests.fake_clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(params=[SystemClock, FakeClock])
def clock(request: pytest.FixtureRequest) -> Clock:
    make: Callable[[], Clock] = request.param
    return make()


def test_wall_time_has_milliseconds_and_no_more(clock: Clock) -> None:
    assert all(wall == round(wall, 3) for wall in (clock.wall() for _ in range(100)))


def test_monotonic_time_never_goes_back(clock: Clock) -> None:
    seen = [clock.monotonic() for _ in range(100)]
    assert seen == sorted(seen)


def test_the_system_clock_is_the_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1513939200.12345)
    monkeypatch.setattr(time, "monotonic", lambda: 12.5)
    assert SystemClock().wall() == 1513939200.123
    assert SystemClock().monotonic() == 12.5


def test_setting_the_wall_clock_passes_no_time() -> None:
    clock = FakeClock(wall=100.0, monotonic=5.0)
    clock.step_wall(-60)
    assert (clock.wall(), clock.monotonic()) == (40.0, 5.0)
    clock.advance(2)
    assert (clock.wall(), clock.monotonic()) == (42.0, 7.0)
