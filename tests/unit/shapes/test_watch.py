"""``restartPolicy`` and ``healthCheck``: the bounds of ECS, its defaults, and what is given back."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.model import ContainerDefinition, HealthCheck, RestartPolicy
from supervisor.shapes import render_definition
from tests.conformance import assert_matches

from .samples import WATCHED, container, refusal, register


def judged(**members: Any) -> ContainerDefinition:
    return register(container(**members)).container_definitions[0]


def given_back(**members: Any) -> dict[str, Any]:
    rendered = render_definition(register(container(**members)))
    assert_matches("DescribeTaskDefinition", "output", {"taskDefinition": rendered})
    found: dict[str, Any] = rendered["containerDefinitions"][0]
    return {name: found[name] for name in members}


def test_all_that_can_be_said_is_obeyed_and_given_back() -> None:
    found = judged(**WATCHED)
    assert found.restart_policy == RestartPolicy(True, (0, 3), 60)
    assert found.health_check == HealthCheck(
        ("CMD-SHELL", "curl -f http://localhost/ || exit 1"), interval=10, timeout=2, retries=5, start_period=20
    )
    assert given_back(**WATCHED) == WATCHED


def test_what_is_left_out_has_the_defaults_of_ecs() -> None:
    least: dict[str, Any] = {"restartPolicy": {"enabled": True}, "healthCheck": {"command": ["CMD", "true"]}}
    found = judged(**least)
    assert found.restart_policy == RestartPolicy(True, (), 300)
    assert found.health_check == HealthCheck(("CMD", "true"), interval=30, timeout=5, retries=3, start_period=0)
    assert given_back(**least) == {
        "restartPolicy": {"enabled": True, "restartAttemptPeriod": 300},
        "healthCheck": {"command": ["CMD", "true"], "interval": 30, "timeout": 5, "retries": 3},
    }


def test_what_says_the_default_is_given_back_too() -> None:
    said = {
        "restartPolicy": {"enabled": False, "ignoredExitCodes": [], "restartAttemptPeriod": 300},
        "healthCheck": {"command": ["CMD", "x"], "interval": 30, "timeout": 5, "retries": 3, "startPeriod": 0},
        "startTimeout": 0,
    }
    assert given_back(**said) == said


def test_no_check_is_given_back_word_for_word() -> None:
    none = {"command": ["NONE"], "interval": 1}
    assert judged(healthCheck=none).health_check is None
    assert given_back(healthCheck=none) == {"healthCheck": none}


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        ({"ignoredExitCodes": list(range(51))}, "ignoredExitCodes: expected up to 50, got 51"),
        ({"restartAttemptPeriod": 59}, "restartAttemptPeriod: expected 60 to 1800, got 59"),
        ({"restartAttemptPeriod": 1801}, "restartAttemptPeriod: expected 60 to 1800, got 1801"),
    ],
)
def test_what_is_no_restart_policy_is_named(policy: dict[str, Any], text: str) -> None:
    refused = refusal(container(restartPolicy={"enabled": True, **policy}))
    assert refused == f"containerDefinitions[0].restartPolicy.{text}"


@pytest.mark.parametrize(
    ("check", "text"),
    [
        ({"command": []}, "command[0]: expected CMD, CMD-SHELL or NONE, got ''"),
        ({"command": ["curl"]}, "command[0]: expected CMD, CMD-SHELL or NONE, got 'curl'"),
        ({"command": ["NONE", "x"]}, "command: NONE stands alone; remove what follows it"),
        ({"command": ["CMD"]}, "command[1]: the program's name is missing; put its path or name after CMD"),
        ({"command": ["CMD", ""]}, "command[1]: the program's name is missing; put its path or name after CMD"),
        ({"command": ["CMD-SHELL"]}, "command: expected one text for the shell after CMD-SHELL, got 0"),
        ({"command": ["CMD-SHELL", "a", "b"]}, "command: expected one text for the shell after CMD-SHELL, got 2"),
        ({"command": ["CMD-SHELL", " "]}, "command[1]: there is nothing to run; give the text for the shell"),
        (
            {"command": ["CMD", "a", "\0"]},
            "command[2]: contains a NUL character, which cannot be given to a process; remove it",
        ),
        ({"interval": 4}, "interval: expected 5 to 300, got 4"),
        ({"interval": 301}, "interval: expected 5 to 300, got 301"),
        ({"timeout": 1}, "timeout: expected 2 to 60, got 1"),
        ({"timeout": 61}, "timeout: expected 2 to 60, got 61"),
        ({"retries": 0}, "retries: expected 1 to 10, got 0"),
        ({"retries": 11}, "retries: expected 1 to 10, got 11"),
        ({"startPeriod": -1}, "startPeriod: expected 0 to 300, got -1"),
        ({"startPeriod": 301}, "startPeriod: expected 0 to 300, got 301"),
    ],
)
def test_what_is_no_health_check_is_named(check: dict[str, Any], text: str) -> None:
    refused = refusal(container(), container(name="b", healthCheck={"command": ["CMD", "true"], **check}))
    assert refused == f"containerDefinitions[1].healthCheck.{text}"
