from __future__ import annotations

import signal

import pytest

from supervisor.model import ContainerDefinition, StopScope
from supervisor.shapes import stop_policy
from supervisor.shapes.labels import read_signal


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("SIGTERM", 15),
        ("TERM", 15),
        ("term", 15),
        ("sigquit", 3),
        ("15", 15),
        ("1", 1),
        ("64", 64),
        ("SIGRTMIN", signal.SIGRTMIN),
    ],
)
def test_a_signal(text: str, number: int) -> None:
    assert read_signal(text) == number


@pytest.mark.parametrize("text", ["KILL", "SIGKILL", "9", "09", "STOP", "19"])
def test_a_signal_that_nothing_can_handle(text: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be handled"):
        read_signal(text)


@pytest.mark.parametrize(
    "text", ["", "0", "65", "-1", "100", "1.5", "SIG", "FOO", "SIGSIGTERM", "SIG_IGN", "１５", "15 "]
)
def test_what_is_no_signal(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no signal"):
        read_signal(text)


@pytest.mark.parametrize(
    ("labels", "timeout", "policy"),
    [
        ({}, None, (15, StopScope.MAIN, 30.0)),
        ({}, 0, (15, StopScope.MAIN, 30.0)),
        ({}, 120, (15, StopScope.MAIN, 120.0)),
        ({"supervisor.stop-signal": "QUIT"}, 1, (3, StopScope.MAIN, 1.0)),
        ({"supervisor.stop-scope": "group", "other": "x"}, None, (15, StopScope.GROUP, 30.0)),
        ({"supervisor.stop-scope": "main"}, None, (15, StopScope.MAIN, 30.0)),
    ],
)
def test_how_a_container_is_stopped(
    labels: dict[str, str], timeout: int | None, policy: tuple[int, StopScope, float]
) -> None:
    definition = ContainerDefinition(name="web", docker_labels=labels, stop_timeout=timeout)
    found = stop_policy(definition, 30.0)
    assert found == policy
    assert type(found.signal) is int
    assert type(found.timeout) is float
