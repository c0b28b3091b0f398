"""A plan driven as the keeper drives it: at what happens, and for the rest only at ``next_at``, late as drivers are.

``test_stopping`` knows each order before it is given. Here is only written down what was done when; at the end the
whole story is held against the contract.
"""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor import stopping
from supervisor.stopping import Hook, Kill, Order, Plan, Signal, Whom
from tests import tally

SECONDS = st.integers(0, 60).map(lambda quarters: quarters / 4)
KILLS = 12
"""So many, and it is empty at last."""

PLANS = st.builds(
    lambda scope, timeout, shares, hook: Plan(((15, 0.0), *((2, one) for one in shares)), scope, timeout, hook),
    st.sampled_from(Whom),
    SECONDS,
    st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), max_size=3).map(sorted),
    st.sampled_from([0.0, 0.5, 1.0]),
)
ACTS = st.tuples(SECONDS, st.sampled_from(["request", "started", "outlived", "hook_ended", "cap"]), SECONDS)
LATE = st.lists(st.sampled_from([0.0, 0.0, 0.001, 0.3]), min_size=1, max_size=6)


def act(plan: Plan, what: str, seconds: float, now: float) -> stopping.Step:
    match what:
        case "request":
            return stopping.request(plan, now, seconds)
        case "started" if plan.starting:
            return stopping.started(plan, now)
        case "outlived" if not plan.starting:
            return stopping.outlived(plan, now)
        case "hook_ended":
            return stopping.hook_ended(plan, now)
        case "cap":
            return stopping.cap(plan, now + seconds), ()
    return plan, ()


@settings(max_examples=6 * settings().max_examples)  # they are quick, and the corners far
@given(PLANS, st.lists(ACTS, max_size=10).map(sorted), LATE)
def test_whoever_wakes_at_next_at_keeps_the_contract(
    plan: Plan, acts: list[tuple[float, str, float]], lateness: list[float]
) -> None:
    tally.count("stopping, driven", stories=1)
    late, now = itertools.cycle(lateness), 0.0
    deeds: list[tuple[float, float, Order]] = []
    """When, when at the latest it should have been, what."""
    bounds: list[float] = []
    for at, what, seconds in [*acts, (1000.0, "request", 0.0)]:
        while (due := plan.next_at) is not None and due <= at and plan.kills < KILLS:
            now = max(now, due + next(late))
            plan, orders = stopping.tick(plan, now)
            assert orders, "it does not wake for nothing"
            deeds += [(now, due, order) for order in orders]
        before, now = plan, max(now, at)
        plan, orders = act(plan, what, seconds, now)
        assert not any(isinstance(order, Kill) for order in orders), "kills are given by the clock alone"
        deeds += [(now, now, order) for order in orders]
        if before.deadline is not None and plan.deadline is not None and not (what == "started" and before.starting):
            assert plan.deadline <= before.deadline, "never pushed back; a window begins anew with the exec alone"
        if what == "cap":
            bounds.append(at + seconds if now == at else now + seconds)
        assert plan.deadline is None or plan.kills or all(plan.deadline <= bound for bound in bounds)
        assert (plan.next_at is None) == (plan.window is None), "a stop under way is always waited for"
    check_story(plan, deeds)


def check_story(plan: Plan, deeds: list[tuple[float, float, Order]]) -> None:
    kills = [(at, due) for at, due, order in deeds if isinstance(order, Kill)]
    signals = [(at, order) for at, _, order in deeds if isinstance(order, Signal)]
    hooks = [at for at, _, order in deeds if isinstance(order, Hook)]
    if kills:
        assert plan.deadline is not None
        assert kills[0][1] == plan.deadline, "due at the deadline, as it was when it came"
        assert all(at >= due >= plan.deadline for at, due in kills), "none before"
        pauses = [round(later[1] - earlier[0], 6) for earlier, later in itertools.pairwise(kills)]
        assert pauses == sorted(pauses), "with pauses that grow"
        assert all(0 < pause <= stopping.RETRY_MOST for pause in pauses)
        assert all(at <= kills[0][0] for at, _ in signals), "no polite signal after a kill"
    given = [order.signum for _, order in signals]
    repeated = [one for one, _ in itertools.groupby(signals, key=lambda each: each[1].signum)]
    assert sorted(given, reverse=True) == given, "in their order: SIGTERM first"
    assert len(given) <= len(plan.signals) + 1, "once each, and once more for those left behind"
    assert len(repeated) <= 2
    assert len(hooks) <= 1
    assert not hooks or not signals or hooks[0] <= signals[0][0], "the command comes before the first signal"
