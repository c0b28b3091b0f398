"""Which logs can be read, and what a reader is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from supervisor.agent.log_reading import END
from supervisor.errors import ClientError, InvalidParameterError

from .desk import Desk, Tell

Json = dict[str, Any]


async def read(desk: Desk, task: str, *containers: str, **asked: Any) -> list[Json]:
    nothing: Json = {"cluster": None, "tail": None, "since": None, "follow": False, "places": []}
    told = desk.service.logs(**{**nothing, **asked}, task=task, containers=containers)
    return [line async for some in told for line in some]


async def refused(desk: Desk, task: str, *containers: str, **asked: Any) -> tuple[type[ClientError], str]:
    with pytest.raises(ClientError) as raised:
        await read(desk, task, *containers, **asked)
    return type(raised.value), str(raised.value)


def write(desk: Desk, arn: str, container: str, text: str) -> None:
    directory = Path(desk.settings.agent.state_dir) / "logs" / arn.rpartition("/")[2]
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{container}.log").write_text(text)


def lines_of(told: list[Json]) -> list[tuple[str, str]]:
    assert told[-1:] == END
    return [(line["container"], line["line"]) for line in told[1:-1]]


async def start(desk: Desk, **drivers: str | None) -> str:
    """A task with a container for each name, with that log driver."""
    containers = [
        {"name": name, "command": ["x"], **({"logConfiguration": {"logDriver": driver}} if driver else {})}
        for name, driver in drivers.items()
    ]
    await desk.call("RegisterTaskDefinition", family="web", containerDefinitions=containers)
    (arn,) = await desk.run()
    return arn


def test_all_of_a_task_and_one_of_its_containers(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        arn = await start(desk, web=None, proxy="json-file", quiet="none")
        assert await read(desk, arn) == [{"containers": ["web", "proxy"]}, *END]
        write(desk, arn, "web", "one\ntwo")
        write(desk, arn, "proxy", "three\n")
        told = await read(desk, arn)
        assert sorted(lines_of(told)) == [("proxy", "three"), ("web", "one"), ("web", "two")]
        assert lines_of(await read(desk, arn.rpartition("/")[2], "proxy")) == [("proxy", "three")]

    tell(story)


def test_what_cannot_be_read(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        arn = await start(desk, web=None, quiet="none", loud="inherit")
        assert await refused(desk, "0" * 32) == (InvalidParameterError, "The referenced task was not found.")
        await desk.call("CreateCluster", clusterName="other")
        assert (await refused(desk, arn.rpartition("/")[2], cluster="other"))[0] is InvalidParameterError
        assert await refused(desk, arn, "wbe") == (
            InvalidParameterError,
            "container: the task has no container 'wbe'; it has web, quiet, loud",
        )
        assert await refused(desk, arn, "web", "quiet") == (
            ClientError,
            "cannot show the output of quiet: it is dropped, since its log driver is none",
        )
        assert await refused(desk, arn, "loud") == (
            ClientError,
            "cannot show the output of loud: it is where the supervisor's own is, since its log driver is inherit",
        )

    tell(story)


def test_a_task_of_which_nothing_can_be_shown(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        arn = await start(desk, a="none", b="none")
        assert (await refused(desk, arn))[1].count("it is dropped") == 2

    tell(story)


def test_a_follower_is_told_the_end_when_the_task_is_over(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        arn = await start(desk, web=None)
        write(desk, arn, "web", "one\ntw")
        await desk.spawned(arn)
        nothing: Json = {"cluster": None, "tail": None, "since": None, "places": []}
        told = desk.service.logs(**nothing, task=arn, containers=[], follow=True)
        assert await anext(told) == [{"containers": ["web"]}]
        assert await anext(told) == [{"container": "web", "next": 0}]
        assert [line["line"] for line in await anext(told)] == ["one"]
        write(desk, arn, "web", "one\ntwo\nthr")
        assert [line["line"] for line in await anext(told)] == ["two"]
        await desk.ended(arn)
        assert [line["line"] for line in await anext(told)] == ["thr"]
        assert await anext(told) == END

    tell(story)


def test_an_error_in_the_middle_is_told(tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(desk: Desk) -> None:
        arn = await start(desk, web=None)
        write(desk, arn, "web", "one\n")
        path = Path(desk.settings.agent.state_dir) / "logs" / arn.rpartition("/")[2] / "web.log"
        path.unlink()
        path.symlink_to("/etc/passwd")
        assert await read(desk, arn) == [
            {"containers": ["web"]},
            {
                "error": {
                    "__type": "ServerException",
                    "message": "cannot read the log: Too many levels of symbolic links",
                }
            },
        ]

    tell(story)
