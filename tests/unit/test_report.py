"""A stop's report by a table of lives, each as the keeper tells it; what is left out, and that nothing ever raises."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor import diagnosis
from supervisor.diagnosis import Finding, Kind, Sight, signal_name
from supervisor.model import (
    Container,
    DesiredStatus,
    ExitStatus,
    Identity,
    LastStatus,
    Moment,
    PastRun,
    StopCode,
    Task,
)
from supervisor.report import build_history, build_report
from supervisor.report.words import signal_names
from tests.lives import TASK_ID, container_of, run, task_of

MAIN = 4711
CLOCK = 500.0
"""The monotonic instant of most first signals here; Unix time is 1500 s ahead."""
WALL = 1500.0
TERM, KILL = int(signal.SIGTERM), int(signal.SIGKILL)


def moment(kind: str, clock: float, name: str = "main", **facts: Any) -> Moment:
    at = round(clock + WALL, 3)
    return Moment(task_id=TASK_ID, container=name, run_id=run(name), at=at, clock=clock, kind=kind, facts=facts)


def sent(clock: float, signum: int, *pids: int, whom: str = "main", deadline: float = 530.0, **more: Any) -> Moment:
    facts: dict[str, Any] = {"signum": signum, "whom": whom, "deadline": deadline, "pids": list(pids), "window": 30.0}
    return moment("Signalled", clock, **(facts | more))


def exited(clock: float, code: int | None = None, signum: int | None = None, oom_kills: int = 0) -> Moment:
    return moment("Exited", clock, code=code, signal=signum, oom_kills=oom_kills)


def emptied(clock: float) -> Moment:
    return moment("Emptied", clock)


def looked(seen_at: float, *facts: dict[str, Any], told_at: float = 530.01) -> Moment:
    return moment("Looked", told_at, seen_at=seen_at, signums=[TERM], facts=list(facts))


def hook(clock: float, code: int | None, signum: int | None = None, detail: str = "") -> Moment:
    return moment("HookEnded", clock, code=code, signal=signum, detail=detail)


def seen(pid: int, ppid: int = 1, **members: Any) -> dict[str, Any]:
    """A sight as it is stored."""
    sight = Sight(pid=pid, start_time=pid, ppid=ppid, session=MAIN, **({"name": "python3", "state": "S"} | members))
    decoded: dict[str, Any] = json.loads(msgspec.json.encode(sight))
    return decoded


def over(exit_status: ExitStatus | None, **members: Any) -> Container:
    """A container that ran and is STOPPED."""
    known: dict[str, Any] = {
        "run_id": run("main"),
        "run_number": 1,
        "identity": Identity(MAIN, 77),
        "last_status": LastStatus.STOPPED,
        "exit": exit_status,
        "started_at": 1900.0,
        "stopped_at": 2040.0,
    }
    return msgspec.structs.replace(container_of("main"), **(known | members))


def stopped(*containers: Container) -> Task:
    return msgspec.structs.replace(
        task_of(*containers),
        last_status=LastStatus.STOPPED,
        desired_status=DesiredStatus.STOPPED,
        stop_code=StopCode.USER_INITIATED,
        stopped_reason="new release",
        stopping_at=1999.99,
        stopped_at=2040.0,
    )


def report_of(container: Container, *moments: Moment, log: Sequence[str] = ()) -> dict[str, Any]:
    report = build_report(stopped(container), moments, {"main": list(log)})
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    found: dict[str, Any] = report["containers"][0]
    return found


@pytest.fixture(autouse=True)
def diagnosed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """A diagnosis of our own: everybody ignores SIGTERM, the youngest is most to blame. Its questions are kept."""
    asked: list[tuple[Any, ...]] = []

    def diagnose(sights: Sequence[Sight], signums: Sequence[int], main: int, *, main_over: bool) -> list[Finding]:
        asked.append(([sight.pid for sight in sights], list(signums), main, main_over))
        return [
            Finding(pid=one.pid, name=one.name, kind=Kind.UNKNOWN, text="ignores SIGTERM", advice="Handle SIGTERM.")
            for one in reversed(sights)
        ]

    monkeypatch.setattr(diagnosis, "diagnose", diagnose)
    monkeypatch.setattr(diagnosis, "summarize", lambda findings: f"{findings[0].pid} {findings[0].text}")
    return asked


SIGNAL = sent(CLOCK, TERM, MAIN)
TO_MAIN = (0.0, "signalled", "SIGTERM to the main process, 4711")
KILLED = sent(530.0004, KILL, MAIN, whom="group")
LIVES: dict[str, tuple[Container, list[Moment], str, list[tuple[float, str, str]]]] = {
    "graceful": (
        over(ExitStatus(code=0)),
        [SIGNAL, exited(501.2, 0), emptied(501.25)],
        "graceful",
        [TO_MAIN, (1.2, "exited", "main process exited 0"), (1.25, "emptied", "nothing is left")],
    ),
    "signalled": (
        over(ExitStatus(signal=TERM)),
        [SIGNAL, exited(500.001, None, TERM), emptied(500.002)],
        "signalled",
        [
            TO_MAIN,
            (0.001, "exited", "main process ended by SIGTERM"),
            (0.002, "emptied", "nothing is left"),
        ],
    ),
    "killed": (
        over(ExitStatus(signal=KILL)),
        [SIGNAL, KILLED, looked(529.9, seen(MAIN)), exited(530.02, None, KILL), emptied(530.03)],
        "killed",
        [
            TO_MAIN,
            (29.9, "looked", "looked at 1 process"),
            (30.0, "killed", "SIGKILL to 1 process: 4711 (0.4 ms after the deadline)"),
            (30.02, "exited", "main process ended by SIGKILL"),
            (30.03, "emptied", "nothing is left"),
        ],
    ),
    "what it left is killed": (
        over(ExitStatus(code=3)),
        [
            SIGNAL,
            exited(500.4, 3),
            sent(500.401, TERM, 4712, 4713, whom="group"),
            sent(530, KILL, 4712, whom="group"),
            emptied(530.1),
        ],
        "left-killed",
        [
            TO_MAIN,
            (0.4, "exited", "main process exited 3"),
            (0.401, "signalled", "SIGTERM to 2 processes that were left: 4712, 4713"),
            (30.0, "killed", "SIGKILL to 1 process: 4712 (at the deadline)"),
            (30.1, "emptied", "nothing is left"),
        ],
    ),
    "killed by another first": (
        over(ExitStatus(signal=KILL)),
        [SIGNAL, exited(510, None, KILL), sent(530, KILL, 4712, whom="group"), emptied(530.1)],
        "left-killed",
        [
            TO_MAIN,
            (10.0, "exited", "main process ended by SIGKILL"),
            (30.0, "killed", "SIGKILL to 1 process: 4712 (at the deadline)"),
            (30.1, "emptied", "nothing is left"),
        ],
    ),
    "exited unasked": (
        over(ExitStatus(code=1)),
        [exited(499.5, 1), sent(499.6, TERM, 4712, whom="group"), emptied(499.7)],
        "exited",
        [
            (-0.1, "exited", "main process exited 1"),
            (0.0, "signalled", "SIGTERM to 1 process that was left: 4712"),
            (0.1, "emptied", "nothing is left"),
        ],
    ),
    "out of memory": (
        over(ExitStatus(signal=KILL)),
        [exited(499.5, None, KILL, oom_kills=2), emptied(499.6)],
        "exited",
        [
            (0.0, "exited", "main process ended by SIGKILL (for want of memory the kernel has killed 2 processes)"),
            (0.1, "emptied", "nothing is left"),
        ],
    ),
    "a crash in the handler": (
        over(ExitStatus(signal=int(signal.SIGSEGV))),
        [SIGNAL, exited(500.5, None, int(signal.SIGSEGV)), emptied(500.6)],
        "exited",
        [TO_MAIN, (0.5, "exited", "main process ended by SIGSEGV"), (0.6, "emptied", "nothing is left")],
    ),
    "a hook, a second signal, less time": (
        over(ExitStatus(code=0)),
        [
            moment("HookStarted", 498.5, deadline=528.5, window=30.0),
            hook(499.0, 1),
            SIGNAL,
            sent(502, int(signal.SIGINT), MAIN),
            moment("Hastened", 503, deadline=505.0, window=5.0),
            exited(504, 0),
            emptied(504.1),
        ],
        "graceful",
        [
            (-1.5, "hook-started", "pre-stop hook started"),
            (-1.0, "hook-ended", "pre-stop hook exited 1"),
            TO_MAIN,
            (2.0, "signalled", "SIGINT to the main process, 4711"),
            (3.0, "hastened", "deadline brought forward to 5.0 s after the signal"),
            (4.0, "exited", "main process exited 0"),
            (4.1, "emptied", "nothing is left"),
        ],
    ),
    "hooks that fail otherwise": (
        over(ExitStatus(code=0)),
        [hook(498, None, KILL), hook(499, None, None, "no such file"), SIGNAL, exited(504, 0), emptied(504.1)],
        "graceful",
        [
            (-2.0, "hook-ended", "pre-stop hook ended by SIGKILL"),
            (-1.0, "hook-ended", "pre-stop hook could not be started: no such file"),
            TO_MAIN,
            (4.0, "exited", "main process exited 0"),
            (4.1, "emptied", "nothing is left"),
        ],
    ),
    "SIGKILL again and again": (
        over(ExitStatus(signal=KILL)),
        [
            SIGNAL,
            *(sent(clock, KILL, MAIN, 4712, whom="group") for clock in (530.002, 530.05, 535, 540)),
            sent(560, KILL, MAIN, whom="group"),
            looked(0, told_at=530.1),
            exited(561, None, KILL),
            emptied(561.1),
        ],
        "killed",
        [
            TO_MAIN,
            (
                30.002,
                "killed",
                "SIGKILL to 2 processes: 4711, 4712 (2.0 ms after the deadline), 4 times until +40.0 s",
            ),
            (30.1, "looked", "no time to look at what was left"),
            (60.0, "killed", "SIGKILL to 1 process: 4711 (30.0 s after the deadline)"),
            (61.0, "exited", "main process ended by SIGKILL"),
            (61.1, "emptied", "nothing is left"),
        ],
    ),
    "everybody at once": (
        over(ExitStatus(code=0)),
        [sent(CLOCK, TERM, MAIN, 4712, whom="group"), exited(504, 0), emptied(504.1)],
        "graceful",
        [
            (0.0, "signalled", "SIGTERM to 2 processes: 4711, 4712"),
            (4.0, "exited", "main process exited 0"),
            (4.1, "emptied", "nothing is left"),
        ],
    ),
    "exit not known": (
        over(None),
        [SIGNAL, exited(501, None), emptied(502)],
        "unknown",
        [
            TO_MAIN,
            (1.0, "exited", "main process ended, exit code not known"),
            (2.0, "emptied", "nothing is left"),
        ],
    ),
    "never started": (over(None, started_at=None, identity=None), [], "never-started", []),
    "under way": (over(None, last_status=LastStatus.RUNNING, stopped_at=None), [SIGNAL], "running", [TO_MAIN]),
    "graceful, by the record": (over(ExitStatus(code=0), signalled_at=2000.0, exited_at=2001.0), [], "graceful", []),
    "signalled, by the record": (over(ExitStatus(signal=TERM), signalled_at=2000.0), [], "signalled", []),
    "killed, by the record": (
        over(ExitStatus(signal=KILL), signalled_at=2000.0, killed_at=2030.0, exited_at=2030.0),
        [],
        "killed",
        [],
    ),
    "left-killed, by the record": (
        over(ExitStatus(signal=KILL), signalled_at=2000.0, killed_at=2030.0, exited_at=2029.0),
        [],
        "left-killed",
        [],
    ),
    "exited, by the record": (over(ExitStatus(code=0), signalled_at=2000.0, exited_at=1999.0), [], "exited", []),
}


@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES)
def test_lives(life: tuple[Container, list[Moment], str, list[tuple[float, str, str]]]) -> None:
    container, moments, outcome, timeline = life
    told = report_of(container, *moments)
    assert told["outcome"] == outcome
    assert [(entry["after"], entry["what"], entry["text"]) for entry in told["timeline"]] == timeline
    # everything is told at least once, and in whatever order it is read
    assert report_of(container, *reversed(moments), *moments) == told


def test_a_whole_report() -> None:
    look = looked(529.9, seen(MAIN))
    task = stopped(over(ExitStatus(signal=KILL), reason="Killed", window=30.0))
    report = build_report(
        task, [SIGNAL, KILLED, look, exited(530.02, None, KILL), emptied(530.03)], {"main": ["last words"]}
    )
    (container,) = report.pop("containers")
    (process,) = container.pop("processes")
    assert report == {
        "taskArn": task.task_arn,
        "taskDefinitionArn": task.task_definition_arn,
        "clusterArn": task.cluster_arn,
        "lastStatus": "STOPPED",
        "desiredStatus": "STOPPED",
        "stopCode": "UserInitiated",
        "stoppedReason": "new release",
        "stoppingAt": 1999.99,
        "stoppedAt": 2040.0,
        "seconds": 30.04,
    }
    timeline = container.pop("timeline")
    assert container == {
        "name": "main",
        "essential": True,
        "lastStatus": "STOPPED",
        "exitCode": 137,
        "reason": "Killed",
        "outcome": "killed",
        "finding": "4711 ignores SIGTERM",
        "window": 30.0,
        "seconds": 30.03,
        "advice": ["Handle SIGTERM."],
        "log": ["last words"],
    }
    assert timeline[0] == {
        "after": 0.0,
        "at": 2000.0,
        "what": "signalled",
        "text": "SIGTERM to the main process, 4711",
        "signal": "SIGTERM",
        "pids": [4711],
        "deadline": 30.0,
    }
    assert (timeline[1]["at"], timeline[1]["after"]) == (2029.9, 29.9)
    assert timeline[2]["late"] == pytest.approx(0.0004)
    assert timeline[3] | {"exitCode": 137, "signal": "SIGKILL"} == timeline[3]
    assert process["finding"] == "ignores SIGTERM"


def test_what_is_not_known_is_left_out() -> None:
    report = build_report(task_of(container_of("main")), [], {})
    assert report.keys() == {
        "taskArn",
        "taskDefinitionArn",
        "clusterArn",
        "lastStatus",
        "desiredStatus",
        "containers",
    }
    assert report["containers"] == [
        {
            "name": "main",
            "essential": True,
            "lastStatus": "PENDING",
            "outcome": "running",
            "timeline": [],
            "processes": [],
            "advice": [],
            "log": [],
        }
    ]


def test_times_are_those_of_the_monotonic_clock() -> None:
    """The wall clock is set back by an hour in the middle of the stop."""
    moments = [SIGNAL, exited(520, 0), msgspec.structs.replace(emptied(521), at=-1579.0)]
    container = over(ExitStatus(code=0), signalled_at=2000.0, stopped_at=-1579.0)
    report = build_report(msgspec.structs.replace(stopped(container), stopped_at=1999.99), moments, {})
    assert report["seconds"] == 21.01
    assert report["containers"][0]["seconds"] == 21.0


def test_only_the_present_run_is_told_of() -> None:
    earlier = [msgspec.structs.replace(one, run_id="f" * 32) for one in (SIGNAL, KILLED, looked(529, seen(MAIN)))]
    told = report_of(over(ExitStatus(code=0)), *earlier, sent(600, TERM, MAIN), exited(601, 0), emptied(601))
    assert told["outcome"] == "graceful"
    assert [entry["after"] for entry in told["timeline"]] == [0.0, 1.0, 1.0]
    assert told["processes"] == []


def processes_of(*facts: Any, before: Sequence[Moment] = ()) -> list[dict[str, Any]]:
    told = report_of(over(ExitStatus(signal=KILL)), SIGNAL, *before, looked(529.9, *facts), KILLED, emptied(531))
    processes: list[dict[str, Any]] = told["processes"]
    return processes


def test_processes_stand_after_their_parents_and_the_main_one_first() -> None:
    told = processes_of(seen(9, 8), seen(5, 1), seen(4712, MAIN), seen(8, 4712), seen(MAIN), seen(4713, MAIN))
    assert [(one["pid"], one.get("parent"), one["main"]) for one in told] == [
        (4711, None, True),
        (4712, 4711, False),
        (8, 4712, False),
        (9, 8, False),
        (4713, 4711, False),
        (5, None, False),
    ]


def test_a_loop_of_parents_is_no_loop() -> None:
    told = processes_of(seen(2, 3), seen(3, 2), seen(7, 7))
    assert [(one["pid"], one.get("parent")) for one in told] == [(2, None), (3, 2), (7, None)]


def test_what_does_not_fit_is_left_out() -> None:
    facts = [{"pid": 3}, seen(4) | {"from_the_future": 1}, "text", None, seen(5), seen(5, name="twice")]
    assert [(one["pid"], one["name"]) for one in processes_of(*facts)] == [(5, "python3")]


def test_a_process_in_full() -> None:
    mask = 1 << TERM - 1
    (told,) = processes_of(
        seen(
            MAIN,
            command="python3 -m worker",
            state="D",
            ignored=mask | 1 << 40,
            blocked=1,
            wchan="pipe_read",
            syscall="read",
            target="pipe",
            stack=("pipe_read", "vfs_read"),
            tracer=99,
            tracer_name="gdb",
            connections=("tcp 10.0.0.1:5432",),
            cpu_seconds=1.23456,
            cpu_rate=0.0,
            io_rate=2048.0,
            memory=1024,
            threads=3,
            age=31.0,
        )
    )
    assert told == {
        "pid": 4711,
        "name": "python3",
        "command": "python3 -m worker",
        "state": "in uninterruptible sleep",
        "main": True,
        "finding": "ignores SIGTERM",
        "kind": "unknown",
        "advice": "Handle SIGTERM.",
        "signals": {"ignored": ["SIGTERM", "SIGRTMIN+7"], "blocked": ["SIGHUP"]},
        "waiting": "read on pipe (pipe_read in the kernel)",
        "stack": ["pipe_read", "vfs_read"],
        "tracer": {"pid": 99, "name": "gdb"},
        "cpuSeconds": 1.235,
        "cpuRate": 0.0,
        "ioRate": 2048.0,
        "memory": 1024,
        "threads": 3,
        "connections": ["tcp 10.0.0.1:5432"],
        "age": 31.0,
    }


@pytest.mark.parametrize(
    ("members", "waiting"),
    [
        ({}, None),
        ({"wchan": "0"}, None),
        ({"wchan": "hrtimer_nanosleep"}, "hrtimer_nanosleep in the kernel"),
        ({"syscall": "futex"}, "futex"),
        ({"syscall": "connect", "target": "tcp 10.0.0.1:80", "wchan": "0"}, "connect on tcp 10.0.0.1:80"),
    ],
)
def test_what_a_process_waits_for(members: dict[str, Any], waiting: str | None) -> None:
    (told,) = processes_of(seen(MAIN, **members))
    assert told.get("waiting") == waiting


def test_a_frozen_process_is_called_so() -> None:
    assert processes_of(seen(MAIN, frozen=True))[0]["state"] == "frozen"


def test_the_diagnosis_knows_whether_the_main_process_was_over(diagnosed: list[tuple[Any, ...]]) -> None:
    processes_of(seen(4712), before=[exited(529.5, 0)])
    processes_of(seen(4712), before=[exited(529.95, 0)])
    assert diagnosed == [([4712], [TERM], MAIN, True), ([4712], [TERM], MAIN, False)]


def test_the_last_look_that_showed_anything_counts() -> None:
    looks = [looked(529.9, seen(MAIN)), looked(529.95, seen(4712)), looked(529.99)]
    told = report_of(over(ExitStatus(signal=KILL)), SIGNAL, *looks, KILLED)
    assert [one["pid"] for one in told["processes"]] == [4712]
    assert told["advice"] == ["Handle SIGTERM."]


def test_names_of_signals() -> None:
    assert [signal_name(number) for number in (15, 34, 35, 64, 33, 0, 99)] == [
        "SIGTERM",
        "SIGRTMIN",
        "SIGRTMIN+1",
        "SIGRTMAX",
        "signal 33",
        "signal 0",
        "signal 99",
    ]
    assert signal_names(0) == []
    assert len(signal_names(2**64 - 1)) == 64


MOMENTS = [
    *(told for _, moments, _, _ in LIVES.values() for told in moments),
    looked(529.9, seen(MAIN), seen(4712, MAIN), {"pid": 1}),
    moment("Spawned", 480.0, pid=MAIN),
    moment("Signalled", 490.0),
    moment("Hastened", 490.0),
    moment("Looked", 490.0, facts="text"),
    moment("Exited", 491.0),
    moment("HookEnded", 491.0),
    moment("Emptied", 470.0, name="other"),
]
CONTAINERS = [container for container, _, _, _ in LIVES.values()]


@given(st.lists(st.sampled_from(MOMENTS), max_size=12), st.sampled_from(CONTAINERS))
def test_any_moments_in_any_order_make_a_report(moments: list[Moment], container: Container) -> None:
    told = report_of(container, *moments)
    after = [entry["after"] for entry in told["timeline"]]
    assert after == sorted(after)
    assert all(entry["text"] and entry["at"] > 0 for entry in told["timeline"])
    signals = [entry["after"] for entry in told["timeline"] if entry["what"] == "signalled"]
    assert not signals or signals[0] == 0.0


class TestHistory:
    def test_past_runs_and_the_present_one_in_the_order_of_their_starts(self) -> None:
        past = [
            PastRun(
                task_id=TASK_ID,
                container="main",
                number=2,
                run_id="b",
                pid=12,
                started_at=1050.0,
                killed_at=1060.0,
                stopped_at=1060.5,
                exit=ExitStatus(signal=KILL),
                reason="hung",
                restarted=True,
            ),
            PastRun(
                task_id=TASK_ID,
                container="main",
                number=1,
                run_id="a",
                stopped_at=1040.0,
                reason="no such file",
                restarted=True,
            ),
        ]
        present = over(
            None, run_number=3, running_since=70.0, started_at=1070.0, stopped_at=None, last_status=LastStatus.RUNNING
        )
        assert build_history(task_of(present), past) == {
            "taskArn": task_of(present).task_arn,
            "runs": [
                {
                    "container": "main",
                    "number": 1,
                    "reason": "no such file",
                    "stoppedAt": 1040.0,
                    "killed": False,
                    "restarted": True,
                    "running": False,
                },
                {
                    "container": "main",
                    "number": 2,
                    "exitCode": 137,
                    "signal": "SIGKILL",
                    "reason": "hung",
                    "startedAt": 1050.0,
                    "stoppedAt": 1060.5,
                    "seconds": 10.5,
                    "killed": True,
                    "restarted": True,
                    "running": False,
                    "pid": 12,
                },
                {
                    "container": "main",
                    "number": 3,
                    "startedAt": 1070.0,
                    "killed": False,
                    "restarted": False,
                    "running": True,
                    "pid": MAIN,
                },
            ],
        }

    def test_a_run_that_is_kept_already_is_told_once(self) -> None:
        container = over(ExitStatus(code=0), will_restart=True)
        kept = PastRun(
            task_id=TASK_ID, container="main", number=1, run_id=run("main"), exit=ExitStatus(code=0), restarted=True
        )
        assert len(build_history(task_of(container), [kept])["runs"]) == 1

    def test_what_was_never_asked_for_is_no_run(self) -> None:
        assert build_history(task_of(container_of("main")), [])["runs"] == []

    def test_a_clock_that_was_set_back_makes_no_negative_time(self) -> None:
        container = over(ExitStatus(code=0), stopped_at=1000.0)
        assert build_history(task_of(container), [])["runs"][0]["seconds"] == 0.0
