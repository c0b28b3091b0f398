"""``supervisor upgrade``: what it asks, and what it says of the answers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_agent import FakeAgent

AGREED = {"from": {"version": "1.0", "pid": 12}, "to": "2.0"}
HEALTH: dict[str, Any] = {"status": "ok", "version": "2.0", "pid": 12, "keeperPid": 11}


def test_it_is_told_when_the_new_version_serves(agent: FakeAgent, run: Run) -> None:
    agent.answers.append((200, AGREED))
    agent.streams.append((200, HEALTH))
    result = run("upgrade")
    assert result == (
        0,
        "upgraded from 1.0 to 2.0: keeper 11, agent 12\n",
        "supervisor: version 2.0 can take over from 1.0\n",
    )
    assert [(one.method, one.path, one.body) for one in agent.requests] == [
        ("POST", "/v1/upgrade", {}),
        ("GET", "/v1/health", None),
    ]


@pytest.mark.parametrize(
    ("health", "why"),
    [
        (
            {"version": "1.0", "upgradeRefused": "SIGKILLs are due, or near"},
            "cannot upgrade: SIGKILLs are due, or near; version 1.0 goes on",
        ),
        ({"version": "1.0"}, "cannot upgrade: version 1.0 answers"),
    ],
)
def test_why_it_was_given_up(agent: FakeAgent, run: Run, health: dict[str, Any], why: str) -> None:
    agent.answers.append((200, AGREED))
    agent.streams.append((200, HEALTH | health))
    result = run("upgrade")
    assert (result.status, result.out) == (1, "")
    assert result.err.splitlines()[-1] == f"supervisor: {why}"


def test_a_version_that_cannot_take_over(agent: FakeAgent, run: Run) -> None:
    agent.answers.append((500, {"__type": "ServerException", "message": "cannot upgrade: it does not start"}))
    result = run("upgrade")
    assert (result.status, result.out) == (1, "")
    assert result.err.endswith("when calling the Upgrade operation: cannot upgrade: it does not start\n")
    assert len(agent.requests) == 1


def test_it_is_asked_for_once(agent: FakeAgent, run: Run) -> None:
    agent.answers.append(None)
    assert run("upgrade").status == 3
    assert len(agent.requests) == 1
