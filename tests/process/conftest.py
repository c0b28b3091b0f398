"""Keepers for tests, in both ways of tracking; and that no test leaves a process, a cgroup or a descriptor behind."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from tests.machine import FAILED, compiled, pytest_runtest_makereport, usable
from tests.process import observed
from tests.process.harness import Keeper

__all__ = ["compiled", "pytest_runtest_makereport"]  # pytest finds fixtures and hooks by their names here

StartKeeper = Callable[..., Keeper]

whatever_the_tracking = pytest.mark.parametrize("tracking", ["descent"], indirect=True)
"""For what has nothing to do with how processes are followed: once is enough."""


@pytest.fixture(autouse=True)
def _same_descriptors() -> Iterator[None]:
    before = observed.descriptors(os.getpid())
    yield
    assert observed.descriptors(os.getpid()) == before


@pytest.fixture(params=["cgroup", "descent"])
def tracking(request: pytest.FixtureRequest) -> str:
    """Both ways of following a run's processes."""
    return usable(request.param)


@pytest.fixture
def start_keeper(request: pytest.FixtureRequest, tracking: str) -> Iterator[StartKeeper]:
    """Starts keepers, greeted already. Each is drained at the end, and must end well and leave nothing."""
    started: list[Keeper] = []

    def start(*, greet: bool = True, **settings: object) -> Keeper:
        keeper = Keeper(tracking, **settings)  # type: ignore[arg-type]
        started.append(keeper)
        if greet:
            keeper.greet()
        return keeper

    with observed.subreaper():
        yield start
        if request.node.stash.get(FAILED, True):
            for keeper in started:
                print(keeper.log_text())
                keeper.abort()
        else:
            for keeper in started:
                keeper.end()


@pytest.fixture
def keeper(start_keeper: StartKeeper) -> Keeper:
    """A keeper with the test in its agent's place."""
    return start_keeper()
