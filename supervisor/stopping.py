"""The stop contract of one run as data: what has been asked, the deadline, what to do next. No clock, no signals.

A run goes through::

    running ──request──▶ (pre-stop command) ──▶ signalled ──deadline──▶ killing ──(retry)──▶ killing
       │                                            ▲                                          │
       └──main exits, others left (signalled with its own window)                             └──▶ empty: no plan

The functions take a plan and the monotonic ``now`` and give a new plan with the orders to carry out at once, in
order. Whoever carries them out reports back what it saw: ``started``, ``hook_ended``, ``outlived``; nothing here waits.

When a later signal is due, and when the time of the pre-stop command is over, is computed from the deadline and never
kept: a deadline that is brought forward brings them forward with it.
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


class Hook(NamedTuple):
    """Order: run the pre-stop command beside the run, until it ends or ``Plan.hook_until`` has come."""


class Signal(NamedTuple):
    """Order: send ``signum``, then SIGCONT, so that a stopped process can act on it."""

    signum: int
    whom: Whom


class Kill(NamedTuple):
    """Order: SIGKILL everything of the run."""


Order = Hook | Signal | Kill


class Plan(NamedTuple):
    """How one run is to be stopped, and how far that has gone. All instants are monotonic seconds."""

    signals: tuple[tuple[int, float], ...]
    """The stop signals in their order, each with the part of the time to the deadline after which it is due."""
    scope: Whom
    timeout: float
    """The run's own window, seconds."""
    hook_share: float = 0.0
    """The part of the window that the pre-stop command may take; 0 where there is none."""
    window: float | None = None
    """The window of the stop under way; None while none is."""
    cap: float | None = None
    """No deadline later than this (the end of a drain)."""
    starting: bool = True
    """The exec is not confirmed yet: nobody is there to act on a signal."""
    hooking: bool = False
    """The first signal waits for the pre-stop command."""
    over: bool = False
    """The main process is gone, and others are left."""
    sent: int = 0
    """How many of the signals have been sent."""
    signalled: Whom | None = None
    """Who has had the current signal."""
    deadline: float | None = None
    kills: int = 0
    kill_at: float | None = None
    """When the next SIGKILL is due."""
    armed_at: float | None = None
    """When the window of the stop under way began."""
    began_at: float | None = None
    """When the first signal was sent."""

    @property
    def length(self) -> float | None:
        """Seconds from the beginning of the window to the deadline, as they have become; None while no stop runs."""
        return None if self.deadline is None or self.armed_at is None else max(self.deadline - self.armed_at, 0.0)

    @property
    def hook_until(self) -> float | None:
        """When the time of the pre-stop command is over; None while no stop runs."""
        return None if self.armed_at is None or self.length is None else self.armed_at + self.hook_share * self.length

    @property
    def signal_at(self) -> float | None:
        """When the next signal after the first is due; None if there is none to come."""
        if self.began_at is None or self.deadline is None or self.sent >= len(self.signals):
            return None
        return self.began_at + self.signals[self.sent][1] * (self.deadline - self.began_at)

    @property
    def next_at(self) -> float | None:
        """When ``tick`` next has something to order, if nothing happens before."""
        if self.kills or self.kill_at is None:
            return self.kill_at
        at = self.hook_until if self.hooking else self.signal_at
        return self.kill_at if at is None else min(at, self.kill_at)


Step = tuple[Plan, tuple[Order, ...]]


def request(plan: Plan, now: float, timeout: float | None = None) -> Step:
    """A stop is asked for. A second one can bring the deadline forward, never push it back."""
    window = plan.timeout if timeout is None else timeout
    if plan.window is not None:
        return _hasten(plan, now + window)._replace(window=min(window, plan.window)), ()
    plan = _arm(plan._replace(window=window), now)
    if plan.starting:
        return plan, ()
    if plan.hook_share and plan.length:
        return plan._replace(hooking=True), (Hook(),)
    return _begin(plan, plan.scope, now)


def started(plan: Plan, now: float) -> Step:
    """The exec succeeded. A stop asked for meanwhile is signalled now and gets its window from now."""
    plan = plan._replace(starting=False)
    if plan.window is None or plan.kills:
        return plan, ()
    return _begin(_arm(plan, now), plan.scope, now)


def hook_ended(plan: Plan, now: float) -> Step:
    """The pre-stop command is over, or there is none after all: the first signal, if it has waited for that."""
    if not plan.hooking or plan.kills:
        return plan, ()
    return _begin(plan, plan.scope, now)


def outlived(plan: Plan, now: float) -> Step:
    """The main process is gone and others are left: the current signal for them, and what is left of the window."""
    if plan.over:
        return plan, ()
    plan = plan._replace(over=True)
    if plan.window is None:
        plan = _arm(plan._replace(window=plan.timeout), now)
    if plan.kills or plan.signalled is Whom.GROUP:
        return plan, ()
    if not plan.sent:
        return _begin(plan, Whom.GROUP, now)
    return plan._replace(signalled=Whom.GROUP), (Signal(plan.signals[plan.sent - 1][0], Whom.GROUP),)


def cap(plan: Plan, at: float) -> Plan:
    """No deadline of this run is later than ``at``, now or in a stop yet to come."""
    plan = plan._replace(cap=at if plan.cap is None else min(plan.cap, at))
    return plan if plan.window is None else _hasten(plan, at)


def end_by(plan: Plan, at: float, now: float) -> Plan:
    """Of a helper: SIGKILL at that instant, without a signal before; never later than it was."""
    if plan.deadline is None:
        return plan._replace(window=max(at - now, 0.0), deadline=at, kill_at=at, armed_at=now)
    return _hasten(plan, at)


def finished(plan: Plan) -> Plan:
    """Nobody is left to be signalled or killed; the deadline still bounds the pre-stop command."""
    return plan._replace(kill_at=None, hooking=False)


def tick(plan: Plan, now: float) -> Step:
    """Time has passed. At the deadline a kill, and another until the run is empty: SIGKILL is not trusted."""
    if plan.kill_at is None:
        return plan, ()
    if now >= plan.kill_at:
        # Not 2**kills alone: after 1024 kills, an hour and a half, no float holds that, and the keeper would end.
        delay = min(RETRY_FIRST * 2 ** min(plan.kills, 32), RETRY_MOST)
        return plan._replace(kills=plan.kills + 1, kill_at=now + delay), (Kill(),)
    if plan.kills:
        return plan, ()
    if plan.hooking:
        assert plan.hook_until is not None
        return hook_ended(plan, now) if now >= plan.hook_until else (plan, ())
    return _go_on(plan, now)


def _arm(plan: Plan, now: float) -> Plan:
    assert plan.window is not None
    deadline = now + plan.window
    if plan.cap is not None:
        deadline = min(deadline, plan.cap)
    return plan._replace(deadline=deadline, kill_at=deadline, armed_at=now)


def _hasten(plan: Plan, deadline: float) -> Plan:
    if plan.kills or plan.deadline is None or deadline >= plan.deadline:
        return plan
    return plan._replace(deadline=deadline, kill_at=None if plan.kill_at is None else deadline)


def _begin(plan: Plan, whom: Whom, now: float) -> Step:
    """The first signal."""
    plan = plan._replace(hooking=False, began_at=now, sent=1, signalled=whom)
    return plan, (Signal(plan.signals[0][0], whom),)


def _go_on(plan: Plan, now: float) -> Step:
    """The later signals that are due."""
    whom = Whom.GROUP if plan.over else plan.scope
    orders: list[Order] = []
    while (at := plan.signal_at) is not None and now >= at:
        orders.append(Signal(plan.signals[plan.sent][0], whom))
        plan = plan._replace(sent=plan.sent + 1, signalled=whom)
    return plan, tuple(orders)
