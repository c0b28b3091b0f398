"""The host as ECS shows it, and draining it."""

from __future__ import annotations

import supervisor
from tests.unit.agent.desk import Desk, Json, Tell


async def described(desk: Desk, **members: object) -> Json:
    reply = await desk.call("DescribeContainerInstances", **{"containerInstances": [desk.instance], **members})
    assert reply["failures"] == []
    (instance,) = reply["containerInstances"]
    shown: Json = instance
    return shown


def resources(listed: list[Json]) -> Json:
    return {one["name"]: one.get("stringSetValue", one["integerValue"]) for one in listed}


def test_the_host_and_what_is_left_of_it(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        ports = [{"containerPort": 80}, {"containerPort": 53, "protocol": "udp"}]
        await desk.register(cpu=512, memory=300, portMappings=ports)
        await desk.register("small", memory=100)
        (arn,) = await desk.run()
        await desk.run("small")
        await desk.spawned(arn)
        instance = await described(desk)
        assert (instance["status"], instance["agentConnected"], instance["version"]) == ("ACTIVE", True, 1)
        assert instance["versionInfo"] == {"agentVersion": supervisor.__version__}
        assert (instance["runningTasksCount"], instance["pendingTasksCount"]) == (1, 1)
        assert resources(instance["registeredResources"]) == {"CPU": 2048, "MEMORY": 1000, "PORTS": [], "PORTS_UDP": []}
        assert resources(instance["remainingResources"]) == {
            "CPU": 1536,
            "MEMORY": 600,
            "PORTS": ["80"],
            "PORTS_UDP": ["53"],
        }
        assert {"name": "ecs.cpu-architecture", "value": "x86_64"} in instance["attributes"]
        assert "healthStatus" not in instance
        health = (await described(desk, include=["CONTAINER_INSTANCE_HEALTH"]))["healthStatus"]
        assert health["overallStatus"] == "OK"

    tell(story)


def test_the_host_is_in_every_cluster_under_an_arn_of_its_own(tell: Tell) -> None:
    seen: list[str] = []

    async def first(desk: Desk) -> None:
        await desk.call("CreateCluster", clusterName="batch")
        (there,) = (await desk.call("ListContainerInstances", cluster="batch"))["containerInstanceArns"]
        assert there == desk.instance.replace("/default/", "/batch/")
        reply = await desk.call(
            "DescribeContainerInstances", cluster="batch", containerInstances=[there, desk.instance]
        )
        assert [one["containerInstanceArn"] for one in reply["containerInstances"]] == [there]
        assert reply["failures"] == [{"arn": desk.instance, "reason": "MISSING"}]
        seen.append(desk.instance)

    async def second(desk: Desk) -> None:
        assert [desk.instance] == seen, "the same in every life"
        instance = await described(desk, containerInstances=[desk.instance.rpartition("/")[2]])
        assert instance["containerInstanceArn"] == desk.instance

    tell(first, second)


def test_what_is_asked_wrongly(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        async def refused(operation: str, **members: object) -> str:
            code, text = await desk.refused(operation, **members)
            assert code == "InvalidParameterException"
            return text

        assert (await refused("ListContainerInstances", status="X")).startswith("status: ")
        assert (await refused("ListContainerInstances", filter="x == y")).startswith("filter: ")
        assert (await refused("ListContainerInstances", maxResults=0)).startswith("maxResults: ")
        assert (await refused("DescribeContainerInstances", containerInstances=[])).startswith("containerInstances: ")
        describe = {"containerInstances": ["x"], "include": ["X"]}
        assert (await refused("DescribeContainerInstances", **describe)).startswith("include[0]: ")
        update = {"containerInstances": ["x"], "status": "DEREGISTERING"}
        assert await refused("UpdateContainerInstancesState", **update) == (
            "status: expected ACTIVE or DRAINING, got 'DEREGISTERING'"
        )
        many = {"containerInstances": [str(n) for n in range(11)], "status": "ACTIVE"}
        assert "expected up to 10" in await refused("UpdateContainerInstancesState", **many)

    tell(story)


async def update(desk: Desk, status: str) -> Json:
    reply = await desk.call("UpdateContainerInstancesState", containerInstances=[desk.instance, "x"], status=status)
    assert reply["failures"] == [{"arn": "x", "reason": "MISSING"}]
    (instance,) = reply["containerInstances"]
    shown: Json = instance
    return shown


def test_draining_stops_every_task_and_takes_none_until_it_is_active_again(tell: Tell) -> None:
    arns: list[str] = []

    async def drain(desk: Desk) -> None:
        await desk.register()
        await desk.call("CreateCluster", clusterName="batch")
        arns.extend([*await desk.run(), *await desk.run(cluster="batch")])
        for arn in arns:
            await desk.spawned(arn)
        instance = await update(desk, "DRAINING")
        assert (instance["status"], instance["version"]) == ("DRAINING", 2)
        sent = len(desk.sent)
        for arn, cluster in zip(arns, ("default", "batch"), strict=True):
            (task,) = (await desk.call("DescribeTasks", tasks=[arn], cluster=cluster))["tasks"]
            assert (task["desiredStatus"], task["lastStatus"]) == ("STOPPED", "RUNNING")
            assert (task["stopCode"], task["stoppedReason"]) == (
                "TerminationNotice",
                "The container instance is draining",
            )
        stops = [one for one in desk.sent if type(one).__name__ == "Stop"]
        assert [stop.timeout for stop in stops] == [None, None], "each container by its own window"  # type: ignore[union-attr]
        assert (await update(desk, "DRAINING"))["version"] == 2, "again changes nothing"
        assert len(desk.sent) == sent
        assert await desk.run() == ["AGENT"]
        started = await desk.call("StartTask", taskDefinition="web", containerInstances=[desk.instance])
        assert started["failures"] == [{"arn": desk.instance, "reason": "AGENT"}]

    async def restarted(desk: Desk) -> None:
        assert (await described(desk))["status"] == "DRAINING"
        assert (await desk.call("ListContainerInstances", status="ACTIVE"))["containerInstanceArns"] == []
        assert (await desk.call("ListContainerInstances", status="DRAINING"))["containerInstanceArns"] == [
            desk.instance
        ]
        assert await desk.run(cluster="batch") == ["AGENT"]
        assert (await update(desk, "ACTIVE"))["version"] == 3
        assert (await desk.run())[0].startswith("arn:")

    tell(drain, restarted)


def test_a_task_that_is_stopping_already_is_left_to_its_stop(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        await desk.register()
        (arn,) = await desk.run()
        await desk.spawned(arn)
        await desk.call("StopTask", task=arn, reason="enough")
        sent = len(desk.sent)
        await update(desk, "DRAINING")
        assert len(desk.sent) == sent
        (task,) = (await desk.call("DescribeTasks", tasks=[arn]))["tasks"]
        assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "enough")

    tell(story)


def test_the_state_of_another_host_changes_nothing_here(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        reply = await desk.call("UpdateContainerInstancesState", containerInstances=["x"], status="DRAINING")
        assert (reply["containerInstances"], len(reply["failures"])) == ([], 1)
        assert (await described(desk))["status"] == "ACTIVE"

    tell(story)
