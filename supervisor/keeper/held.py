"""One run of one container as the keeper holds it, and as the ledger has it for the keeper after this one."""

from __future__ import annotations

import os
from typing import Any

from supervisor import stopping, wire
from supervisor.posix import proc, process, strangers


class Run:
    """One run of one container. Every descriptor, timer and signal of it is reached through here, and ends with it."""

    def __init__(self, spec: wire.Spawn, pid: int, pidfd: int | None, report: int | None, start_time: int) -> None:
        self.id = spec.run
        self.task = spec.task
        self.container = spec.container
        self.pid = pid
        self.pidfd = pidfd
        """None where the main process was gone before this keeper began."""
        self.start_time = start_time
        self.report = report
        self.adopted = False
        """An earlier keeper had started it: its processes are not below us, and another process reaps them."""
        self.failure: tuple[str, int, str] | None = None
        self.over = False
        self.empty = False
        """Only its helpers are left."""
        self.looked_at = False
        """Its first SIGKILL has been told, with what was seen before."""
        self.events: int | None = None
        share = spec.pre_stop_share if spec.pre_stop else 0.0
        signals, scope = tuple(spec.stop_signals), stopping.Whom(spec.stop_scope)
        self.plan = stopping.Plan(signals, scope, spec.stop_timeout, share)
        self.hook = hook_of(spec) if share else None
        self.beside: Run | None = None
        """The run that this is a helper of."""
        self.is_hook = False
        self.helpers: list[Run] = []

    def send(self, signum: int) -> bool:
        """Signal the main process. False: it is gone."""
        return self.pidfd is not None and process.send(self.pidfd, signum)

    def end(self) -> process.Wait | None:
        """How the main process ended, None while it lives; of an adopted one nobody may know: neither member is set."""
        if not self.adopted:
            assert self.pidfd is not None, "our own child is pinned by one"
            return process.peek(self.pidfd)
        if self.pidfd is None:
            return process.Wait(None, None)
        if not strangers.is_over(self.pidfd):
            return None
        return strangers.read_end(self.pidfd, self.pid, self.start_time) or process.Wait(None, None)

    def close(self) -> None:
        """Nothing is left of it: only now is our child reaped, and its pid free for others."""
        if not self.adopted:
            process.reap(self.pid)
        if self.pidfd is not None:
            os.close(self.pidfd)

    def describe(self, spec: wire.Spawn | None) -> wire.Described:
        """For an agent that does not know it. Without the ledger only what the kernel shows is known."""
        if spec is None:
            environ = {
                name.decode(errors="surrogateescape"): value.decode(errors="surrogateescape")
                for name, value in proc.read_environ(self.pid).items()
            }
            argv, cwd, user = proc.read_argv(self.pid), "/", None
        else:
            argv, environ, cwd, user = spec.argv, spec.environ, spec.cwd, spec.user
        beside = self.beside.id if self.beside is not None else None
        return wire.Described(
            self.id,
            self.task,
            self.container,
            argv,
            environ,
            cwd,
            user,
            self.plan.timeout,
            self.pid,
            self.start_time,
            beside,
        )

    def to_members(self, *, sending: bool = False) -> dict[str, Any]:
        """For the ledger, what changes of it. ``sending``: the current signal is about to be sent."""
        flags = {"over": self.over, "empty": self.empty, "looked_at": self.looked_at, "sending": sending}
        return {"plan": self.plan._asdict(), **flags}

    def take_members(self, members: dict[str, Any]) -> None:
        """What ``to_members`` gave; the end of a drain that was under way then binds nobody any more."""
        known = {name: value for name, value in members["plan"].items() if name in stopping.Plan._fields}
        known["signals"] = tuple((signum, share) for signum, share in known["signals"])
        known["scope"] = stopping.Whom(known["scope"])
        if known["signalled"] is not None:
            known["signalled"] = stopping.Whom(known["signalled"])
        self.plan = self.plan._replace(**known | {"cap": None})
        self.over, self.empty = members["over"], members["empty"]
        self.looked_at = members["looked_at"]


def hook_of(spec: wire.Spawn) -> wire.Spawn:
    """The pre-stop command of a run as a run of its own: all as the container has it."""
    return spec._replace(run=wire.hook_run(spec.run), argv=spec.pre_stop, pre_stop=[], beside=spec.run)
