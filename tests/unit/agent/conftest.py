from __future__ import annotations

import asyncio
import functools
from pathlib import Path
from typing import Any

import pytest

from tests.fake_clock import FakeClock
from tests.unit.agent import health_bench
from tests.unit.agent.desk import Desk, MadeHost, Story, Tell


@pytest.fixture
def tell(tmp_path: Path) -> Tell:
    """Runs stories one after the other, each in a new life of the agent with the records of the one before."""
    host, clock = MadeHost(), FakeClock()

    def run(*stories: Story, **api: Any) -> None:
        async def live() -> None:
            for story in stories:
                async with Desk(tmp_path / "state", host, clock, **api).open() as desk:
                    await story(desk)

        asyncio.run(live())

    return run


@pytest.fixture
def play(tmp_path: Path) -> health_bench.Play:
    """Plays a story of health checks."""
    return functools.partial(health_bench.play, tmp_path)
