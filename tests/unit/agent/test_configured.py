"""Configured tasks without a keeper: what is started when, and with which status a task of ``--task`` ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from supervisor import wire
from supervisor.agent.configured import Configured, exit_status
from supervisor.agent.task_files import Asked, essential_files, files_of, read_definition
from supervisor.errors import ConfigError
from supervisor.model import Container, ExitStatus, StopCode, Task
from tests.unit.agent.desk import Desk, Tell

MAIN = {"name": "main", "command": ["sleep", "60"]}


def write(directory: Path, name: str, **members: Any) -> str:
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text(json.dumps({"family": "web", "containerDefinitions": [MAIN | members]}))
    return str(path)


@contextlib.asynccontextmanager
async def configured(desk: Desk, tasks: Path, *files: str, life: str = "1") -> AsyncIterator[Configured]:
    """As ``daemon`` has it, for one agent of that life."""
    table = msgspec.structs.replace(desk.settings.agent, tasks_dir=str(tasks))
    asked = Asked(life=life, task_files=files)
    one = Configured(
        desk.service, desk.engine, store=desk.store, clock=desk.clock, table=table, asked=asked, send=desk.sent.append
    )
    desk.engine.observers.append(one.observe)
    one.know_what_lives()
    running = asyncio.ensure_future(one.run())
    try:
        yield one
    finally:
        desk.engine.observers.remove(one.observe)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def settle(desk: Desk) -> None:
    """Until nothing that was begun goes on by itself: no commit has brought another."""
    before = -1
    while before != (before := len(desk.sent)):
        for _ in range(10):
            await desk.engine.submit(lambda _: None)


async def listed(desk: Desk, started_by: str = "tasks_dir/web") -> list[str]:
    found = []
    for status in ("RUNNING", "STOPPED"):
        found += (await desk.call("ListTasks", startedBy=started_by, desiredStatus=status))["taskArns"]
    return found


def test_what_there_is_no_room_for_is_tried_again_after_growing_pauses(tell: Tell, tmp_path: Path) -> None:
    write(tmp_path / "tasks", "web.json", memory=5000)

    async def story(desk: Desk) -> None:
        with capture_logs() as lines:
            async with configured(desk, tmp_path / "tasks") as one:
                for pause in (1.0, 2.0, 4.0):
                    await settle(desk)
                    due_at = one._due.next_at()
                    assert due_at is not None
                    assert pause / 2 <= due_at - desk.clock.monotonic() <= pause
                    desk.clock.advance(pause)
                    one._woken.set()
        assert [line["error"] for line in lines if line["event"] == "task_not_started"] == ["RESOURCE:MEMORY"] * 3
        assert await listed(desk) == []

    tell(story)


def test_one_life_begins_a_task_once_and_the_next_one_again(tell: Tell, tmp_path: Path) -> None:
    path = write(tmp_path, "web.json")

    async def story(desk: Desk) -> None:
        async with configured(desk, tmp_path / "none", path):
            await settle(desk)
            (arn,) = await listed(desk, "task/web")
        await desk.spawned(arn)
        await desk.ended(arn)
        os.unlink(path)
        async with configured(desk, tmp_path / "none", path):
            await settle(desk)
        assert await listed(desk, "task/web") == [arn]
        assert wire.End(0) in desk.sent, "by an agent that has not seen it end"
        write(tmp_path, "web.json")
        async with configured(desk, tmp_path / "none", path, life="2"):
            await settle(desk)
        assert len(await listed(desk, "task/web")) == 2

    tell(story)


@pytest.mark.parametrize("life", ["1", "2"])
def test_what_is_there_is_not_started_again(tell: Tell, tmp_path: Path, life: str) -> None:
    write(tmp_path / "tasks", "web.json")

    async def story(desk: Desk) -> None:
        async with configured(desk, tmp_path / "tasks"):
            await settle(desk)
            (arn,) = await listed(desk)
        await desk.spawned(arn)
        async with configured(desk, tmp_path / "tasks", life=life):
            await settle(desk)
        assert await listed(desk) == [arn]

    tell(story)


def of(*containers: Container, code: StopCode = StopCode.ESSENTIAL_CONTAINER_EXITED) -> Task:
    return Task(
        task_id="t",
        task_arn="t",
        cluster_arn="c/default",
        task_definition_arn="d:1",
        container_instance_arn="i",
        family="web",
        group="g",
        created_at=1.0,
        containers=containers,
        stop_code=code,
        stopped_reason="why",
    )


def ended(at: float, exit_status: ExitStatus | None, *, essential: bool = True) -> Container:
    return Container(
        name=f"at-{at}",
        container_arn="c",
        stop_timeout=1.0,
        essential=essential,
        started_at=0.5,
        exited_at=at,
        exit=exit_status,
        reason="nobody saw it",
    )


@pytest.mark.parametrize(
    ("task", "status", "why"),
    [
        (of(ended(2.0, ExitStatus(0)), ended(1.0, ExitStatus(7))), 7, "its container at-1.0 ended with it"),
        (of(ended(1.0, ExitStatus(3), essential=False), ended(2.0, ExitStatus(None, 9))), 137, "its container at-2.0"),
        (of(ended(1.0, None)), 1, "how its container at-1.0 ended is not known: nobody saw it"),
        (of(ended(1.0, ExitStatus())), 1, "how its container at-1.0 ended is not known: nobody saw it"),
        (of(ended(1.0, ExitStatus(0)), code=StopCode.TASK_FAILED_TO_START), 1, "it never started: why"),
        (of(Container(name="main", container_arn="c", stop_timeout=1.0)), 1, "it never started: why"),
    ],
)
def test_the_status_is_that_of_the_essential_container_that_was_over_first(task: Task, status: int, why: str) -> None:
    told = exit_status(task)
    assert told[0] == status
    assert told[1].startswith(why)


def test_names_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^cannot use /b/web.toml beside /a/web.json: rename one"):
        essential_files(("/a/web.json", "/b/web.toml"))
    with pytest.raises(ConfigError, match="name it with letters, digits, - and _ alone"):
        read_definition("tasks_dir/a b", "a b.json")
    for name in ("b.json", "a.toml", ".c.json", "d.txt", "a.json"):
        write(tmp_path, name)
    assert [started_by for started_by, _ in files_of(str(tmp_path))] == ["tasks_dir/a", "tasks_dir/b"]
