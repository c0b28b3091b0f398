"""Task definitions after their registration."""

from __future__ import annotations

import asyncio

from tests.unit.agent.desk import Desk, Tell

ARN = "arn:aws:ecs:local:000000000000:task-definition/"


def test_a_deregistered_revision_runs_nothing_new_and_harms_nothing_old(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        await desk.register()
        second = await desk.register()
        (arn,) = await desk.run(second)
        reply = await desk.call("DeregisterTaskDefinition", taskDefinition="web:2")
        assert reply["taskDefinition"]["status"] == "INACTIVE"
        assert reply["taskDefinition"]["deregisteredAt"] == desk.clock.wall()
        assert await desk.call("DeregisterTaskDefinition", taskDefinition=second) == reply, "again is no error"
        assert await desk.refused("RunTask", taskDefinition="web:2") == (
            "InvalidParameterException",
            "TaskDefinition is inactive",
        )
        found = await desk.call("DescribeTaskDefinition", taskDefinition="web")
        assert found["taskDefinition"]["revision"] == 1, "the latest active one"
        await desk.spawned(arn)
        assert (await desk.call("DescribeTasks", tasks=[arn]))["tasks"][0]["lastStatus"] == "RUNNING"
        assert await desk.register() == f"{ARN}web:3"

    tell(story)


def test_what_cannot_be_deregistered(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        await desk.register()
        assert (await desk.refused("DeregisterTaskDefinition", taskDefinition="web"))[1] == (
            "taskDefinition: expected family:revision, got 'web'; add the revision"
        )
        code, text = await desk.refused("DeregisterTaskDefinition", taskDefinition="web:9")
        assert code == "ClientException"
        assert text.startswith("The specified task definition does not exist.")

    tell(story)


def test_definitions_are_listed(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        for family in ("web", "web", "db", "web-2"):
            await desk.register(family)
        await desk.call("DeregisterTaskDefinition", taskDefinition="web:1")

        async def listed(**members: object) -> list[str]:
            reply = await desk.call("ListTaskDefinitions", **members)
            assert "nextToken" not in reply
            return [arn.removeprefix(ARN) for arn in reply["taskDefinitionArns"]]

        assert await listed() == ["db:1", "web:2", "web-2:1"]
        assert await listed(sort="DESC") == (await listed(sort="ASC"))[::-1]
        assert await listed(familyPrefix="web") == ["web:2"], "in ECS the prefix is a whole family here"
        assert await listed(status="INACTIVE") == ["web:1"]
        assert await listed(status="DELETE_IN_PROGRESS") == []
        pages: list[str] = []
        token: dict[str, str] = {}
        while True:
            page = await desk.call("ListTaskDefinitions", maxResults=1, **token)
            pages += page["taskDefinitionArns"]
            if "nextToken" not in page:
                break
            token = {"nextToken": page["nextToken"]}
        assert [arn.removeprefix(ARN) for arn in pages] == await listed()
        for members in ({"status": "X"}, {"sort": "X"}, {"maxResults": 0}, {"nextToken": "x"}, {"familyPrefix": "a b"}):
            code, text = await desk.refused("ListTaskDefinitions", **members)
            assert code == "InvalidParameterException"
            assert text.startswith(next(iter(members)))

    tell(story)


def test_families_are_listed(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        for family in ("web", "db", "web-2"):
            await desk.register(family)
        await desk.call("DeregisterTaskDefinition", taskDefinition="db:1")
        assert (await desk.call("ListTaskDefinitionFamilies")) == {"families": ["db", "web", "web-2"]}
        assert (await desk.call("ListTaskDefinitionFamilies", status="ACTIVE"))["families"] == ["web", "web-2"]
        assert (await desk.call("ListTaskDefinitionFamilies", status="INACTIVE"))["families"] == ["db"]
        assert (await desk.call("ListTaskDefinitionFamilies", familyPrefix="we"))["families"] == ["web", "web-2"]
        page = await desk.call("ListTaskDefinitionFamilies", maxResults=2)
        rest = await desk.call("ListTaskDefinitionFamilies", nextToken=page["nextToken"])
        assert (page["families"], rest) == (["db", "web"], {"families": ["web-2"]})
        assert (await desk.refused("ListTaskDefinitionFamilies", status="DELETE_IN_PROGRESS"))[1].startswith("status")

    tell(story)


def test_only_what_is_inactive_is_deleted_and_it_waits_for_its_tasks(tell: Tell) -> None:
    async def begin(desk: Desk) -> None:
        for _ in range(3):
            await desk.register()
        (arn,) = await desk.run("web:1")
        for revision in (1, 2):
            await desk.call("DeregisterTaskDefinition", taskDefinition=f"web:{revision}")
        asked = ["web:1", f"{ARN}web:1", "web:2", "web:3", "web:4"]
        reply = await desk.call("DeleteTaskDefinitions", taskDefinitions=asked)
        assert [one["revision"] for one in reply["taskDefinitions"]] == [1, 2]
        assert {one["status"] for one in reply["taskDefinitions"]} == {"DELETE_IN_PROGRESS"}
        assert {one["deleteRequestedAt"] for one in reply["taskDefinitions"]} == {desk.clock.wall()}
        still_active, not_there = reply["failures"]
        assert still_active["arn"] == f"{ARN}web:3"
        assert "still in ACTIVE status" in still_active["reason"]
        assert not_there["arn"] == "web:4"
        assert "does not exist" in not_there["reason"]
        assert await desk.refused("DescribeTaskDefinition", taskDefinition="web:2") == (
            "ClientException",
            "Unable to describe task definition.",
        )
        found = await desk.call("DescribeTaskDefinition", taskDefinition="web:1")
        assert found["taskDefinition"]["status"] == "DELETE_IN_PROGRESS"
        listed = await desk.call("ListTaskDefinitions", status="DELETE_IN_PROGRESS")
        assert listed["taskDefinitionArns"] == [f"{ARN}web:1"]
        await desk.spawned(arn)
        await desk.ended(arn)

    async def end(desk: Desk) -> None:
        assert (await desk.refused("DescribeTaskDefinition", taskDefinition="web:1"))[0] == "ClientException"
        assert (await desk.call("DescribeTaskDefinition", taskDefinition="web:3"))["taskDefinition"]["revision"] == 3
        assert await desk.register() == f"{ARN}web:4", "a number is never given twice"

    tell(begin, end)


def test_how_many_can_be_deleted_at_once(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        many = [f"web:{n}" for n in range(1, 12)]
        assert (await desk.refused("DeleteTaskDefinitions", taskDefinitions=many))[1] == (
            "taskDefinitions: expected up to 10, got 11"
        )
        assert (await desk.refused("DeleteTaskDefinitions", taskDefinitions=[]))[1].startswith("taskDefinitions: ")
        assert len((await desk.call("DeleteTaskDefinitions", taskDefinitions=many[:10]))["failures"]) == 10

    tell(story)


def test_changes_that_come_together_see_each_other(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        await desk.register()
        replies = await asyncio.gather(
            desk.call("DeregisterTaskDefinition", taskDefinition="web:1"),
            desk.call("RunTask", taskDefinition="web:1"),
            desk.call("DeleteTaskDefinitions", taskDefinitions=["web:1"]),
            desk.call("CreateCluster", clusterName="a"),
            desk.call("TagResource", resourceArn=f"{ARN[:-16]}cluster/a", tags=[{"key": "k", "value": "v"}]),
            return_exceptions=True,
        )
        assert str(replies[1]) == "TaskDefinition is inactive"
        assert replies[2]["taskDefinitions"][0]["status"] == "DELETE_IN_PROGRESS"  # type: ignore[index]
        assert replies[4] == {}

    tell(story)
