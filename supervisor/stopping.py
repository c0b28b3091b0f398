"""The stop contract of one run as data: what has been asked, the deadline, what to do next. No clock, no signals.

A run goes through::

    running ──request──▶ signalled ──deadline──▶ killing ──(retry)──▶ killing
       │                     ▲                                          │
       └──main exits, others left (signalled with its own window)       └──▶ empty: the keeper drops the plan

The functions take a plan and the monotonic ``now`` and give a new plan with the orders to carry out at once, in
order. Whoever carries them out reports back what it saw: ``started``, ``outlived``; nothing here waits.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

RETRY_FIRST = 0.05
RETRY_MOST = 5.0
"""Seconds between SIGKILLs while something is left: doubled from the first to the most."""


class Whom(enum.StrEnum):
    """To whom a signal goes."""

    MAIN = "main"
    GROUP = "group"


class Signal(NamedTuple):
    """Order: send ``signum``, then SIGCONT, so that a stopped process can act on it."""

    signum: int
    whom: Whom


class Kill(NamedTuple):
    """Order: SIGKILL everything of the run."""


Order = Signal | Kill


class Plan(NamedTuple):
    """How one run is to be stopped, and how far that has gone. All instants are monotonic seconds."""

    signum: int
    scope: Whom
    timeout: float
    """The run's own window, seconds."""
    window: float | None = None
    """The window of the stop under way; None while none is."""
    cap: float | None = None
    """No deadline later than this (the end of a drain)."""
    starting: bool = True
    """The exec is not confirmed yet: nobody is there to act on a signal."""
    signalled: Whom | None = None
    """Who has had the stop signal so far."""
    deadline: float | None = None
    kills: int = 0
    kill_at: float | None = None
    """When the next SIGKILL is due."""
    armed_at: float | None = None
    """When the window of the stop under way began."""

    @property
    def length(self) -> float | None:
        """Seconds from the beginning of the window to the deadline, as they have become; None while no stop runs."""
        return None if self.deadline is None or self.armed_at is None else max(self.deadline - self.armed_at, 0.0)


Step = tuple[Plan, tuple[Order, ...]]


def request(plan: Plan, now: float, timeout: float | None = None) -> Step:
    """A stop is asked for. A second one can bring the deadline forward, never push it back."""
    window = plan.timeout if timeout is None else timeout
    if plan.window is not None:
        return _hasten(plan, now + window)._replace(window=min(window, plan.window)), ()
    plan = _arm(plan._replace(window=window), now)
    return (plan, ()) if plan.starting else _signal(plan, plan.scope)


def started(plan: Plan, now: float) -> Step:
    """The exec succeeded. A stop asked for meanwhile is signalled now and gets its window from now."""
    plan = plan._replace(starting=False)
    if plan.window is None or plan.kills:
        return plan, ()
    return _signal(_arm(plan, now), plan.scope)


def outlived(plan: Plan, now: float) -> Step:
    """The main process is gone and others are left: they get the signal at once, and what is left of the window."""
    if plan.window is None:
        plan = _arm(plan._replace(window=plan.timeout), now)
    if plan.signalled is Whom.GROUP:
        return plan, ()
    return _signal(plan, Whom.GROUP)


def cap(plan: Plan, at: float) -> Plan:
    """No deadline of this run is later than ``at``, now or in a stop yet to come."""
    plan = plan._replace(cap=at if plan.cap is None else min(plan.cap, at))
    return plan if plan.window is None else _hasten(plan, at)


def tick(plan: Plan, now: float) -> Step:
    """Time has passed. At the deadline a kill, and another until the run is empty: SIGKILL is not trusted."""
    if plan.kill_at is None or now < plan.kill_at:
        return plan, ()
    # Not 2**kills alone: after 1024 kills, an hour and a half, no float holds that, and the keeper would end.
    delay = min(RETRY_FIRST * 2 ** min(plan.kills, 32), RETRY_MOST)
    return plan._replace(kills=plan.kills + 1, kill_at=now + delay), (Kill(),)


def _arm(plan: Plan, now: float) -> Plan:
    assert plan.window is not None
    deadline = now + plan.window
    if plan.cap is not None:
        deadline = min(deadline, plan.cap)
    return plan._replace(deadline=deadline, kill_at=deadline, armed_at=now)


def _hasten(plan: Plan, deadline: float) -> Plan:
    if plan.kills or plan.deadline is None or deadline >= plan.deadline:
        return plan
    return plan._replace(deadline=deadline, kill_at=deadline)


def _signal(plan: Plan, whom: Whom) -> Step:
    return plan._replace(signalled=whom), (Signal(plan.signum, whom),)
