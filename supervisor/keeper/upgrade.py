"""An upgrade: the installed version in our place, in the same process, with the same children.

It has been tried (``proof``), and the agent has made way (``Reexec``): exec. That is put off while something is due so
soon that it would come late, or where a fork has not come to its exec yet, whose pipe would be lost. Where that goes on
for too long, the upgrade is given up, and both sides go on as they were.

Signals wait meanwhile, and are the new version's. Who has ended it sees when it looks at its children; deadlines and
what the agent has not stored it has from the ledger. Of those that are adopted it is handed the pidfds: another process
reaps them, and then only a pidfd tells how they ended. Our end of the agent's link stays open: whether the agent is
faster or slower than we are, its first words wait in there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Protocol

from supervisor import __version__, wire
from supervisor.keeper.agent_process import AgentProcess
from supervisor.keeper.poller import Poller
from supervisor.keeper.proof import ARGV, Proof
from supervisor.keeper.report import Log
from supervisor.keeper.settings import Settings, to_environ
from supervisor.posix import process

START_TAKES = 0.5
"""Seconds within which the new version keeps deadlines; an exec is put off while something is due so soon."""
_PATIENCE = 3.0
"""Seconds after which an upgrade is given up for which there was no such time."""


class Host(Protocol):
    """What the loop knows of all else."""

    draining: bool
    fd_limits: tuple[int, int]
    """As they were before the keeper raised them, which the next one has to know for the tasks."""

    def why_not_now(self) -> str:
        """What is in the way of an exec; empty for nothing."""

    def leave(self) -> dict[str, int]:
        """Have nothing under way but what the next keeper finds; the descriptors that it is to have, by run id."""


class Upgrade:
    """The upgrade that the agent asks for, if it does."""

    def __init__(self, poller: Poller, log: Log, settings: Settings, agent: AgentProcess, host: Host) -> None:
        self._log = log
        self._settings = settings
        self._agent = agent
        self._host = host
        self._proof = Proof(poller, settings, self._proven)
        self._asked_by = 0
        self._patient_until: float | None = None
        self._agent_knows = False

    # asked by the agent

    def prove(self) -> None:
        """Try the installed version; ``Proven`` tells."""
        self._asked_by = self._agent.pid
        self._proof.ask()

    def _proven(self, version: str | None, why_not: str) -> None:
        if self._agent.pid == self._asked_by:  # the next one has not asked
            self._agent.send(wire.Proven(version, why_not))

    def begin(self) -> None:
        """Become the installed version as soon as there is time for it."""
        self._agent.turn_away()
        self._patient_until = time.monotonic() + _PATIENCE
        self._agent_knows = False

    # served by the loop

    @property
    def is_under_way(self) -> bool:
        """Whether no agent is to be started: the new version does that."""
        return self._patient_until is not None

    def pids(self) -> set[int]:
        """Our child, if there is one."""
        return {self._proof.pid} - {0}

    def next_at(self) -> float | None:
        """When there is something to do; what an exec waits for wakes the loop by itself."""
        return min((at for at in (self._proof.next_at(), self._patient_until) if at is not None), default=None)

    def serve(self, is_quiet: Callable[[float], bool]) -> None:
        """Go on with it; does not return where the exec succeeds."""
        self._proof.serve(is_quiet)
        if self._patient_until is None:
            return
        why_not = self._host.why_not_now()
        if not why_not and not self._agent_knows:
            self._agent.send(wire.Reexecuting())
            self._agent.flush()
            self._agent_knows = True
        if not why_not and self._agent.has_all:
            self.give_up(f"cannot run {ARGV[0]}: {self._exec().strerror}")
        elif self._host.draining or time.monotonic() >= self._patient_until:
            self.give_up(why_not or "the agent did not take its last frame")

    def give_up(self, why: str) -> None:
        """Go on as we are, if an upgrade is under way; so will the agent when it is told."""
        if self._patient_until is None:
            return
        self._patient_until = None
        self._log.warning("upgrade_given_up", why=why)
        self._agent.send(wire.Proven(None, why))
        self._agent.turn_back()

    def _exec(self) -> OSError:
        kept_fds = self._host.leave()
        for fd in (*self._settings.listen_fds, self._settings.lock_fd, *kept_fds.values()):
            if fd is not None:
                os.set_inheritable(fd, True)
        self._log.info("keeper_replaced", pid=os.getpid(), version=__version__)
        kept = self._settings._replace(kept_fds=kept_fds, agent=self._agent.hand_on())
        try:
            process.replace(ARGV, os.environ | to_environ(kept), self._host.fd_limits)
        except OSError as exc:
            self._agent.take_back()
            return exc
