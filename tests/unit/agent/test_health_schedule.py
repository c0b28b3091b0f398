"""Whose health is checked, when, and how many checks are under way at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from supervisor import wire
from supervisor.agent.health import MOST_AT_ONCE, OVERDUE, SPREAD
from supervisor.model import DesiredStatus, ExitStatus, LastStatus, Task
from tests.unit.agent.health_bench import (
    CHECK,
    HEALTHY,
    KILLED,
    UNHEALTHY,
    UNKNOWN,
    Bench,
    Play,
    change,
    run_of,
    task,
)

# -- whose checks are made --


@pytest.mark.parametrize(
    "other",
    [
        task(check=None),
        task(last_status=LastStatus.PENDING, identity=None, running_since=None),
        task(last_status=LastStatus.STOPPED),
        task(exit=ExitStatus(code=0)),
        task(stop_asked=True),
        task(run_id=None),
        change(task(), desired_status=DesiredStatus.STOPPED),
    ],
    ids=range(7),
)
def test_only_a_run_that_is_to_go_on_is_checked(play: Play, other: Task) -> None:
    async def story(bench: Bench) -> None:
        bench.health.observe(other)
        await bench.until(100)
        assert bench.begun == []
        bench.health.observe(task())
        await bench.until(101)
        bench.health.observe(other)
        await bench.until(1000)
        assert len(bench.begun) <= 1, "and what became such a one is checked no more"

    play(story)


def test_the_end_of_a_check_under_way_says_nothing_once_a_stop_was_asked_for(play: Play) -> None:
    async def story(bench: Bench) -> None:
        bench.end = None
        bench.health.observe(task())
        await bench.until(31)
        bench.health.observe(change(task(), desired_status=DesiredStatus.STOPPED))
        bench.exit(bench.spawns[0].run, KILLED)
        await bench.until(200)
        assert (bench.reports, len(bench.spawns)) == ([], 1)

    play(story)


@pytest.mark.parametrize(
    ("kind", "members"),
    [
        (wire.Signalled, {"signum": 15, "whom": "main", "deadline": 1040.0, "pids": [1], "window": 30.0}),
        (wire.Exited, {"code": 0, "signal": None}),
        (wire.Emptied, {}),
    ],
)
def test_a_check_that_dies_with_its_run_is_no_failure_also_before_the_end_is_stored(
    play: Play, kind: type[Any], members: dict[str, Any]
) -> None:
    async def story(bench: Bench) -> None:
        bench.end = None
        bench.health.observe(task())
        await bench.until(36)
        assert not bench.tell(kind, run=run_of(task()), **members), "it is the engine's"
        bench.health.observe(task())  # something else of the task was stored
        await bench.until(31 + CHECK.timeout + OVERDUE)  # and it takes its time
        bench.exit(bench.spawns[0].run, KILLED)
        await bench.until(200)
        assert (bench.reports, len(bench.spawns)) == ([], 1)

    play(story)


def test_a_new_run_begins_anew(play: Play) -> None:
    async def story(bench: Bench) -> None:
        check = change(CHECK, retries=2)
        bench.end = (1, None)
        bench.health.observe(task(check=check))
        await bench.until(40)
        bench.health.observe(task(check=check, exit=ExitStatus(code=1), will_restart=True))
        bench.health.observe(task(check=check, run=2, running_since=1040.0))
        await bench.until(71)
        assert (bench.begun, bench.reports) == ([30, 70], []), "the failure of the old run does not count"
        await bench.until(101)
        assert bench.reports == [(run_of(task(run=2)), UNHEALTHY, "", 1)]

    play(story)


def test_a_new_agent_begins_with_the_recorded_status_and_checks_soon(play: Play) -> None:
    async def story(bench: Bench) -> None:
        await bench.until(500)
        for number, status in enumerate((HEALTHY, UNHEALTHY, UNKNOWN)):
            bench.health.observe(task(number, change(CHECK, retries=2), health_status=status))
        bench.end = (1, None)
        await bench.until(500 + SPREAD)
        assert len(set(bench.begun)) == 3, "not at one instant"
        assert bench.reports == []
        await bench.until(530 + SPREAD)
        assert [status for _, status, _, _ in bench.reports] == [UNHEALTHY] * 2

    play(story)


def test_a_new_agent_does_not_hurry_what_was_just_started(play: Play) -> None:
    async def story(bench: Bench) -> None:
        await bench.until(12)
        bench.health.observe(task())
        await bench.until(59)
        assert bench.begun == [30]

    play(story)


# -- whose events are taken --


def test_events_of_unknown_runs_are_not_ours(play: Play) -> None:
    async def story(bench: Bench) -> None:
        bench.health.observe(task())
        for run in (run_of(task()), "f" * 32):
            assert not bench.tell(wire.Spawned, run=run, pid=1, start_time=1)
        assert not bench.tell(wire.Exited, run="f" * 32, code=0, signal=None)
        assert not bench.tell(wire.SpawnFailed, run="f" * 32, stage="exec", errno=2, detail="")
        assert not bench.tell(wire.Draining, budget=90.0)
        await bench.until(31)
        assert len(bench.reports) == 1

    play(story)


def test_events_of_a_check_are_ours_until_nothing_is_left_of_it(play: Play) -> None:
    async def story(bench: Bench) -> None:
        bench.end = None
        bench.health.observe(task())
        await bench.until(31)
        run = bench.spawns[0].run
        assert bench.tell(wire.Exited, run=run, code=0, signal=None)
        assert len(bench.reports) == 1
        assert bench.tell(wire.Signalled, run=run, signum=9, whom="group", deadline=1.0, pids=[7], window=0.0)
        assert bench.tell(wire.Emptied, run=run)
        assert not bench.tell(wire.Emptied, run=run)
        assert len(bench.reports) == 1

    play(story)


def test_what_is_told_again_of_an_old_check_is_no_result_of_the_next(play: Play) -> None:
    async def story(bench: Bench) -> None:
        bench.end = None
        bench.health.observe(task(check=change(CHECK, retries=2)))
        await bench.until(31)
        for _ in range(2):
            assert bench.tell(wire.Exited, run=bench.spawns[0].run, code=1, signal=None)
            await bench.until(62)
        assert len(bench.spawns) == 2
        assert bench.reports == []
        bench.exit(bench.spawns[1].run, (1, None))
        assert len(bench.reports) == 1

    play(story)


def test_a_check_that_an_agent_before_asked_for_says_nothing_to_this_one(play: Play) -> None:
    async def story(bench: Bench) -> None:
        bench.end = None
        bench.health.observe(task())
        await bench.until(31)
        bench.new_agent()
        bench.health.observe(task())
        assert not bench.tell(wire.Exited, run=bench.spawns[0].run, code=1, signal=None)
        assert bench.reports == []

    play(story)


# -- how many at once, and those that do not end --


def test_only_so_many_are_under_way_at_once_and_the_others_follow_in_their_order(play: Play) -> None:
    async def story(bench: Bench) -> None:
        tasks = [task(number) for number in range(MOST_AT_ONCE + 3)]
        for one in tasks:
            bench.health.observe(one)
        bench.end = None
        await bench.until(31)
        assert len(bench.spawns) == MOST_AT_ONCE
        bench.exit(bench.spawns[5].run, (0, None))
        await bench.until(32)
        assert bench.begun[MOST_AT_ONCE:] == [31]
        bench.refuse(bench.spawns[6].run, "exec")
        bench.refuse(bench.spawns[7].run, "beside")
        await bench.until(33)
        assert bench.begun[MOST_AT_ONCE:] == [31, 32, 32]
        assert {spawn.task for spawn in bench.spawns} == {one.task_id for one in tasks}

    play(story)


def test_a_check_that_waits_for_its_turn_is_not_made_after_its_run(play: Play) -> None:
    async def story(bench: Bench) -> None:
        tasks = [task(number) for number in range(MOST_AT_ONCE + 2)]
        bench.end = None
        for one in tasks:
            bench.health.observe(one)
        await bench.until(31)
        first = {spawn.task for spawn in bench.spawns}
        late = [one for one in tasks if one.task_id not in first]
        bench.health.observe(change(late[0], desired_status=DesiredStatus.STOPPED))
        for one in tasks[:5]:  # their turns are free at once
            bench.health.observe(change(one, desired_status=DesiredStatus.STOPPED))
        await bench.until(32)
        assert [spawn.task for spawn in bench.spawns[MOST_AT_ONCE:]] == [late[1].task_id]

    play(story)


def test_a_check_that_no_kill_ends_is_a_failure_at_each_turn(play: Play) -> None:
    overdue = 30 + CHECK.timeout + OVERDUE

    async def story(bench: Bench) -> None:
        bench.end = None
        bench.health.observe(task(check=change(CHECK, retries=2)))
        await bench.until(overdue + 0.1)
        assert bench.reports == []
        await bench.until(overdue + 30.1)
        text = "Health check exceeded timeout (5s), and SIGKILL has not ended it"
        assert bench.reports == [(run_of(task()), UNHEALTHY, text, None)]
        bench.health.observe(task(check=change(CHECK, retries=2), health_status=UNHEALTHY))
        await bench.until(overdue + 60.1)
        assert bench.begun == [30], "another would only join it"
        bench.exit(bench.spawns[0].run, KILLED)
        assert len(bench.reports) == 1, "it was counted"
        bench.end = (0, None)
        await bench.until(overdue + 90.1)
        assert bench.begun == [30, overdue + 90]
        assert bench.reports[1:] == [(run_of(task()), HEALTHY, "", 0)]

    play(story)


def test_checks_that_no_kill_ends_take_nobody_s_place(play: Play) -> None:
    async def story(bench: Bench) -> None:
        for number in range(MOST_AT_ONCE):
            bench.health.observe(task(number))
        bench.end = None
        await bench.until(31)
        bench.health.observe(task(MOST_AT_ONCE, running_since=1001.0))
        await bench.until(30 + CHECK.timeout + OVERDUE + 0.1)
        assert bench.begun == [30] * MOST_AT_ONCE + [30 + CHECK.timeout + OVERDUE]

    play(story)


def test_an_agent_that_was_held_up_reads_first_what_has_come_meanwhile(play: Play) -> None:
    async def story(bench: Bench) -> None:
        bench.end = None
        bench.health.observe(task())
        await bench.until(31)
        bench.clock.advance(60)
        await asyncio.sleep(0.5)
        bench.exit(bench.spawns[0].run, (0, None))
        await bench.until(93)
        assert bench.reports == [(run_of(task()), HEALTHY, "", 0)]

    play(story)
