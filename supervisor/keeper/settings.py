"""The few things that the keeper needs to know. They come in one environment variable, since exec loses the rest."""

from __future__ import annotations

import json
import os
import signal
from typing import NamedTuple

from supervisor.posix.rights import Ids

VARIABLE = "SUPERVISOR_KEEPER"

ENDING = (signal.SIGTERM, signal.SIGINT)
"""What tells the keeper to end. Held from the start on: one that came too early would leave an earlier one's tasks."""


class Settings(NamedTuple):
    """Set once by ``supervisor agent`` before it becomes the keeper."""

    agent_argv: list[str]
    agent_environ: dict[str, str]
    log_dir: str
    tracking: str
    """``cgroup``, ``descent`` or ``auto``: cgroups where they can be used."""
    cgroup: str
    """Name of the group made below our own for the tasks of this state directory."""
    allowed_users: list[str]
    shutdown_timeout: float
    listen_fds: list[int]
    socket_path: str | None = None
    """The socket file to remove at the end; None where it is somebody else's (socket activation)."""
    look: bool = True
    """Whether to look, shortly before a SIGKILL, at why a process has not stopped."""
    ledger: str = ""
    """The file in which the keeper notes what it holds, for the keeper after it; empty for none."""
    kept_fds: dict[str, int] = {}
    """By run id, the pidfds that systemd has kept for us while no keeper lived."""
    lock_fd: int | None = None
    """The lock of the state directory; it is ours until the end."""
    agent_user: list[int] | None = None
    """Whom the agent runs as: uid, gid and the other groups; None for ourselves. Numbers, so that nobody is asked."""
    agent: tuple[int, int] | None = None
    """After an upgrade: pid of the agent that lives on, 0 for none, and our end of the link to it."""
    oom_score_adj: int | None = None
    """What tasks have, as whoever started us had it; None to leave it alone, ours and theirs."""
    secrets_dir: str = ""
    """Below it files are read with the keeper's rights; elsewhere with those of the task's user."""

    @property
    def agent_ids(self) -> Ids | None:
        """``agent_user``, taken apart."""
        return None if self.agent_user is None else Ids(self.agent_user[0], self.agent_user[1], self.agent_user[2:])


def to_environ(settings: Settings) -> dict[str, str]:
    """The variable that carries the settings over the exec."""
    return {VARIABLE: json.dumps(settings._asdict())}


def from_environ() -> Settings:
    """The settings that ``to_environ`` wrote; the variable is gone afterwards."""
    return Settings(**json.loads(os.environ.pop(VARIABLE)))
