from __future__ import annotations

import json
from typing import Any

import pytest

from supervisor.errors import ClientError, InvalidParameterError
from supervisor.shapes import (
    DefinitionAsked,
    TaskAsked,
    TaskFilter,
    check_describe_task_definition,
    check_describe_tasks,
    check_list_tasks,
    check_stop_reason,
    check_stop_task,
    check_stop_timeout,
    parse_request,
)
from supervisor.shapes.pages import write_token

from .samples import INSTANCE_ID, NAMES, TASK_ID

CHECKS: dict[str, Any] = {
    "StopTask": check_stop_task,
    "DescribeTasks": check_describe_tasks,
    "DescribeTaskDefinition": check_describe_task_definition,
    "ListTasks": lambda request, _: check_list_tasks(request),
}
TOKEN = write_token((1000.5, TASK_ID))
INVALID = "InvalidParameterException"


def ask(operation: str, **members: Any) -> Any:
    return CHECKS[operation](parse_request(operation, json.dumps(members).encode()), NAMES)


def test_a_task_to_stop() -> None:
    assert ask("StopTask", task=NAMES.task_arn(TASK_ID), cluster="default", reason="é" * 255) == TASK_ID


def test_a_reason_too_long() -> None:
    with pytest.raises(InvalidParameterError, match=r"^reason: expected up to 255 characters, got 256$"):
        check_stop_reason("x" * 256)


@pytest.mark.parametrize("reason", [None, "", "x" * 255])
def test_a_reason(reason: str | None) -> None:
    check_stop_reason(reason)


def test_tasks_to_describe_each_once_in_order() -> None:
    elsewhere = "arn:aws:ecs:mars:000000000000:task/default/" + TASK_ID
    asked = ask("DescribeTasks", tasks=["b" * 32, TASK_ID, NAMES.task_arn(TASK_ID), elsewhere, elsewhere])
    assert asked == [TaskAsked("b" * 32, "b" * 32), TaskAsked(TASK_ID, TASK_ID), TaskAsked(elsewhere, None)]


def test_a_hundred_tasks_can_be_described() -> None:
    assert len(ask("DescribeTasks", tasks=[f"{n:032x}" for n in range(100)], include=["TAGS"])) == 100


@pytest.mark.parametrize(
    ("members", "asked"),
    [
        ({"taskDefinition": "shop"}, DefinitionAsked("shop", None, include_tags=False)),
        ({"taskDefinition": "shop:2", "include": ["TAGS"]}, DefinitionAsked("shop", 2, include_tags=True)),
        ({"taskDefinition": "shop", "include": []}, DefinitionAsked("shop", None, include_tags=False)),
    ],
)
def test_a_definition_to_describe(members: dict[str, Any], asked: DefinitionAsked) -> None:
    assert ask("DescribeTaskDefinition", **members) == asked


@pytest.mark.parametrize(
    ("operation", "members", "code", "text"),
    [
        ("StopTask", {"task": "x"}, INVALID, "taskId length should be one of [32,36]"),
        ("StopTask", {"task": TASK_ID, "reason": "x" * 256}, INVALID, "reason: expected up to 255 characters, got 256"),
        ("DescribeTasks", {"tasks": []}, INVALID, "Tasks cannot be empty."),
        ("DescribeTasks", {"tasks": [TASK_ID] * 101}, INVALID, "tasks: expected up to 100, got 101"),
        ("DescribeTasks", {"tasks": [TASK_ID, "x"]}, INVALID, "taskId length should be one of [32,36]"),
        ("DescribeTasks", {"tasks": [TASK_ID], "include": ["TAG"]}, INVALID, "include[0]: expected TAGS, got 'TAG'"),
        (
            "DescribeTaskDefinition",
            {"taskDefinition": "a", "include": ["TAGS", ""]},
            INVALID,
            "include[1]: expected TAGS, got ''",
        ),
        ("DescribeTaskDefinition", {"taskDefinition": "a:b"}, INVALID, "Invalid revision number. Number: b"),
        ("ListTasks", {"maxResults": 0}, INVALID, "maxResults: expected 1 to 100, got 0"),
        ("ListTasks", {"maxResults": 101}, INVALID, "maxResults: expected 1 to 100, got 101"),
        (
            "ListTasks",
            {"desiredStatus": "running"},
            INVALID,
            "desiredStatus: expected RUNNING, PENDING or STOPPED, got 'running'",
        ),
        ("ListTasks", {"launchType": "x"}, INVALID, "launch type should be one of [EC2,FARGATE,EXTERNAL]"),
        ("ListTasks", {"family": "a b"}, INVALID, "family: expected 1 to 255 letters, digits, - and _, got 'a b'"),
        (
            "ListTasks",
            {"startedBy": "a b"},
            INVALID,
            "startedBy: expected up to 128 letters, digits, -, _ and /, got 'a b'",
        ),
        (
            "ListTasks",
            {"startedBy": "a", "family": "b"},
            INVALID,
            "startedBy: it cannot be combined with family; remove one of them",
        ),
        (
            "ListTasks",
            {"startedBy": "a", "containerInstance": "b"},
            INVALID,
            "startedBy: it cannot be combined with containerInstance; remove one of them",
        ),
        (
            "ListTasks",
            {"startedBy": "a", "launchType": "EC2"},
            INVALID,
            "startedBy: it cannot be combined with launchType; remove one of them",
        ),
        (
            "ListTasks",
            {"nextToken": "x"},
            INVALID,
            "nextToken: not from a reply of this operation; leave it out to begin again",
        ),
        ("ListTasks", {"serviceName": "x"}, "ServiceNotFoundException", "Service not found."),
        (
            "ListTasks",
            {"daemonName": "x"},
            "ClientException",
            "daemonName: there are no daemons on this host; remove it",
        ),
    ],
)
def test_what_is_wrong_is_named(operation: str, members: dict[str, Any], code: str, text: str) -> None:
    with pytest.raises(ClientError) as raised:
        ask(operation, **members)
    assert (raised.value.code, str(raised.value)) == (code, text)


@pytest.mark.parametrize(
    ("members", "asked"),
    [
        ({}, TaskFilter(desired_status="RUNNING", max_results=100)),
        ({"desiredStatus": "STOPPED"}, TaskFilter(desired_status="STOPPED")),
        ({"desiredStatus": "PENDING"}, TaskFilter(desired_status="PENDING")),
        ({"family": "shop", "launchType": "EC2"}, TaskFilter(family="shop", launch_type="EC2")),
        ({"startedBy": "me"}, TaskFilter(started_by="me")),
        ({"startedBy": "me", "desiredStatus": "STOPPED"}, TaskFilter(desired_status="STOPPED", started_by="me")),
        ({"containerInstance": INSTANCE_ID}, TaskFilter(container_instance=INSTANCE_ID)),
        ({"maxResults": 1, "nextToken": TOKEN}, TaskFilter(max_results=1, after=(1000.5, TASK_ID))),
        ({"family": "", "startedBy": "", "nextToken": "", "desiredStatus": ""}, TaskFilter()),
    ],
)
def test_which_tasks_to_list(members: dict[str, Any], asked: TaskFilter) -> None:
    assert ask("ListTasks", **members) == asked


@pytest.mark.parametrize(
    ("text", "seconds"), [(None, None), ("0", 0), ("5", 5), ("0.250", 0.25), ("2147483647", 2147483647)]
)
def test_the_seconds_of_a_stop(text: str | None, seconds: float | None) -> None:
    assert check_stop_timeout(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "1e3", "nan", "inf", " 5", "5 s", "5, 5", "٣", "2147483648", "9" * 400, "1."]
)
def test_what_is_no_number_of_seconds_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameterError, match=r"^x-supervisor-stop-timeout: expected 0 to 2147483647 seconds"):
        check_stop_timeout(text)
