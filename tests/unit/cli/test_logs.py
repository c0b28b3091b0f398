from __future__ import annotations

import pytest

from supervisor.cli import logs
from supervisor.cli.client import Client
from supervisor.cli.failures import AgentUnreachable

from .conftest import Run
from .fake_agent import FakeAgent, Stream

END = {"end": True}
ONE = {"containers": ["main"]}


# Streams are held open after their last line: who has read it reads no further.


def line(text: str, place: int | str = 1, container: str = "main", **more: object) -> dict[str, object]:
    return {"container": container, "line": text, "next": place, **more}


def test_lines_of_one_container_are_printed_as_they_are(agent: FakeAgent, run: Run) -> None:
    agent.streams.append(Stream([ONE, line("a \x1b[1mb\u2028"), line(""), END], "hold"))
    assert run("logs", "x") == (0, "a \x1b[1mb\u2028\n\n", "")
    assert agent.requests[0].path == "/v1/logs?task=x&follow=0"


def test_all_that_can_be_asked(agent: FakeAgent, run: Run) -> None:
    agent.streams.append(Stream([ONE, END], "hold"))
    options = [
        "--cluster",
        "c",
        "--container",
        "a",
        "--container",
        "b",
        "--tail",
        "5",
        "--since",
        "2026-01-31T12:00:00Z",
    ]
    assert run("logs", "x", *options).status == 0
    query = "task=x&container=a&container=b&cluster=c&tail=5&since=2026-01-31T12%3A00%3A00Z&follow=0"
    assert agent.requests[0].path == f"/v1/logs?{query}"


def test_lines_of_several_containers_have_their_names_and_parts_of_one_are_put_together(
    agent: FakeAgent, run: Run
) -> None:
    told = [
        line("a", container="web"),
        line("b1", container="db", partial=True),
        line("b2", container="db"),
        line("c1", container="web", partial=True),
        line("d", container="db"),
        line("c2", container="web"),
    ]
    agent.streams.append(Stream([{"containers": ["web", "db"]}, *told, END], "hold"))
    assert run("logs", "x").out.splitlines() == ["web | a", "db | b1b2", "web | c1", "db | d", "web | c2"]


def test_parts_of_one_containers_line_are_put_together(agent: FakeAgent, run: Run) -> None:
    agent.streams.append(Stream([ONE, line("a", partial=True), line("b"), END], "hold"))
    assert run("logs", "x").out == "ab\n"


def test_a_broken_stream_goes_on_after_the_last_line_of_each_container(agent: FakeAgent) -> None:
    header = {"containers": ["a", "b"]}
    agent.streams.extend(
        [
            Stream([header, line("1", 4, "a"), b"\n", line("2", "s=1;i=2", "b"), line("3", 9, "a")], "cut"),
            Stream([header, {"container": "a", "next": 12}]),
            Stream([header, line("4", 13, "a"), END], "hold"),
        ]
    )
    told = list(Client(agent.path, pause=lambda _: None).logs([("task", "x")], follow=True))
    assert told[0] == header
    assert [each["line"] for each in told[1:]] == ["1", "2", "3", "4"]
    assert [request.path for request in agent.requests] == [
        "/v1/logs?task=x&follow=1",
        "/v1/logs?task=x&from=a%3A9&from=b%3As%3D1%3Bi%3D2&follow=1",
        "/v1/logs?task=x&from=a%3A12&from=b%3As%3D1%3Bi%3D2&follow=1",
    ]


def test_what_is_not_followed_is_asked_for_once_and_must_be_told_whole(agent: FakeAgent) -> None:
    agent.streams.append(Stream([ONE, line("a")]))
    with pytest.raises(AgentUnreachable, match="before it had told everything"):
        list(Client(agent.path).logs([], follow=False))


def test_errors_before_and_in_the_stream(agent: FakeAgent, run: Run) -> None:
    error = {"__type": "ClientException", "message": "cannot read the journal"}
    agent.streams.extend([(400, error), Stream([ONE, line("a"), {"error": error}], "hold")])
    says = (
        "supervisor: An error occurred (ClientException) when calling the ReadLogs operation: cannot read the journal\n"
    )
    assert run("logs", "x") == (1, "", says)
    assert run("logs", "x", "--follow") == (1, "a\n", says)


@pytest.mark.parametrize(
    ("text", "ago"),
    [("10m", 600), ("1h30m", 5400), ("90s", 90), ("2d", 172800), ("0.5s", 0.5), ("1d1h1m1s", 90061)],
)
def test_a_duration_is_so_long_ago(text: str, ago: float) -> None:
    assert logs.point_in_time(text, 1_000_000.0) == f"{1_000_000 - ago:.3f}"


@pytest.mark.parametrize("text", ["1234.5", "2026-01-31T12:00:00Z"])
def test_a_time_is_for_the_agent_to_read(text: str) -> None:
    assert logs.point_in_time(text, 1_000_000.0) == text


@pytest.mark.parametrize("text", ["", "m", "10x", "m10", "1m 1s", "-5m"])
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        logs.point_in_time(text, 1_000_000.0)


@pytest.mark.parametrize("args", [["logs"], ["logs", "x", "--tail", "-1"], ["logs", "x", "--tail", "many"]])
def test_wrong_usage(run: Run, args: list[str]) -> None:
    assert run(*args).status == 2
