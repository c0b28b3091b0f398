"""The agent's part of an upgrade: who may begin one, and what it hears of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from supervisor import __version__, wire
from supervisor.agent.draft import Draft
from supervisor.agent.engine import Engine
from supervisor.agent.link import Link
from supervisor.agent.upgrade import Upgrade, UpgradeError, hand_over
from supervisor.errors import ClientError
from tests.unit.agent.desk import Desk, Tell

PROVEN = wire.Proven("9.9.9", "")


class Bench:
    """An upgrade in the hands of the test."""

    def __init__(self, refused: str = "") -> None:
        self.engine = SimpleNamespace(draining=False)
        self.sent: list[wire.Request] = []
        self.upgrade = Upgrade(cast("Engine", self.engine), self.sent.append, refused)

    async def begin(self) -> asyncio.Future[dict[str, Any]]:
        asked = asyncio.ensure_future(self.upgrade.ask())
        await asyncio.sleep(0)
        return asked


def play(story: Callable[[Bench], Awaitable[None]]) -> None:
    async def run() -> None:
        await story(Bench())

    asyncio.run(run())


def test_it_is_agreed_when_proven_and_answered_when_the_doors_are_closed() -> None:
    async def story(bench: Bench) -> None:
        asked = await bench.begin()
        assert bench.sent == [wire.Prove()]
        assert not bench.upgrade.agreed.is_set()
        bench.upgrade.take(PROVEN)
        await bench.upgrade.agreed.wait()
        assert not asked.done()
        bench.upgrade.make_way()
        reply = await asked
        assert (reply["from"]["version"], reply["to"]) == (__version__, "9.9.9")

    play(story)


def test_what_is_not_proven_changes_nothing_and_can_be_tried_again() -> None:
    async def story(bench: Bench) -> None:
        for _ in range(2):
            asked = await bench.begin()
            bench.upgrade.take(wire.Proven(None, "it does not start"))
            with pytest.raises(UpgradeError, match=f"cannot upgrade: it does not start; version {__version__} goes on"):
                await asked
        assert not bench.upgrade.agreed.is_set()
        assert bench.sent == [wire.Prove()] * 2

    play(story)


def test_there_is_one_at_a_time() -> None:
    async def story(bench: Bench) -> None:
        first = await bench.begin()
        for _ in range(2):
            with pytest.raises(ClientError, match="another upgrade is under way"):
                await bench.upgrade.ask()
            bench.upgrade.take(PROVEN)
            await bench.upgrade.agreed.wait()
        bench.upgrade.make_way()
        await first
        assert bench.sent == [wire.Prove()]

    play(story)


@pytest.mark.parametrize("when", ["before", "meanwhile", "at last"])
def test_none_at_the_end(when: str) -> None:
    async def story(bench: Bench) -> None:
        bench.engine.draining = when == "before"
        asked = await bench.begin()
        bench.engine.draining |= when == "meanwhile"
        bench.upgrade.take(PROVEN)
        if when == "at last":
            await bench.upgrade.agreed.wait()
            bench.engine.draining = True
        bench.upgrade.make_way()
        with pytest.raises(ClientError, match="the supervisor is shutting down"):
            await asked

    play(story)


def test_what_nobody_has_asked_for_is_nothing() -> None:
    async def story(bench: Bench) -> None:
        bench.upgrade.take(PROVEN)
        assert not bench.upgrade.agreed.is_set()

    play(story)


def test_a_refusal_is_told_by_the_next_life() -> None:
    assert Bench("there was no time").upgrade.facts()["upgradeRefused"] == "there was no time"
    assert "upgradeRefused" not in Bench().upgrade.facts()


EVENT = wire.Emptied(7, 1.0, "f" * 32)


@pytest.mark.parametrize(
    ("heard", "why"),
    [
        ([[EVENT], [EVENT, wire.Reexecuting()]], ""),
        ([[wire.Proven("9.9.9", ""), EVENT], [wire.Proven(None, "there was no time")]], "there was no time"),
        ([[wire.Reexecuting(), wire.Proven(None, "no such file")]], "no such file"),
    ],
)
def test_the_keeper_becomes_it_or_says_why_not(heard: list[list[Any]], why: str) -> None:
    sent: list[wire.Request] = []
    chunks = iter(heard)

    async def receive() -> list[Any]:
        return next(chunks)

    link = SimpleNamespace(send=sent.append, receive=receive)
    assert asyncio.run(hand_over(cast("Link", link))) == why
    assert sent == [wire.Reexec()]


def test_the_engine_ends_between_two_commits(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        engine = Engine(desk.store, desk.clock, desk.sent.append)
        later: list[asyncio.Future[None]] = []

        def end(_: Draft) -> str:
            engine.end()
            later.append(asyncio.ensure_future(engine.submit(lambda _: None)))
            return "stored"

        asked = asyncio.ensure_future(engine.submit(end))
        await engine.run()
        assert await asked == "stored"
        (late,) = later
        await asyncio.sleep(0)
        await engine.run()
        assert not late.done()
        late.cancel()
        engine._writer.shutdown()

    tell(story)
