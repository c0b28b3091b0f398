"""Runs: one for each container started. Here the stop contract is carried out; what is due is ``stopping``'s to say."""

from __future__ import annotations

import functools
import os
import select
import signal
import time
from collections.abc import Callable
from typing import Any

from supervisor import stopping, wire
from supervisor.agenda import Agenda
from supervisor.keeper import child, forking
from supervisor.keeper.adoption import Adoption, why_unknown
from supervisor.keeper.forking import BirthOf, Forking, NotStarted
from supervisor.keeper.held import Run
from supervisor.keeper.helpers import Helpers
from supervisor.keeper.ledger import Ledger
from supervisor.keeper.look import Looks
from supervisor.keeper.poller import Poller, Priority
from supervisor.keeper.tracking import Tracking
from supervisor.posix import process

PIDS_TOLD = 32
_KILLS_OF_HELPERS = 5
"""SIGKILLs, three quarters of a second, after which a helper that holds up the end of its run by itself is told of."""

Emit = Callable[..., None]


class Runs:
    """All runs of this keeper. ``emit(event type, **members)`` takes what happened; it adds number and time."""

    def __init__(
        self,
        poller: Poller,
        tracking: Tracking,
        emit: Emit,
        birth: BirthOf,
        looks: Looks,
        *,
        ledger: Ledger,
        adoption: Adoption,
    ) -> None:
        self._poller = poller
        self._tracking = tracking
        self._emit = emit
        self._ledger = ledger
        self._adoption = adoption
        self._forking = Forking(tracking, birth, ledger)
        self._looks = looks
        self._helpers = Helpers(self, self._forking, emit)
        self.look_owed = False
        """Something has happened after which a run may be empty: ``look`` before anything else is done."""
        self._runs: dict[str, Run] = {}
        self._over: dict[Run, None] = {}
        """Those whose main process is over and that are not empty, in the order in which they ended."""
        self._late_stops: list[tuple[str, float | None]] = []
        self._due = Agenda()
        self._killed: list[Run] = []
        """Those killed of which the agent has not been told yet."""
        self._witnesses: dict[str, int] = {}
        """Of adopted runs whose main process is over, a pidfd of one that is left: its end brings the next look."""

    def __len__(self) -> int:
        return len(self._runs)

    def ids(self) -> list[str]:
        """Every run that the agent knows and that is not over yet."""
        return [run.id for run in self._runs.values() if not run.is_hook] + self._helpers.ids()

    def main_pids(self) -> set[int]:
        """The main processes, alive or kept as zombies, that are our children: not to be reaped as orphans."""
        return {run.pid for run in self._runs.values() if not run.adopted}

    def named(self) -> list[dict[str, Any]]:
        """For people: what is left."""
        return [_name(run) for run in self._runs.values()]

    def find(self, run_id: str) -> Run | None:
        """The run, if it is held."""
        return self._runs.get(run_id)

    # asked for by the agent

    def spawn(self, spec: wire.Spawn) -> None:
        """Fork the main process, of a helper when there is time. Asked twice for the same run, it is started once."""
        if spec.run in self._runs:
            return
        if spec.living is not None and (run := self._adoption.of_records(spec)) is not None:
            self._ledger.put(f"spec {run.id}", spec._asdict())
            self._ledger.put(f"born {run.id}", (run.pid, run.start_time))
            self._tracking.adopt([run])
            self.resume(run)
            return
        if spec.beside is not None:
            self._helpers.ask(spec)
            return
        try:
            self.hold(self._forking.start(spec))
        except NotStarted as exc:
            self.refuse(spec, *exc.args)

    def hold(self, run: Run) -> None:
        """Follow a run that was just forked."""
        self._runs[run.id] = run
        assert run.report is not None
        self._poller.watch(run.report, select.EPOLLIN, Priority.EXIT, functools.partial(self._read_report, run))
        self._follow_main(run)

    def _follow_main(self, run: Run) -> None:
        assert run.pidfd is not None
        # Edges only: a traced process that is dead but owed to its tracer stays readable, and has nothing to tell yet.
        mask = select.EPOLLIN | select.EPOLLET
        self._poller.watch(run.pidfd, mask, Priority.EXIT, functools.partial(self._main_over, run))

    def resume(self, run: Run, *, sending: bool = False) -> None:
        """Hold a run that was started before this keeper was; what has become of it meanwhile is found out at once.

        ``sending``: the keeper before was about to send the current signal.
        """
        run.events = self._tracking.watch(run)
        self._runs[run.id] = run
        self._set_due(run)
        if run.plan.starting:
            self._has_begun(run)
        if run.over:
            self._await_end(run)
        elif run.pidfd is not None:
            self._follow_main(run)
        else:
            self._main_over(run)
        if sending:
            self._repeat_signal(run)
        self._helpers.resume(run)

    def _repeat_signal(self, run: Run) -> None:
        """Nobody knows whether it was sent: twice is better than never."""
        plan = run.plan
        if plan.signalled is not None and plan.sent and not plan.kills:
            self.follow(run, (plan, (stopping.Signal(plan.signals[plan.sent - 1][0], plan.signalled),)))

    def refuse(self, spec: wire.Spawn, stage: str, number: int, detail: str) -> None:
        """Answer a spawn that will not be."""
        self._emit(wire.SpawnFailed, run=spec.run, stage=stage, errno=number, detail=detail)

    def stop(self, run_id: str, timeout: float | None) -> None:
        """Begin a stop, or bring its deadline forward, also for a hook that is left alone. A check is killed."""
        self._helpers.withdraw(run_id)
        run = self._runs.get(run_id)
        if run is None or run.is_hook or (run.empty and run.plan.window is None):
            return
        if run.beside is not None:
            self._helpers.end_by(run, time.monotonic())
        elif run.over and run.plan.window is None:
            self._late_stops.append((run_id, timeout))  # it exited in this very turn: a look has to see what is left
        else:
            self.follow(run, stopping.request(run.plan, time.monotonic(), timeout))

    def stop_all(self) -> list[dict[str, Any]]:
        """Each run that is not being stopped yet, with its own window (and no later than its cap). Who they were."""
        unasked = [
            run for run in self._runs.values() if run.beside is None and not run.over and run.plan.window is None
        ]
        for run in unasked:
            self.follow(run, stopping.request(run.plan, time.monotonic()))
        return [_name(run) for run in unasked]

    def cap_all(self, at: float) -> None:
        """No deadline later than ``at``."""
        for run in self._runs.values():
            if run.beside is not None:
                self._helpers.end_by(run, at)
            elif not run.empty:
                self.set_plan(run, stopping.cap(run.plan, at))

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
        self._has_begun(run)

    def _has_begun(self, run: Run) -> None:
        """The exec has succeeded."""
        if not run.is_hook:
            self._emit(wire.Spawned, run=run.id, pid=run.pid, start_time=run.start_time)
        if run.beside is None:
            self.follow(run, stopping.started(run.plan, time.monotonic()))

    def _main_over(self, run: Run) -> None:
        wait = run.end()
        if wait is None:
            return
        self._read_report(run)
        if run.pidfd is not None:
            self._poller.forget(run.pidfd)
        run.over = True
        if run.failure is not None:
            self._end(run)
            stage, number, detail = run.failure
            if run.is_hook and run.beside is not None:
                self._helpers.hook_failed(run.beside, f"{stage}: {detail}")
            else:
                self._emit(wire.SpawnFailed, run=run.id, stage=stage, errno=number, detail=detail)
            self._end_with_helper(run)
            return
        if run.is_hook:
            self._helpers.hook_over(run, wait)
        else:
            oom_kills = self._tracking.oom_kills(run)
            why = "" if wait != process.Wait(None, None) else why_unknown(run.pidfd)
            self._emit(wire.Exited, run=run.id, code=wait.code, signal=wait.signal, oom_kills=oom_kills, unknown=why)
        self._note(run)
        self._await_end(run)
        self._helpers.end_beside(run)

    def _await_end(self, run: Run) -> None:
        """Its main process is over."""
        self._over[run] = None
        if run.events is not None:  # not before: only a look reads it, and unread it stays ready
            self._poller.watch(run.events, select.EPOLLPRI, Priority.EXIT, self.owe_look)
        self.look_owed = True

    def owe_look(self) -> None:
        """Something has changed for some run: one look will do for all that change at once."""
        self.look_owed = True

    def look(self) -> None:
        """See which of those whose main process is over have become empty; what is left of others gets the signal."""
        asked = [run for run in self._over if run.id not in self._witnesses]
        for one in self._tracking.empty(asked) if asked else ():
            assert isinstance(one, Run)
            self._emptied(one)
        for run in self._over:
            if run.beside is not None:
                self._helpers.end_by(run, time.monotonic())
            else:
                self.follow(run, stopping.outlived(run.plan, time.monotonic()))
        self.look_owed = False
        for run in asked:
            if run.adopted and run in self._over:
                self._find_witness(run)
        late_stops, self._late_stops = self._late_stops, []
        for late_stop in late_stops:
            self.stop(*late_stop)

    def _find_witness(self, run: Run) -> None:
        """SIGCHLD does not tell of an adopted run, nor does a cgroup of those who have left it: one of them does."""
        pids = self._tracking.members([run])[run.id]
        pidfds = (process.open_if(pid, lambda: True) for pid in pids if pid != run.pid)
        pidfd = next((pidfd for pidfd in pidfds if pidfd is not None), None)
        if pidfd is None:
            self.look_owed = True
            return
        self._witnesses[run.id] = pidfd
        self._poller.watch(pidfd, select.EPOLLIN, Priority.EXIT, functools.partial(self._let_go_witness, run.id))

    def _let_go_witness(self, run_id: str) -> None:
        if (pidfd := self._witnesses.pop(run_id, None)) is not None:
            self._poller.forget(pidfd)
            os.close(pidfd)
            self.look_owed = True

    def _emptied(self, run: Run) -> None:
        """No process of the run itself is left. It is over when its helpers are."""
        del self._over[run]
        if run.helpers:
            run.empty = True
            self._looks.drop(run.id)
            self.set_plan(run, stopping.finished(run.plan))
            self._note(run)
            if run.events is not None:
                self._poller.forget(run.events)
            return
        self._end(run)
        if not run.is_hook:
            self._emit(wire.Emptied, run=run.id)
        self._end_with_helper(run)

    def _end_with_helper(self, helper: Run) -> None:
        """The run that it was the last helper of may have waited for it alone."""
        run = helper.beside
        if run is not None and run.empty and not run.helpers:
            self._end(run)
            self._emit(wire.Emptied, run=run.id)

    def _end(self, run: Run) -> None:
        """Nothing is left."""
        self._helpers.withdraw_hook(run)
        self._ledger.flush()  # how it ended, before nobody else can tell any more
        run.close()
        if run.events is not None:
            self._poller.forget(run.events)
        self._tracking.release(run.id, run.task)
        self._looks.forget(run.id)
        self._due.set(run.id, None)
        self._let_go_witness(run.id)
        forking.forget(self._ledger, run.id)
        del self._runs[run.id]
        if run.beside is not None:
            run.beside.helpers.remove(run)

    # told by the clock

    def next_at(self) -> float | None:
        """The next instant that something is due at."""
        return time.monotonic() if self._helpers.wait else self._due.next_at()

    def is_quiet(self, seconds: float) -> bool:
        """Whether nothing is due within that time."""
        at = self._due.next_at()
        return at is None or at - time.monotonic() > seconds

    def start_helpers(self) -> None:
        """Start a helper that waits, if there is time."""
        self._helpers.serve(self.is_quiet)

    def tick(self, now: float) -> None:
        """Do what is due: all kills in one pass, and only then all else, with an eye on the next that are due."""
        done: list[Run] = []
        try:
            self._do_due(now)
            while self._killed:
                killed, self._killed = self._killed, []
                done += killed
                reached = self._tracking.kill_rest(killed, self._do_what_is_due_now)
                seen = self._looks.collect([run.id for run in killed])
                for run in killed:
                    if run.beside is None:
                        self._tell_kill(run, reached[run.id], seen.get(run.id))
                    elif run.beside.empty and run.plan.kills > _KILLS_OF_HELPERS:
                        self._tell_signalled(run.beside, run.plan, signal.SIGKILL, stopping.Whom.GROUP, reached[run.id])
                    self._do_what_is_due_now()
        finally:
            # Not before: those who are gone by now are seen first, and not killed again.
            for run in [*done, *self._killed]:
                self._due.set(run.id, run.plan.next_at)
                self._note(run)

    def _do_what_is_due_now(self) -> None:
        self._do_due(time.monotonic())

    def _do_due(self, now: float) -> None:
        killed, others = [], []
        for run_id in self._due.take(now):
            run = self._runs[run_id]
            plan, orders = stopping.tick(run.plan, now)
            if stopping.Kill() in orders:
                run.plan = plan
                killed.append(run)
            else:
                others.append((run, (plan, orders)))
        try:
            self._tracking.kill(killed)
        finally:
            self._killed += killed
            for run, step in others:
                self.follow(run, step)

    def _tell_kill(self, run: Run, pids: list[int], seen: tuple[float, str] | None) -> None:
        if self._looks.enabled and not run.looked_at:
            seen_at, facts = seen or (round(time.monotonic(), 6), "[]")
            signums = [signum for signum, _ in run.plan.signals[: run.plan.sent]]
            self._emit(wire.Looked, run=run.id, seen_at=seen_at, signums=signums, facts=facts)
        run.looked_at = True
        self._tell_signalled(run, run.plan, signal.SIGKILL, stopping.Whom.GROUP, pids)

    def set_plan(self, run: Run, plan: stopping.Plan) -> None:
        """What is due for the run has changed."""
        before = run.plan
        run.plan = plan
        if plan != before:
            self._note(run)
        if plan.deadline == before.deadline:
            self._due.set(run.id, plan.next_at)
            return
        self._set_due(run)
        self._helpers.end_beside(run)
        if before.signalled is not None or before.hooking:  # the agent knows of the deadline that was
            self._emit(wire.Hastened, run=run.id, deadline=plan.deadline, window=plan.length)

    def _set_due(self, run: Run) -> None:
        self._due.set(run.id, run.plan.next_at)
        if run.plan.kill_at is not None:
            self._looks.expect(run)

    def _note(self, run: Run, *, sending: bool = False) -> None:
        self._ledger.put(f"plan {run.id}", run.to_members(sending=sending))

    def follow(self, run: Run, step: stopping.Step) -> None:
        """Carry out a step, all but kills."""
        plan, orders = step
        self.set_plan(run, plan)
        for order in orders:
            if isinstance(order, stopping.Hook):
                self._emit(wire.HookStarted, run=run.id, deadline=plan.deadline, window=plan.length)
                self._helpers.ask_hook(run)
                continue
            assert isinstance(order, stopping.Signal), "kills are given by the clock alone"
            self._note(run, sending=True)
            self._ledger.flush()
            try:
                reached = self._signal(run, order)
            except OSError:  # no descriptor left to look with: the deadline stands all the same
                reached = []
            self._tell_signalled(run, plan, order.signum, order.whom, reached)
            self._note(run)

    def _signal(self, run: Run, order: stopping.Signal) -> list[int]:
        if order.whom is stopping.Whom.GROUP:
            return self._tracking.signal(run, order.signum)
        self._tracking.thaw(run)
        reached = run.send(order.signum)
        run.send(signal.SIGCONT)
        return [run.pid] if reached else []

    def _tell_signalled(self, run: Run, plan: stopping.Plan, signum: int, whom: stopping.Whom, pids: list[int]) -> None:
        deadline, window = plan.deadline, plan.length
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
