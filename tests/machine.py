"""What tests of real processes need of the machine, and of how a test ended: for both directories of them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path
from typing import NoReturn

import pytest

import supervisor
from supervisor.posix import cgroup

REPOSITORY = Path(supervisor.__file__).parents[1]
WORKLOADS = REPOSITORY / "tests/workloads"

FAILED = pytest.StashKey[bool]()


def cannot_test(reason: str) -> NoReturn:
    """Skip, saying why; where the machine is supposed to have everything, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI=true, but {reason}")
    pytest.skip(reason)


def usable(tracking: str) -> str:
    """That way of following a run's processes, if it can be had here."""
    if tracking == "cgroup":
        own = cgroup.own()
        why_not = "no cgroup v2 is mounted" if own is None else cgroup.why_unusable(own)
        if why_not is not None:
            cannot_test(f"tracking by cgroup cannot be tested here: {why_not}")
    return tracking


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Lets fixtures know at their end whether their test has failed."""
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


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
