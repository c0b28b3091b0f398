"""What the engine writes into the journal, and what its followers read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from supervisor import wire
from supervisor.agent import journal
from supervisor.agent.draft import Draft
from supervisor.agent.engine import Engine
from supervisor.lifecycle import StopRequested
from supervisor.model import StopCode, Task
from supervisor.store import Store
from tests.conftest import PATIENCE
from tests.fake_clock import FakeClock
from tests.unit.shapes.samples import TASK_ID, register, run


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(str(tmp_path / "supervisor.db"))
    store.save(resources=[register()])
    yield store
    store.close()


def live(store: Store, story: Callable[[Engine], Awaitable[Any]]) -> Any:
    """Tell the story to an engine that runs; what it gives."""

    async def tell() -> Any:
        engine = Engine(store, FakeClock(), lambda _: None)
        running = asyncio.ensure_future(engine.run())
        try:
            async with asyncio.timeout(PATIENCE):  # an event that never comes is a failure, and no hang
                return await story(engine)
        finally:
            running.cancel()

    return asyncio.run(tell())


def create(draft: Draft) -> Task:
    return draft.add(run(), FakeClock().wall())


def stop(draft: Draft) -> Task:
    task = draft.task(TASK_ID)
    assert task is not None
    return draft.follow(task, StopRequested(StopCode.USER_INITIATED, "why"), FakeClock().wall())


async def started(engine: Engine) -> str:
    """A task with its process; the run's id."""
    task = await engine.submit(create)
    run_id = task.containers[0].run_id
    assert run_id is not None
    engine.take(wire.Spawned(1, 1.0, run_id, 4711, 1))
    return run_id


async def read(engine: Engine, store: Store, after: int = 0, *, follow: bool = False) -> list[dict[str, Any]]:
    return [event async for event in journal.read(engine, store, journal.Asked(after, None, follow))]


def test_there_is_an_event_for_each_version_also_of_those_that_share_a_commit(store: Store) -> None:
    async def story(engine: Engine) -> list[dict[str, Any]]:
        run_id = await started(engine)
        engine.take(wire.Exited(2, 2.0, run_id, 0, None))
        engine.take(wire.Emptied(3, 3.0, run_id))
        await engine.submit(lambda _: None)
        return await read(engine, store)

    events = live(store, story)
    assert [event["seq"] for event in events] == [1, 2, 3, 4]
    versions = [event["detail"]["version"] for event in events]
    assert versions == sorted(set(versions))
    told = [(event["detail"]["lastStatus"], event["detail"]["desiredStatus"]) for event in events]
    assert told == [("PENDING", "RUNNING"), ("RUNNING", "RUNNING"), ("RUNNING", "STOPPED"), ("STOPPED", "STOPPED")]
    stored = store.task(TASK_ID)
    assert stored is not None
    assert versions[-1] == stored.version


def test_what_changes_nothing_is_no_event(store: Store) -> None:
    async def story(engine: Engine) -> tuple[int, int]:
        await started(engine)
        await engine.submit(stop)
        before = len(await read(engine, store))
        await engine.submit(stop)
        return before, len(await read(engine, store))

    before, after = live(store, story)
    assert before == after == 3


def test_what_was_refused_is_no_event(store: Store) -> None:
    def refuse(draft: Draft) -> None:
        create(draft)
        raise RuntimeError("no")

    async def story(engine: Engine) -> list[dict[str, Any]]:
        with pytest.raises(RuntimeError):
            await engine.submit(refuse)
        return await read(engine, store)

    assert live(store, story) == []


def test_a_follower_is_told_what_comes(store: Store) -> None:
    async def story(engine: Engine) -> list[int]:
        following = journal.read(engine, store, journal.Asked(0, None, follow=True))
        first = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0)
        assert not first.done()
        await started(engine)
        seen = [(await first)["seq"], (await anext(following))["seq"]]
        await following.aclose()  # type: ignore[attr-defined]  # it is an asynchronous generator
        assert not engine._followers
        return seen

    assert live(store, story) == [1, 2]


def test_a_follower_that_does_not_read_holds_up_nobody_and_misses_nothing(store: Store) -> None:
    async def story(engine: Engine) -> list[int]:
        following = journal.read(engine, store, journal.Asked(0, None, follow=True))
        await engine.submit(create)
        seen = [(await anext(following))["seq"]]
        for _ in range(journal._PAGE + 1):
            await engine.submit(bump)
        seen += [(await anext(following))["seq"] for _ in range(journal._PAGE + 1)]
        return seen

    def bump(draft: Draft) -> None:
        task = draft.task(TASK_ID)
        assert task is not None
        draft.put(msgspec.structs.replace(task, version=task.version + 1), [])

    assert live(store, story) == list(range(1, journal._PAGE + 3))
