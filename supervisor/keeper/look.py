"""What is left of a run shortly before its deadline: seen by a child of the keeper's, so that no kill waits for it.

``/proc`` can hang, and of a few hundred processes takes its time. The keeper therefore forks, once for all runs whose
deadlines are near to each other; the child looks twice, and writes a line for each run as soon as that run is done.
What it has written is taken in by pieces and taken apart only after the kill. A child that hangs is left to the kernel:
it is killed, kept out of every list, and nobody waits for it; it dies with the keeper at the latest.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import select
import time
from collections.abc import Callable
from typing import Any, NoReturn

from supervisor.agenda import Agenda
from supervisor.keeper.held import Run
from supervisor.keeper.poller import Poller, Priority
from supervisor.keeper.tracking import Tracking
from supervisor.posix import process, sight

LEAD = 0.5
"""Seconds before the deadline, at most half of the window, at which a look begins."""
GATHER = 0.1
"""Seconds: a look takes along whom one would be due for so soon after."""
SHORTEST = 0.02
"""Seconds of a window that it is worth to look in."""
LIST_LEAD = 0.05
"""Seconds before the deadline, at most a quarter of the window, at which the keeper itself notes who is there."""
GIVE_UP_LEAD = 0.05
"""Seconds before the first of its deadlines at which a look has to leave the CPU to the kills."""
PROCESSES_MOST = 32
"""Of one run."""
FACTS_MOST = 200_000
"""Bytes of JSON for one run: each may become two in the frame that carries them."""

_CHUNK = 8192
"""Bytes taken in a turn of the loop: a few microseconds."""
_NICENESS = 10
_MANY = 16
_OWNING_TAKES = 0.03
"""For so many runs, and if nothing is due within these seconds, the pages that the fork shares are copied at once: the
faults would otherwise come in the middle of the kills."""
_PATIENCE = 0.1
"""Seconds that the end of the keeper waits for what it has killed to be gone."""


class _Look:
    """One child and what it has written."""

    def __init__(self, pid: int, pipe: int, runs: set[str]) -> None:
        self.pid = pid
        self.pipe: int | None = pipe
        self.runs = runs
        self.written = bytearray()
        self.found: dict[str, tuple[float, str]] = {}
        """By run id, when and what was seen, of those lines that were taken apart."""

    def take_apart(self) -> None:
        """The whole lines among what was written."""
        *lines, rest = bytes(self.written).split(b"\n")
        self.written = bytearray(rest)
        for line in lines:
            run_id, seen_at, facts = line.decode("ascii").split(" ", 2)
            self.found[run_id] = (float(seen_at), facts)


class Looks:
    """Every look that is to come, under way, or done and not taken yet."""

    def __init__(self, poller: Poller, tracking: Tracking, *, enabled: bool) -> None:
        self._poller = poller
        self._tracking = tracking
        self.enabled = enabled
        self._runs: dict[str, Run] = {}
        self._looked_for: set[str] = set()
        """Those that a look has begun for: there is one for each stop."""
        self._due = Agenda()
        self._to_list = Agenda()
        self._looks: list[_Look] = []
        self._ending: set[int] = set()
        """Children that are over or killed, and not reaped yet."""
        self._put_off = False

    # asked by the runs

    def expect(self, run: Run) -> None:
        """A kill of the run has become due, or due at another time."""
        deadline, window = run.plan.deadline, run.plan.length
        if deadline is None or window is None or window < SHORTEST:
            return
        self._runs[run.id] = run
        self._to_list.set(run.id, deadline - min(LIST_LEAD, window / 4))
        if self.enabled and run.beside is None and run.id not in self._looked_for:
            self._due.set(run.id, deadline - min(LEAD, window / 2))

    def collect(self, killed: list[str]) -> dict[str, tuple[float, str]]:
        """What was seen of these, and when: all that the children have written by now. Nothing more is expected."""
        wanted = set(killed)
        found: dict[str, tuple[float, str]] = {}
        for look in [look for look in self._looks if look.runs & wanted]:
            self._take_in(look, wholly=True)
            look.take_apart()
            found |= {run_id: look.found.pop(run_id) for run_id in look.found.keys() & wanted}
        for run_id in killed:
            self.drop(run_id)
        return found

    def drop(self, run_id: str) -> None:
        """Nobody will ask about the run any more: it was killed, or has ended in time."""
        self._due.set(run_id, None)
        self._to_list.set(run_id, None)
        self._runs.pop(run_id, None)
        for look in [look for look in self._looks if run_id in look.runs]:
            look.runs.discard(run_id)
            if not look.runs:
                self._end(look)

    def forget(self, run_id: str) -> None:
        """The run is over."""
        self.drop(run_id)
        self._looked_for.discard(run_id)

    # served by the loop

    def next_at(self) -> float | None:
        """When there is something to do. None also where it was put off: what that waits for wakes the loop."""
        instants = [at for at in (self._due.next_at(), self._to_list.next_at()) if at is not None]
        return None if self._put_off else min(instants, default=None)

    def serve(self, is_quiet: Callable[[float], bool]) -> None:
        """Begin what is due, as far as no kill is so near that this would make it late."""
        self._put_off = False
        now = time.monotonic()
        if (at := self._due.next_at()) is not None and at <= now:
            if is_quiet(process.FORK_TAKES):
                runs = [self._runs[run_id] for run_id in self._due.take(now + GATHER)]
                self._begin(runs, now)
                if len(runs) >= _MANY and is_quiet(_OWNING_TAKES):
                    process.own_memory()
            else:
                self._put_off = True
        for run_id in self._to_list.take(now):
            if is_quiet(0.0):  # else the kill asks by itself
                self._tracking.foresee(self._runs[run_id])

    def pids(self) -> set[int]:
        """Children of the keeper's that look, or have looked and are not reaped yet: nobody's processes."""
        return {look.pid for look in self._looks if look.pid} | self._ending

    def reap(self) -> None:
        """Reap those that are over."""
        for look in [look for look in self._looks if look.pid and process.reap(look.pid)]:
            look.pid = 0
        self._ending = {pid for pid in self._ending if not process.reap(pid)}

    def close(self) -> None:
        """The keeper ends. Whoever hangs is not waited for."""
        for look in list(self._looks):
            self._end(look)
        patient_until = time.monotonic() + _PATIENCE
        while self._ending and time.monotonic() < patient_until:
            self.reap()
            time.sleep(0.001)

    def _begin(self, runs: list[Run], now: float) -> None:
        runs = [run for run in runs if run.plan.deadline is not None and run.plan.deadline > now]
        if not runs:
            return
        runs.sort(key=lambda run: run.plan.deadline or 0.0)
        self._looked_for.update(run.id for run in runs)
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        try:
            os.set_blocking(ours, False)
            pid = process.fork(functools.partial(_watch, os.getpid(), theirs, self._tracking, runs))
        except OSError:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        look = _Look(pid, ours, {run.id for run in runs})
        self._looks.append(look)
        self._poller.watch(ours, select.EPOLLIN, Priority.REQUEST, functools.partial(self._take_in, look))

    def _take_in(self, look: _Look, *, wholly: bool = False) -> None:
        """A piece of what was written; at the end of it the pipe is closed."""
        while look.pipe is not None:
            try:
                data = os.read(look.pipe, _CHUNK)
            except BlockingIOError:
                return
            look.written += data
            if not data:
                self._close(look)
            if not wholly:
                return

    def _close(self, look: _Look) -> None:
        if look.pipe is not None:
            self._poller.forget(look.pipe)
            os.close(look.pipe)
            look.pipe = None

    def _end(self, look: _Look) -> None:
        self._close(look)
        self._looks.remove(look)
        if look.pid:
            process.kill_child(look.pid)
            self._ending.add(look.pid)


# the child


def _watch(keeper: int, pipe: int, tracking: Tracking, runs: list[Run]) -> NoReturn:
    """Look at the runs, in the order of their deadlines; nothing of the keeper's is touched, and no way leads back."""
    gc.disable()  # a collection would copy every page of the keeper's
    process.die_with_parent(keeper)
    os.nice(_NICENESS)
    os.dup2(pipe, 0)
    process.close_from(1)
    began_at = time.monotonic()
    samples = {pid: sight.sample(pid) for pids in _members(tracking, runs).values() for pid in pids}
    deadline = runs[0].plan.deadline
    assert deadline is not None
    time.sleep(max(began_at + (deadline - began_at) / 2 - time.monotonic(), 0.0))
    give_up_at = deadline - min(GIVE_UP_LEAD, (deadline - began_at) / 8)
    for run_id, pids in _members(tracking, runs).items():
        seen_at = time.monotonic()
        if seen_at > give_up_at:
            break
        seen = [sight.see(pid, samples.get(pid)) for pid in pids]
        facts = _bounded([one for one in seen if one is not None])
        _write(f"{run_id} {seen_at:.6f} {facts}\n".encode("ascii"))
    os._exit(0)


def _members(tracking: Tracking, runs: list[Run]) -> dict[str, list[int]]:
    return {run_id: pids[:PROCESSES_MOST] for run_id, pids in tracking.members(runs).items()}


def _bounded(seen: list[dict[str, Any]]) -> str:
    """As many of them as fit, the first at the beginning, as JSON in ASCII without a line's end."""
    while len(facts := json.dumps(seen, separators=(",", ":"))) > FACTS_MOST:
        seen = seen[: len(seen) // 2]
    return facts


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(0, data) :]
