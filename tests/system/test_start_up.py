"""A command imports what it alone needs: the one that people wait for most must not pay for the others."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.system

RUN = """
import sys
from supervisor.cli import main
status = main(sys.argv[1:])
print(status, *sys.modules)
"""
HEAVY = {
    "asyncio", "jmespath", "logging", "prometheus_client", "psutil", "rich", "sqlite3", "starlette", "structlog",
    "subprocess", "unittest", "uvicorn", "yaml",
}  # fmt: skip
OURS = {"agent", "api", "daemon", "keeper", "lifecycle", "posix", "store", "wire"}


def loaded(*line: str) -> set[str]:
    """The modules that a command has imported when it found nobody at the socket."""
    argv = [sys.executable, "-c", RUN, *line, "--socket", "/nonexistent/s.sock"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    status, *modules = done.stdout.split()
    assert status == "3", done.stderr
    return set(modules)


def test_a_plain_stop_imports_nothing_heavy() -> None:
    modules = loaded("stop-task", "--task", "x", "--timeout", "5")
    assert not HEAVY & modules
    assert not {f"supervisor.{name}" for name in OURS} & modules
    assert not {f"supervisor.cli.{name}" for name in ("completion", "demo", "wait", "agent")} & modules


def test_what_is_asked_for_is_imported_and_no_more() -> None:
    modules = loaded("stop-task", "--task", "x", "--query", "task", "--output", "yaml")
    assert {"jmespath"} == HEAVY & modules
