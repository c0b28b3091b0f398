"""Health checks: what the keeper is asked for, and what the end of a check says."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from supervisor import wire
from supervisor.agent.health import MOST_OUTPUT, check_request
from supervisor.errors import StoreError
from supervisor.model import HealthCheck, HealthStatus
from tests.unit.agent.health_bench import (
    CHECK,
    HEALTHY,
    KILLED,
    UNHEALTHY,
    Bench,
    End,
    Play,
    change,
    own_request,
    run_of,
    task,
)

# -- what is asked of the keeper --


@pytest.mark.parametrize(
    ("command", "argv"),
    [
        (("CMD", "probe", "--quick"), ["probe", "--quick"]),
        (("CMD-SHELL", "probe | grep ok"), ["/bin/sh", "-c", "probe | grep ok"]),
    ],
)
def test_a_check_is_the_container_s_own_request_for_a_short_life_beside_it(
    command: tuple[str, ...], argv: list[str]
) -> None:
    own = own_request(task(), "main", "0" * 32)
    asked = check_request(own, "a" * 32, "b" * 32, HealthCheck(command, timeout=7))
    kept = ("task", "container", "environ", "cwd", "user", "ulimits", "log_tag")
    assert [getattr(asked, name) for name in kept] == [getattr(own, name) for name in kept]
    assert (asked.run, asked.beside, asked.lifetime, asked.argv) == ("b" * 32, "a" * 32, 7.0, argv)
    assert (asked.log_driver, asked.pre_stop) == ("check", [])
    assert (asked.stop_signals, asked.stop_scope, asked.stop_timeout) == ([(15, 0.0)], "main", 0.0)
    limits = [asked.memory_max, asked.memory_low, asked.cpu_weight]
    assert [*limits, asked.task_memory_max, asked.task_memory_low, asked.task_cpu_weight] == [None] * 6
    decoder = wire.Decoder.at_keeper()
    decoder.feed(wire.encode(asked))
    assert list(decoder.messages()) == [asked]


def test_each_check_is_due_an_interval_after_the_end_of_the_last_and_has_an_id_of_its_own(play: Play) -> None:
    async def story(bench: Bench) -> None:
        bench.takes = 2.0
        bench.health.observe(task())
        await bench.until(100)
        assert bench.begun == [30, 62, 94]
        assert len({spawn.run for spawn in bench.spawns} | {run_of(task())}) == 4
        assert {spawn.beside for spawn in bench.spawns} == {run_of(task())}

    play(story)


def test_checks_of_many_containers_have_each_their_own_time(play: Play) -> None:
    async def story(bench: Bench) -> None:
        for number, interval in enumerate((7, 5, 11)):
            bench.health.observe(task(number, change(CHECK, interval=interval)))
        await bench.until(22.5)
        assert bench.begun == [5, 7, 10, 11, 14, 15, 20, 21, 22]

    play(story)


def test_a_task_that_is_seen_again_begins_nothing_anew(play: Play) -> None:
    async def story(bench: Bench) -> None:
        for second in range(60):
            bench.health.observe(task())
            await bench.until(second)
        assert bench.begun == [30]

    play(story)


# -- what its end says --


@pytest.mark.parametrize(
    ("end", "takes", "written", "report"),
    [
        ((0, None), 0, b"fine\n", (HEALTHY, "fine", 0)),
        ((1, None), 0, b"no database\nat all\n", (UNHEALTHY, "no database\nat all", 1)),
        ((2, None), 0, None, (UNHEALTHY, "", 2)),
        ((None, 11), 0, b"", (UNHEALTHY, "", 139)),
        (KILLED, 5, b"", (UNHEALTHY, "Health check exceeded timeout (5s)", None)),
        (KILLED, 5.01, b"wait\n", (UNHEALTHY, "Health check exceeded timeout (5s): wait", None)),
        (KILLED, 1, b"", (UNHEALTHY, "", 137)),  # by somebody else
        ((0, None), 0, b"\xff\xfe", (HEALTHY, "��", 0)),
        ((1, None), 0, b"x" * 9000 + b"end", (UNHEALTHY, "x" * (MOST_OUTPUT - 3) + "end", 1)),
    ],
    ids=str,
)
def test_how_a_check_ends_is_the_status(
    play: Play, end: End, takes: float, written: bytes | None, report: tuple[HealthStatus, str, int | None]
) -> None:
    async def story(bench: Bench) -> None:
        bench.end, bench.takes = end, takes
        if written is not None:
            bench.write(task(), written)
        bench.health.observe(task())
        await bench.until(30 + takes + 0.1)
        assert bench.reports == [(run_of(task()), *report)]

    play(story)


def test_a_check_that_cannot_be_started_is_a_failure(play: Play) -> None:
    async def story(bench: Bench) -> None:
        bench.end = None
        bench.health.observe(task())
        await bench.until(30.1)
        bench.refuse(bench.spawns[0].run, "exec")
        text = "cannot start, exec: No such file or directory (ENOENT)"
        assert bench.reports == [(run_of(task()), UNHEALTHY, text, None)]
        await bench.until(61)
        assert bench.begun == [30, 60.1]

    play(story)


@pytest.mark.parametrize("stage", ["beside", "drain"])
def test_one_that_the_keeper_would_not_start_is_no_result(play: Play, stage: str) -> None:
    async def story(bench: Bench) -> None:
        bench.end = None
        bench.health.observe(task())
        await bench.until(30.1)
        bench.refuse(bench.spawns[0].run, stage)
        await bench.until(61)
        assert bench.reports == []
        assert bench.begun == [30, 60.1]

    play(story)


@pytest.mark.parametrize("error", [StoreError("cannot read")])
def test_one_that_cannot_be_asked_for_is_no_result(play: Play, error: Exception) -> None:
    async def story(bench: Bench) -> None:
        def fail(*_: object) -> wire.Spawn:
            raise error

        bench.request = fail
        bench.health.observe(task())
        with capture_logs() as lines:
            await bench.until(31)
        assert [(line["event"], line["error"]) for line in lines] == [("health_check_not_made", "cannot read")]
        bench.request = own_request
        await bench.until(61)
        assert bench.begun == [60]
        assert bench.reports == [(run_of(task()), HEALTHY, "", 0)]

    play(story)


def test_a_status_is_reported_when_it_changes_and_not_after_each_check(play: Play) -> None:
    async def story(bench: Bench) -> None:
        bench.health.observe(task())
        await bench.until(31)
        bench.health.observe(task(health_status=HEALTHY))
        await bench.until(95)
        assert len(bench.begun) == 3
        bench.end = (1, None)
        await bench.until(125)
        assert [(status, code) for _, status, _, code in bench.reports] == [(HEALTHY, 0), (UNHEALTHY, 1)]

    play(story)


def test_a_status_that_did_not_come_into_the_record_is_reported_again(play: Play) -> None:
    async def story(bench: Bench) -> None:
        bench.health.observe(task())
        await bench.until(61)
        assert bench.reports == [(run_of(task()), HEALTHY, "", 0)] * 2

    play(story)


def test_a_change_of_status_is_one_line_in_the_log(play: Play) -> None:
    async def story(bench: Bench) -> None:
        facts = {"task": task().task_id, "container": "main"}
        bench.write(task(), b"no database\nat all\n")
        bench.health.observe(task())
        with capture_logs() as lines:
            await bench.until(61)
            bench.end = (1, None)
            await bench.until(121)
        assert lines == [
            {"event": "health_changed", "log_level": "info", **facts, "status": "HEALTHY", "output": "no database"},
            {
                "event": "health_changed",
                "log_level": "warning",
                **facts,
                "status": "UNHEALTHY",
                "output": "no database",
            },
        ]

    play(story)
