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
from supervisor.stopping import Hook, Kill, Order, Plan, Signal, Step, Whom

TERM = Signal(signal.SIGTERM, Whom.MAIN)
TERM_ALL = Signal(signal.SIGTERM, Whom.GROUP)
INT = Signal(signal.SIGINT, Whom.MAIN)
INT_ALL = Signal(signal.SIGINT, Whom.GROUP)
HUP = Signal(signal.SIGHUP, Whom.MAIN)

Act = Callable[[Plan, float], Step]


def started(plan: Plan, now: float) -> Step:
    return stopping.started(plan, now)


def outlived(plan: Plan, now: float) -> Step:
    return stopping.outlived(plan, now)


def hook_ended(plan: Plan, now: float) -> Step:
    return stopping.hook_ended(plan, now)


def request(timeout: float | None = None) -> Act:
    return lambda plan, now: stopping.request(plan, now, timeout)


def cap(at: float) -> Act:
    return lambda plan, _: (stopping.cap(plan, at), ())


def play(plan: Plan, history: list[tuple[float, Act]], until: float) -> list[tuple[float, Order]]:
    """What is ordered, and when, if time passes as in the history and somebody ticks the moment it is due."""
    orders: list[tuple[float, Order]] = []
    now = 0.0
    for then, act in [*history, (until, lambda plan, _: (plan, ()))]:
        while plan.next_at is not None and plan.next_at <= then:
            now = max(now, plan.next_at)
            plan, due = stopping.tick(plan, now)
            assert due, "what is due is done"
            orders += [(now, order) for order in due]
        now = then
        plan, given = act(plan, now)
        orders += [(now, order) for order in given]
    return orders


MAIN = Plan(((signal.SIGTERM, 0.0),), Whom.MAIN, timeout=30.0)
GROUP = MAIN._replace(scope=Whom.GROUP)
QUIT = MAIN._replace(signals=((signal.SIGQUIT, 0.0),))
SEQUENCE = MAIN._replace(signals=((signal.SIGTERM, 0.0), (signal.SIGINT, 0.5), (signal.SIGHUP, 0.75)), timeout=40.0)
HOOKED = MAIN._replace(hook_share=0.5)

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
    "a sequence": (
        SEQUENCE,
        [(0, started), (10, request())],
        50,
        [(10, TERM), (30, INT), (40, HUP), (50, Kill())],
    ),
    "a sequence to the group": (
        SEQUENCE._replace(scope=Whom.GROUP),
        [(0, started), (10, request()), (20, outlived)],
        35,
        [(10, TERM_ALL), (30, INT_ALL)],
    ),
    "a sequence that is hastened keeps its shares": (
        SEQUENCE,
        [(0, started), (10, request()), (20, request(10))],
        30,
        [(10, TERM), (20, INT), (25, HUP), (30, Kill())],
    ),
    "a sequence that is hastened to where all is due": (
        SEQUENCE,
        [(0, started), (10, request()), (34, request(2))],
        36,
        [(10, TERM), (30, INT), (34, HUP), (36, Kill())],
    ),
    "a sequence that is cut to nothing: only the kill": (
        SEQUENCE,
        [(0, started), (10, request()), (20, cap(20))],
        20,
        [(10, TERM), (20, Kill())],
    ),
    "a sequence that is left behind: the current signal, and the later ones": (
        SEQUENCE,
        [(0, started), (10, request()), (35, outlived)],
        50,
        [(10, TERM), (30, INT), (35, INT_ALL), (40, Signal(signal.SIGHUP, Whom.GROUP)), (50, Kill())],
    ),
    "a sequence for what an exit unasked leaves": (
        SEQUENCE,
        [(0, started), (10, outlived)],
        35,
        [(10, TERM_ALL), (30, INT_ALL)],
    ),
    "a signal at the deadline is the kill": (
        MAIN._replace(signals=((signal.SIGTERM, 0.0), (signal.SIGINT, 1.0))),
        [(0, started), (0, request())],
        30,
        [(0, TERM), (30, Kill())],
    ),
    "a hook, and then the signal": (
        HOOKED,
        [(0, started), (10, request()), (12, hook_ended)],
        40,
        [(10, Hook()), (12, TERM), (40, Kill())],
    ),
    "a hook has its share of the window": (
        HOOKED,
        [(0, started), (10, request()), (26, hook_ended)],
        40,
        [(10, Hook()), (25, TERM), (40, Kill())],
    ),
    "a hook is cut with the window": (
        HOOKED,
        [(0, started), (10, request()), (12, request(6))],
        18,
        [(10, Hook()), (14, TERM), (18, Kill())],
    ),
    "a hook whose time is over when the window is cut": (
        HOOKED,
        [(0, started), (10, request()), (20, cap(24))],
        24,
        [(10, Hook()), (20, TERM), (24, Kill())],
    ),
    "a hook, cut to nothing: only the kill": (
        HOOKED,
        [(0, started), (10, request()), (12, cap(12)), (12.03, hook_ended)],
        12.04,
        [(10, Hook()), (12, Kill())],
    ),
    "no hook without a window": (HOOKED, [(0, started), (10, request(0))], 10.01, [(10, TERM), (10, Kill())]),
    "no hook for who was not there yet": (HOOKED, [(0, request()), (1, started)], 31, [(1, TERM), (31, Kill())]),
    "no hook for who has left by itself": (
        HOOKED,
        [(0, started), (5, outlived), (6, request())],
        35,
        [(5, TERM_ALL), (35, Kill())],
    ),
    "the main process goes while the hook runs": (
        HOOKED,
        [(0, started), (10, request()), (12, outlived), (14, hook_ended)],
        40,
        [(10, Hook()), (12, TERM_ALL), (40, Kill())],
    ),
    "a hook before a sequence: its shares are of what is left": (
        SEQUENCE._replace(hook_share=0.5),
        [(0, started), (10, request())],
        50,
        [(10, Hook()), (30, TERM), (40, INT), (45, HUP), (50, Kill())],
    ),
    "who went after the kill needs no signal": (
        MAIN,
        [(0, started), (0, request(1)), (1.01, outlived)],
        1.02,
        [(0, TERM), (1, Kill())],
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


def test_a_helper_is_killed_without_a_signal_and_never_later_than_it_was_to_be() -> None:
    plan = stopping.end_by(MAIN, 20, 10)
    assert plan.next_at == 20
    assert stopping.end_by(plan, 25, 11) == plan
    plan = stopping.end_by(plan, 12, 11)
    assert stopping.tick(plan, 11.9) == (plan, ())
    plan, orders = stopping.tick(plan, 12)
    assert orders == (Kill(),)
    assert stopping.end_by(plan, 11, 12).next_at == plan.next_at, "it is killed again in its time"


def test_what_is_finished_is_not_killed() -> None:
    plan = stopping.finished(stopping.request(SEQUENCE._replace(starting=False), 0)[0])
    assert plan.next_at is None
    assert stopping.cap(plan, 1).next_at is None
    assert stopping.request(plan, 1, 0)[0].next_at is None
    assert stopping.tick(plan, 1000) == (plan, ())


SECONDS = st.integers(0, 80).map(lambda quarters: quarters / 4)
SHARES = st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), max_size=3).map(sorted)


class AnyHistory(RuleBasedStateMachine):
    """What happened is kept as lists; what must follow is computed from the whole of them each time."""

    @initialize(
        scope=st.sampled_from(Whom),
        timeout=SECONDS,
        signums=st.lists(st.sampled_from([signal.SIGTERM, signal.SIGINT]), min_size=4, max_size=4),
        shares=SHARES,
        hook_share=st.sampled_from([0.0, 0.5, 1.0]),
    )
    def begin(self, scope: Whom, timeout: float, signums: list[int], shares: list[float], hook_share: float) -> None:
        self.now = 0.0
        self.plan = Plan(tuple(zip(signums, [0.0, *shares], strict=False)), scope, timeout, hook_share)
        self.asked_early: list[tuple[float, float]] = []
        self.asked: list[tuple[float, float]] = []
        self.started_at: float | None = None
        self.unasked: list[float] = []
        self.outlived = False
        self.hooked_at: float | None = None
        self.hook_over = False
        self.caps: list[float] = []
        self.began_at: float | None = None
        self.signals: list[Signal] = []
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

    def whom(self) -> Whom:
        return Whom.GROUP if self.outlived else self.plan.scope

    def take(self, step: Step, *orders: Order) -> None:
        self.plan, given = step
        assert given == orders
        sent = [order for order in orders if isinstance(order, Signal)]
        if sent and self.began_at is None:
            self.began_at = self.now
        self.signals += sent

    def first(self) -> Signal:
        return Signal(self.plan.signals[0][0], self.whom())

    @rule(seconds=SECONDS)
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def pass_time_to_what_is_due(self) -> None:
        due = self.plan.next_at
        assume(due is not None)
        assert due is not None
        self.now = max(self.now, due)

    @rule(timeout=st.none() | SECONDS)
    def request(self, timeout: float | None) -> None:
        starting = self.started_at is None
        begun = not starting and not self.causes()
        asked = self.asked_early if starting else self.asked
        asked.append((self.now, self.plan.timeout if timeout is None else timeout))
        orders: list[Order] = []
        if begun:
            deadline = self.deadline()
            assert deadline is not None
            hooked = self.plan.hook_share and deadline > self.now
            if hooked:
                self.hooked_at = self.now
            orders = [Hook() if hooked else self.first()]
        self.take(stopping.request(self.plan, self.now, timeout), *orders)

    @precondition(lambda self: self.started_at is None)
    @rule()
    def start(self) -> None:
        self.started_at = self.now
        signalled = self.asked_early and not self.kills
        self.take(stopping.started(self.plan, self.now), *([self.first()] if signalled else []))

    @precondition(lambda self: self.hooked_at is not None and not self.hook_over)
    @rule()
    def end_hook(self) -> None:
        self.hook_over = True
        waits = self.began_at is None and not self.kills
        self.take(stopping.hook_ended(self.plan, self.now), *([self.first()] if waits else []))

    @precondition(lambda self: self.started_at is not None and not self.outlived)
    @rule()
    def outlive(self) -> None:
        self.outlived = True
        if not self.causes():
            self.unasked.append(self.now)
        last = Signal(*self.signals[-1]) if self.signals else None
        orders: list[Order] = []
        if not self.kills and (last is None or last.whom is Whom.MAIN):
            orders = [self.first() if last is None else Signal(last.signum, Whom.GROUP)]
        self.take(stopping.outlived(self.plan, self.now), *orders)

    @rule(seconds=st.integers(-20, 80).map(lambda quarters: quarters / 4))
    def cap(self, seconds: float) -> None:
        self.caps.append(self.now + seconds)
        self.plan = stopping.cap(self.plan, self.now + seconds)

    def due(self) -> list[Order]:
        """What time alone brings, by now."""
        deadline = self.deadline()
        if deadline is None:
            return []
        at = self.kills[-1] + min(0.05 * 2 ** (len(self.kills) - 1), 5.0) if self.kills else deadline
        if self.now >= at:
            return [Kill()]
        if self.kills:
            return []
        if self.began_at is None:
            hooked_at = self.hooked_at
            waited = hooked_at is not None and self.now >= hooked_at + self.plan.hook_share * (deadline - hooked_at)
            return [self.first()] if waited else []
        sent = self.plan.sent
        return [
            Signal(signum, self.whom())
            for signum, share in self.plan.signals[sent:]
            if self.now >= self.began_at + share * (deadline - self.began_at)
        ]

    @rule()
    def tick(self) -> None:
        deadline, due = self.deadline(), self.due()
        self.take(stopping.tick(self.plan, self.now), *due)
        if due == [Kill()]:
            if self.began_at is not None and not self.kills and len(self.causes()) == 1 and not self.caps:
                begun_at = self.began_at if self.hooked_at is None else self.hooked_at
                assert self.now >= begun_at + self.causes()[0], "a window is whole unless cut or hastened"
            self.frozen = deadline
            self.kills.append(self.now)

    @invariant()
    def the_deadline_follows_from_the_history(self) -> None:
        assert self.plan.deadline == self.deadline()
        if self.plan.deadline is None:
            assert self.plan.next_at is None

    @invariant()
    def what_is_due_is_foretold(self) -> None:
        next_at = self.plan.next_at
        assert (next_at is not None and self.now >= next_at) == bool(self.due())

    @invariant()
    def nobody_is_asked_twice(self) -> None:
        assert self.plan.sent <= len(self.plan.signals)
        assert len(self.signals) <= self.plan.sent + 1, "each of the sequence once, and once more for those left behind"


TestAnyHistory = AnyHistory.TestCase
