"""Pages are followed and cut as botocore's own paginator does it, which the stock CLI stands on."""

from __future__ import annotations

import json
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest
from botocore.model import OperationModel
from botocore.paginate import Paginator

from supervisor.cli.pages import Pages
from tests.conformance import service_model
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_agent import FakeAgent

UNSAID = {"paginate": True, "max_items": None, "page_size": None, "starting_token": None}


def agent_with(items: list[str]) -> Any:
    """ListTasks over these items: the token says where to go on."""

    def call(body: dict[str, Any]) -> dict[str, Any]:
        begin = int(body.get("nextToken", "0"))
        end = begin + body.get("maxResults", 3)
        following = {"nextToken": str(end)} if end < len(items) else {}
        return {"taskArns": items[begin:end], **following}

    return call


def botocores(items: list[str], max_items: int | None, page_size: int | None, token: str | None) -> dict[str, Any]:
    call = agent_with(items)
    config = {"input_token": "nextToken", "output_token": "nextToken", "limit_key": "maxResults"}
    model: OperationModel = service_model().operation_model("ListTasks")
    paginator = Paginator(lambda **body: call(body), {**config, "result_key": "taskArns"}, model)
    asked = {"MaxItems": max_items, "PageSize": page_size, "StartingToken": token}
    whole: dict[str, Any] = paginator.paginate(PaginationConfig=asked).build_full_result()
    return whole


@hypothesis.given(st.integers(0, 12), st.none() | st.integers(1, 13), st.none() | st.integers(1, 5))
def test_cut_and_taken_up_again_as_botocore_does(count: int, max_items: int | None, page_size: int | None) -> None:
    items = [f"arn:{number}" for number in range(count)]
    token, seen = None, []
    while True:
        own = {**UNSAID, "max_items": max_items, "page_size": page_size, "starting_token": token}
        ours = Pages(agent_with(items), {}, own).merged()
        assert ours == botocores(items, max_items, page_size, token)
        seen += ours["taskArns"]
        token = ours.get("NextToken")
        if token is None:
            break
    assert seen == items


def test_a_token_of_the_agent_itself_is_taken_too() -> None:
    assert Pages(agent_with(list("abcde")), {}, {**UNSAID, "starting_token": "3"}).merged() == {"taskArns": ["d", "e"]}


def pages(agent: FakeAgent, *replies: dict[str, Any]) -> None:
    agent.answers.extend((200, reply) for reply in replies)


def test_all_pages_are_one_reply(agent: FakeAgent, run: Run) -> None:
    pages(agent, {"taskArns": ["a"], "nextToken": "t"}, {"taskArns": ["b"]})
    result = run("list-tasks", "--family", "web", "--page-size", "1")
    assert json.loads(result.out) == {"taskArns": ["a", "b"]}
    first = {"family": "web", "maxResults": 1}
    assert agent.bodies == [first, {**first, "nextToken": "t"}]


def test_text_comes_page_by_page_with_the_token_at_its_end(agent: FakeAgent, run: Run) -> None:
    pages(agent, {"taskArns": ["a"], "nextToken": "t"}, {"taskArns": ["b", "c"], "nextToken": "u"})
    result = run("list-tasks", "--max-items", "2", "--output", "text")
    token = "eyJuZXh0VG9rZW4iOiAidCIsICJib3RvX3RydW5jYXRlX2Ftb3VudCI6IDF9"
    assert result.out == f"TASKARNS\ta\nTASKARNS\tb\nNEXTTOKEN\t{token}\n"


def test_a_query_sees_all_pages_or_in_text_each(agent: FakeAgent, run: Run) -> None:
    both: list[dict[str, Any]] = [{"taskArns": ["a"], "nextToken": "t"}, {"taskArns": ["b"]}]
    pages(agent, *both, *both)
    assert run("list-tasks", "--query", "length(taskArns)").out == "2\n"
    assert run("list-tasks", "--query", "length(taskArns)", "--output", "text").out == "1\n1\n"


@pytest.mark.parametrize(
    "line",
    [("--no-paginate",), ("--max-results", "1"), ("--next-token", "s"), ("--cli-input-json", '{"maxResults": 1}')],
)
def test_one_page_where_one_was_asked_for(agent: FakeAgent, run: Run, line: tuple[str, ...]) -> None:
    pages(agent, {"taskArns": ["a"], "nextToken": "t"})
    assert json.loads(run("list-tasks", *line).out) == {"taskArns": ["a"], "nextToken": "t"}


@pytest.mark.parametrize("line", [("--no-paginate", "--max-items", "1"), ("--max-results", "1", "--max-items", "1")])
def test_both_at_once_is_wrong_usage(agent: FakeAgent, run: Run, line: tuple[str, ...]) -> None:
    result = run("list-tasks", *line)
    assert result.status == 2
    assert "ask for one reply: give no --max-items" in result.err
    assert agent.requests == []


def test_an_agent_that_goes_in_circles_is_left(agent: FakeAgent, run: Run) -> None:
    pages(agent, *[{"taskArns": ["a"], "nextToken": "t"}] * 2)
    result = run("list-tasks")
    assert (result.status, result.out) == (1, "")
    assert "the same nextToken twice" in result.err


def test_what_has_no_pages_has_no_such_options(no_agent: str, run: Run) -> None:
    assert "no such option '--max-items'" in run("stop-task", "--max-items", "1").err
