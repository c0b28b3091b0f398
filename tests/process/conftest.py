"""Keepers for tests, in both ways of tracking; and that no test leaves a process, a cgroup or a descriptor behind."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from supervisor.posix import cgroup
from tests.process import observed
from tests.process.harness import WORKLOADS, Keeper

StartKeeper = Callable[..., Keeper]

FAILED = pytest.StashKey[bool]()

whatever_the_tracking = pytest.mark.parametrize("tracking", ["descent"], indirect=True)
"""For what has nothing to do with how processes are followed: once is enough."""


def cannot_test(reason: str) -> NoReturn:
    """Skip, saying why; where the machine is supposed to have everything, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI=true, but {reason}")
    pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Lets fixtures know at their end whether their test has failed."""
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


@pytest.fixture(autouse=True)
def _same_descriptors() -> Iterator[None]:
    before = observed.descriptors(os.getpid())
    yield
    assert observed.descriptors(os.getpid()) == before


@pytest.fixture(params=["cgroup", "descent"])
def tracking(request: pytest.FixtureRequest) -> str:
    """Both ways of following a run's processes."""
    if request.param == "cgroup":
        own = cgroup.own()
        why_not = "no cgroup v2 is mounted" if own is None else cgroup.why_unusable(own)
        if why_not is not None:
            cannot_test(f"tracking by cgroup cannot be tested here: {why_not}")
    return str(request.param)


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
