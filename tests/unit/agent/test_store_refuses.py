"""While nothing can be stored nothing is done and nothing is told; then all of it is, once."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from structlog.testing import capture_logs

from supervisor import wire
from supervisor.agent import engine
from supervisor.errors import StoreError
from supervisor.lifecycle import run_id_of
from supervisor.store import Store
from tests.unit.agent.desk import Desk, Tell

POLICY = {"enabled": True, "restartAttemptPeriod": 60}
BACKOFF = {"supervisor.restart-backoff": "1000:1000"}


def refuse(desk: Desk, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """So many commits that do not come to be."""
    save, refusals = Store.save, iter(range(times))

    def try_to_save(*args: Any) -> None:
        if next(refusals, None) is not None:
            raise StoreError("the disk is full")
        save(desk.store, *args)

    monkeypatch.setattr(engine, "_STORE_RETRY", 0.0)
    monkeypatch.setattr(desk.store, "save", try_to_save)


async def running(desk: Desk, **members: Any) -> tuple[str, str]:
    """A task of one container that runs: its id, and that of its run."""
    await desk.register(**members)
    (arn,) = await desk.run()
    await desk.spawned(arn)
    task_id = arn.rpartition("/")[2]
    return task_id, run_id_of(task_id, "main", 1)


async def settle(desk: Desk) -> None:
    """Until a commit has come to be."""
    while True:
        with contextlib.suppress(StoreError):
            return await desk.engine.submit(lambda _: None)


@pytest.mark.parametrize("lead", [0.0, 1000.0])
def test_the_next_run_is_asked_for_once(tell: Tell, monkeypatch: pytest.MonkeyPatch, lead: float) -> None:
    async def story(desk: Desk) -> None:
        task_id, run_id = await running(desk, restartPolicy=POLICY, **({"dockerLabels": BACKOFF} if lead else {}))
        clock = desk.clock.monotonic()
        refuse(desk, monkeypatch, 2)
        desk.engine.take(wire.Exited(2, desk.clock.wall(), run_id, 1, None, clock=clock))
        desk.engine.take(wire.Emptied(3, desk.clock.wall(), run_id, clock=clock))
        await settle(desk)
        refuse(desk, monkeypatch, 2)  # what time brings is not lost either
        desk.clock.advance(lead)
        for _ in range(4):
            await settle(desk)
        spawned = [request.run for request in desk.sent if isinstance(request, wire.Spawn)]
        assert spawned == [run_id, run_id_of(task_id, "main", 2)]
        assert [run.number for run in desk.store.runs(task_id)] == [1]
        assert [request for request in desk.sent if isinstance(request, wire.Forget)] == [
            wire.Forget(1),
            wire.Forget(3),
        ]

    tell(story)


def test_a_pre_stop_command_has_ended_once(tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(desk: Desk) -> None:
        task_id, run_id = await running(desk)
        refuse(desk, monkeypatch, 2)
        with capture_logs() as lines:
            desk.engine.take(wire.HookEnded(2, desk.clock.wall(), run_id, 1, None, "", clock=1.0))
            await settle(desk)
        assert [line["event"] for line in lines if line["event"] != "store_failed"] == ["hook_ended"]
        assert [moment.kind for moment in desk.store.moments(task_id)] == ["HookEnded"]

    tell(story)
