"""What may not fail loads nothing that can: the keeper lives on the standard library, and on little of that."""

from __future__ import annotations

import subprocess
import sys

import pytest

NOT_IN_THE_KEEPER = ("asyncio", "psutil", "structlog", "sqlite3", "tomli", "msgspec")


@pytest.mark.process
def test_the_keeper_loads_none_of_what_can_fail() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import supervisor.keeper.loop, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "supervisor.keeper.loop" in loaded
    assert loaded.isdisjoint(NOT_IN_THE_KEEPER)
    ours = {name for name in loaded if name.split(".")[0] == "supervisor"}
    assert not {name for name in ours if name.startswith(("supervisor.agent", "supervisor.api", "supervisor.cli"))}
