"""Helpers: what runs beside a run, its health checks and its pre-stop command. Here they wait for their start.

A fork takes a moment, and no kill is to be late for it. So a helper is started when nothing else is due, one in each
turn of the loop. A check is refused where its run is not there, or is to stop; a hook ends before it began.
"""

from __future__ import annotations

import collections
import errno
from collections.abc import Callable
from typing import Protocol

from supervisor import wire
from supervisor.keeper.forking import Run
from supervisor.posix import process


class Starter(Protocol):
    """What starts them: ``run.Runs``."""

    def find(self, run_id: str) -> Run | None:
        """The run, if it is held."""

    def start_beside(self, spec: wire.Spawn, run: Run) -> None:
        """Fork a helper of the run."""

    def refuse(self, spec: wire.Spawn, stage: str, number: int, detail: str) -> None:
        """Answer a spawn that will not be."""

    def hook_failed(self, run: Run, detail: str) -> None:
        """There will be no pre-stop command."""


class Helpers:
    """Those that are asked for and not forked yet."""

    def __init__(self, starter: Starter) -> None:
        self._starter = starter
        self._hooks: collections.deque[Run] = collections.deque()
        self._checks: dict[str, wire.Spawn] = {}
        self._put_off = False

    def ids(self) -> list[str]:
        """The runs among them that the agent knows."""
        return list(self._checks)

    def ask(self, spec: wire.Spawn) -> None:
        """A check is to be run."""
        self._checks[spec.run] = spec

    def ask_hook(self, run: Run) -> None:
        """The pre-stop command of that run is to be run."""
        self._hooks.append(run)

    def withdraw(self, run_id: str) -> None:
        """The check need not be run."""
        if spec := self._checks.pop(run_id, None):
            self._starter.refuse(spec, "beside", errno.ECANCELED, "it was stopped before it was started")

    def withdraw_hook(self, run: Run) -> bool:
        """The pre-stop command of that run need not be run; whether it was to be."""
        if run not in self._hooks:
            return False
        self._hooks.remove(run)
        return True

    @property
    def wait(self) -> bool:
        """Whether one could be started at once."""
        return bool(self._hooks or self._checks) and not self._put_off

    def serve(self, is_quiet: Callable[[float], bool]) -> None:
        """Start one, unless something is due so soon that this would make it late."""
        self._put_off = not is_quiet(process.FORK_TAKES)
        if self._put_off:
            return
        if self._hooks:
            self._start_hook(self._hooks.popleft())
        elif self._checks:
            self._start_check(self._checks.pop(next(iter(self._checks))))

    def _start_hook(self, run: Run) -> None:
        if run.hook is not None and run.plan.hooking:
            self._starter.start_beside(run.hook, run)
        else:
            self._starter.hook_failed(run, "its time was over before it could be started")

    def _start_check(self, spec: wire.Spawn) -> None:
        assert spec.beside is not None
        run = self._starter.find(spec.beside)
        why_not = refusal(run)
        if run is None or why_not is not None:
            self._starter.refuse(spec, "beside", errno.ESRCH, why_not or "")
        else:
            self._starter.start_beside(spec, run)


def refusal(run: Run | None) -> str | None:
    """Why nothing can be run beside that run, or None."""
    if run is None:
        return "there is no such run"
    if run.beside is not None:
        return "it is a helper itself"
    if run.plan.starting:
        return "it has not started yet"
    if run.over:
        return "its main process is over"
    return None if run.plan.window is None else "it is being stopped"
