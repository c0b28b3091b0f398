"""A run's beginning: the group, the pipe for what fails, the fork, the descriptors by which it is followed."""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Callable

from supervisor import stopping, wire
from supervisor.keeper import child
from supervisor.keeper.tracking import Tracking
from supervisor.posix import proc, process

_SPARE_FDS = 32
"""Descriptors that no run may take: what looks at processes, kills them and starts an agent needs some for a moment."""

BirthOf = Callable[[str, str], child.Birth]


class NotStarted(Exception):
    """Nothing of the run is left: the stage that failed, errno and text."""

    def __init__(self, stage: str, exc: OSError) -> None:
        super().__init__(stage, exc.errno or errno.EIO, exc.strerror or str(exc))


class Run:
    """One run of one container. Every descriptor, timer and signal of it is reached through here, and ends with it."""

    def __init__(self, spec: wire.Spawn, pid: int, pidfd: int, report: int, start_time: int) -> None:
        self.id = spec.run
        self.task = spec.task
        self.container = spec.container
        self.pid = pid
        self.pidfd = pidfd
        self.start_time = start_time
        self.report: int | None = report
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


def hook_of(spec: wire.Spawn) -> wire.Spawn:
    """The pre-stop command of a run as a run of its own: all as the container has it."""
    return spec._replace(run=wire.hook_run(spec.run), argv=spec.pre_stop, pre_stop=[], beside=spec.run)


class Forking:
    """Forks main processes, of containers and of helpers alike."""

    def __init__(self, tracking: Tracking, birth: BirthOf) -> None:
        self._tracking = tracking
        self._birth = birth
        self._most_fds = process.fd_limit()

    def start(self, spec: wire.Spawn) -> Run:
        """Fork; the run, which exec may still fail for (``Run.report`` tells). ``NotStarted`` leaves nothing."""
        try:
            self._tracking.prepare(spec.run, spec.task)
            self._tracking.limit(spec)
            report, theirs = self._pipe()
        except OSError as exc:
            raise self._failed(spec, "cgroup", exc) from exc
        try:
            birth = self._birth(spec.run, spec.task)
            pid = process.fork(functools.partial(child.become, spec, birth, theirs))
        except OSError as exc:
            os.close(report)
            raise self._failed(spec, "fork", exc) from exc
        finally:
            os.close(theirs)
        pidfd = None
        try:
            pidfd = process.open_child(pid)
            stat = proc.read_stat(pid)
            assert stat is not None, "an unreaped child has a /proc entry"
            run = Run(spec, pid, pidfd, report, stat.start_time)
            run.events = self._tracking.watch(run)
        except OSError as exc:  # no descriptor left: without one it cannot be stopped properly, so it does not run
            process.kill_child(pid)  # reaped with the orphans
            os.close(report)
            if pidfd is not None:
                os.close(pidfd)
            raise self._failed(spec, "fork", exc) from exc
        return run

    def _pipe(self) -> tuple[int, int]:
        ours, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        if max(ours, theirs) + _SPARE_FDS < self._most_fds:  # the kernel gives the lowest number that is free
            return ours, theirs
        os.close(ours)
        os.close(theirs)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    def _failed(self, spec: wire.Spawn, stage: str, exc: OSError) -> NotStarted:
        self._tracking.release(spec.run, spec.task)
        return NotStarted(stage, exc)
