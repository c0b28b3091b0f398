"""The keeper's loop: exits before deadlines before requests, and nothing that waits in between.

Drain: at the first SIGTERM or SIGINT the agent is told (``Draining``) and stops every task in its order; each deadline
is capped by the budget here. An agent that has not even stored that within ``_DRAIN_PATIENCE`` is not waited for: the
keeper then stops everything by itself. A second signal cuts every window to nothing.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import select
import signal
import time
from collections.abc import Callable
from typing import Any

from supervisor import wire
from supervisor.keeper import ledger, verbs
from supervisor.keeper.adoption import Adoption
from supervisor.keeper.agent_process import AgentProcess
from supervisor.keeper.cgroup_tracking import choose
from supervisor.keeper.child import Birth
from supervisor.keeper.fd_store import FdStore
from supervisor.keeper.held import Run
from supervisor.keeper.ledger import Ledger
from supervisor.keeper.look import Looks
from supervisor.keeper.poller import Poller, Priority
from supervisor.keeper.report import Log
from supervisor.keeper.run import Runs
from supervisor.keeper.settings import ENDING, Settings
from supervisor.keeper.socket_file import SocketFile
from supervisor.keeper.upgrade import START_TAKES, Upgrade
from supervisor.posix import proc, process, service

_DRAIN_PATIENCE = 2.0
_DRAIN_RESERVE = 1.0
"""Seconds of the budget kept back for the kills at its end, and for recording them."""
_LOOK_AGAIN = 0.05
"""Seconds until a look that failed (no descriptor left, say) is tried again."""
_COMPACTING_TAKES = 0.2
"""Seconds within which the ledger is written anew, also one of thousands of runs."""
_GIVE_UP = 5.0
"""Seconds beyond the budget after which the keeper ends with what is left named, and status 1."""

_OOM_SCORE_ADJ = -900
"""Of keeper and agent: the kernel takes them after everything else that it may kill for want of memory."""


class Keeper:
    """One keeper, one loop. ``run`` returns the exit status."""

    def __init__(self, settings: Settings) -> None:
        self.draining = False
        self._settings = settings
        self._log = Log()
        self._poller = Poller()
        self._events: dict[int, wire.Event] = {}
        self._seq = 0
        self._asked_to_end = 0
        self._drain_seq = 0
        self._patient_until: float | None = None
        self._windows_end = 0.0
        self._give_up_at = 0.0
        self._status: int | None = None
        self._asked_status: int | None = None
        """What the agent wants this process to end with; 0 where it has no wish."""
        self.fd_limits = process.raise_fd_limit()
        self._ledger = Ledger(settings.ledger, self._ledger_failed)
        process.become_subreaper()
        if settings.oom_score_adj is not None:
            process.be_spared(_OOM_SCORE_ADJ)
        self._agent = AgentProcess(
            self._poller, self._log, settings, self._handle, self._agent_ended, ledger=self._ledger
        )
        self._fd_store = FdStore(settings.kept_fds)
        self._upgrade = Upgrade(self._poller, self._log, settings, self._agent, self)
        self._tracking, why = choose(settings.tracking, settings.cgroup, self._own_pids)
        self._looks = Looks(self._poller, self._tracking, enabled=settings.look)
        adoption = Adoption(self._tracking, settings.kept_fds)
        self.runs = Runs(
            self._poller, self._tracking, self._emit, self._birth, self._looks, ledger=self._ledger, adoption=adoption
        )
        tracking, limits = self._tracking.name, self._tracking.limits
        self._log.info("keeper_started", pid=os.getpid(), tracking=tracking, why=why, limits=limits)
        self._take_over(adoption)
        self._socket_file: SocketFile | None = None
        if settings.socket_path is not None:
            self._guarded(self._follow_socket)

    def _follow_socket(self) -> None:
        path, fd = self._settings.socket_path, self._settings.listen_fds[0]
        assert path is not None, "it is asked for then only"
        self._socket_file = SocketFile(self._poller, self._log, path, fd, self._agent.kill)

    def _take_over(self, adoption: Adoption) -> None:
        """Hold what the keeper before this one held. It was killed, or it was ourselves before an upgrade."""
        records = ledger.read(self._settings.ledger)
        if records.get("boot") != proc.boot_id():
            records = {"boot": proc.boot_id()}
        self._ledger.begin(records)
        self._events = ledger.events(records)
        self._seq = max(self._events, default=0)
        runs = adoption.of_ledger(records)
        self._guarded(lambda: self._tracking.adopt([run for run in runs if run.adopted]))
        for run in runs:
            sending = bool(records.get(f"plan {run.id}", {}).get("sending"))
            self._guarded(functools.partial(self.runs.resume, run, sending=sending))
        self.runs.owe_look()
        if self._settings.agent is None:
            self._agent.outlive(*records.get("agent", (0, 0)))
        self._fd_store.take_over(run.id for run in runs)
        if runs:
            adopted = sum(run.adopted for run in runs)
            self._log.info("runs_taken_over", adopted=adopted, children=len(runs) - adopted)

    def _ledger_failed(self, error: OSError) -> None:
        self._log.warning("ledger_failed", path=self._settings.ledger, error=error.strerror or str(error))

    def run(self) -> int:
        """Serve until told to end and everything has been stopped."""
        self._listen_to_signals()
        if self._settings.agent is None:
            self._agent.start()
        else:
            self._agent.resume(*self._settings.agent)
        gc.freeze()
        while self._status is None:
            self._poller.wait(self._next_at())
            self._guarded(self._look)
            now = time.monotonic()
            self._guarded(self._tick)
            self._guarded(self._serve_looks)
            self._guarded(self.runs.start_helpers)
            if self._agent.start_at is not None and now >= self._agent.start_at and not self._upgrade.is_under_way:
                self._agent.start()
            self._agent.watch(now, self._owed(), draining=self.draining)
            if self._socket_file is not None:
                self._socket_file.serve(now)
            if self.draining:
                self._go_on_draining(now)
            self._ledger.flush()
            self._agent.flush()
            if self._ledger.is_long and self.runs.is_quiet(_COMPACTING_TAKES) and not self.runs.are_starting():
                self._ledger.compact()
            self._guarded(self._serve_upgrade)
        self._looks.close()
        self._tracking.close()
        if not len(self.runs) and not self._events:
            self._ledger.remove()
        if self._socket_file is not None:
            with contextlib.suppress(OSError):
                self._socket_file.remove()
        self._log.info("keeper_ended", status=self._status)
        return self._status

    def _next_at(self) -> float | None:
        start_at = None if self._upgrade.is_under_way else self._agent.start_at
        instants = [self.runs.next_at(), self._looks.next_at(), self._upgrade.next_at(), start_at]
        instants.append(self._agent.watch_at(self._owed(), draining=self.draining))
        if self.runs.look_owed:
            instants.append(time.monotonic() + _LOOK_AGAIN)
        if self._socket_file is not None:
            instants.append(self._socket_file.due_at)
        if self.draining:
            instants += [self._patient_until, self._give_up_at]
        return min((at for at in instants if at is not None), default=None)

    def _own_pids(self) -> set[int]:
        """Our children that are no run's."""
        return {self._agent.pid, *self._looks.pids(), *self._upgrade.pids()}

    def _birth(self, run: str, task: str) -> Birth:
        return Birth(
            self._settings.log_dir,
            self._tracking.birth_group(run, task),
            self._tracking.births_tag(run),
            self._settings.allowed_users,
            self.fd_limits,
            self._settings.agent_ids,
            self._settings.secrets_dir,
            self._settings.oom_score_adj,
            os.getpid(),
            self._ledger.fd,
        )

    # events to the agent

    def _emit(self, kind: Any, **members: Any) -> None:
        self._seq += 1
        if kind is not wire.Draining:
            members["clock"] = round(time.monotonic(), 6)
        event = self._events[self._seq] = kind(seq=self._seq, at=round(time.time(), 3), **members)
        if kind is not wire.Draining:
            self._ledger.put(f"event {self._seq}", (wire.number_of(kind), event._asdict()))
        if self._agent.greeted:
            self._agent.send(event)
        if kind is wire.Emptied:
            self._fd_store.drop(event.run)
        elif kind is wire.Spawned:
            self._keep_fd(self.runs.find(event.run))

    def _keep_fd(self, run: Run | None) -> None:
        if run is not None and run.beside is None and run.pidfd is not None:
            self._fd_store.keep(run.id, run.pidfd)

    # requests of the agent (verbs.Host)

    def _handle(self, message: Any) -> None:
        self._guarded(lambda: verbs.handle(self, message))
        self._guarded(self._tick)  # a thousand spawns in one chunk make no kill late

    @property
    def owed(self) -> int:
        """How many events are kept for an agent to store."""
        return len(self._events)

    def answer_hello(self) -> None:
        """Everything not yet stored, in order; from now on also what is new."""
        first = not self._agent.has_served
        if self.draining and self._drain_seq not in self._events:
            self._tell_draining()  # an earlier agent had stored it; this one has to know as well
        self._agent.greet()
        for event in self._events.values():
            self._agent.send(event)
        if first:
            service.notify("READY=1")

    def answer_list(self) -> None:
        """What is held: living runs, and those whose end is still to be stored."""
        told = {event.run for event in self._events.values() if not isinstance(event, wire.Draining)}
        runs = sorted(told.union(self.runs.ids()))
        self._agent.send(wire.Listed(wire.VERSION, proc.boot_id(), self._tracking.name, runs))

    def answer_describe(self, run_id: str) -> None:
        """As it was asked for; nothing of a run that is not held."""
        run = self.runs.find(run_id)
        if run is None:
            return
        spec = ledger.read(self._settings.ledger).get(f"spec {run_id}")
        told = wire.revive(wire.Spawn, spec) if spec is not None else None
        self._agent.send(run.describe(told))

    def answer_forget(self, through: int) -> None:
        """The agent has stored them."""
        for seq in [seq for seq in self._events if seq <= through]:
            del self._events[seq]
            self._ledger.drop(f"event {seq}")

    def answer_pong(self, number: int) -> None:
        """The agent lives."""
        self._agent.answered(number)

    def _owed(self) -> float | None:
        """Since when there is an event that the agent has not stored."""
        oldest = next(iter(self._events.values()), None)
        return None if oldest is None or isinstance(oldest, wire.Draining) else oldest.clock

    def answer_end(self, status: int) -> None:
        """Of several that come, also from later agents, the first one counts."""
        if self._asked_status is None:
            self._asked_status = status
            self._log.info("end_asked", status=status)
        if not self.draining:
            self._drain()

    def answer_prove(self) -> None:
        """See whether the installed version could take over."""
        if self._ledger.sound:
            self._upgrade.prove()
        else:
            self._agent.send(wire.Proven(None, "there is no ledger, by which the next keeper would know its tasks"))

    def answer_reexec(self) -> None:
        """The agent has made way for it."""
        self._upgrade.begin()

    def why_not_now(self) -> str:
        """What is in the way of an exec."""
        if self.draining:
            return "the supervisor is shutting down"
        if not self._ledger.sound:
            return "the ledger cannot be written"
        if not self.runs.is_settled():
            return "something is being started"
        return "" if self.runs.is_quiet(START_TAKES) else "SIGKILLs are due, or near"

    def leave(self) -> dict[str, int]:
        """Nothing is under way but what the next keeper finds in the ledger; the pidfds of adopted runs."""
        self._looks.close()
        self._ledger.flush()
        return self.runs.adopted_pidfds()

    def _serve_upgrade(self) -> None:
        self._upgrade.serve(self.runs.is_quiet)

    def _agent_ended(self) -> None:
        status = self._agent.status
        assert status is not None
        if self.draining and status.code == 0:
            return
        facts = {"code": status.code, "signal": status.signal}
        if not self._agent.has_served and not len(self.runs):
            self._log.warning("agent_failed_to_start", **facts)
            self._status = 1
            return
        self._log.warning("agent_died", **facts)

    # signals and orphans

    def _listen_to_signals(self) -> None:
        ours, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
        self._poller.watch(ours, select.EPOLLIN, Priority.SIGNAL, lambda: self._woken(ours))
        process.ignore_stray_signals()
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in ENDING:
            signal.signal(number, self._end_asked)
        process.release_signals()

    def _end_asked(self, *_: Any) -> None:
        self._asked_to_end += 1

    def _woken(self, fd: int) -> None:
        os.read(fd, 65536)
        self.runs.owe_look()
        while self._asked_to_end:
            self._asked_to_end -= 1
            self._drain()

    def _look(self) -> None:
        """Reap, then see who is empty."""
        if self.runs.look_owed:
            self._reap_orphans()
            self.runs.look()

    def _tick(self) -> None:
        self.runs.tick(time.monotonic())

    def _serve_looks(self) -> None:
        self._looks.serve(self.runs.is_quiet)

    def _stop_all(self) -> None:
        if unasked := self.runs.stop_all():
            self._log.warning("agent_not_draining", left=unasked)

    def _guarded(self, step: Callable[[], None]) -> None:
        """A host without descriptors or memory must not end the keeper: looks are owed, and kills are repeated."""
        try:
            step()
        except OSError as exc:
            self._log.warning("step_failed", step=getattr(step, "__name__", "request"), error=str(exc))

    def _reap_orphans(self) -> None:
        """Reap inherited processes; the main processes and the agent are kept for those that await them."""
        self._looks.reap()
        kept = self.runs.main_pids() | self._own_pids()
        while (pid := process.peek_any()) is not None:
            if pid in kept:
                # A kept zombie hides the others behind it: ask each child that is not to be kept.
                for child in proc.children():
                    if child not in kept:
                        process.reap(child)
                return
            process.reap(pid)

    # the end

    def _drain(self) -> None:
        now = time.monotonic()
        if self.draining:
            self._log.warning("drain_cut_short", left=self.runs.named())
            self._windows_end = now
            self.runs.cap_all(now)
            self._guarded(self._stop_all)
            self._guarded(self._tick)
            self._patient_until = None
            self._give_up_at = min(self._give_up_at, now + _GIVE_UP)
            return
        self.draining = True
        budget = self._settings.shutdown_timeout
        self._log.info("drain_started", budget=budget, runs=len(self.runs))
        service.notify("STOPPING=1")
        self._windows_end = now + budget - min(_DRAIN_RESERVE, budget / 10)
        self.runs.cap_all(self._windows_end)
        self._tell_draining()
        self._patient_until = now + min(_DRAIN_PATIENCE, budget / 2)
        self._give_up_at = now + budget + _GIVE_UP

    def _tell_draining(self) -> None:
        self._emit(wire.Draining, budget=max(self._windows_end - time.monotonic(), 0.0))
        self._drain_seq = self._seq

    def _go_on_draining(self, now: float) -> None:
        if self._patient_until is not None and self._drain_seq not in self._events:
            self._patient_until = self._windows_end  # it knows; what it has not stopped by then is stopped all the same
        if self._patient_until is not None and now >= self._patient_until:
            self._guarded(self._stop_all)
            self._patient_until = None
        if not len(self.runs) and not self._agent.pid and not self._events:
            self._status = self._asked_status or 0
        elif now >= self._give_up_at:
            self._log.warning("drain_given_up", left=self.runs.named(), unstored=len(self._events))
            self._agent.kill()
            self._status = 1
