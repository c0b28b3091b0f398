"""A task as its own processes see it."""

from __future__ import annotations

from typing import Any

import msgspec

from supervisor.model import Container, HealthStatus, LastStatus, StopCode, Tag, Task
from supervisor.shapes import render_inside_container, render_inside_task
from tests.unit.shapes.samples import CREATED_AT, TASK_ID, WATCHED, container, register, run

DEFINITION = register(
    container(
        memory=64,
        cpu=128,
        dockerLabels={"mine": "1"},
        portMappings=[{"containerPort": 80}],
        logConfiguration={"logDriver": "journald", "options": {"tag": "x"}},
    ),
    container(name="b"),
    cpu="512",
    memory="1 GB",
)


def inside(task: Task, monotonic: float = 100.0) -> dict[str, Any]:
    return render_inside_task(task, DEFINITION, CREATED_AT + 10, monotonic)


def changed(task: Task, first: Container, **members: object) -> Task:
    return msgspec.structs.replace(task, containers=(first, *task.containers[1:]), **members)


def test_a_container_that_runs() -> None:
    task = run(DEFINITION)
    first = msgspec.structs.replace(
        task.containers[0], run_id="e" * 32, last_status=LastStatus.RUNNING, started_at=CREATED_AT + 1
    )
    assert render_inside_container(task, first, DEFINITION, 0, 0) == {
        "DockerId": "e" * 32,
        "Name": "web",
        "DockerName": f"ecs-shop-7-web-{TASK_ID}",
        "Ports": [{"ContainerPort": 80, "Protocol": "tcp", "HostPort": 80}],
        "Labels": {
            "mine": "1",
            "com.amazonaws.ecs.cluster": "default",
            "com.amazonaws.ecs.container-name": "web",
            "com.amazonaws.ecs.task-arn": task.task_arn,
            "com.amazonaws.ecs.task-definition-family": "shop",
            "com.amazonaws.ecs.task-definition-version": "7",
        },
        "DesiredStatus": "RUNNING",
        "KnownStatus": "RUNNING",
        "Limits": {"CPU": 128, "Memory": 64},
        "CreatedAt": "2023-11-14T22:13:20.123Z",
        "StartedAt": "2023-11-14T22:13:21.123Z",
        "Type": "NORMAL",
        "LogDriver": "journald",
        "LogOptions": {"tag": "x"},
        "ContainerARN": first.container_arn,
        "Networks": [{"NetworkMode": "host"}],
    }


def test_a_task_has_its_containers_and_its_limits() -> None:
    told = inside(run(DEFINITION))
    assert (told["Cluster"], told["Family"], told["Revision"]) == ("default", "shop", "7")
    assert told["Limits"] == {"CPU": 0.5, "Memory": 1024}
    assert [one["Name"] for one in told["Containers"]] == ["web", "b"]
    assert {"StopDeadline", "StopTimeLeft", "StopReason", "StopCode", "TaskTags"}.isdisjoint(told)


def test_what_nobody_limited_has_no_limits() -> None:
    definition = register()
    assert "Limits" not in render_inside_task(run(definition), definition, 0, 0)


def test_tags_are_told_where_asked_for() -> None:
    task = msgspec.structs.replace(run(DEFINITION), tags=(Tag("k", "v"),))
    assert render_inside_task(task, DEFINITION, 0, 0, tags=True)["TaskTags"] == {"k": "v"}


def test_a_stop_under_way_tells_how_long_and_why() -> None:
    task = run(DEFINITION)
    first = msgspec.structs.replace(task.containers[0], deadline=107.5)
    task = changed(task, first, stop_code=StopCode.USER_INITIATED, stopped_reason="a release")
    stop = {
        "StopDeadline": "2023-11-14T22:13:37.623Z",
        "StopTimeLeft": 7.5,
        "StopReason": "a release",
        "StopCode": "UserInitiated",
    }
    told = inside(task)
    assert stop.items() <= told.items()
    asking, other = told["Containers"]
    assert stop.items() <= asking.items()
    assert "StopDeadline" not in other
    assert inside(task, monotonic=200.0)["StopTimeLeft"] == 0.0


def test_of_a_stop_in_order_the_task_knows_only_its_budget_before_all_are_asked() -> None:
    task = run(DEFINITION)
    first, second = (
        msgspec.structs.replace(one, last_status=LastStatus.RUNNING, deadline=deadline)
        for one, deadline in zip(task.containers, (105.0, None), strict=True)
    )
    task = msgspec.structs.replace(task, containers=(first, second), stop_deadline=120.0)
    told = inside(task)
    assert (told["StopTimeLeft"], told["Containers"][0]["StopTimeLeft"]) == (20.0, 5.0)
    assert "StopTimeLeft" not in told["Containers"][1]
    over = msgspec.structs.replace(second, last_status=LastStatus.STOPPED)
    assert inside(msgspec.structs.replace(task, containers=(first, over)))["StopTimeLeft"] == 5.0


def test_a_container_with_a_check_and_a_policy_sees_what_came_of_them() -> None:
    definition = register(container(**WATCHED))
    task = run(definition)
    first = task.containers[0]

    def told(one: Container) -> dict[str, Any]:
        rendered = render_inside_container(task, one, definition, 0, 0)
        return {name: rendered[name] for name in ("Health", "RestartCount") if name in rendered}

    assert told(first) == {"Health": {"status": "UNKNOWN"}, "RestartCount": 0}
    seen = msgspec.structs.replace(
        first,
        restarts=2,
        health_status=HealthStatus.UNHEALTHY,
        health_since=CREATED_AT,
        health_exit_code=7,
        health_output="no answer",
    )
    assert told(seen) == {
        "Health": {
            "status": "UNHEALTHY",
            "statusSince": "2023-11-14T22:13:20.123Z",
            "exitCode": 7,
            "output": "no answer",
        },
        "RestartCount": 2,
    }
    assert told(msgspec.structs.replace(seen, health_check=None, restart_policy=None)) == {}
