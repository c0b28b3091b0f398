"""When a check is due and what its result makes of the status: docker's rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor import health
from supervisor.health import State
from supervisor.model import HealthCheck, HealthStatus

UNKNOWN, HEALTHY, UNHEALTHY = HealthStatus.UNKNOWN, HealthStatus.HEALTHY, HealthStatus.UNHEALTHY
SINCE = 1000.0


def check(interval: int = 30, timeout: int = 5, retries: int = 3, start_period: int = 0) -> HealthCheck:
    return HealthCheck(("CMD-SHELL", "true"), interval, timeout, retries, start_period)


def lived(one: HealthCheck, results: str, took: float = 0.0) -> list[tuple[float, HealthStatus]]:
    """For each result, ``+`` or ``-``, when its check began, seconds after the start, and the status that followed."""
    state, told = health.begin(one, SINCE), []
    for result in results:
        at = state.due_at
        assert at is not None
        state = health.finished(health.started(state, at), one, result == "+", at + took)
        told.append((at - SINCE, state.status))
    return told


@pytest.mark.parametrize(
    ("one", "results", "told"),
    [
        (check(), "", []),
        (check(), "+", [(30, HEALTHY)]),
        (check(), "++", [(30, HEALTHY), (60, HEALTHY)]),
        (check(), "---", [(30, UNKNOWN), (60, UNKNOWN), (90, UNHEALTHY)]),
        (check(retries=1), "-", [(30, UNHEALTHY)]),
        (check(retries=2), "-+-", [(30, UNKNOWN), (60, HEALTHY), (90, HEALTHY)]),
        (check(retries=2), "+--+", [(30, HEALTHY), (60, HEALTHY), (90, UNHEALTHY), (120, HEALTHY)]),
        (check(retries=2), "--+-", [(30, UNKNOWN), (60, UNHEALTHY), (90, HEALTHY), (120, HEALTHY)]),
        # in the start period: every 5 s, and failures do not count
        (check(retries=1, start_period=12), "----", [(5, UNKNOWN), (10, UNKNOWN), (15, UNHEALTHY), (45, UNHEALTHY)]),
        # the first success ends it
        (check(retries=1, start_period=60), "-+-", [(5, UNKNOWN), (10, HEALTHY), (40, UNHEALTHY)]),
        (check(interval=5, retries=1, start_period=6), "---", [(5, UNKNOWN), (10, UNHEALTHY), (15, UNHEALTHY)]),
    ],
)
def test_results_make_the_status(one: HealthCheck, results: str, told: list[tuple[float, HealthStatus]]) -> None:
    assert lived(one, results) == told


def test_the_pause_begins_with_the_end_of_a_check() -> None:
    assert [at for at, _ in lived(check(), "+-", took=4.0)] == [30, 64]


def test_whether_a_failure_counts_is_told_by_the_beginning_of_its_check() -> None:
    assert lived(check(retries=1, start_period=6), "--", took=2.0) == [(5, UNKNOWN), (37, UNHEALTHY)]


def test_while_a_check_is_under_way_none_is_due() -> None:
    state = health.started(health.begin(check(), SINCE), SINCE + 30)
    assert (state.due_at, state.started_at) == (None, SINCE + 30)


@pytest.mark.parametrize("before", [State(SINCE, UNKNOWN, 2), State(SINCE, HEALTHY, 1), State(SINCE, UNHEALTHY, 7)])
def test_a_check_without_a_result_changes_nothing(before: State) -> None:
    after = health.abandoned(health.started(before, SINCE + 90), check(), SINCE + 91)
    assert after == before._replace(due_at=SINCE + 121)


def test_in_the_start_period_one_without_a_result_is_soon_followed() -> None:
    state = health.started(health.begin(check(start_period=60), SINCE), SINCE + 5)
    assert health.abandoned(state, check(start_period=60), SINCE + 6).due_at == SINCE + 11


@pytest.mark.parametrize(
    ("status", "at", "due_at"),
    [
        (UNKNOWN, 2, 30),  # just started
        (UNKNOWN, 30, 30),
        (UNKNOWN, 31, 31),  # nobody was there to check
        (HEALTHY, 2, 2),
        (UNHEALTHY, 500, 500),
    ],
)
def test_a_new_agent_begins_with_the_recorded_status(status: HealthStatus, at: float, due_at: float) -> None:
    state = health.resume(check(), SINCE, status, SINCE + at)
    assert state == State(SINCE, status, due_at=SINCE + due_at)


def test_what_was_unhealthy_stays_so_until_a_success() -> None:
    one = check(start_period=300)
    state = health.resume(one, SINCE, UNHEALTHY, SINCE + 10)
    state = health.finished(health.started(state, SINCE + 10), one, False, SINCE + 11)
    assert (state.status, state.due_at) == (UNHEALTHY, SINCE + 41), "and there is no start period any more"
    state = health.finished(health.started(state, SINCE + 41), one, True, SINCE + 41)
    assert state.status is HEALTHY


class Docker:
    """moby's ``monitor`` and ``handleProbeResult``, told again: a streak, and a status that begins as starting."""

    def __init__(self, one: HealthCheck) -> None:
        self.one = one
        self.now = 0.0
        self.streak = 0
        self.status = "starting"

    def wait(self) -> None:
        fast = self.now < self.one.start_period and self.status == "starting"
        self.now += min(5, self.one.interval) if fast else self.one.interval

    def probe(self, ok: bool, took: float) -> None:
        forgiven = self.status == "starting" and self.now < self.one.start_period
        self.now += took
        if ok:
            self.streak, self.status = 0, "healthy"
        elif not forgiven:
            self.streak += 1
            if self.streak >= self.one.retries:
                self.status = "unhealthy"


CHECKS = st.builds(
    check,
    interval=st.integers(5, 300),
    timeout=st.integers(2, 60),
    retries=st.integers(1, 10),
    start_period=st.integers(0, 300),
)
RESULTS = st.lists(st.tuples(st.booleans(), st.integers(0, 60)), max_size=40)


@given(CHECKS, RESULTS)
def test_it_is_as_docker_does_it(one: HealthCheck, results: list[tuple[bool, int]]) -> None:
    docker, state = Docker(one), health.begin(one, 0.0)
    for ok, took in results:
        docker.wait()
        assert state.due_at == docker.now
        state = health.started(state, docker.now)
        docker.probe(ok, took)
        state = health.finished(state, one, ok, docker.now)
        assert {"starting": UNKNOWN}.get(docker.status, docker.status.upper()) == state.status
