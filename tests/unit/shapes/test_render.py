from __future__ import annotations

import datetime as dt
import json
from typing import Any

import msgspec
import pytest

from supervisor.errors import ClusterNotFoundError, InvalidParameterError, StoreError
from supervisor.model import ExitStatus, HealthStatus, LastStatus
from supervisor.shapes import render_definition, render_error, render_failure, render_tags, render_task
from tests.conformance import assert_matches, parse

from .samples import CREATED_AT, NAMES, container, register, run, stopped, wire


def test_a_stopped_task_in_full() -> None:
    assert wire(render_task(stopped())) == {
        "attachments": [],
        "attributes": [],
        "clusterArn": NAMES.cluster_arn(),
        "connectivity": "CONNECTED",
        "connectivityAt": 1700000000.123,
        "containerInstanceArn": NAMES.container_instance_arn("f" * 32),
        "containers": [
            {
                "containerArn": "arn:aws:ecs:local:000000000000:container/00000000-0000-4000-8000-000000000000",
                "taskArn": stopped().task_arn,
                "name": "web",
                "image": "img",
                "runtimeId": "e" * 32,
                "lastStatus": "STOPPED",
                "exitCode": 137,
                "reason": "x" * 255,
                "networkBindings": [
                    {"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 80, "protocol": "tcp"},
                    {"bindIP": "0.0.0.0", "containerPort": 53, "hostPort": 53, "protocol": "udp"},
                ],
                "networkInterfaces": [],
                "healthStatus": "UNKNOWN",
                "managedAgents": [],
                "cpu": "0",
                "memory": "20",
                "memoryReservation": "10",
            }
        ],
        "cpu": "256",
        "createdAt": 1700000000.123,
        "desiredStatus": "STOPPED",
        "enableExecuteCommand": False,
        "executionStoppedAt": 1700000008.123,
        "group": "family:shop",
        "healthStatus": "UNKNOWN",
        "lastStatus": "STOPPED",
        "launchType": "EXTERNAL",
        "memory": "512",
        "overrides": {
            "containerOverrides": [
                {
                    "name": "web",
                    "command": ["x"],
                    "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": ""}],
                }
            ],
            "cpu": "256",
            "memory": "512",
        },
        "startedAt": 1700000001.123,
        "startedBy": "me",
        "stopCode": "UserInitiated",
        "stoppedAt": 1700000009.123,
        "stoppedReason": "enough of it",
        "stoppingAt": 1700000007.123,
        "tags": [],
        "taskArn": stopped().task_arn,
        "taskDefinitionArn": "arn:aws:ecs:local:000000000000:task-definition/shop:7",
        "version": 5,
    }


def test_a_new_task_shows_nothing_that_is_not_known() -> None:
    task = wire(render_task(run(register(container(portMappings=[{"containerPort": 80}]), container(name="log")))))
    unknown = {"executionStoppedAt", "startedAt", "stoppedAt", "stoppingAt", "stopCode", "stoppedReason", "startedBy"}
    assert not unknown & set(task)
    assert task["overrides"] == {"containerOverrides": [{"name": "web"}, {"name": "log"}]}
    assert set(task["containers"][0]) == {
        *("containerArn", "taskArn", "name", "lastStatus", "networkBindings", "networkInterfaces"),
        *("healthStatus", "managedAgents", "cpu"),
    }
    assert task["containers"][0]["networkBindings"] == []
    assert (task["lastStatus"], task["desiredStatus"], task["version"]) == ("PENDING", "RUNNING", 1)


def test_what_is_rendered_is_what_botocore_reads() -> None:
    body = {"tasks": [render_task(stopped(), include_tags=True), render_task(run())], "failures": [render_failure("a")]}
    parsed = assert_matches("DescribeTasks", "output", body)
    assert parsed["tasks"][0]["stoppedAt"] == dt.datetime(2023, 11, 14, 22, 13, 29, 123000, dt.UTC)
    assert_matches("StopTask", "output", {"task": render_task(stopped())})
    assert_matches("RunTask", "output", {"tasks": [render_task(run())], "failures": []})


@pytest.mark.parametrize(
    "break_it",
    [
        {"surprise": 1},
        {"taskArn": 5},
        {"version": "1"},
        {"version": 1.0},
        {"createdAt": "now"},
        {"enableExecuteCommand": 0},
        {"containers": {}},
        {"containers": [{"exitCode": 2**31}]},
        {"overrides": {"containerOverrides": [{"environment": [{"key": "x"}]}]}},
        {"stopCode": None},
    ],
)
def test_the_checker_can_fail(break_it: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        assert_matches("StopTask", "output", {"task": {**render_task(stopped()), **break_it}})


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (ExitStatus(code=0), 0),
        (ExitStatus(code=3), 3),
        (ExitStatus(signal=15), 143),
        (ExitStatus(), None),
        (None, None),
    ],
)
def test_an_exit_code_is_shown_only_where_it_is_known(status: ExitStatus | None, code: int | None) -> None:
    task = stopped()
    web = msgspec.structs.replace(task.containers[0], exit=status)
    rendered = render_task(msgspec.structs.replace(task, containers=(web,)))
    assert rendered["containers"][0].get("exitCode") == code
    assert ("exitCode" in rendered["containers"][0]) == (code is not None)


@pytest.mark.parametrize(
    ("status", "started_at", "shown"),
    [
        (LastStatus.PENDING, None, False),
        (LastStatus.RUNNING, None, True),
        (LastStatus.RUNNING, CREATED_AT, True),
        (LastStatus.STOPPED, CREATED_AT, True),
        (LastStatus.STOPPED, None, False),
    ],
)
def test_ports_are_shown_once_a_container_has_run(status: LastStatus, started_at: float | None, shown: bool) -> None:
    task = stopped()
    web = msgspec.structs.replace(task.containers[0], last_status=status, started_at=started_at)
    rendered = render_task(msgspec.structs.replace(task, containers=(web,)))
    assert bool(rendered["containers"][0]["networkBindings"]) == shown


@pytest.mark.parametrize(
    ("first", "second", "whole"),
    [
        ("HEALTHY", "HEALTHY", "HEALTHY"),
        ("HEALTHY", "UNKNOWN", "UNKNOWN"),
        ("UNHEALTHY", "UNKNOWN", "UNHEALTHY"),
        ("HEALTHY", "UNHEALTHY", "UNHEALTHY"),
    ],
)
def test_a_task_is_as_healthy_as_its_essential_containers(first: str, second: str, whole: str) -> None:
    check = {"healthCheck": {"command": ["CMD", "true"]}}
    side = container(name="side", essential=False, **check)
    task = run(register(container(**check), container(name="b", **check), side))
    statuses = [HealthStatus(text) for text in (first, second, "UNHEALTHY")]
    containers = [
        msgspec.structs.replace(one, health_status=status, last_status=LastStatus.STOPPED)  # as it was at the end
        for one, status in zip(task.containers, statuses, strict=True)
    ]
    rendered = wire(render_task(msgspec.structs.replace(task, containers=tuple(containers))))
    assert rendered["healthStatus"] == whole
    assert [one["healthStatus"] for one in rendered["containers"]] == [first, second, "UNHEALTHY"]


def test_tags_are_shown_where_they_are_asked_for() -> None:
    assert render_task(stopped())["tags"] == []
    assert render_task(stopped(), include_tags=True)["tags"] == [{"key": "a", "value": "b"}]
    assert render_tags(stopped().tags) == [{"key": "a", "value": "b"}]


def test_a_definition_with_its_defaults() -> None:
    rendered = wire(render_definition(register()))
    assert rendered == {
        "taskDefinitionArn": "arn:aws:ecs:local:000000000000:task-definition/shop:7",
        "containerDefinitions": [
            {
                "name": "web",
                "command": ["sleep", "60"],
                "cpu": 0,
                "essential": True,
                "environment": [],
                "mountPoints": [],
                "volumesFrom": [],
                "portMappings": [],
            }
        ],
        "family": "shop",
        "revision": 7,
        "volumes": [],
        "status": "ACTIVE",
        "requiresAttributes": [],
        "placementConstraints": [],
        "compatibilities": ["EXTERNAL", "EC2"],
        "registeredAt": 1700000000.123,
        "registeredBy": "arn:me",
    }


def test_a_definition_gives_back_what_it_was_given() -> None:
    given = container(
        entryPoint=["sh"],
        environment=[{"name": "A", "value": ""}],
        user="www",
        essential=False,
        workingDirectory="/srv",
        stopTimeout=0,
        dockerLabels={"a": "b"},
        image="img",
        cpu=5,
        ulimits=[{"name": "core", "softLimit": 0, "hardLimit": -1}],
        logConfiguration={"logDriver": "journald", "options": {"tag": "x"}},
        dependsOn=[{"containerName": "main", "condition": "START"}],
        portMappings=[{"containerPort": 80, "hostPort": 80, "protocol": "tcp"}],
        memory=20,
        memoryReservation=10,
        mountPoints=[],
        volumesFrom=[],
    )
    definition = register(given, container(name="main"), cpu="256", memory="512")
    rendered = wire(render_definition(definition))
    assert rendered["containerDefinitions"][0] == given
    assert (rendered["cpu"], rendered["memory"]) == ("256", "512")
    assert_matches("DescribeTaskDefinition", "output", {"taskDefinition": rendered, "tags": []})


def test_a_failure() -> None:
    assert render_failure("arn:x") == {"arn": "arn:x", "reason": "MISSING"}
    assert render_failure("arn:x", "RESOURCE:PORTS", "80") == {
        "arn": "arn:x",
        "reason": "RESOURCE:PORTS",
        "detail": "80",
    }


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (InvalidParameterError("task: what"), "InvalidParameterException", "task: what"),
        (ClusterNotFoundError(), "ClusterNotFoundException", "Cluster not found."),
        (StoreError("cannot write"), "ServerException", "cannot write"),
        (KeyError("secret"), "ServerException", "the agent could not answer; its log says why"),
    ],
)
def test_an_error_as_botocore_reads_it(error: Exception, code: str, text: str) -> None:
    body = render_error(error)
    assert set(body) == {"__type", "message"}
    assert parse(json.dumps(body).encode(), status=400)["Error"] == {"Code": code, "Message": text}
