"""Clusters, and that tasks are in one of them."""

from __future__ import annotations

from tests.unit.agent.desk import Desk, Tell

ARN = "arn:aws:ecs:local:000000000000:"


def test_the_agents_own_cluster_is_always_there(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        (cluster,) = (await desk.call("DescribeClusters"))["clusters"]
        assert cluster == {
            "clusterArn": f"{ARN}cluster/default",
            "clusterName": "default",
            "status": "ACTIVE",
            "registeredContainerInstancesCount": 1,
            "runningTasksCount": 0,
            "pendingTasksCount": 0,
            "activeServicesCount": 0,
            "statistics": [],
            "tags": [],
            "settings": [],
            "capacityProviders": [],
            "defaultCapacityProviderStrategy": [],
        }
        assert await desk.refused("DeleteCluster", cluster="default") == (
            "ClusterContainsContainerInstancesException",
            "The Cluster cannot be deleted while Container Instances are active or draining.",
        )
        again = await desk.call("CreateCluster", tags=[{"key": "a", "value": "b"}])
        assert again["cluster"] == cluster, "one that exists is answered as it is"

    tell(story, story)


def test_a_cluster_is_made_and_shown(tell: Tell) -> None:
    settings = [{"name": "containerInsights", "value": "enabled"}]
    configuration = {"managedStorageConfiguration": {"kmsKeyId": "k"}}

    async def make(desk: Desk) -> None:
        tags = [{"key": "a", "value": "b"}]
        reply = await desk.call(
            "CreateCluster", clusterName="batch", tags=tags, settings=settings, configuration=configuration
        )
        assert (reply["cluster"]["tags"], reply["cluster"]["settings"]) == (tags, settings)

    async def look(desk: Desk) -> None:
        include = ["ATTACHMENTS", "CONFIGURATIONS", "SETTINGS", "STATISTICS", "TAGS"]
        asked = ["batch", f"{ARN}cluster/batch", "nope", "arn:aws:ecs:mars:000000000000:cluster/batch"]
        reply = await desk.call("DescribeClusters", clusters=asked, include=include)
        (cluster,) = reply["clusters"]
        assert cluster["settings"] == settings
        assert cluster["configuration"] == configuration
        assert cluster["tags"] == [{"key": "a", "value": "b"}]
        assert {"name": "runningExternalTasksCount", "value": "0"} in cluster["statistics"]
        assert reply["failures"] == [
            {"arn": f"{ARN}cluster/nope", "reason": "MISSING"},
            {"arn": asked[3], "reason": "MISSING"},
        ]
        (plain,) = (await desk.call("DescribeClusters", clusters=["batch"]))["clusters"]
        assert (plain["tags"], plain["settings"], plain["statistics"]) == ([], [], [])
        assert plain.keys().isdisjoint({"configuration", "attachments"})

    tell(make, look)


def test_clusters_are_listed_by_name_in_pages(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        for name in ("zoo", "a", "m"):
            await desk.call("CreateCluster", clusterName=name)
        page = await desk.call("ListClusters", maxResults=2)
        assert page["clusterArns"] == [f"{ARN}cluster/a", f"{ARN}cluster/default"]
        await desk.call("DeleteCluster", cluster="m")
        rest = await desk.call("ListClusters", nextToken=page["nextToken"])
        assert rest == {"clusterArns": [f"{ARN}cluster/zoo"]}

    tell(story)


def test_what_cannot_be_a_cluster(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        async def refused(**members: object) -> str:
            return (await desk.refused("CreateCluster", **members))[1]

        assert "clusterName: expected 1 to 255" in await refused(clusterName="a b")
        assert await refused(capacityProviders=["FARGATE"]) == "capacityProviders: this host cannot do it; remove it"
        assert "settings[0].name" in await refused(settings=[{"name": "x", "value": "enabled"}])
        assert "settings[0].value" in await refused(settings=[{"name": "containerInsights", "value": "x"}])
        assert "executeCommandConfiguration" in await refused(
            configuration={"executeCommandConfiguration": {"logging": "NONE"}}
        )
        assert "tags[0].key" in await refused(tags=[{"key": "aws:x", "value": "y"}])
        many = [f"c{n}" for n in range(101)]
        assert (await desk.refused("DescribeClusters", clusters=many))[1] == "clusters: expected up to 100, got 101"
        assert "include[0]" in (await desk.refused("DescribeClusters", include=["X"]))[1]
        assert len((await desk.call("ListClusters"))["clusterArns"]) == 1

    tell(story)


def test_a_task_is_in_one_cluster_only(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        await desk.register()
        await desk.call("CreateCluster", clusterName="batch")
        (here,) = await desk.run()
        (there,) = await desk.run(cluster=f"{ARN}cluster/batch")
        assert there.startswith(f"{ARN}task/batch/")
        task = (await desk.call("DescribeTasks", tasks=[there], cluster="batch"))["tasks"][0]
        assert task["clusterArn"] == f"{ARN}cluster/batch"
        assert task["containerInstanceArn"] == desk.instance.replace("/default/", "/batch/")
        assert (await desk.call("ListTasks"))["taskArns"] == [here]
        assert (await desk.call("ListTasks", cluster="batch"))["taskArns"] == [there]
        for name in (there, there.rpartition("/")[2]):
            missing = await desk.call("DescribeTasks", tasks=[name])
            assert (missing["tasks"], missing["failures"][0]["reason"]) == ([], "MISSING")
            assert await desk.refused("StopTask", task=name) == (
                "InvalidParameterException",
                "The referenced task was not found.",
            )
        clusters = (await desk.call("DescribeClusters", clusters=["default", "batch"]))["clusters"]
        assert [cluster["pendingTasksCount"] for cluster in clusters] == [1, 1]
        await desk.spawned(there)
        (batch,) = (await desk.call("DescribeClusters", clusters=["batch"], include=["STATISTICS"]))["clusters"]
        assert (batch["pendingTasksCount"], batch["runningTasksCount"]) == (0, 1)
        assert {"name": "runningExternalTasksCount", "value": "1"} in batch["statistics"]

    tell(story)


def test_a_cluster_that_is_not_there(tell: Tell) -> None:
    asked: dict[str, dict[str, object]] = {
        "RunTask": {"taskDefinition": "web"},
        "StartTask": {"taskDefinition": "web", "containerInstances": ["x"]},
        "StopTask": {"task": "0" * 32},
        "DescribeTasks": {"tasks": ["0" * 32]},
        "ListTasks": {},
        "DeleteCluster": {},
        "ListContainerInstances": {},
        "DescribeContainerInstances": {"containerInstances": ["x"]},
        "UpdateContainerInstancesState": {"containerInstances": ["x"], "status": "DRAINING"},
    }

    async def story(desk: Desk) -> None:
        await desk.register()
        await desk.call("CreateCluster", clusterName="gone")
        await desk.call("DeleteCluster", cluster="gone")
        for operation, members in asked.items():
            for cluster in ("nope", "gone", "arn:aws:ecs:mars:000000000000:cluster/default", "a b"):
                assert await desk.refused(operation, cluster=cluster, **members) == (
                    "ClusterNotFoundException",
                    "Cluster not found.",
                )

    tell(story)


def test_a_cluster_with_tasks_is_kept_and_a_deleted_one_stays_describable(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        await desk.register()
        await desk.call("CreateCluster", clusterName="batch", tags=[{"key": "a", "value": "b"}])
        (arn,) = await desk.run(cluster="batch")
        assert (await desk.refused("DeleteCluster", cluster="batch")) == (
            "ClusterContainsTasksException",
            "The Cluster cannot be deleted while Tasks are active.",
        )
        await desk.spawned(arn)
        await desk.ended(arn)
        assert (await desk.call("DeleteCluster", cluster="batch"))["cluster"]["status"] == "INACTIVE"
        (gone,) = (await desk.call("DescribeClusters", clusters=["batch"]))["clusters"]
        assert (gone["status"], gone["registeredContainerInstancesCount"]) == ("INACTIVE", 0)
        made = await desk.call("CreateCluster", clusterName="batch")
        assert (made["cluster"]["status"], made["cluster"]["tags"]) == ("ACTIVE", [])

    tell(story)
