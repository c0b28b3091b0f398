"""Daemons for tests. Most tests share one, and see that it is still well at the end; some have one of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from supervisor.posix import cgroup
from tests.process import observed
from tests.system.daemon import WORKLOADS, Daemon

StartDaemon = Callable[..., Daemon]

FAILED = pytest.StashKey[bool]()


def cannot_test(reason: str) -> NoReturn:
    """Skip, saying why; where the machine is supposed to have everything, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI=true, but {reason}")
    pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Lets fixtures know at their end whether their test has failed."""
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


@pytest.fixture(scope="session", autouse=True)
def _subreaper() -> Iterator[None]:
    """Whatever a daemon leaves behind becomes a child of the tests."""
    with observed.subreaper():
        yield


@pytest.fixture(params=["cgroup", "descent"], scope="module")
def tracking(request: pytest.FixtureRequest) -> str:
    """Both ways of following a run's processes."""
    if request.param == "cgroup":
        own = cgroup.own()
        why_not = "no cgroup v2 is mounted" if own is None else cgroup.why_unusable(own)
        if why_not is not None:
            cannot_test(f"tracking by cgroup cannot be tested here: {why_not}")
    return str(request.param)


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


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Compiles ``tests/workloads/NAME.c``; the program's path."""
    directory: Path = tmp_path_factory.mktemp("compiled")

    def build(name: str) -> str:
        program = directory / name
        if not program.exists():
            if shutil.which("gcc") is None:
                cannot_test("gcc is missing: apt-get install gcc libc6-dev")
            subprocess.run(["gcc", "-O1", "-Wall", "-pthread", "-o", program, WORKLOADS / f"{name}.c"], check=True)
        return str(program)

    return build
