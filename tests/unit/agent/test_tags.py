"""Tags of everything that can have some."""

from __future__ import annotations

import pytest

from tests.unit.agent.desk import Desk, Tell

ARN = "arn:aws:ecs:local:000000000000:"


def tags(**pairs: str) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in pairs.items()]


async def resources(desk: Desk) -> list[str]:
    """One of each kind: a definition, a task, a cluster, the host."""
    definition = await desk.register()
    (task,) = await desk.run()
    return [definition, task, f"{ARN}cluster/default", desk.instance]


def test_tags_are_added_replaced_removed_and_kept(tell: Tell) -> None:
    known: list[str] = []

    async def change(desk: Desk) -> None:
        known.extend(await resources(desk))
        for arn in known:
            assert await desk.call("TagResource", resourceArn=arn, tags=tags(a="1", b="2")) == {}
            assert await desk.call("TagResource", resourceArn=arn, tags=tags(c="3", a="9")) == {}
            assert await desk.call("UntagResource", resourceArn=arn, tagKeys=["b", "never"]) == {}

    async def look(desk: Desk) -> None:
        for arn in known:
            assert await desk.call("ListTagsForResource", resourceArn=arn) == {"tags": tags(a="9", c="3")}
        definition, task, cluster, instance = known
        shown = [
            (await desk.call("DescribeTaskDefinition", taskDefinition=definition, include=["TAGS"]))["tags"],
            (await desk.call("DescribeTasks", tasks=[task], include=["TAGS"]))["tasks"][0]["tags"],
            (await desk.call("DescribeClusters", clusters=[cluster], include=["TAGS"]))["clusters"][0]["tags"],
            (await desk.call("DescribeContainerInstances", containerInstances=[instance], include=["TAGS"]))[
                "containerInstances"
            ][0]["tags"],
        ]
        assert shown == [tags(a="9", c="3")] * 4

    tell(change, look)


def test_a_change_of_tags_is_a_change_of_the_task(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        _, arn, _, _ = await resources(desk)
        before = (await desk.call("DescribeTasks", tasks=[arn]))["tasks"][0]
        await desk.call("TagResource", resourceArn=arn, tags=tags(a="1"))
        after = (await desk.call("DescribeTasks", tasks=[arn]))["tasks"][0]
        assert after == before | {"version": before["version"] + 1}, "and of nothing else"
        assert len(desk.sent) == 1, "its one spawn"

    tell(story)


def test_a_stopped_task_keeps_the_tags_that_it_has(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        _, arn, _, _ = await resources(desk)
        await desk.call("TagResource", resourceArn=arn, tags=tags(a="1"))
        await desk.spawned(arn)
        await desk.ended(arn)
        assert await desk.refused("TagResource", resourceArn=arn, tags=tags(b="2")) == (
            "InvalidParameterException",
            "The specified task is stopped. Specify a running task and try again.",
        )
        assert await desk.call("ListTagsForResource", resourceArn=arn) == {"tags": tags(a="1")}

    tell(story)


def test_the_limits_of_tags(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        for arn in await resources(desk):
            await desk.call("TagResource", resourceArn=arn, tags=tags(**{f"k{n}": "" for n in range(50)}))
            assert (await desk.refused("TagResource", resourceArn=arn, tags=tags(more="1"))) == (
                "LimitExceededException",
                "tags: with those that are there it would be 51; 50 are allowed",
            )
            await desk.call("TagResource", resourceArn=arn, tags=tags(k1="replaced"))
            code, text = await desk.refused("TagResource", resourceArn=arn, tags=tags(**{"aws:x": "1"}))
            assert (code, text.partition(":")[0]) == ("InvalidParameterException", "tags[0].key")
            code, text = await desk.refused("UntagResource", resourceArn=arn, tagKeys=["k1", "AWS:x"])
            assert (code, text.partition(":")[0]) == ("InvalidParameterException", "tagKeys[1]")
            many = tags(**{f"m{n}": "" for n in range(51)})
            assert (await desk.refused("TagResource", resourceArn=arn, tags=many))[0] == "InvalidParameterException"

    tell(story)


@pytest.mark.parametrize(
    ("arn", "code"),
    [
        (f"{ARN}task-definition/web:9", "ResourceNotFoundException"),
        (f"{ARN}task-definition/web", "ResourceNotFoundException"),
        (f"{ARN}task-definition/web:" + "9" * 5000, "ResourceNotFoundException"),
        (f"{ARN}task/default/{'0' * 32}", "ResourceNotFoundException"),
        (f"{ARN}task/{'0' * 32}", "ResourceNotFoundException"),
        (f"{ARN}container-instance/default/{'0' * 32}", "ResourceNotFoundException"),
        (f"{ARN}service/default/web", "ResourceNotFoundException"),
        ("arn:aws:ecs:mars:000000000000:cluster/default", "ResourceNotFoundException"),
        (f"{ARN}cluster/nope", "ClusterNotFoundException"),
        (f"{ARN}container-instance/nope/x", "ClusterNotFoundException"),
        ("web:1", "InvalidParameterException"),
        ("", "InvalidParameterException"),
        (f"{ARN}cluster", "InvalidParameterException"),
    ],
)
def test_what_is_not_there_has_no_tags(tell: Tell, arn: str, code: str) -> None:
    async def story(desk: Desk) -> None:
        await desk.register()
        assert (await desk.refused("TagResource", resourceArn=arn, tags=tags(a="1")))[0] == code
        assert (await desk.refused("UntagResource", resourceArn=arn, tagKeys=["a"]))[0] == code
        listing = code.replace("ResourceNotFoundException", "InvalidParameterException")
        assert (await desk.refused("ListTagsForResource", resourceArn=arn))[0] == listing, "ECS's errors of it"

    tell(story)


def test_a_task_of_another_cluster_has_not_this_arn(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        await desk.register()
        await desk.call("CreateCluster", clusterName="other")
        (arn,) = await desk.run()
        wrong = arn.replace("/default/", "/other/")
        assert (await desk.refused("TagResource", resourceArn=wrong, tags=tags(a="1")))[
            0
        ] == "ResourceNotFoundException"

    tell(story)
