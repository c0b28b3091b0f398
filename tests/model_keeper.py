"""A keeper as the lifecycle sees it, without processes: takes effects, tells events, in any order it could happen.

What happens next is a choice among what can; a property makes the choices.
"""

from __future__ import annotations

import functools
import signal
from collections import Counter
from collections.abc import Callable

from supervisor.lifecycle import Effect, Emptied, Exited, Keep, RunEvent, Signalled, Spawn, Spawned, SpawnFailed
from supervisor.model import ExitStatus, Identity
from supervisor.recovery import PERHAPS

Move = Callable[[], None]

WINDOW = 30.0


class Run:
    """One run: how far its start, its main process and its stop have come."""

    def __init__(self) -> None:
        self.starting = True
        self.main_lives = True
        self.asked = False
        self.deadline: float | None = None
        self.kills = 0


class ModelKeeper:
    """``do`` takes a request; ``moves`` says what can happen; ``events`` are those that were not forgotten yet."""

    def __init__(self) -> None:
        self.wall = 1000.0
        self.ticks = 0.0
        self.live: dict[str, Run] = {}
        self.starts: Counter[str] = Counter()
        self.exits: dict[str, ExitStatus] = {}
        self.events: list[RunEvent] = []

    def held(self) -> frozenset[str]:
        """What it answers to *list*: living runs, and those whose end is still to be stored."""
        return frozenset(self.live) | {event.run_id for event in self.events}

    def do(self, effect: Effect) -> None:
        """A spawn of a run that lives, and a stop of one that is over, are nothing."""
        assert not isinstance(effect, Keep), "that is the store's"
        run = self.live.get(effect.run_id)
        if isinstance(effect, Spawn):
            if run is None and effect.living not in (None, PERHAPS):
                unknown = "nobody has kept its status"
                self.exits[effect.run_id] = ExitStatus()
                self.events.append(Exited(effect.run_id, self.wall, ExitStatus(), False, unknown, clock=self.ticks))
                self.events.append(Emptied(effect.run_id, self.wall, clock=self.ticks))
            elif run is None:
                self.live[effect.run_id] = Run()
                self.starts[effect.run_id] += 1
        elif run is not None and not run.asked:
            run.asked = True
            run.deadline = self.ticks + WINDOW if run.deadline is None else run.deadline
            if not run.starting:
                self._signal(effect.run_id, signal.SIGTERM)

    def moves(self) -> list[Move]:
        """Everything that can happen now; the first of each run leads to its end."""
        moves: list[Move] = []
        for run_id, run in self.live.items():
            moves += self._moves_of(run_id, run)
        return moves

    def _moves_of(self, run_id: str, run: Run) -> list[Move]:
        if run.starting:
            moves = [lambda: self._start(run_id), lambda: self._fail(run_id)]
        elif run.main_lives:
            ends = [ExitStatus(code=0), ExitStatus(code=3), ExitStatus(signal=signal.SIGSEGV)]
            if run.asked:
                ends.insert(0, ExitStatus(signal=signal.SIGTERM))
            if run.kills:
                ends = [ExitStatus(signal=signal.SIGKILL)]
            end = functools.partial(self._end_main, run_id)
            moves = [functools.partial(end, status, left=left) for status in ends for left in (False, True)]
        else:
            moves = [lambda: self._empty(run_id)]
        return [*moves, lambda: self._signal(run_id, signal.SIGKILL)] if run.deadline is not None else moves

    def _start(self, run_id: str) -> None:
        run = self.live[run_id]
        run.starting = False
        self.events.append(Spawned(run_id, self.wall, Identity(42, 7), clock=self.ticks))
        if run.asked and not run.kills:
            self._signal(run_id, signal.SIGTERM)

    def _fail(self, run_id: str) -> None:
        del self.live[run_id]
        self.events.append(SpawnFailed(run_id, self.wall, "no such file", clock=self.ticks))

    def _end_main(self, run_id: str, status: ExitStatus, *, left: bool) -> None:
        run = self.live[run_id]
        run.main_lives = False
        self.exits[run_id] = status
        self.events.append(Exited(run_id, self.wall, status, clock=self.ticks))
        if left:
            run.deadline = self.ticks + WINDOW if run.deadline is None else run.deadline
            self._signal(run_id, signal.SIGTERM)
        else:
            self._empty(run_id)

    def _empty(self, run_id: str) -> None:
        del self.live[run_id]
        self.events.append(Emptied(run_id, self.wall, clock=self.ticks))

    def _signal(self, run_id: str, signum: int) -> None:
        run = self.live[run_id]
        assert run.deadline is not None
        left = "pid 42 (D)" if run.kills else None
        run.kills += signum == signal.SIGKILL
        self.events.append(Signalled(run_id, self.wall, signum, run.deadline, left, clock=self.ticks))
