"""A task, its agent and a model keeper, living as choices say; what must be so at each step is checked at each step."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator

import msgspec
from hypothesis import strategies as st

from supervisor.lifecycle import (
    Created,
    Effect,
    Event,
    HealthChanged,
    Keep,
    Spawn,
    Stop,
    StopRequested,
    step,
    timers,
)
from supervisor.model import Condition, Container, DesiredStatus, HealthStatus, LastStatus, PastRun, StopCode, Task
from supervisor.recovery import recover
from tests.lives import asked_for
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
        in_flight = one.running_since is None  # what is told of the exit is the last run's
        assert in_flight or one.exit is None or one.killed_at is not None or one.exit.signal in (None, 11, 15)


def check_change(before: Task, after: Task) -> None:
    same = msgspec.structs.replace(after, version=before.version) == before
    assert after.version == before.version + (0 if same else 1)
    once = ("started_at", "stopping_at", "execution_stopped_at", "stopped_at", "stop_code", "stopped_reason")
    for name in once:
        assert getattr(before, name) in (None, getattr(after, name)), f"{name} is told once"
    for one, later in zip(before.containers, after.containers, strict=True):
        assert one.last_status.rank <= later.last_status.rank
        if one.run_id not in (None, later.run_id):
            assert (one.restart_deadline is not None, later.run_number) == (True, one.run_number + 1)
            continue
        names = ["run_id", "identity", "signalled_at", "killed_at"]
        if later.restart_deadline is not None:
            names.remove("identity")
        if one.running_since is not None:
            names += ["exit", "started_at", "exited_at"]
        for name in names:
            assert getattr(one, name) in (None, getattr(later, name)), f"{name} of a run is told once"
        if one.deadline is not None and later.deadline is not None:
            assert later.deadline <= one.deadline


def is_met(other: Container, condition: Condition) -> bool:
    """In other words than the lifecycle's."""
    over = other.last_status is STOPPED
    return {
        "START": other.started_at is not None,
        "COMPLETE": over and other.exit is not None,
        "SUCCESS": over and other.exit is not None and other.exit.code == 0,
        "HEALTHY": not over and other.health_status is HealthStatus.HEALTHY,
    }[condition]


def depend_on(task: Task, name: str) -> Iterator[Container]:
    """All that depend on it, directly or not."""
    for one in task.containers:
        if any(dependency.container_name == name for dependency in one.depends_on):
            yield one
            yield from depend_on(task, one.name)


class World:
    """One task, its agent and its keeper. Requests are under way for a while, events come in order, at least once."""

    def __init__(self, task: Task, *, may_crash: bool = False, keeper: ModelKeeper | None = None) -> None:
        self.task = task
        self.keeper = ModelKeeper() if keeper is None else keeper
        self.requests: list[Effect] = []
        self.delivered = 0
        self.spawns: Counter[str] = Counter()
        self.kept: dict[str, PastRun] = {}
        self.may_crash = may_crash
        self.hear(Created())

    def hear(self, event: Event) -> None:
        """The agent takes an event, and everything that must be so then is."""
        before = self.task
        self.task, effects = step(before, event, self.keeper.wall, self.keeper.ticks)
        self.check(before)
        for effect in effects:
            if isinstance(effect, Spawn):
                self.spawns[effect.run_id] += 1
                assert self.spawns[effect.run_id] == 1
                assert self.task.desired_status is DesiredStatus.RUNNING, "a stop wins over every start"
                container = self.task.container(effect.container)
                needed = [(self.task.container(d.container_name), d.condition) for d in container.depends_on]
                assert container.run_number > 1 or all(is_met(*one) for one in needed)
            elif isinstance(effect, Stop) and self.task.desired_status is DesiredStatus.STOPPED:
                self.check_turn(effect)
        self.keep(effects)
        self.requests += asked_for(effects)

    def check_turn(self, effect: Stop) -> None:
        """Nobody is told to stop before those that depend on it are gone, unless its time was over before."""
        container = self.task.container_of_run(effect.run_id)
        assert container is not None
        if container.max_runtime is None:
            assert all(one.last_status is STOPPED or one.stuck for one in depend_on(self.task, container.name))

    def keep(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Keep):
                assert effect.run.run_id not in self.kept, "a run ends once"
                self.kept[effect.run.run_id] = effect.run

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

    def chances(self) -> list[Move]:
        """What can happen, and need not."""
        moves: list[Move] = [functools.partial(self.wait, at, event) for at, event in timers(self.task)]
        for one in self.task.containers:
            if one.last_status is LastStatus.RUNNING and one.run_id is not None:
                moves += [
                    functools.partial(self.hear, HealthChanged(one.run_id, self.keeper.wall, health))
                    for health in (HealthStatus.HEALTHY, HealthStatus.UNHEALTHY)
                ]
        return moves

    def wait(self, until: float, event: Event) -> None:
        self.set_clock(max(until - self.keeper.ticks, 0.0))
        self.hear(event)

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
        self.task, effects = recover(before, held, self.keeper.wall, self.keeper.ticks)
        self.keep(effects)
        self.requests = asked_for(effects)
        again, effects = recover(self.task, held, self.keeper.wall + 1, self.keeper.ticks)
        assert (again, effects) == (self.task, self.requests), "once is enough"
        check_record(self.task)
        self.delivered = 0

    def live(self, choices: Iterator[int]) -> None:
        """As chosen, then straight on, with a stop, to the end."""
        for choice in choices:
            moves = self.moves() + self.chances() + self.accidents()
            moves[choice % len(moves)]()
        if not self.moves() and not self.chances() and self.task.desired_status is DesiredStatus.RUNNING:
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
        exits = {run_id: run.exit for run_id, run in self.kept.items() if run.exit is not None}
        assert exits == self.keeper.exits, "the exit of every run is kept"
        for one in self.task.containers:
            if one.run_id in self.keeper.exits:
                assert one.exit == self.keeper.exits[one.run_id]
