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
from supervisor.keeper import child, forking
from supervisor.keeper.adoption import Adoption, why_unknown
from supervisor.keeper.deadlines import Deadlines
from supervisor.keeper.forking import BirthOf, Forking, NotStarted
from supervisor.keeper.held import Run
from supervisor.keeper.helpers import Helpers
from supervisor.keeper.ledger import Ledger
from supervisor.keeper.look import Looks
from supervisor.keeper.poller import Poller, Priority
from supervisor.keeper.tracking import Tracking
from supervisor.keeper.witnesses import Witnesses
from supervisor.posix import process

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
        self._deadlines = Deadlines(self, tracking, looks, emit)
        self._witnesses = Witnesses(poller, self.owe_look)

    def __len__(self) -> int:
        return len(self._runs)

    def ids(self) -> list[str]:
        """Every run that the agent knows and that is not over yet."""
        return [run.id for run in self._runs.values() if not run.is_hook] + self._helpers.ids()

    def are_starting(self) -> bool:
        """Whether a child of ours has not come to its exec yet."""
        return any(run.report is not None for run in self._runs.values())

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
        self._deadlines.set(run)
        if run.plan.kill_at is not None:
            self._looks.expect(run)
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
        self.note(run)
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
                self._witnesses.choose(run.id, [pid for pid in self._tracking.members([run])[run.id] if pid != run.pid])
        late_stops, self._late_stops = self._late_stops, []
        for late_stop in late_stops:
            self.stop(*late_stop)

    def _emptied(self, run: Run) -> None:
        """No process of the run itself is left. It is over when its helpers are."""
        del self._over[run]
        if run.helpers:
            run.empty = True
            self._looks.drop(run.id)
            self.set_plan(run, stopping.finished(run.plan))
            self.note(run)
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
        self._deadlines.forget(run)
        self._witnesses.let_go(run.id)
        forking.forget(self._ledger, run.id)
        del self._runs[run.id]
        if run.beside is not None:
            run.beside.helpers.remove(run)

    # told by the clock

    def next_at(self) -> float | None:
        """The next instant that something is due at."""
        return time.monotonic() if self._helpers.wait else self._deadlines.next_at()

    def is_quiet(self, seconds: float) -> bool:
        """Whether nothing is due within that time."""
        return self._deadlines.are_far(seconds)

    def adopted_pidfds(self) -> dict[str, int]:
        """By run id, where another process than we reaps the main process."""
        return {run.id: run.pidfd for run in self._runs.values() if run.adopted and run.pidfd is not None}

    def is_settled(self) -> bool:
        """Whether the ledger has all that there is: no fork is on its way to its exec, and nothing is to be told."""
        under_way = self.look_owed or self._late_stops or self._deadlines.owes_a_kill or self._helpers.wait
        return not under_way and not self.are_starting()

    def start_helpers(self) -> None:
        """Start a helper that waits, if there is time."""
        self._helpers.serve(self.is_quiet)

    def tick(self, now: float) -> None:
        """Do what is due."""
        self._deadlines.tick(now)

    def set_plan(self, run: Run, plan: stopping.Plan) -> None:
        """What is due for the run has changed."""
        before = run.plan
        run.plan = plan
        if plan != before:
            self.note(run)
        self._deadlines.set(run)
        if plan.deadline == before.deadline:
            return
        if plan.kill_at is not None:
            self._looks.expect(run)
        self._helpers.end_beside(run)
        if before.signalled is not None or before.hooking:  # the agent knows of the deadline that was
            self._emit(wire.Hastened, run=run.id, deadline=plan.deadline, window=plan.length)

    def note(self, run: Run, *, sending: bool = False) -> None:
        """Have the ledger know how far it is. ``sending``: the current signal is about to be sent."""
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
            self.note(run, sending=True)
            self._ledger.flush()
            try:
                reached = self._signal(run, order)
            except OSError:  # no descriptor left to look with: the deadline stands all the same
                reached = []
            self._deadlines.tell_signalled(run, order.signum, order.whom, reached)
            self.note(run)

    def _signal(self, run: Run, order: stopping.Signal) -> list[int]:
        if order.whom is stopping.Whom.GROUP:
            return self._tracking.signal(run, order.signum)
        self._tracking.thaw(run)
        reached = run.send(order.signum)
        run.send(signal.SIGCONT)
        return [run.pid] if reached else []


def _name(run: Run) -> dict[str, Any]:
    return {"task": run.task, "container": run.container, "pid": run.pid}
