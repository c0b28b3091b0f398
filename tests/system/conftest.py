"""Daemons for tests. Most tests share one, and see that it is still well at the end; some have one of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.machine import FAILED, compiled, pytest_runtest_makereport, usable
from tests.process import observed
from tests.system.daemon import Daemon

__all__ = ["compiled", "pytest_runtest_makereport"]  # pytest finds fixtures and hooks by their names here

StartDaemon = Callable[..., Daemon]


@pytest.fixture(scope="session", autouse=True)
def _subreaper() -> Iterator[None]:
    """Whatever a daemon leaves behind becomes a child of the tests."""
    with observed.subreaper():
        yield


@pytest.fixture(params=["cgroup", "descent"], scope="module")
def tracking(request: pytest.FixtureRequest) -> str:
    """Both ways of following a run's processes."""
    return usable(request.param)


@pytest.fixture(scope="module")
def shared() -> Iterator[Daemon]:
    """One daemon for all tests of a file. Whatever was asked of it, it must end well, and leave nothing."""
    with Daemon() as daemon:
        yield daemon


@pytest.fixture(scope="module")
def tracked(tracking: str) -> Iterator[Daemon]:
    """One daemon for all tests of a file, in each way of tracking."""
    with Daemon(tracking) as daemon:
        assert [line["tracking"] for line in daemon.logged("keeper_started")] == [tracking]
        yield daemon


@pytest.fixture
def start_daemon(request: pytest.FixtureRequest) -> Iterator[StartDaemon]:
    """Starts daemons that the test has for itself. Each must end well and leave nothing, unless the test has failed."""
    started: list[Daemon] = []

    def start(*args: Any, popen: dict[str, Any] | None = None, **kwargs: Any) -> Daemon:
        started.append(Daemon(*args, **kwargs))
        return started[-1].start(**(popen or {}))

    yield start
    for daemon in started:
        daemon.close(failed=request.node.stash.get(FAILED, True))


@pytest.fixture
def daemon(start_daemon: StartDaemon) -> Daemon:
    """A daemon of the test's own."""
    return start_daemon()
