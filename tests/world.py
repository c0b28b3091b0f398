"""A task, its agent and a model keeper, living as choices say; what must be so at each step is checked at each step."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator

import msgspec
from hypothesis import strategies as st

from supervisor.lifecycle import Created, Effect, Event, Spawn, StopRequested, step
from supervisor.model import DesiredStatus, LastStatus, StopCode, Task
from supervisor.recovery import recover
from tests.model_keeper import ModelKeeper, Move

STOPPED = LastStatus.STOPPED

CHOICES = st.lists(st.integers(0, 255), max_size=60).map(iter)
"""Which of what can happen, modulo how much can."""


def check_stamps(task: Task) -> None:
    order = [task.created_at, task.started_at, task.stopping_at, task.stopped_at]
    told = [stamp for stamp in order if stamp is not None]
    assert told == sorted(told)
    if task.execution_stopped_at is not None:
        assert (task.started_at or task.created_at) <= task.execution_stopped_at
        assert task.execution_stopped_at <= (task.stopped_at or task.execution_stopped_at)


def check_record(task: Task) -> None:
    check_stamps(task)
    assert task.last_status.rank == min(one.last_status.rank for one in task.containers)
    stopping = task.desired_status is DesiredStatus.STOPPED
    for told in (task.stop_code, task.stopped_reason, task.stopping_at):
        assert (told is not None) == stopping
    assert (task.last_status is STOPPED) == (task.stopped_at is not None)
    assert task.last_status is not STOPPED or stopping
    for one in task.containers:
        assert (one.last_status is STOPPED) == (one.stopped_at is not None)
        assert one.exit is None or one.started_at is not None
        assert one.deadline is None or one.last_status is not STOPPED
        assert one.exit is None or one.killed_at is not None or one.exit.signal in (None, 11, 15)


def check_change(before: Task, after: Task) -> None:
    same = msgspec.structs.replace(after, version=before.version) == before
    assert after.version == before.version + (0 if same else 1)
    once = ("started_at", "stopping_at", "execution_stopped_at", "stopped_at", "stop_code", "stopped_reason")
    for name in once:
        assert getattr(before, name) in (None, getattr(after, name)), f"{name} is told once"
    for one, later in zip(before.containers, after.containers, strict=True):
        assert one.last_status.rank <= later.last_status.rank
        for name in ("run_id", "identity", "exit", "started_at", "signalled_at", "exited_at", "killed_at"):
            assert getattr(one, name) in (None, getattr(later, name)), f"{name} of a container is told once"
        if one.deadline is not None and later.deadline is not None:
            assert later.deadline <= one.deadline


class World:
    """One task, its agent and its keeper. Requests are under way for a while, events come in order, at least once."""

    def __init__(self, task: Task, *, may_crash: bool = False) -> None:
        self.task = task
        self.keeper = ModelKeeper()
        self.requests: list[Effect] = []
        self.delivered = 0
        self.spawns: Counter[str] = Counter()
        self.may_crash = may_crash
        self.hear(Created())

    def hear(self, event: Event) -> None:
        """The agent takes an event, and everything that must be so then is."""
        before = self.task
        self.task, effects = step(before, event, self.keeper.wall)
        self.check(before)
        for effect in effects:
            if isinstance(effect, Spawn):
                self.spawns[effect.run_id] += 1
                assert self.spawns[effect.run_id] == 1
                assert self.task.desired_status is DesiredStatus.RUNNING
                needed = self.task.container(effect.container).depends_on
                assert all(self.task.container(name).started_at is not None for name in needed)
        self.requests += effects

    def check(self, before: Task) -> None:
        check_record(self.task)
        check_change(before, self.task)
        for one in self.task.containers:
            assert one.last_status is not STOPPED or one.run_id not in self.keeper.live

    def moves(self) -> list[Move]:
        """What can happen; the first leads on."""
        moves: list[Move] = []
        if self.requests:
            moves.append(lambda: self.keeper.do(self.requests.pop(0)))
        if self.delivered < len(self.keeper.events):
            moves.append(self.deliver)
        moves += self.keeper.moves()
        return moves

    def accidents(self) -> list[Move]:
        """What can happen beside, and leads nowhere by itself."""
        moves: list[Move] = [
            lambda: self.set_clock(-400),
            lambda: self.set_clock(0.5),
            lambda: self.hear(Created()),
            lambda: self.hear(StopRequested(StopCode.USER_INITIATED, "enough")),
            lambda: self.hear(StopRequested(StopCode.TERMINATION_NOTICE, "shutdown", 2.0)),
            self.repeat,
            self.forget,
        ]
        return moves + [functools.partial(self.crash, sent) for sent in range(3 * self.may_crash)]

    def set_clock(self, seconds: float) -> None:
        self.keeper.wall += seconds
        self.keeper.ticks += max(seconds, 0)

    def deliver(self) -> None:
        self.delivered += 1
        self.hear(self.keeper.events[self.delivered - 1])

    def repeat(self) -> None:
        """All that was not forgotten, again."""
        self.delivered, again = 0, self.delivered
        before = self.task
        while self.delivered < again:
            self.deliver()
        same = [msgspec.structs.replace(one, reason=None) for one in before.containers]
        assert [msgspec.structs.replace(one, reason=None) for one in self.task.containers] == same

    def forget(self) -> None:
        del self.keeper.events[: self.delivered]
        self.delivered = 0

    def crash(self, sent: int) -> None:
        """The agent dies: of what was to be done only so much reached the keeper. The next one takes up the record."""
        for effect in self.requests[:sent]:
            self.keeper.do(effect)
        held = self.keeper.held()
        before = self.task
        self.task, self.requests = recover(before, held, self.keeper.wall)
        assert recover(self.task, held, self.keeper.wall + 1) == (self.task, self.requests), "once is enough"
        check_record(self.task)
        self.delivered = 0

    def live(self, choices: Iterator[int]) -> None:
        """As chosen, then straight on, with a stop, to the end."""
        for choice in choices:
            moves = self.moves() + self.accidents()
            moves[choice % len(moves)]()
        if not self.moves() and self.task.desired_status is DesiredStatus.RUNNING:
            assert self.task.last_status is LastStatus.RUNNING or not self.keeper.live
        self.hear(StopRequested(StopCode.USER_INITIATED, "the end"))
        for _ in range(400):
            if moves := self.moves():
                moves[0]()
        assert self.moves() == []

    def check_end(self) -> None:
        """Nothing runs, and the record tells it, with every exit that there was."""
        assert self.task.last_status is STOPPED
        assert self.task.stop_code is not None
        assert self.task.stopped_reason
        assert self.keeper.live == {}
        assert max(self.keeper.starts.values(), default=1) == 1, "nothing is started twice"
        exits = {one.run_id: one.exit for one in self.task.containers if one.exit is not None}
        assert exits == self.keeper.exits
