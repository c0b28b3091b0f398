from __future__ import annotations

import os
import re
import socket
import threading
from pathlib import Path

import pytest

from supervisor.cli.client import ATTEMPTS, STREAM_FAILURES, STREAM_PAUSE, Client
from supervisor.cli.failures import AgentRefused, AgentUnreachable
from tests.unit.cli.fake_agent import FakeAgent, Stream, line_of, task_of


def test_a_reply_is_a_dict(agent: FakeAgent) -> None:
    agent.answers.append((200, {"taskArns": []}))
    assert Client(agent.path).call("ListTasks", {"family": "web"}) == {"taskArns": []}


@pytest.mark.parametrize("code", ["InvalidParameterException", "com.amazonaws.ecs#InvalidParameterException"])
def test_a_refusal_carries_code_message_and_operation(agent: FakeAgent, code: str) -> None:
    agent.answers.append((400, {"__type": code, "message": "The referenced task was not found."}))
    with pytest.raises(AgentRefused) as caught:
        Client(agent.path).call("StopTask", {"task": "x"})
    assert caught.value.error_code == "InvalidParameterException"
    assert caught.value.message == "The referenced task was not found."
    assert caught.value.operation == "StopTask"


@pytest.mark.parametrize("operation", ["DescribeTaskDefinition", "DescribeTasks", "ListTasks", "RunTask", "StopTask"])
def test_what_can_arrive_twice_is_sent_again_when_the_connection_breaks(agent: FakeAgent, operation: str) -> None:
    agent.answers.extend([None] * (ATTEMPTS - 1) + [(200, {"done": True})])
    assert Client(agent.path).call(operation, {}) == {"done": True}
    assert len(agent.requests) == ATTEMPTS
    assert all(body == agent.bodies[0] for body in agent.bodies)


def test_it_is_not_sent_again_for_ever(agent: FakeAgent) -> None:
    agent.answers.extend([None] * ATTEMPTS)
    with pytest.raises(AgentUnreachable, match="closed the connection before it answered; the request may have been"):
        Client(agent.path).call("StopTask", {})
    assert len(agent.requests) == ATTEMPTS


def test_what_would_be_done_twice_is_sent_once(agent: FakeAgent) -> None:
    agent.answers.append(None)
    with pytest.raises(AgentUnreachable):
        Client(agent.path).call("RegisterTaskDefinition", {})
    assert len(agent.requests) == 1


def test_run_task_carries_a_token_of_its_own_unless_one_is_given(agent: FakeAgent) -> None:
    agent.answers.extend([(200, {})] * 3)
    client = Client(agent.path)
    client.call("RunTask", {})
    client.call("RunTask", {})
    client.call("RunTask", {"clientToken": "mine"})
    first, second, third = (body["clientToken"] for body in agent.bodies)
    assert re.fullmatch("[0-9a-f]{32}", first)
    assert first != second
    assert third == "mine"


def test_what_is_no_agent_is_named(agent: FakeAgent) -> None:
    agent.answers.append((200, b"<html>"))
    with pytest.raises(AgentUnreachable, match=f"{agent.path}: what answers there does not speak as the agent does"):
        Client(agent.path).call("ListTasks", {})


def test_nobody_listens(tmp_path: Path) -> None:
    path = tmp_path / "left.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with pytest.raises(AgentUnreachable) as caught:
        Client(str(path)).call("ListTasks", {})
    assert (caught.value.path, caught.value.why) == (str(path), "connection refused")


def test_permission_is_denied(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(self: socket.socket, address: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(AgentUnreachable, match="permission denied; run this as root or as a member of the socket's"):
        Client("/run/x.sock").call("ListTasks", {})


def test_an_answer_that_comes_before_all_is_sent_is_read(tmp_path: Path) -> None:
    """A body over the limit: the agent answers and closes without reading it."""
    path = str(tmp_path / "early.sock")
    text = b'{"__type": "ClientException", "message": "too large"}'
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def refuse() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 413 x\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))

        thread = threading.Thread(target=refuse)
        thread.start()
        with pytest.raises(AgentRefused, match="too large"):
            Client(path).call("RegisterTaskDefinition", {"family": "x" * 4_000_000})
        thread.join()


class TestWatch:
    def test_opens_the_stream_anew_and_goes_on(self, agent: FakeAgent) -> None:
        lines = [line_of(task_of("RUNNING", version=number)) for number in range(4)]
        agent.streams.extend([Stream(lines[:2], "cut"), Stream([lines[2]], "end"), Stream([lines[3]], "hold")])
        paused: list[float] = []
        stream = Client(agent.path, pause=paused.append).watch(None, ["a"])
        assert [next(stream) for _ in range(4)] == lines
        assert [request.path for request in agent.requests] == ["/v1/tasks/watch?task=a"] * 3
        assert paused == [STREAM_PAUSE] * 2

    def test_blank_lines_are_signs_of_life_and_nothing_else(self, agent: FakeAgent) -> None:
        line = line_of(task_of())
        agent.streams.extend([Stream([b"\n"])] * STREAM_FAILURES + [Stream([b"\n", line], "hold")])
        assert next(Client(agent.path, pause=lambda _: None).watch(None, ["a"])) == line

    def test_a_line_that_was_cut_off_is_dropped(self, agent: FakeAgent) -> None:
        line = line_of(task_of())
        agent.streams.extend([Stream([b'{"tasks": []}'], "end"), Stream([line], "hold")])
        assert next(Client(agent.path, pause=lambda _: None).watch(None, ["a"])) == line

    def test_gives_up_after_several_failures_in_a_row(self, agent: FakeAgent) -> None:
        agent.streams.extend([Stream([], "cut")] * STREAM_FAILURES)
        paused: list[float] = []
        with pytest.raises(AgentUnreachable):
            next(Client(agent.path, pause=paused.append).watch(None, ["a"]))
        assert len(agent.requests) == STREAM_FAILURES
        assert paused == [STREAM_PAUSE] * (STREAM_FAILURES - 1)

    def test_gives_up_when_nobody_listens(self, no_agent: str) -> None:
        paused: list[float] = []
        with pytest.raises(AgentUnreachable) as caught:
            next(Client(no_agent, pause=paused.append).watch(None, ["a"]))
        assert caught.value.why == "no such file or directory"
        assert len(paused) == STREAM_FAILURES - 1

    def test_an_agent_that_comes_back_is_found(self, agent: FakeAgent) -> None:
        away = agent.path + ".away"
        os.rename(agent.path, away)
        line = line_of(task_of())
        agent.streams.append(Stream([line], "hold"))
        stream = Client(agent.path, pause=lambda _: os.rename(away, agent.path)).watch(None, ["a"])
        assert next(stream) == line

    def test_the_time_is_up_though_keep_alives_arrive(self, agent: FakeAgent) -> None:
        agent.streams.append(Stream([b"\n"] * 3, "hold"))
        with pytest.raises(TimeoutError):
            next(Client(agent.path).watch(None, ["a"], timeout=0.01))


def test_a_broken_stream_of_events_goes_on_after_the_last_that_came(agent: FakeAgent) -> None:
    agent.streams.extend([Stream([{"seq": 4}, b"\n", {"seq": 5}], "cut"), Stream([]), Stream([{"seq": 6}])])
    events = Client(agent.path, pause=lambda _: None).events(follow=True, since="0", task="x")
    assert [next(events)["seq"] for _ in range(3)] == [4, 5, 6]
    assert [request.path for request in agent.requests] == [
        "/v1/events?since=0&task=x&follow=1",
        "/v1/events?since=0&task=x&after=5&follow=1",
        "/v1/events?since=0&task=x&after=5&follow=1",
    ]


def test_events_that_are_there_are_read_once(agent: FakeAgent) -> None:
    agent.streams.append(Stream([{"seq": 1}, {"seq": 2}]))
    assert list(Client(agent.path).events(follow=False, after="0")) == [{"seq": 1}, {"seq": 2}]
    agent.streams.append((400, {"__type": "InvalidParameterException", "message": "since: no"}))
    with pytest.raises(AgentRefused, match="calling the ListEvents operation: since: no"):
        list(Client(agent.path).events(follow=False, since="x"))


class TestLook:
    def test_asks_for_what_is_there_alone(self, agent: FakeAgent) -> None:
        agent.streams.extend([(200, {"a": 1}), (200, {})])
        client = Client(agent.path)
        assert client.look("GetStopReport", "/v1/report", task="a b", cluster=None) == {"a": 1}
        assert client.look("GetHealth", "/v1/health") == {}
        assert [request.path for request in agent.requests] == ["/v1/report?task=a+b", "/v1/health"]

    def test_a_refusal_names_what_was_looked_for(self, agent: FakeAgent) -> None:
        agent.streams.append((400, {"__type": "InvalidParameterException", "message": "no"}))
        with pytest.raises(AgentRefused, match="when calling the GetHistory operation: no"):
            Client(agent.path).look("GetHistory", "/v1/history", task="x")

    def test_looks_again_when_the_connection_breaks(self, agent: FakeAgent) -> None:
        agent.streams.extend([None] * (ATTEMPTS - 1) + [(200, {"done": True})])
        assert Client(agent.path).look("GetHealth", "/v1/health") == {"done": True}
        assert len(agent.requests) == ATTEMPTS

    def test_nobody_answers(self, no_agent: str) -> None:
        with pytest.raises(AgentUnreachable):
            Client(no_agent).look("GetHealth", "/v1/health")
