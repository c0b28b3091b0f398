"""RunTask and StartTask: tokens, room on the host, lists that go on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from supervisor.errors import ConflictError
from supervisor.shapes import render_error
from tests.unit.agent.desk import Desk, Tell


async def answered(desk: Desk, **members: Any) -> list[str]:
    reply = await desk.call("RunTask", **{"taskDefinition": "web", "clientToken": "t", **members})
    assert reply["failures"] == []
    return [task["taskArn"] for task in reply["tasks"]]


# -- tokens --


def test_the_same_request_again_answers_the_same_tasks_in_the_next_life_too(tell: Tell) -> None:
    arns: list[str] = []

    async def first(desk: Desk) -> None:
        await desk.register()
        arns.extend(await answered(desk, count=2))
        assert len(set(arns)) == 2
        await desk.call("DeregisterTaskDefinition", taskDefinition="web:1")
        assert await answered(desk, count=2, cluster="default") == arns, "though nothing new can be run from it"

    async def second(desk: Desk) -> None:
        assert await answered(desk, count=2) == arns
        reply = await desk.call("DescribeTasks", tasks=arns)
        again = await desk.call("RunTask", taskDefinition="web", clientToken="t", count=2)
        assert again["tasks"] == reply["tasks"], "as they are by now"

    tell(first, second)


@pytest.mark.parametrize(
    "other",
    [
        {"count": 1},
        {"taskDefinition": "web:1"},
        {"startedBy": "me"},
        {"cluster": "batch"},
        {"tags": [{"key": "a", "value": "b"}]},
        {"overrides": {"containerOverrides": [{"name": "main", "command": ["x"]}]}},
    ],
    ids=lambda other: next(iter(other)),
)
def test_another_request_with_the_same_token_is_a_conflict(tell: Tell, other: dict[str, Any]) -> None:
    arns: list[str] = []

    async def first(desk: Desk) -> None:
        await desk.register()
        await desk.call("CreateCluster", clusterName="batch")
        arns.extend(await answered(desk, count=2))

    async def second(desk: Desk) -> None:
        with pytest.raises(ConflictError) as raised:
            await answered(desk, **{"count": 2, **other})
        error = render_error(raised.value)
        assert error["__type"] == "ConflictException"
        assert sorted(error["resourceIds"]) == sorted(arns)
        assert len((await desk.call("ListTasks"))["taskArns"]) == 2

    tell(first, second)


def test_two_of_the_same_that_come_together_start_tasks_once(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        await desk.register()
        one, other = await asyncio.gather(answered(desk, count=2), answered(desk, count=2))
        assert one == other
        assert len((await desk.call("ListTasks"))["taskArns"]) == 2

    tell(story)


def test_a_token_that_started_nothing_is_free(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        await desk.register(memory=900)
        (arn,) = await desk.run()
        assert await desk.run(clientToken="t") == ["RESOURCE:MEMORY"]
        await desk.spawned(arn)
        await desk.ended(arn)
        assert len(await answered(desk)) == 1

    tell(story)


# -- room on the host: 2048 CPU units, 1000 MiB --


@pytest.mark.parametrize(
    ("container", "task", "reason"),
    [
        ({"memory": 500}, {}, "RESOURCE:MEMORY"),
        ({"memory": 900, "memoryReservation": 500}, {}, "RESOURCE:MEMORY"),
        ({}, {"memory": "500"}, "RESOURCE:MEMORY"),
        ({}, {"memory": "0.5 GB"}, "RESOURCE:MEMORY"),
        ({"cpu": 1024}, {}, "RESOURCE:CPU"),
        ({"cpu": 1}, {"cpu": "1 vCPU"}, "RESOURCE:CPU"),
        ({"portMappings": [{"containerPort": 80}]}, {}, "RESOURCE:PORTS"),
    ],
)
def test_each_task_that_the_host_has_no_room_for_is_a_failure(
    tell: Tell, container: dict[str, Any], task: dict[str, Any], reason: str
) -> None:
    fits = {"RESOURCE:MEMORY": 2, "RESOURCE:CPU": 2, "RESOURCE:PORTS": 1}[reason]
    if task.get("memory") == "0.5 GB":
        fits = 1

    async def fill(desk: Desk) -> None:
        one = {"name": "main", "command": ["sleep", "60"], **container}
        await desk.call("RegisterTaskDefinition", family="web", containerDefinitions=[one], **task)
        reply = await desk.call("RunTask", taskDefinition="web", count=4)
        assert len(reply["tasks"]) == fits
        assert reply["failures"] == [{"arn": desk.instance, "reason": reason}] * (4 - fits)
        assert await desk.run() == [reason]

    async def again(desk: Desk) -> None:
        """The next life adds up the same from the records, and gives back what is STOPPED."""
        assert await desk.run() == [reason]
        arn = (await desk.call("ListTasks"))["taskArns"][0]
        await desk.spawned(arn)
        assert await desk.run() == [reason]
        await desk.call("StopTask", task=arn)
        assert await desk.run() == [reason], "until every process is seen to be gone"
        await desk.ended(arn)
        assert (await desk.run())[0].startswith("arn:")

    tell(fill, again)


def test_overrides_count_in_place_of_the_definition(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        await desk.register(memory=100)
        bigger = {"containerOverrides": [{"name": "main", "memory": 2000}]}
        assert await desk.run(overrides=bigger) == ["RESOURCE:MEMORY"]
        assert await desk.run(overrides={"memory": "2000"}) == ["RESOURCE:MEMORY"]
        assert (await desk.run())[0].startswith("arn:")

    tell(story)


def test_a_port_is_one_tasks_and_of_one_protocol(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        tcp, udp = {"containerPort": 80, "hostPort": 0}, {"containerPort": 80, "protocol": "udp"}
        await desk.register("tcp", portMappings=[tcp])
        await desk.register("both", portMappings=[udp, tcp])
        await desk.register("udp", portMappings=[udp])
        (arn,) = await desk.run("tcp")
        assert await desk.run("both") == ["RESOURCE:PORTS"]
        assert (await desk.run("udp"))[0].startswith("arn:")
        await desk.spawned(arn)
        (task,) = (await desk.call("DescribeTasks", tasks=[arn]))["tasks"]
        assert task["containers"][0]["networkBindings"] == [
            {"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 80, "protocol": "tcp"}
        ]

    tell(story)


def test_a_port_that_somebody_else_listens_on_is_taken(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        await desk.register(portMappings=[{"containerPort": 80}])
        desk.host.bound = {(80, "tcp")}
        assert await desk.run() == ["RESOURCE:PORTS"]
        desk.host.bound = {(80, "udp"), (81, "tcp")}
        assert (await desk.run())[0].startswith("arn:")

    tell(story)


# -- StartTask --


def test_start_task_starts_on_this_host_and_nowhere_else(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        await desk.register()
        elsewhere = "arn:aws:ecs:local:000000000000:container-instance/other/" + "0" * 32
        places = [desk.instance, desk.instance.rpartition("/")[2], elsewhere, "x"]
        reply = await desk.call(
            "StartTask",
            taskDefinition="web",
            containerInstances=places,
            startedBy="me",
            group="g",
            enableECSManagedTags=True,
        )
        assert [task["containerInstanceArn"] for task in reply["tasks"]] == [desk.instance] * 2
        assert {task["startedBy"] for task in reply["tasks"]} == {"me"}
        assert {task["group"] for task in reply["tasks"]} == {"g"}
        assert reply["failures"] == [{"arn": elsewhere, "reason": "MISSING"}, {"arn": "x", "reason": "MISSING"}]
        assert (await desk.refused("StartTask", taskDefinition="web", containerInstances=[]))[0] == (
            "InvalidParameterException"
        )
        many = [desk.instance] * 11
        assert (await desk.refused("StartTask", taskDefinition="web", containerInstances=many))[1] == (
            "containerInstances: expected up to 10, got 11"
        )
        assert (await desk.refused("StartTask", taskDefinition="no", containerInstances=["x"]))[0] == "ClientException"

    tell(story)


# -- lists --


def test_a_list_goes_on_while_tasks_come_and_go(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        await desk.register()
        arns = []
        for _ in range(5):
            desk.clock.advance(1)
            arns += await desk.run()
        page = await desk.call("ListTasks", maxResults=2)
        assert page["taskArns"] == [arns[4], arns[3]]
        desk.clock.advance(1)
        await desk.run()
        for arn in (arns[3], arns[1]):  # the one where the page ended, and one to come
            await desk.spawned(arn)
            await desk.ended(arn)
        assert await desk.call("ListTasks", nextToken=page["nextToken"]) == {"taskArns": [arns[2], arns[0]]}

    tell(story)


def test_every_filter_of_the_list(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        await desk.register()
        await desk.register("db")
        (web,) = await desk.run(startedBy="me", launchType="EC2")
        (db,) = await desk.run("db")

        async def listed(**members: object) -> list[str]:
            arns: list[str] = (await desk.call("ListTasks", **members))["taskArns"]
            return arns

        assert await listed(family="db") == [db]
        assert await listed(startedBy="me") == [web]
        assert await listed(launchType="EC2") == [web]
        assert await listed(launchType="EXTERNAL") == [db]
        assert set(await listed(containerInstance=desk.instance)) == {web, db}
        assert set(await listed(containerInstance=desk.instance.rpartition("/")[2])) == {web, db}
        assert await listed(containerInstance="elsewhere") == []
        assert await listed(desiredStatus="PENDING") == []
        await desk.call("StopTask", task=db)
        assert await listed() == [web]
        assert await listed(desiredStatus="STOPPED", family="db") == [db]
        assert await desk.refused("ListTasks", serviceName="x") == ("ServiceNotFoundException", "Service not found.")

    tell(story)


# -- [api] strict --


def test_strict_refuses_what_only_ecs_refuses(tell: Tell) -> None:
    async def loose(desk: Desk) -> None:
        await desk.register()

    async def strict(desk: Desk) -> None:
        one = {"name": "main", "command": ["sleep", "60"]}

        async def refused(**members: Any) -> tuple[str, str]:
            return await desk.refused("RegisterTaskDefinition", family="web", containerDefinitions=[one | members])

        assert await refused() == ("ClientException", "Container.image should not be null or empty.")
        await desk.register("good", image="x", memory=6)
        assert await desk.refused("RunTask", taskDefinition="good", launchType="FARGATE") == (
            "InvalidParameterException",
            "Task definition does not support launch_type FARGATE.",
        )
        assert (await desk.run("good"))[0].startswith("arn:")

    tell(loose)
    tell(strict, strict=True)
