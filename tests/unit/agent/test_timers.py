"""What time brings: runs that follow on others, and the end of patience with what never becomes ready."""

from __future__ import annotations

import asyncio
from typing import Any

from supervisor import wire
from supervisor.agent.timetable import Timetable
from supervisor.lifecycle import Exited, RestartDue, Spawned, run_id_of, step
from supervisor.model import Backoff, ExitStatus, Identity, RestartPolicy, Task
from tests.lives import BORN, CREATED, TASK_ID, container_of, emptied, play, run, task_of
from tests.unit.agent.desk import Desk, Tell

POLICY = {"enabled": True, "restartAttemptPeriod": 60}


async def _end_run(desk: Desk, arn: str, code: int, lasted: float) -> None:
    """The present run of its one container, from its start to its end."""
    task = desk.engine.task(arn.rpartition("/")[2])
    assert task is not None
    run_id, since = task.containers[0].run_id or "", desk.clock.monotonic()
    desk.engine.take(wire.Spawned(1, desk.clock.wall(), run_id, 4711, 1, clock=since))
    desk.clock.advance(lasted)
    now, clock = desk.clock.wall(), desk.clock.monotonic()
    desk.engine.take(wire.Exited(2, now, run_id, code, None, clock=clock))
    desk.engine.take(wire.Emptied(3, now, run_id, clock=clock))
    await desk.engine.submit(lambda _: None)


def test_the_next_run_is_asked_for_and_the_last_one_is_kept(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        await desk.register(restartPolicy=POLICY)
        (arn,) = await desk.run()
        await _end_run(desk, arn, 1, 100.0)
        await desk.engine.submit(lambda _: None)  # it comes after what was due at once
        await desk.engine.submit(lambda _: None)
        spawned = [request for request in desk.sent if isinstance(request, wire.Spawn)]
        assert [one.run for one in spawned] == [run_id_of(spawned[0].task, "main", n) for n in (1, 2)]
        (kept,) = desk.store.runs(spawned[0].task)
        assert (kept.number, kept.exit, kept.restarted) == (1, ExitStatus(code=1), True)

    tell(story)


def test_a_new_agent_keeps_to_the_instant_of_a_restart(tell: Tell) -> None:
    async def first(desk: Desk) -> None:
        await desk.register(restartPolicy=POLICY, dockerLabels={"supervisor.restart-backoff": "1000:2000"})
        (arn,) = await desk.run()
        await _end_run(desk, arn, 1, 10.0)

    async def second(desk: Desk) -> None:
        (task,) = desk.engine.live().values()
        (container,) = task.containers
        assert container.restart_deadline is not None
        assert [one for one in desk.sent if isinstance(one, wire.Spawn)] == []
        desk.clock.advance(2000.0)
        await desk.engine.submit(lambda _: None)
        await desk.engine.submit(lambda _: None)
        (spawn,) = (request for request in desk.sent if isinstance(request, wire.Spawn))
        assert spawn.run == run_id_of(task.task_id, "main", 2)

    tell(first, second)


def test_requests_without_end_hold_up_nothing_that_is_due(tell: Tell) -> None:
    async def story(desk: Desk) -> None:
        await desk.register(restartPolicy=POLICY, dockerLabels={"supervisor.restart-backoff": "1000:2000"})
        (arn,) = await desk.run()
        await _end_run(desk, arn, 1, 10.0)
        before: list[int] = []

        async def ask_again_and_again(family: str) -> None:
            for number in range(20):
                if sum(isinstance(request, wire.Spawn) for request in desk.sent) > 1:
                    before.append(number)
                    return
                await desk.register(family)
                if (family, number) == ("family-0", 2):
                    desk.clock.advance(2000.0)

        await asyncio.gather(*(ask_again_and_again(f"family-{number}") for number in range(4)))
        assert len(before) == 4

    tell(story)


def waiting(short_runs: int = 0, **members: Any) -> Task:
    """A task whose container waits for its next run."""
    policy = RestartPolicy(enabled=True)
    shape = container_of("main", restart_policy=policy, restart_backoff=Backoff(10.0, 100.0), **members)
    task, _ = play(task_of(shape), CREATED)
    task, _ = step(task, Spawned(run("main"), BORN, Identity(1, 1), clock=100.0), BORN)
    task, _ = step(task, Exited(run("main"), BORN, ExitStatus(code=1), clock=101.0 + short_runs), BORN)
    return play(task, emptied("main", BORN))[0]


def test_a_task_is_due_once_and_at_its_present_instant() -> None:
    table, task = Timetable(), waiting()
    assert table.next_at() is None
    table.enter(task)
    table.enter(task)
    at = table.next_at()
    assert at is not None
    assert list(table.take_due(at - 0.001)) == []
    assert list(table.take_due(at)) == [(TASK_ID, RestartDue(run("main")))]
    assert (table.next_at(), list(table.take_due(at))) == (None, [])


def test_a_task_that_waits_for_nothing_any_more_is_out_of_the_table() -> None:
    table = Timetable()
    table.enter(waiting())
    table.enter(task_of(container_of("main")))
    assert table.next_at() is None
