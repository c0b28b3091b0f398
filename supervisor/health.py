"""Docker's rules for the health checks of one run of a container: when the next is due, and what the results say.

::

    UNKNOWN ──success──▶ HEALTHY ◀──success── UNHEALTHY
       │                    └──``retries`` failures──▲
       └──────``retries`` failures in a row──────────┘

The first check is due one interval after the start, each other one interval after the end of the one before: checks
of one run never overlap. Before the first verdict, and for ``start_period`` seconds after the start, they come more
often, and failures of checks begun then do not count; the first success ends this. All instants are monotonic seconds
and arguments; nothing here waits.
"""

from __future__ import annotations

from typing import NamedTuple

from supervisor.model import HealthCheck, HealthStatus

START_INTERVAL = 5.0
"""Seconds between checks in the start period (docker's default; ECS has no member for it)."""


class State(NamedTuple):
    """What is known of one run."""

    since: float
    """When the run was started."""
    status: HealthStatus = HealthStatus.UNKNOWN
    failures: int = 0
    """Those that count, since the last success."""
    due_at: float | None = None
    """When the next check is due; None while one is under way."""
    started_at: float | None = None
    """When the check under way was started; None while none is."""


def begin(check: HealthCheck, since: float) -> State:
    """A run that was started then."""
    state = State(since)
    return state._replace(due_at=since + _pause(state, check, since))


def resume(check: HealthCheck, since: float, status: HealthStatus, at: float) -> State:
    """A run with the status that it was last recorded with.

    If checks of it have been made already, or one should have been before ``at``, the next is due ``at``. Otherwise
    this is the beginning.
    """
    state = begin(check, since)
    assert state.due_at is not None
    if status is HealthStatus.UNKNOWN and state.due_at >= at:
        return state
    return state._replace(status=status, due_at=at)


def started(state: State, now: float) -> State:
    """The check that was due is under way."""
    return state._replace(due_at=None, started_at=now)


def finished(state: State, check: HealthCheck, ok: bool, now: float) -> State:
    """The check under way has ended, well or not."""
    began = state.started_at
    assert began is not None, "no check is under way"
    if ok:
        state = state._replace(status=HealthStatus.HEALTHY, failures=0)
    elif state.status is not HealthStatus.UNKNOWN or not _is_starting(state, check, began):
        failures = state.failures + 1
        status = HealthStatus.UNHEALTHY if failures >= check.retries else state.status
        state = state._replace(status=status, failures=failures)
    return abandoned(state, check, now)


def abandoned(state: State, check: HealthCheck, now: float) -> State:
    """The check under way came to no result: it is as if it had not been made, and the next is due in its turn."""
    return state._replace(due_at=now + _pause(state, check, now), started_at=None)


def _pause(state: State, check: HealthCheck, now: float) -> float:
    """Seconds from now until the next check."""
    if state.status is HealthStatus.UNKNOWN and _is_starting(state, check, now):
        return min(float(check.interval), START_INTERVAL)
    return float(check.interval)


def _is_starting(state: State, check: HealthCheck, at: float) -> bool:
    return at - state.since < check.start_period
