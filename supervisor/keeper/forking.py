"""A run's beginning: the group, the pipe for what fails, the fork, the descriptors by which it is followed."""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Callable

from supervisor import wire
from supervisor.keeper import child
from supervisor.keeper.held import Run
from supervisor.keeper.ledger import Ledger
from supervisor.keeper.tracking import Tracking
from supervisor.posix import proc, process

_SPARE_FDS = 32
"""Descriptors that no run may take: what looks at processes, kills them and starts an agent needs some for a moment."""

BirthOf = Callable[[str, str], child.Birth]


class NotStarted(Exception):
    """Nothing of the run is left: the stage that failed, errno and text."""

    def __init__(self, stage: str, exc: OSError) -> None:
        super().__init__(stage, exc.errno or errno.EIO, exc.strerror or str(exc))


class Forking:
    """Forks main processes, of containers and of helpers alike."""

    def __init__(self, tracking: Tracking, birth: BirthOf, ledger: Ledger) -> None:
        self._tracking = tracking
        self._birth = birth
        self._ledger = ledger
        self._most_fds = process.fd_limit()

    def start(self, spec: wire.Spawn) -> Run:
        """Fork; the run, which exec may still fail for (``Run.report`` tells). ``NotStarted`` leaves nothing."""
        self._ledger.put(f"spec {spec.run}", spec._asdict())
        self._ledger.flush()  # who is found with the marks of this run, by a keeper that knows no pid, is of it
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
            self._ledger.put(f"born {spec.run}", (pid, stat.start_time))
            self._ledger.flush()
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
        forget(self._ledger, spec.run)
        return NotStarted(stage, exc)


def forget(ledger: Ledger, run_id: str) -> None:
    """Nothing of the run is left."""
    for kind in ("spec", "born", "exec", "plan"):
        ledger.drop(f"{kind} {run_id}")
