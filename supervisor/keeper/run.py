"""Runs: one for each container started. Here the stop contract is carried out; what is due is ``stopping``'s to say."""

from __future__ import annotations

import errno
import functools
import heapq
import os
import select
import signal
import time
from collections.abc import Callable
from typing import Any

from supervisor import stopping, wire
from supervisor.keeper import child
from supervisor.keeper.poller import Poller, Priority
from supervisor.keeper.tracking import Tracking
from supervisor.posix import proc, process

PIDS_TOLD = 32
_SPARE_FDS = 32
"""Descriptors that no run may take: what looks at processes, kills them and starts an agent needs some for a moment."""

Emit = Callable[..., None]


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
        self.events: int | None = None
        self.plan = stopping.Plan(spec.stop_signal, stopping.Whom(spec.stop_scope), spec.stop_timeout)


class Runs:
    """All runs of this keeper. ``emit(event type, **members)`` takes what happened; it adds number and time."""

    def __init__(
        self, poller: Poller, tracking: Tracking, emit: Emit, birth: Callable[[str, str], child.Birth]
    ) -> None:
        self._poller = poller
        self._tracking = tracking
        self._emit = emit
        self._birth = birth
        self._most_fds = process.fd_limit()
        self.look_owed = False
        """Something has happened after which a run may be empty: ``look`` before anything else is done."""
        self._runs: dict[str, Run] = {}
        self._over: dict[Run, None] = {}
        """Those whose main process is over, in the order in which they ended."""
        self._due: list[tuple[float, str]] = []
        """A heap of (instant, run id). An entry whose run has another ``kill_at`` by now is stale, and skipped."""

    def __len__(self) -> int:
        return len(self._runs)

    def ids(self) -> list[str]:
        """Every run that is not empty yet."""
        return list(self._runs)

    def main_pids(self) -> set[int]:
        """The main processes, alive or kept as zombies: not to be reaped as orphans."""
        return {run.pid for run in self._runs.values()}

    def named(self) -> list[dict[str, Any]]:
        """For people: what is left."""
        return [_name(run) for run in self._runs.values()]

    # asked for by the agent

    def spawn(self, spec: wire.Spawn) -> None:
        """Fork the main process. Asked twice for the same run, it is started once."""
        if spec.run in self._runs:
            return
        try:
            self._tracking.prepare(spec.run, spec.task)
            self._tracking.limit(spec)
            report, theirs = self._pipe()
        except OSError as exc:
            self._refuse(spec, "cgroup", exc)
            return
        try:
            birth = self._birth(spec.run, spec.task)
            pid = process.fork(functools.partial(child.become, spec, birth, theirs))
        except OSError as exc:
            os.close(report)
            self._refuse(spec, "fork", exc)
            return
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
            self._refuse(spec, "fork", exc)
            return
        self._runs[run.id] = run
        self._poller.watch(report, select.EPOLLIN, Priority.EXIT, functools.partial(self._read_report, run))
        # Edges only: a traced process that is dead but owed to its tracer stays readable, and has nothing to tell yet.
        mask = select.EPOLLIN | select.EPOLLET
        self._poller.watch(pidfd, mask, Priority.EXIT, functools.partial(self._main_over, run))

    def _pipe(self) -> tuple[int, int]:
        ours, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        if max(ours, theirs) + _SPARE_FDS < self._most_fds:  # the kernel gives the lowest number that is free
            return ours, theirs
        os.close(ours)
        os.close(theirs)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    def _refuse(self, spec: wire.Spawn, stage: str, exc: OSError) -> None:
        self._tracking.release(spec.run, spec.task)
        self.refuse(spec, stage, exc.errno or errno.EIO, exc.strerror or str(exc))

    def refuse(self, spec: wire.Spawn, stage: str, number: int, detail: str) -> None:
        """Answer a spawn that will not be."""
        self._emit(wire.SpawnFailed, run=spec.run, stage=stage, errno=number, detail=detail)

    def stop(self, run_id: str, timeout: float | None) -> None:
        """Begin a stop, or bring its deadline forward. A run that is over already needs none."""
        if run := self._runs.get(run_id):
            self._follow(run, stopping.request(run.plan, time.monotonic(), timeout))

    def stop_all(self) -> list[dict[str, Any]]:
        """Each run that is not being stopped yet, with its own window (and no later than its cap). Who they were."""
        unasked = [run for run in self._runs.values() if run.plan.window is None]
        for run in unasked:
            self._follow(run, stopping.request(run.plan, time.monotonic()))
        return [_name(run) for run in unasked]

    def cap_all(self, at: float) -> None:
        """No deadline later than ``at``."""
        for run in self._runs.values():
            self._set_plan(run, stopping.cap(run.plan, at))

    # told by the kernel

    def _read_report(self, run: Run) -> None:
        """Exec closes the pipe; a failure is written into it before."""
        if run.report is None:
            return
        try:
            data = os.read(run.report, child.REPORT_MOST)
        except BlockingIOError:
            return
        self._poller.forget(run.report)
        os.close(run.report)
        run.report = None
        if data:
            run.failure = child.read_report(data)
            return
        self._emit(wire.Spawned, run=run.id, pid=run.pid, start_time=run.start_time)
        self._follow(run, stopping.started(run.plan, time.monotonic()))

    def _main_over(self, run: Run) -> None:
        wait = process.peek(run.pidfd)
        if wait is None:
            return
        self._read_report(run)
        self._poller.forget(run.pidfd)
        run.over = True
        if run.failure is not None:
            self._end(run)
            stage, number, detail = run.failure
            self._emit(wire.SpawnFailed, run=run.id, stage=stage, errno=number, detail=detail)
            return
        oom_kills = self._tracking.oom_kills(run)
        self._emit(wire.Exited, run=run.id, code=wait.code, signal=wait.signal, oom_kills=oom_kills)
        self._over[run] = None
        if run.events is not None:  # not before: only a look reads it, and unread it stays ready
            self._poller.watch(run.events, select.EPOLLPRI, Priority.EXIT, self.owe_look)
        self.look_owed = True

    def owe_look(self) -> None:
        """Something has changed for some run: one look will do for all that change at once."""
        self.look_owed = True

    def look(self) -> None:
        """See which of those whose main process is over have become empty; what is left of others gets the signal."""
        for run in self._tracking.empty(self._over) if self._over else ():
            assert isinstance(run, Run)
            self._end(run)
            self._emit(wire.Emptied, run=run.id)
        for run in self._over:
            self._follow(run, stopping.outlived(run.plan, time.monotonic()))
        self.look_owed = False

    def _end(self, run: Run) -> None:
        """Nothing is left: only now is the main process reaped, and its pid free for others."""
        process.reap(run.pid)
        if run.events is not None:
            self._poller.forget(run.events)
        self._tracking.release(run.id, run.task)
        os.close(run.pidfd)
        del self._runs[run.id]
        self._over.pop(run, None)

    # told by the clock

    def next_at(self) -> float | None:
        """The next instant that something is due at."""
        while self._due:
            at, run_id = self._due[0]
            run = self._runs.get(run_id)
            if run is not None and run.plan.kill_at == at:
                return at
            heapq.heappop(self._due)
        return None

    def tick(self, now: float) -> None:
        """Kill what is due: all of it in one pass, and only then tell of it."""
        due = []
        while (at := self.next_at()) is not None and at <= now:
            run = self._runs[heapq.heappop(self._due)[1]]
            plan, orders = stopping.tick(run.plan, now)
            self._set_plan(run, plan)
            if orders:
                due.append(run)
        if not due:
            return
        reached = self._tracking.kill(due)
        for run in due:
            self._tell_signalled(run, signal.SIGKILL, stopping.Whom.GROUP, reached[run.id])

    def _set_plan(self, run: Run, plan: stopping.Plan) -> None:
        before = run.plan
        run.plan = plan
        if plan.kill_at is not None and plan.kill_at != before.kill_at:
            heapq.heappush(self._due, (plan.kill_at, run.id))
        if before.signalled is not None and plan.deadline != before.deadline:
            self._emit(wire.Hastened, run=run.id, deadline=plan.deadline, window=plan.length)

    def _follow(self, run: Run, step: stopping.Step) -> None:
        plan, orders = step
        self._set_plan(run, plan)
        for order in orders:
            assert isinstance(order, stopping.Signal), "kills are given by the clock alone"
            try:
                reached = self._signal(run, order)
            except OSError:  # no descriptor left to look with: the deadline stands all the same
                reached = []
            self._tell_signalled(run, order.signum, order.whom, reached)

    def _signal(self, run: Run, order: stopping.Signal) -> list[int]:
        if order.whom is stopping.Whom.GROUP:
            return self._tracking.signal(run, order.signum)
        self._tracking.thaw(run)
        reached = process.send(run.pidfd, order.signum)
        process.send(run.pidfd, signal.SIGCONT)
        return [run.pid] if reached else []

    def _tell_signalled(self, run: Run, signum: int, whom: stopping.Whom, pids: list[int]) -> None:
        deadline, window = run.plan.deadline, run.plan.length
        assert deadline is not None
        self._emit(
            wire.Signalled,
            run=run.id,
            signum=int(signum),
            whom=str(whom),
            deadline=deadline,
            pids=pids[:PIDS_TOLD],
            window=window,
        )


def _name(run: Run) -> dict[str, Any]:
    return {"task": run.task, "container": run.container, "pid": run.pid}
