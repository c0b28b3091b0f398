"""Helpers: what runs beside a run, its health checks and its pre-stop command.

A fork takes a moment, and no kill is to be late for it. So a helper is started when nothing else is due, one in each
turn of the loop. A check is refused where its run is not there, or is to stop; a hook ends before it began.
"""

from __future__ import annotations

import collections
import errno
import time
from collections.abc import Callable
from typing import Any, Protocol

from supervisor import stopping, wire
from supervisor.keeper.forking import Forking, NotStarted
from supervisor.keeper.held import Run
from supervisor.posix import process

_WAITING_MOST = 1024
"""Checks that have been asked for and not begun."""


class Host(Protocol):
    """What holds all runs: ``run.Runs``."""

    def find(self, run_id: str) -> Run | None:
        """The run, if it is held."""

    def hold(self, run: Run) -> None:
        """Follow a run that was just forked."""

    def set_plan(self, run: Run, plan: stopping.Plan) -> None:
        """What is due for the run has changed."""

    def follow(self, run: Run, step: stopping.Step) -> None:
        """Carry out a step."""

    def refuse(self, spec: wire.Spawn, stage: str, number: int, detail: str) -> None:
        """Answer a spawn that will not be."""


class Helpers:
    """Those that are asked for, and what becomes of those that were started."""

    def __init__(self, host: Host, forking: Forking, emit: Callable[..., None]) -> None:
        self._host = host
        self._forking = forking
        self._emit = emit
        self._hooks: collections.deque[Run] = collections.deque()
        self._checks: dict[str, wire.Spawn] = {}
        self._put_off = False

    # until they start

    def ids(self) -> list[str]:
        """The runs that the agent knows and that are not forked yet."""
        return list(self._checks)

    def ask(self, spec: wire.Spawn) -> None:
        """A check is to be run."""
        if len(self._checks) >= _WAITING_MOST:
            self._host.refuse(spec, "beside", errno.EAGAIN, "too many wait already")
            return
        self._checks[spec.run] = spec

    def resume(self, run: Run) -> None:
        """Of a stop that began under another keeper: its pre-stop command, unless it has been started."""
        if run.plan.hooking and not any(helper.is_hook for helper in run.helpers):
            self.ask_hook(run)

    def ask_hook(self, run: Run) -> None:
        """The pre-stop command of that run is to be run."""
        self._hooks.append(run)

    def withdraw(self, run_id: str) -> None:
        """The check need not be run."""
        if spec := self._checks.pop(run_id, None):
            self._host.refuse(spec, "beside", errno.ECANCELED, "it was stopped before it was started")

    def withdraw_hook(self, run: Run) -> None:
        """The run is over, and with it what its pre-stop command would have been for."""
        if run in self._hooks:
            self._hooks.remove(run)
            self.hook_failed(run, "the container was over before it could be started")

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
        until = run.plan.hook_until if run.plan.hooking else None
        if run.hook is None or until is None or until <= time.monotonic():
            self.hook_failed(run, "its time was over before it could be started")
            return
        if self._host.find(run.hook.run) is not None:
            self.hook_failed(run, "another run has its id")
            return
        try:
            hook = self._start(run.hook, run)
        except NotStarted as exc:
            self.hook_failed(run, f"{exc.args[0]}: {exc.args[2]}")
            return
        hook.is_hook = True
        self._host.hold(hook)
        self.end_by(hook, until)

    def _start_check(self, spec: wire.Spawn) -> None:
        assert spec.beside is not None
        if self._host.find(spec.run) is not None:
            return  # asked for twice, and started meanwhile
        run = self._host.find(spec.beside)
        why_not = refusal(run, spec.task)
        if run is None or why_not is not None:
            self._host.refuse(spec, "beside", errno.ESRCH, why_not or "")
            return
        try:
            check = self._start(spec, run)
        except NotStarted as exc:
            self._host.refuse(spec, *exc.args)
            return
        self._host.hold(check)
        if spec.lifetime is not None:
            self.end_by(check, time.monotonic() + spec.lifetime)

    def _start(self, spec: wire.Spawn, run: Run) -> Run:
        helper = self._forking.start(spec)
        helper.beside = run
        run.helpers.append(helper)
        return helper

    # and after

    def end_by(self, helper: Run, at: float) -> None:
        """It is killed at that instant, if it lives so long."""
        self._host.set_plan(helper, stopping.end_by(helper.plan, at, time.monotonic()))

    def end_beside(self, run: Run) -> None:
        """A stop of the run has begun, or its deadline has changed: checks end now, the hook when its time is over."""
        for helper in run.helpers:
            if not helper.is_hook:
                self.end_by(helper, time.monotonic())
            elif run.plan.hook_until is not None:
                self.end_by(helper, run.plan.hook_until)

    def hook_failed(self, run: Run, detail: str) -> None:
        """There will be no pre-stop command: the signal has nothing to wait for."""
        self._hook_ended(run, code=None, signal=None, detail=detail)

    def hook_over(self, hook: Run, wait: process.Wait) -> None:
        """The main process of a pre-stop command has ended."""
        assert hook.beside is not None
        detail = "its time was over" if hook.plan.kills else ""
        if wait == process.Wait(None, None):
            detail = "how it ended is not known"
        self._hook_ended(hook.beside, code=wait.code, signal=wait.signal, detail=detail)

    def _hook_ended(self, run: Run, **members: Any) -> None:
        self._emit(wire.HookEnded, run=run.id, **members)
        if not run.over:  # else a look sees who is left to be signalled
            self._host.follow(run, stopping.hook_ended(run.plan, time.monotonic()))


def refusal(run: Run | None, task: str) -> str | None:
    """Why nothing of that task can be run beside that run, or None."""
    if run is None:
        return "there is no such run"
    if run.task != task:
        return "it is of another task"
    if run.beside is not None:
        return "it is a helper itself"
    if run.plan.starting:
        return "it has not started yet"
    if run.over:
        return "its main process is over"
    return None if run.plan.window is None else "it is being stopped"
