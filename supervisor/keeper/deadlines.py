"""What is due of each run, and when: all kills in one pass, and only then all else."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Protocol

from supervisor import stopping, wire
from supervisor.agenda import Agenda
from supervisor.keeper.held import Run
from supervisor.keeper.look import Looks
from supervisor.keeper.tracking import Tracking

PIDS_TOLD = 32
_KILLS_OF_HELPERS = 5
"""SIGKILLs, three quarters of a second, after which a helper that holds up the end of its run by itself is told of."""


class Host(Protocol):
    """What holds all runs: ``run.Runs``."""

    def find(self, run_id: str) -> Run | None:
        """The run, if it is held."""

    def follow(self, run: Run, step: stopping.Step) -> None:
        """Carry out a step, all but kills."""

    def note(self, run: Run) -> None:
        """Have the ledger know how far it is."""


class Deadlines:
    """The clock of all runs."""

    def __init__(self, host: Host, tracking: Tracking, looks: Looks, emit: Callable[..., None]) -> None:
        self._host = host
        self._tracking = tracking
        self._looks = looks
        self._emit = emit
        self._due = Agenda()
        self._killed: list[Run] = []
        """Those killed of which the agent has not been told yet."""

    def set(self, run: Run) -> None:
        """Its plan says when it is due next."""
        self._due.set(run.id, run.plan.next_at)

    def forget(self, run: Run) -> None:
        """It is over."""
        self._due.set(run.id, None)

    def next_at(self) -> float | None:
        """The next instant that something is due at."""
        return self._due.next_at()

    @property
    def owes_a_kill(self) -> bool:
        """Whether a kill is still to be told."""
        return bool(self._killed)

    def are_far(self, seconds: float) -> bool:
        """Whether nothing is due within that time."""
        at = self._due.next_at()
        return at is None or at - time.monotonic() > seconds

    def tick(self, now: float) -> None:
        """Do what is due, with an eye on the next that are due."""
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
                        self.tell_signalled(run.beside, signal.SIGKILL, stopping.Whom.GROUP, reached[run.id], run.plan)
                    self._do_what_is_due_now()
        finally:
            # Not before: those who are gone by now are seen first, and not killed again.
            for run in [*done, *self._killed]:
                self._due.set(run.id, run.plan.next_at)
                self._host.note(run)

    def _do_what_is_due_now(self) -> None:
        self._do_due(time.monotonic())

    def _do_due(self, now: float) -> None:
        killed, others = [], []
        for run_id in self._due.take(now):
            run = self._host.find(run_id)
            assert run is not None, "what is over is due no more"
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
                self._host.follow(run, step)

    def _tell_kill(self, run: Run, pids: list[int], seen: tuple[float, str] | None) -> None:
        if self._looks.enabled and not run.looked_at:
            seen_at, facts = seen or (round(time.monotonic(), 6), "[]")
            signums = [signum for signum, _ in run.plan.signals[: run.plan.sent]]
            self._emit(wire.Looked, run=run.id, seen_at=seen_at, signums=signums, facts=facts)
        run.looked_at = True
        self.tell_signalled(run, signal.SIGKILL, stopping.Whom.GROUP, pids)

    def tell_signalled(
        self, run: Run, signum: int, whom: stopping.Whom, pids: list[int], plan: stopping.Plan | None = None
    ) -> None:
        """A signal was sent to these. ``plan``: where it is another's deadline that it was sent for."""
        deadline, window = (plan or run.plan).deadline, (plan or run.plan).length
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
