"""The stop contract by a clock that a test turns: cases as a table, then any history against a model of it."""

from __future__ import annotations

import itertools
import math
import signal
from collections.abc import Callable

import pytest
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from supervisor import stopping
from supervisor.stopping import Kill, Order, Plan, Signal, Step, Whom

TERM = Signal(signal.SIGTERM, Whom.MAIN)
TERM_ALL = Signal(signal.SIGTERM, Whom.GROUP)

Act = Callable[[Plan, float], Step]


def started(plan: Plan, now: float) -> Step:
    return stopping.started(plan, now)


def outlived(plan: Plan, now: float) -> Step:
    return stopping.outlived(plan, now)


def request(timeout: float | None = None) -> Act:
    return lambda plan, now: stopping.request(plan, now, timeout)


def cap(at: float) -> Act:
    return lambda plan, _: (stopping.cap(plan, at), ())


def play(plan: Plan, history: list[tuple[float, Act]], until: float) -> list[tuple[float, Order]]:
    """What is ordered, and when, if time passes as in the history and somebody ticks the moment it is due."""
    orders: list[tuple[float, Order]] = []
    now = 0.0
    for then, act in [*history, (until, lambda plan, _: (plan, ()))]:
        while plan.kill_at is not None and plan.kill_at <= then:
            now = max(now, plan.kill_at)
            plan, due = stopping.tick(plan, now)
            assert due == (Kill(),), "what is due is done"
            orders.append((now, Kill()))
        now = then
        plan, given = act(plan, now)
        orders += [(now, order) for order in given]
    return orders


MAIN = Plan(signal.SIGTERM, Whom.MAIN, timeout=30.0)
GROUP = MAIN._replace(scope=Whom.GROUP)
QUIT = MAIN._replace(signum=signal.SIGQUIT)

CASES: dict[str, tuple[Plan, list[tuple[float, Act]], float, list[tuple[float, Order]]]] = {
    "nothing asked": (MAIN, [(0, started)], 1e9, []),
    "the signal, the window, the kill": (MAIN, [(0, started), (5, request())], 35, [(5, TERM), (35, Kill())]),
    "no kill before the deadline": (MAIN, [(0, started), (5, request())], 34.999, [(5, TERM)]),
    "its own stop signal": (
        QUIT,
        [(0, started), (5, request()), (6, outlived)],
        34,
        [(5, Signal(signal.SIGQUIT, Whom.MAIN)), (6, Signal(signal.SIGQUIT, Whom.GROUP))],
    ),
    "the whole group where asked for": (GROUP, [(0, started), (5, request())], 35, [(5, TERM_ALL), (35, Kill())]),
    "a window given with the request": (MAIN, [(0, started), (5, request(2))], 7, [(5, TERM), (7, Kill())]),
    "no window at all": (MAIN, [(0, started), (5, request(0))], 5.01, [(5, TERM), (5, Kill())]),
    "asked again later": (
        MAIN,
        [(0, started), (5, request()), (20, request())],
        35,
        [(5, TERM), (35, Kill())],
    ),
    "asked again for longer": (MAIN, [(0, started), (5, request()), (6, request(90))], 35, [(5, TERM), (35, Kill())]),
    "asked again for shorter": (MAIN, [(0, started), (5, request()), (6, request(2))], 8, [(5, TERM), (8, Kill())]),
    "left behind: the rest of the same window": (
        MAIN,
        [(0, started), (5, request()), (15, outlived)],
        35,
        [(5, TERM), (15, TERM_ALL), (35, Kill())],
    ),
    "left behind by a group that had its signal": (
        GROUP,
        [(0, started), (5, request()), (15, outlived)],
        35,
        [(5, TERM_ALL), (35, Kill())],
    ),
    "an exit that nobody asked for: a full window": (
        MAIN,
        [(0, started), (100, outlived)],
        130,
        [(100, TERM_ALL), (130, Kill())],
    ),
    "asked to stop what was left behind": (
        MAIN,
        [(0, started), (100, outlived), (110, request()), (111, request(4))],
        115,
        [(100, TERM_ALL), (115, Kill())],
    ),
    "stopped while starting: the window begins with the signal": (
        MAIN,
        [(0, request()), (10, started)],
        40,
        [(10, TERM), (40, Kill())],
    ),
    "stopped while starting, then hastened": (
        MAIN,
        [(0, request()), (4, request(3)), (6, started)],
        9,
        [(6, TERM), (9, Kill())],
    ),
    "an exec that never comes": (MAIN, [(0, request())], 30, [(30, Kill())]),
    "an exec after the kill": (MAIN, [(0, request()), (30, started)], 30.04, [(30, Kill())]),
    "a drain cuts the window under way": (
        MAIN,
        [(0, started), (5, request()), (6, cap(20))],
        20,
        [(5, TERM), (20, Kill())],
    ),
    "a drain before the stop": (MAIN, [(0, started), (1, cap(20)), (5, request())], 20, [(5, TERM), (20, Kill())]),
    "a drain that ends after the window": (
        MAIN,
        [(0, started), (1, cap(99)), (5, request())],
        35,
        [(5, TERM), (35, Kill())],
    ),
    "a second drain cannot lengthen": (
        MAIN,
        [(0, started), (1, cap(20)), (2, cap(30)), (5, request())],
        20,
        [(5, TERM), (20, Kill())],
    ),
    "a drain over already": (MAIN, [(0, started), (1, cap(2)), (5, request())], 5.01, [(5, TERM), (5, Kill())]),
    "a drain while starting": (
        MAIN,
        [(0, cap(12)), (1, request()), (10, started)],
        12,
        [(10, TERM), (12, Kill())],
    ),
    "a drain of what was left behind": (
        MAIN,
        [(0, started), (1, cap(20)), (5, outlived)],
        20,
        [(5, TERM_ALL), (20, Kill())],
    ),
}


@pytest.mark.parametrize(("plan", "history", "until", "orders"), CASES.values(), ids=CASES)
def test_the_contract(
    plan: Plan, history: list[tuple[float, Act]], until: float, orders: list[tuple[float, Order]]
) -> None:
    assert play(plan, history, until) == orders


def test_the_kill_is_due_at_the_deadline_and_at_no_float_before() -> None:
    plan, _ = stopping.request(MAIN._replace(starting=False), 0.1)
    assert plan.deadline == 0.1 + 30.0
    assert stopping.tick(plan, math.nextafter(plan.deadline, 0)) == (plan, ())
    assert stopping.tick(plan, plan.deadline)[1] == (Kill(),)


def test_a_late_tick_kills_at_once_and_once() -> None:
    plan, _ = stopping.request(MAIN._replace(starting=False), 0)
    plan, orders = stopping.tick(plan, 1000)
    assert orders == (Kill(),)
    assert stopping.tick(plan, 1000) == (plan, ())


def test_kills_are_repeated_with_a_growing_delay() -> None:
    orders = play(MAIN._replace(timeout=0), [(0, started), (0, request())], 30)
    kills = [at for at, order in orders if order == Kill()]
    delays = [round(after - before, 6) for before, after in itertools.pairwise(kills)]
    assert delays == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0, 5.0]


def test_what_never_dies_is_killed_for_ever() -> None:
    """After 1024 doublings no float holds the delay: an hour and a half of uninterruptible I/O."""
    plan, _ = stopping.request(MAIN._replace(starting=False, timeout=0), 0)
    for count in range(1, 2000):
        assert plan.kill_at is not None
        plan, orders = stopping.tick(plan, plan.kill_at)
        assert (orders, plan.kills) == ((Kill(),), count)


def test_after_the_kill_nothing_postpones_or_hastens_the_next() -> None:
    plan, _ = stopping.tick(stopping.request(MAIN._replace(starting=False, timeout=0), 0)[0], 0)
    assert stopping.request(plan, 0.01, 0)[0].kill_at == stopping.request(plan, 0.01, 60)[0].kill_at == 0.05
    assert stopping.cap(plan, -1).kill_at == 0.05


SECONDS = st.integers(0, 80).map(lambda quarters: quarters / 4)


class AnyHistory(RuleBasedStateMachine):
    """What happened is kept as lists; what must follow is computed from the whole of them each time."""

    @initialize(scope=st.sampled_from(Whom), timeout=SECONDS, signum=st.sampled_from([signal.SIGTERM, signal.SIGINT]))
    def begin(self, scope: Whom, timeout: float, signum: int) -> None:
        self.now = 0.0
        self.plan = Plan(signum, scope, timeout)
        self.asked_early: list[tuple[float, float]] = []
        self.asked: list[tuple[float, float]] = []
        self.started_at: float | None = None
        self.unasked: list[float] = []
        self.outlived = False
        self.caps: list[float] = []
        self.signals: list[tuple[float, Whom]] = []
        self.kills: list[float] = []
        self.frozen: float | None = None

    def deadline(self) -> float | None:
        if self.frozen is not None:
            return self.frozen
        ends = [at + window for at, window in self.asked]
        if self.asked_early and self.started_at is None:
            ends += [at + window for at, window in self.asked_early]
        elif self.asked_early and self.started_at is not None:
            ends.append(self.started_at + min(window for _, window in self.asked_early))
        ends += [at + self.plan.timeout for at in self.unasked]
        return min(ends + self.caps) if ends else None

    def causes(self) -> list[float]:
        """The windows that the run was given so far."""
        return [window for _, window in self.asked_early + self.asked] + [self.plan.timeout for _ in self.unasked]

    def take(self, step: Step, *signals: Whom) -> None:
        self.plan, orders = step
        assert orders == tuple(Signal(self.plan.signum, whom) for whom in signals)
        self.signals += [(self.now, whom) for whom in signals]

    @rule(seconds=SECONDS)
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def pass_time_to_what_is_due(self) -> None:
        due = self.plan.kill_at
        assume(due is not None)
        assert due is not None
        self.now = max(self.now, due)

    @rule(timeout=st.none() | SECONDS)
    def request(self, timeout: float | None) -> None:
        starting = self.started_at is None
        signalled = not starting and not self.causes()
        asked = self.asked_early if starting else self.asked
        asked.append((self.now, self.plan.timeout if timeout is None else timeout))
        self.take(stopping.request(self.plan, self.now, timeout), *([self.plan.scope] if signalled else []))

    @precondition(lambda self: self.started_at is None)
    @rule()
    def start(self) -> None:
        self.started_at = self.now
        signalled = self.asked_early and not self.kills
        self.take(stopping.started(self.plan, self.now), *([self.plan.scope] if signalled else []))

    @precondition(lambda self: self.started_at is not None and not self.outlived)
    @rule()
    def outlive(self) -> None:
        self.outlived = True
        if not self.causes():
            self.unasked.append(self.now)
        had = any(whom is Whom.GROUP for _, whom in self.signals)
        self.take(stopping.outlived(self.plan, self.now), *([] if had else [Whom.GROUP]))

    @rule(seconds=st.integers(-20, 80).map(lambda quarters: quarters / 4))
    def cap(self, seconds: float) -> None:
        self.caps.append(self.now + seconds)
        self.plan = stopping.cap(self.plan, self.now + seconds)

    @rule()
    def tick(self) -> None:
        deadline = self.deadline()
        due = deadline
        if self.kills:
            due = self.kills[-1] + min(0.05 * 2 ** (len(self.kills) - 1), 5.0)
        kill = due is not None and self.now >= due
        self.plan, orders = stopping.tick(self.plan, self.now)
        assert orders == ((Kill(),) if kill else ())
        if kill:
            if self.signals and not self.kills and len(self.causes()) == 1 and not self.caps:
                assert self.now >= self.signals[0][0] + self.causes()[0], "a window is whole unless cut or hastened"
            self.frozen = deadline
            self.kills.append(self.now)

    @invariant()
    def the_deadline_follows_from_the_history(self) -> None:
        assert self.plan.deadline == self.deadline()
        if self.plan.deadline is None:
            assert self.plan.kill_at is None

    @invariant()
    def nobody_is_asked_twice(self) -> None:
        told = [whom for _, whom in self.signals]
        assert told in ([], [Whom.MAIN], [Whom.GROUP], [Whom.MAIN, Whom.GROUP])


TestAnyHistory = AnyHistory.TestCase
