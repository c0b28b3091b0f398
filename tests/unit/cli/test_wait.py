from __future__ import annotations

import json

import pytest

from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_agent import ARN, FakeAgent, Stream, line_of, task_of

OTHER = ARN[:-1] + "0"


def test_running_when_all_are_running(agent: FakeAgent, run: Run) -> None:
    first = line_of(task_of("RUNNING"), task_of("PENDING", taskArn=OTHER))
    then = line_of(task_of("RUNNING"), task_of("RUNNING", taskArn=OTHER))
    agent.streams.append(Stream([first, b"\n", then], "hold"))

    assert run("wait", "tasks-running", "--cluster", "c", "--tasks", "a", "b") == (0, "", "")
    assert agent.requests[0].path == "/v1/tasks/watch?cluster=c&task=a&task=b"


def test_running_fails_when_one_stops(agent: FakeAgent, run: Run) -> None:
    stopped = task_of("STOPPED", taskArn=OTHER, stoppedReason="Essential container in task exited")
    agent.streams.append(Stream([line_of(task_of("PENDING"), stopped)], "hold"))
    why = f"task {OTHER} is STOPPED: Essential container in task exited"
    assert run("wait", "tasks-running", "--tasks", "a", "b") == (
        1,
        "",
        f"supervisor: Waiter TasksRunning failed: {why}\n",
    )


@pytest.mark.parametrize(("name", "waiter"), [("tasks-running", "TasksRunning"), ("tasks-stopped", "TasksStopped")])
def test_a_task_that_is_not_found_fails(agent: FakeAgent, run: Run, name: str, waiter: str) -> None:
    agent.streams.append(Stream([{"tasks": [], "failures": [{"arn": OTHER, "reason": "MISSING"}]}], "hold"))
    result = run("wait", name, "--tasks", "a")
    assert result == (1, "", f"supervisor: Waiter {waiter} failed: task {OTHER} is MISSING\n")


def test_stopped_when_all_are_stopped(agent: FakeAgent, run: Run) -> None:
    first = line_of(task_of("STOPPED"), task_of("RUNNING", taskArn=OTHER))
    then = line_of(task_of("STOPPED"), task_of("STOPPED", taskArn=OTHER))
    agent.streams.append(Stream([first, then], "hold"))
    assert run("wait", "tasks-stopped", "--tasks", "a", "b") == (0, "", "")


@pytest.mark.parametrize("name", ["tasks-running", "tasks-stopped"])
def test_no_news_is_not_good_news(agent: FakeAgent, run: Run, name: str) -> None:
    agent.streams.append(Stream([line_of()], "hold"))
    assert run("wait", name, "--tasks", "a", "--timeout", "0.05").status == 1


def test_the_time_is_up(agent: FakeAgent, run: Run) -> None:
    agent.streams.append(Stream([], "hold"))
    assert run("wait", "tasks-stopped", "--tasks", "a", "--timeout", "0.01") == (
        1,
        "",
        "supervisor: Waiter TasksStopped failed: after 0.01 s not yet STOPPED: a\n",
    )


def test_input_as_json(agent: FakeAgent, run: Run) -> None:
    agent.streams.append(Stream([line_of(task_of("STOPPED"))], "hold"))
    assert run("wait", "tasks-stopped", "--cli-input-json", '{"tasks": ["a"]}') == (0, "", "")


def test_input_of_the_wrong_type(no_agent: str, run: Run) -> None:
    result = run("wait", "tasks-stopped", "--cli-input-json", '{"tasks": "a"}')
    assert result.status == 2
    assert result.err == (
        "supervisor wait tasks-stopped: wrong input: Expected `array`, got `str` - at `$.tasks`; "
        "see 'supervisor wait tasks-stopped --help'\n"
    )


def test_what_has_no_meaning_here_is_not_offered(no_agent: str, run: Run) -> None:
    assert json.loads(run("wait", "tasks-stopped", "--generate-cli-skeleton").out) == {"cluster": "", "tasks": [""]}


def test_a_refusal_is_told(agent: FakeAgent, run: Run) -> None:
    agent.streams.append((400, {"__type": "ClusterNotFoundException", "message": "Cluster not found."}))
    assert run("wait", "tasks-stopped", "--cluster", "x", "--tasks", "a") == (
        1,
        "",
        (
            "supervisor: An error occurred (ClusterNotFoundException) when calling the DescribeTasks operation: "
            "Cluster not found.\n"
        ),
    )


@pytest.mark.parametrize("waiter", ["services-stable", "services-inactive"])
def test_there_are_no_services_to_wait_for(agent: FakeAgent, run: Run, waiter: str) -> None:
    assert run("wait", waiter, "--cluster", "c", "--services", "a", "b") == (
        1,
        "",
        (
            f"supervisor: cannot wait for {waiter}: services are not supported in this version; "
            "wait for tasks with 'supervisor wait tasks-running' or 'tasks-stopped'\n"
        ),
    )
    assert agent.requests == []
