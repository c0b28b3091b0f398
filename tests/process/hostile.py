"""A keeper of root's whose agent is another user, and hostile: the test, which sends whatever it likes.

The directory of the logs is that user's own, as the state directory is; so the test may put there whatever the user
could, and does it as root.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from supervisor import wire
from supervisor.posix import process
from tests import separate
from tests.process.conftest import StartKeeper
from tests.process.harness import KEEPER, Keeper

__all__ = ["hostile", "place"]  # pytest finds fixtures by their names


class Place(NamedTuple):
    """Directories of the test."""

    root: Path
    """Root's, and open to all."""
    state: Path
    """The agent's."""
    secrets: Path
    """Root's alone."""


@pytest.fixture
def place() -> Iterator[Place]:
    """All of it as ``supervisor agent`` would have it."""
    if os.geteuid() != 0:
        separate.prefix()  # says what cannot be tested
    root = Path(tempfile.mkdtemp(prefix="supervisor-hostile-"))
    root.chmod(0o755)
    agent = process.find_user(separate.AGENT)
    state, secrets = root / "state", root / "secrets"
    state.mkdir(0o700)
    os.chown(state, agent.uid, agent.gid)
    secrets.mkdir(0o700)
    yield Place(root, state, secrets)
    shutil.rmtree(root)


@pytest.fixture
def hostile(start_keeper: StartKeeper, place: Place) -> Keeper:
    """A keeper that has an agent of another user, and lets tasks run as all but the two."""
    return start_hostile(start_keeper, place)


def start_hostile(start_keeper: StartKeeper, place: Place, **settings: Any) -> Keeper:
    """The same, with settings of the test."""
    agent = process.find_user(separate.AGENT)
    return start_keeper(
        command=[*separate.prefix(), sys.executable, *KEEPER],
        agent_user=[agent.uid, agent.gid, *agent.groups],
        log_dir=str(place.state / "logs"),
        secrets_dir=str(place.secrets),
        **settings,
    )


def refused(keeper: Keeper, stage: str, *argv: str, **members: Any) -> wire.SpawnFailed:
    """Ask for a run that must fail at that stage; what is said of it."""
    failed = keeper.wait(wire.SpawnFailed, keeper.start(*(argv or ("/bin/true",)), **{"user": "nobody", **members}))
    assert failed.stage == stage, failed
    return failed
