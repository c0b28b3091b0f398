"""While nothing can be stored nothing is done and nothing is told; then all of it is, once."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import pytest
from structlog.testing import capture_logs

from supervisor import wire
from supervisor.agent import outage
from supervisor.agent.caller import HostUser
from supervisor.errors import StoreError
from supervisor.lifecycle import run_id_of
from supervisor.model import DesiredStatus
from supervisor.shapes.requests import StopTask
from supervisor.store import Store
from tests.unit.agent.desk import Desk, Tell

POLICY = {"enabled": True, "restartAttemptPeriod": 60}
UNDER_WAY = r"^the stop is under way, and cannot be recorded yet: the disk is full$"
BACKOFF = {"supervisor.restart-backoff": "1000:1000"}


def refuse(desk: Desk, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """So many commits that do not come to be."""
    save, refusals = Store.save, iter(range(times))

    def try_to_save(*args: Any) -> None:
        if next(refusals, None) is not None:
            raise StoreError("the disk is full")
        save(desk.store, *args)

    monkeypatch.setattr(outage, "SPACING", 0.0)
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


def stops(desk: Desk) -> list[wire.Stop]:
    return [request for request in desk.sent if isinstance(request, wire.Stop)]


def test_a_stop_is_carried_out_and_not_acknowledged(tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(desk: Desk) -> None:
        task_id, run_id = await running(desk)
        refuse(desk, monkeypatch, 4)
        asked_at = desk.clock.wall()
        with capture_logs() as lines:
            with pytest.raises(StoreError, match=UNDER_WAY):
                await desk.call("StopTask", task=task_id, reason="enough")
            with pytest.raises(StoreError, match=r"^the disk is full$"):
                await desk.run()
            assert stops(desk) == [wire.Stop(run_id, None)]
            desk.clock.advance(5)
            desk.engine.take(wire.Exited(2, desk.clock.wall(), run_id, 0, None, clock=1.0))
            await settle(desk)
        assert [line["event"] for line in lines if line["event"].startswith("store_")] == [
            "store_failed",
            "store_recovered",
        ]
        task = desk.store.task(task_id)
        assert task is not None
        assert (task.stopped_reason, task.stopping_at) == ("enough", asked_at)
        assert not [request for request in desk.sent if isinstance(request, wire.Spawn)][1:]
        assert [run.exit for run in desk.store.runs(task_id)] == []

    tell(story)


def test_a_second_stop_can_hasten_one_that_is_not_stored(tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(desk: Desk) -> None:
        task_id, run_id = await running(desk)
        refuse(desk, monkeypatch, 9)
        for timeout in (None, "5", "7"):
            with pytest.raises(StoreError):
                await desk.service.stop_task(StopTask(task=task_id), HostUser(0, 1), timeout)
        assert stops(desk) == [wire.Stop(run_id, None), wire.Stop(run_id, 5.0)]
        await settle(desk)

    tell(story)


def test_an_agent_that_starts_meanwhile_asks_for_the_stops_again(tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    async def before(desk: Desk) -> None:
        task_id, _ = await running(desk)
        await desk.call("StopTask", task=task_id)

    async def after(desk: Desk) -> None:
        (task,) = desk.store.load_unfinished()
        run_id = task.containers[0].run_id
        assert run_id is not None
        desk.sent.clear()
        refuse(desk, monkeypatch, 1)
        await desk.engine.recover([run_id], "another boot")
        assert stops(desk) == []  # after a restart of the host nothing is left to be stopped
        await settle(desk)
        assert desk.store.load_unfinished() == []

    tell(before, after)


def test_a_disk_that_does_not_answer_holds_up_no_stop(tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(desk: Desk) -> None:
        first, first_run = await running(desk)
        second, second_run = await running(desk, cpu=1)
        answers, save = threading.Event(), desk.store.save

        def hang(*args: Any) -> None:
            answers.wait()
            save(*args)

        monkeypatch.setattr(outage, "PATIENCE", 0.0)
        monkeypatch.setattr(desk.store, "save", hang)
        try:
            with pytest.raises(StoreError, match=r"cannot be recorded yet: .* its disk has not answered for 0 s"):
                await desk.call("StopTask", task=first)
            with pytest.raises(StoreError, match="cannot be recorded yet"):
                await desk.call("StopTask", task=second)
            with pytest.raises(StoreError, match=r"^cannot write .* has not answered"):
                await desk.run()
            assert stops(desk) == [wire.Stop(first_run, None), wire.Stop(second_run, None)]
        finally:
            answers.set()
        await settle(desk)
        found = desk.store.tasks([first, second])
        assert {task.desired_status for task in found.values()} == {DesiredStatus.STOPPED}

    tell(story)


def test_a_pre_stop_command_has_ended_once(tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(desk: Desk) -> None:
        task_id, run_id = await running(desk)
        refuse(desk, monkeypatch, 2)
        with capture_logs() as lines:
            desk.engine.take(wire.HookEnded(2, desk.clock.wall(), run_id, 1, None, "", clock=1.0))
            await settle(desk)
        assert [line["event"] for line in lines] == ["store_failed", "store_recovered", "hook_ended"]
        assert [moment.kind for moment in desk.store.moments(task_id)] == ["HookEnded"]

    tell(story)
