"""What the labels under ``supervisor.`` say, and which of them are refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.model import Backoff, ContainerDefinition, StopScope
from supervisor.shapes import StopPolicy, stop_policy
from supervisor.shapes.labels import max_runtime, restart_backoff, stop_budget

from .samples import container, refusal, register

SIGNAL, SCOPE, PRE_STOP = "supervisor.stop-signal", "supervisor.stop-scope", "supervisor.pre-stop"
BUDGET, RUNTIME, BACKOFF = "supervisor.stop-budget", "supervisor.max-runtime", "supervisor.restart-backoff"
RESTARTS = {"restartPolicy": {"enabled": True}}
MAIN, GROUP = StopScope.MAIN, StopScope.GROUP


def policy_of(labels: dict[str, str], timeout: int | None = None, default: float = 30.0) -> StopPolicy:
    definition = register(container(dockerLabels=labels, stopTimeout=timeout)).container_definitions[0]
    return stop_policy(definition, default)


@pytest.mark.parametrize(
    ("labels", "timeout", "policy"),
    [
        ({}, None, (((15, 0.0),), MAIN, 30.0, ())),
        ({}, 0, (((15, 0.0),), MAIN, 30.0, ())),
        ({}, 120, (((15, 0.0),), MAIN, 120.0, ())),
        ({SIGNAL: "QUIT"}, 1, (((3, 0.0),), MAIN, 1.0, ())),
        ({SIGNAL: "QUIT:7"}, None, (((3, 0.0),), MAIN, 7.0, ())),
        ({SIGNAL: "SIGTERM:20,SIGINT:5"}, None, (((15, 0.0), (2, 0.8)), MAIN, 25.0, ())),
        ({SIGNAL: "SIGTERM:20,SIGINT:5"}, 25, (((15, 0.0), (2, 0.8)), MAIN, 25.0, ())),
        ({SIGNAL: "SIGTERM:0.1,INT:0.2,QUIT:0.7"}, 1, (((15, 0.0), (2, 0.1), (3, 0.3)), MAIN, 1.0, ())),
        ({SIGNAL: "SIGTERM:20,SIGINT"}, 40, (((15, 0.0), (2, 0.5)), MAIN, 40.0, ())),
        ({SIGNAL: "SIGTERM:15,SIGINT"}, None, (((15, 0.0), (2, 0.5)), MAIN, 30.0, ())),
        ({SIGNAL: "TERM:1m,INT:2m,HUP"}, None, (((15, 0.0), (2, 1.0), (1, 1.0)), MAIN, 30.0, ())),
        ({SCOPE: "group", "other": "x"}, None, (((15, 0.0),), GROUP, 30.0, ())),
        ({SCOPE: "main"}, None, (((15, 0.0),), MAIN, 30.0, ())),
        ({PRE_STOP: "sleep 1"}, None, (((15, 0.0),), MAIN, 30.0, ("/bin/sh", "-c", "sleep 1"))),
    ],
)
def test_how_a_container_is_stopped(labels: dict[str, str], timeout: int | None, policy: tuple[Any, ...]) -> None:
    found = policy_of(labels, timeout)
    assert tuple(number for number, _ in found.signals) == tuple(number for number, _ in policy[0])
    assert tuple(share for _, share in found.signals) == pytest.approx(tuple(share for _, share in policy[0]))
    assert (found.scope, found.pre_stop) == (policy[1], policy[3])
    assert found.timeout == pytest.approx(policy[2])
    assert all(type(number) is int for number, _ in found.signals)
    assert type(found.timeout) is float


NAMES = st.sampled_from(["SIGTERM", "INT", "quit", "1", "SIGUSR1"])
SECONDS = st.integers(1, 10_000).map(lambda hundredths: hundredths / 100)


@given(
    st.lists(st.tuples(NAMES, SECONDS), min_size=1, max_size=8),
    st.booleans(),
    st.floats(0.01, 1e6),
    st.sampled_from([",", ", "]),
)
def test_of_any_sequence_the_signals_come_in_their_order_and_none_after_the_end(
    steps: list[tuple[str, float]], is_open: bool, default: float, comma: str
) -> None:
    written = [f"{name}:{seconds}" for name, seconds in steps]
    if is_open:
        written[-1] = steps[-1][0]
    definition = ContainerDefinition(name="web", docker_labels={SIGNAL: comma.join(written)})
    found = stop_policy(definition, default)
    numbers, shares = zip(*found.signals, strict=True)
    assert numbers == tuple({"SIGTERM": 15, "INT": 2, "quit": 3, "1": 1, "SIGUSR1": 10}[name] for name, _ in steps)
    assert list(shares) == sorted(shares)
    assert shares[0] == 0.0
    assert shares[-1] <= 1.0
    assert found.timeout == pytest.approx(default if is_open else sum(seconds for _, seconds in steps))
    due = 0.0
    for share, (_, seconds) in zip(shares, steps, strict=True):
        assert share * found.timeout == pytest.approx(min(due, found.timeout))
        due += seconds


def test_what_the_other_labels_say() -> None:
    labels = {BACKOFF: "0.5:2m", RUNTIME: "1.5h", BUDGET: "90s"}
    definition = register(
        container(dockerLabels=labels, **RESTARTS), container(name="b", dockerLabels={BUDGET: "1.5m"})
    )
    web, side = definition.container_definitions
    assert (restart_backoff(web), max_runtime(web)) == (Backoff(0.5, 120.0), 5400.0)
    assert (restart_backoff(side), max_runtime(side)) == (None, None)
    assert stop_budget(definition.container_definitions) == 90.0
    assert stop_budget([]) is None


@pytest.mark.parametrize(
    ("label", "value", "text"),
    [
        (SIGNAL, "KILL", "'KILL' cannot be handled, so nothing could stop in its own way; use SIGTERM"),
        (SIGNAL, "TERM:5,KILL", "'KILL' cannot be handled, so nothing could stop in its own way; use SIGTERM"),
        (SIGNAL, "TERM:5,", "'' is no signal; give a name such as SIGTERM or a number, 1 to 64"),
        (
            SIGNAL,
            "TERM,INT:5",
            "'TERM' does not say when the next signal follows; give seconds, as TERM:20",
        ),
        (SIGNAL, "TERM:0,INT", "expected seconds such as 90, 1.5, 5m or 2h, more than 0, got '0'"),
        (SIGNAL, "TERM:", "expected seconds such as 90, 1.5, 5m or 2h, more than 0, got ''"),
        (SIGNAL, "TERM:5:6", "expected seconds such as 90, 1.5, 5m or 2h, more than 0, got '5:6'"),
        (SIGNAL, ",".join(["TERM:1"] * 9), "expected up to 8 signals, got 9"),
        (
            SIGNAL,
            "TERM:2147483647,INT:1",
            "2147483648 seconds in all are too many; expected up to 2147483647",
        ),
        (SCOPE, "all", "expected main or group, got 'all'"),
        (PRE_STOP, "", "there is nothing to run; give a command, or remove the label"),
        (PRE_STOP, "[]", "the program's name is missing; put its path or name first"),
        (RUNTIME, "0", "expected seconds such as 90, 1.5, 5m or 2h, more than 0, got '0'"),
        (BUDGET, "-1", "expected seconds such as 90, 1.5, 5m or 2h, more than 0, got '-1'"),
        (
            BACKOFF,
            "5:4",
            "expected FIRST:MOST with FIRST up to MOST, and MOST up to 3600 (300 unless said), got '5:4'",
        ),
        (BACKOFF, "1:60", "nothing is restarted without restartPolicy.enabled; set it, or remove the label"),
        ("supervisor.stopsignal", "TERM", "unknown label; did you mean 'supervisor.stop-signal'?"),
        ("supervisor.prestop", "x", "unknown label; did you mean 'supervisor.pre-stop'?"),
        ("supervisor.STOP-SIGNAL", "x", "unknown label; did you mean 'supervisor.stop-signal'?"),
        (RUNTIME, "600000h", "expected seconds such as 90, 1.5, 5m or 2h, up to 2147483647, got '600000h'"),
        (SIGNAL, "SIGRTMIN+31", "'SIGRTMIN+31' is no signal; signals are 1 to 64"),
    ],
)
def test_what_is_wrong_with_a_label_is_named(label: str, value: str, text: str) -> None:
    wrong = container(dockerLabels={"free": "", label: value})
    assert refusal(container(name="b"), wrong) == f"containerDefinitions[1].dockerLabels['{label}']: {text}"


@pytest.mark.parametrize(
    ("value", "timeout", "text"),
    [
        (
            "TERM:20,INT:5",
            30,
            "its seconds are 25 in all, and stopTimeout is 30; make them the same, or remove stopTimeout",
        ),
        ("TERM:5", 6, "its seconds are 5 in all, and stopTimeout is 6; make them the same, or remove stopTimeout"),
        (
            "TERM:20,INT",
            20,
            (
                "the last signal comes 20 seconds after the first, and stopTimeout is 20, so that nothing would be"
                " left for it; raise stopTimeout above 20"
            ),
        ),
    ],
)
def test_a_sequence_and_a_stop_timeout_that_do_not_agree_are_both_named(value: str, timeout: int, text: str) -> None:
    refused = refusal(container(dockerLabels={SIGNAL: value}, stopTimeout=timeout))
    assert refused == f"containerDefinitions[0].dockerLabels['{SIGNAL}']: {text}"


@pytest.mark.parametrize(("value", "timeout"), [("TERM:20,INT:5", 0), ("TERM:20,INT", 21), ("TERM:20,INT", 0)])
def test_a_sequence_and_a_stop_timeout_that_agree(value: str, timeout: int) -> None:
    register(container(dockerLabels={SIGNAL: value}, stopTimeout=timeout))


def test_a_task_has_one_stop_budget() -> None:
    said = [
        container(name=name, dockerLabels={BUDGET: value}) for name, value in (("a", "60"), ("b", "1m"), ("c", "61"))
    ]
    register(*said[:2])
    assert refusal(container(), *said) == (
        f"containerDefinitions[3].dockerLabels['{BUDGET}']: '61' here and '60' in containerDefinitions[1]; a task has"
        " one stop budget, say it once"
    )


def test_a_backoff_needs_a_policy_that_is_in_force() -> None:
    off = container(dockerLabels={BACKOFF: "1"}, restartPolicy={"enabled": False})
    assert refusal(off).endswith("nothing is restarted without restartPolicy.enabled; set it, or remove the label")
    register({**off, **RESTARTS})
