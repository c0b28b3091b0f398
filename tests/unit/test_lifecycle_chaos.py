"""Any events in any order: legal ones, illegal ones, repeated ones, of runs long over and of runs yet to come.

``test_lifecycle_lives`` has the orders that a keeper could produce. Here is what holds in every other one as well.
"""

from __future__ import annotations

import signal
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from supervisor.errors import IllegalTransition
from supervisor.lifecycle import (
    Created,
    Effect,
    Emptied,
    Event,
    Exited,
    Hastened,
    HealthChanged,
    Keep,
    Looked,
    Lost,
    OfRun,
    RestartDue,
    RuntimeExceeded,
    Signalled,
    Spawn,
    Spawned,
    SpawnFailed,
    StartTimedOut,
    Stop,
    StopRequested,
    run_id_of,
    step,
    timers,
)
from supervisor.model import Container, DesiredStatus, ExitStatus, HealthStatus, Identity, LastStatus, StopCode, Task
from tests import tally
from tests.lives import TASK_ID, tasks
from tests.world import check_change, check_stamps, depend_on, is_met

STOPPED = LastStatus.STOPPED

NAMES = st.sampled_from("abcde")
EXITS = st.sampled_from([ExitStatus(code=0), ExitStatus(code=3), ExitStatus(signal=9), ExitStatus()])
WINDOWS = st.sampled_from([None, 0.0, 2.0, 300.0])
ASIDE = st.sampled_from([0.0, 0.0, 0.0, 1.0, -400.0])
"""How far the keeper's wall clock is from the agent's: it may have been set in between."""


class Chaos(RuleBasedStateMachine):
    """One task. Each event is taken, and everything that must be so then is; or it is refused, and nothing is done."""

    @initialize(task=tasks())
    def begin(self, task: Task) -> None:
        self.wall, self.clock = 1000.0, 50.0
        self.task = task
        self.spawned: set[str] = set()
        self.asked: Counter[str] = Counter()
        self.kept: set[str] = set()
        self.exits: dict[str, ExitStatus] = {}
        self.last: Event | None = None
        tally.count("lifecycle", lives=1)
        self.hear(Created())

    # what happens

    @rule(seconds=st.sampled_from([-500.0, 0.0, 0.5, 30.0, 4000.0]))
    def pass_time(self, seconds: float) -> None:
        self.wall += seconds
        self.clock += max(seconds, 0.0)

    @rule()
    def create(self) -> None:
        self.hear(Created())

    @rule(code=st.sampled_from(StopCode), timeout=WINDOWS, budget=WINDOWS)
    def request_stop(self, code: StopCode, timeout: float | None, budget: float | None) -> None:
        self.hear(StopRequested(code, "enough", timeout, budget))

    @rule(
        name=NAMES,
        ahead=st.sampled_from([-1, 0, 0, 0, 0, 0, 1]),
        aside=ASIDE,
        kind=st.integers(0, 9),
        exit_status=EXITS,
    )
    def tell(self, name: str, ahead: int, aside: float, kind: int, exit_status: ExitStatus) -> None:
        """What a keeper may tell, of the present run or of another, whether or not it could be."""
        container = next((one for one in self.task.containers if one.name == name), self.task.containers[0])
        run, at = run_id_of(TASK_ID, container.name, container.run_number + ahead), self.wall + aside
        deadline = self.clock + 30.0 * (kind % 2)
        event = [
            Spawned(run, at, Identity(42, 7), clock=self.clock),
            SpawnFailed(run, at, "no such file", clock=self.clock),
            Signalled(run, at, signal.SIGTERM, deadline, window=30.0, clock=self.clock),
            Signalled(run, at, signal.SIGKILL, deadline, "pid 42 (D)" if ahead else None, clock=self.clock),
            Hastened(run, at, deadline, 30.0, clock=self.clock),
            Looked(run, at, "42 (sh) ignores SIGTERM", clock=self.clock),
            Exited(run, at, exit_status, clock=self.clock),
            Emptied(run, at, clock=self.clock),
            Lost(run, at, "nobody knows", clock=self.clock),
            HealthChanged(run, at, HealthStatus.HEALTHY, clock=self.clock),
        ][kind]
        self.hear(event)

    @rule(name=NAMES, exit_status=EXITS)
    def live_on(self, name: str, exit_status: ExitStatus) -> None:
        """What comes next for that container, so that lives are not all short."""
        container = next((one for one in self.task.containers if one.name == name), self.task.containers[0])
        if container.run_id is not None and container.last_status is not STOPPED:
            self.hear(self.next_of(container, exit_status))

    def next_of(self, container: Container, exit_status: ExitStatus) -> Event:
        assert container.run_id is not None
        if container.restart_deadline is not None:
            return RestartDue(container.run_id)
        if container.running_since is None:
            return Spawned(container.run_id, self.wall, Identity(42, 7), clock=self.clock)
        if container.exit is None:
            return Exited(container.run_id, self.wall, exit_status, clock=self.clock)
        return Emptied(container.run_id, self.wall, clock=self.clock)

    @rule(name=NAMES, ahead=st.integers(-1, 1), kind=st.integers(0, 2))
    def come_due(self, name: str, ahead: int, kind: int) -> None:
        """Timers, also before their time, and of runs that have none."""
        container = next((one for one in self.task.containers if one.name == name), self.task.containers[0])
        run = run_id_of(TASK_ID, container.name, container.run_number + ahead)
        event = [RestartDue(run), RuntimeExceeded(run), StartTimedOut(container.name)][kind]
        if not isinstance(event, StartTimedOut) or container.start_timeout is not None:
            self.hear(event)

    @rule()
    def wait_for_a_timer(self) -> None:
        for at, event in list(timers(self.task))[:1]:
            self.clock = max(self.clock, at)
            self.hear(event)

    @rule()
    def repeat(self) -> None:
        """The same again, at once: nothing is new."""
        if self.last is not None and not isinstance(self.last, StopRequested):
            again, effects = step(self.task, self.last, self.wall, self.clock)
            assert (again, effects) == (self.task, [])

    # what must be so

    def hear(self, event: Event) -> None:
        tally.count("lifecycle", events=1)
        before = self.task
        try:
            self.task, effects = step(before, event, self.wall, self.clock)
        except IllegalTransition:
            tally.count("lifecycle", refused=1)
            self.last = None
            return
        self.last = event
        check_change(before, self.task)
        for old, new in zip(before.containers, self.task.containers, strict=True):
            assert old.last_status is not STOPPED or new == old, "nothing touches what is over"
        if isinstance(event, OfRun) and before.container_of_run(event.run_id) is None:
            assert (self.task, effects) == (before, []), "nor does another run"
        self.check_exits(event, before)
        begins = isinstance(event, StopRequested) or before.desired_status is not self.task.desired_status
        for effect in effects:
            self.check_effect(effect, begins=begins)

    def check_exits(self, event: Event, before: Task) -> None:
        if isinstance(event, Exited) and (container := before.container_of_run(event.run_id)) is not None:
            told = container.running_since is not None and container.last_status is not STOPPED
            if told and container.restart_deadline is None:
                self.exits.setdefault(event.run_id, event.exit)
        for one in self.task.containers:
            if one.running_since is not None and one.run_id is not None:
                assert one.exit == self.exits.get(one.run_id), "the first that was told, and no other"

    def check_effect(self, effect: Effect, *, begins: bool) -> None:
        if isinstance(effect, Keep):
            assert effect.run.run_id not in self.kept, "a run ends once"
            self.kept.add(effect.run.run_id)
            return
        container = self.task.container_of_run(effect.run_id)
        assert container is not None, "old runs are left alone"
        assert container.last_status is not STOPPED
        if isinstance(effect, Spawn):
            assert effect.run_id not in self.spawned | self.kept
            self.spawned.add(effect.run_id)
            assert self.task.desired_status is DesiredStatus.RUNNING, "a stop wins over every start"
            needed = [(self.task.container(one.container_name), one.condition) for one in container.depends_on]
            assert container.run_number > 1 or all(is_met(*one) for one in needed)
        else:
            assert isinstance(effect, Stop)
            assert effect.run_id in self.spawned - self.kept
            assert self.asked[effect.run_id] == 0 or begins, "once, unless there may be less time"
            self.asked[effect.run_id] += 1
            assert effect.timeout is None or effect.timeout >= 0
            if self.task.desired_status is DesiredStatus.STOPPED and container.max_runtime is None:
                left = [one for one in depend_on(self.task, container.name) if one.last_status is not STOPPED]
                assert all(one.stuck for one in left)

    @invariant()
    def the_record_is_whole(self) -> None:
        check_stamps(self.task)
        assert self.task.last_status.rank == min(one.last_status.rank for one in self.task.containers)
        stopping = self.task.desired_status is DesiredStatus.STOPPED
        for told in (self.task.stop_code, self.task.stopped_reason, self.task.stopping_at):
            assert (told is not None) == stopping
        assert (self.task.last_status is STOPPED) == (self.task.stopped_at is not None)
        for one in self.task.containers:
            assert (one.last_status is STOPPED) == (one.stopped_at is not None)
            assert one.deadline is None or one.last_status is not STOPPED
            assert one.run_id is None or one.run_id in self.spawned

    @invariant()
    def timers_are_for_what_is(self) -> None:
        for _, event in timers(self.task):
            assert self.task.desired_status is DesiredStatus.RUNNING
            if isinstance(event, OfRun):
                assert self.task.container_of_run(event.run_id) is not None

    def teardown(self) -> None:
        """However it came to be as it is: a stop, and the ends of what runs, end it."""
        if not hasattr(self, "task"):
            return
        self.hear(StopRequested(StopCode.USER_INITIATED, "the end"))
        for _ in range(4 * len(self.task.containers)):
            for one in self.task.containers:
                if one.stop_asked and one.last_status is not STOPPED:
                    self.hear(self.next_of(one, ExitStatus(signal=15)))
        assert self.task.last_status is STOPPED
        assert {one.run_id for one in self.task.containers} - {None} <= self.kept
        self.the_record_is_whole()


TestChaos = Chaos.TestCase
TestChaos.settings = settings(stateful_step_count=40)
