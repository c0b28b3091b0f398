from __future__ import annotations

import json

import pytest

from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_agent import FakeAgent

REPLY = {"tasks": [{"taskArn": "a", "lastStatus": "RUNNING"}, {"taskArn": "b", "lastStatus": "STOPPED"}]}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("tasks[].taskArn", ["a", "b"]),
        ("tasks[?lastStatus=='STOPPED'].{arn: taskArn} | [0]", {"arn": "b"}),
        ("length(tasks)", 2),
        ("nothing.here", None),
        ("sort_by(tasks, &lastStatus)[0].taskArn", "a"),
        ("not_null(a, b, tasks[0].taskArn)", "a"),
    ],
)
def test_what_it_finds_is_printed(agent: FakeAgent, run: Run, query: str, found: object) -> None:
    agent.answers.append((200, REPLY))
    result = run("describe-tasks", "--tasks", "a", "--query", query)
    assert (result.status, json.loads(result.out), result.err) == (0, found, "")


def test_text_of_what_it_finds(agent: FakeAgent, run: Run) -> None:
    agent.answers.append((200, REPLY))
    line = ("describe-tasks", "--tasks", "a", "--output", "text", "--query", "tasks[].[lastStatus, taskArn]")
    assert run(*line).out == "RUNNING\ta\nSTOPPED\tb\n"


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("tasks[", "the expression ends too early: 'tasks['"),
        ("tasks[].]", "column 9: unexpected ']', in 'tasks[].]'"),
        ("tasks #", "column 7: Unknown token #, in 'tasks #'"),
        ("tasks[?a='b']", "column 9:"),
        ("", "the expression is empty"),
        ("lenght(tasks)", "unknown function lenght() (did you mean 'length'?)"),
        ("tasks[].length(@, a)", "length() takes 1 arguments, not 2"),
        ("not_null()", "not_null() takes at least 1 arguments, not 0"),
    ],
)
def test_a_bad_expression_is_wrong_usage_with_its_place_and_nothing_is_sent(
    agent: FakeAgent, run: Run, query: str, error: str
) -> None:
    result = run("stop-task", "--task", "a", "--query", query)
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith("supervisor stop-task: invalid value for '--query': ")
    assert error in result.err
    assert agent.requests == []


def test_what_the_reply_cannot_bear_is_told_after_the_request(agent: FakeAgent, run: Run) -> None:
    agent.answers.append((200, REPLY))
    result = run("describe-tasks", "--tasks", "a", "--query", "length(tasks[0].missing)")
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith("supervisor: cannot apply --query to the reply: ")
    assert result.err.count("\n") == 1
