"""A stop report and a history as text: what a person reads, at any width, with whatever the output can show."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.cli import main
from supervisor.cli.history import write_history
from supervisor.cli.report_drawing import draw_bar, draw_tree, size
from supervisor.cli.report_text import verdict, write_report
from supervisor.cli.sheet import ASCII, DRAWN, Page, folded, wrapped
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_agent import ARN, FakeAgent

Json = dict[str, Any]


def entry(after: float, what: str, text: str = "", **members: Any) -> Json:
    return {"after": after, "at": 2000.0 + after, "what": what, "text": text or what, **members}


SIGNALLED = entry(0.0, "signalled", "SIGTERM to the main process, 4711", signal="SIGTERM", pids=[4711], deadline=30.0)
LOOKED = entry(29.9, "looked", "looked at 3 processes")
KILLED = entry(30.0, "killed", "SIGKILL to 3 processes: 4711, 4712, 4713 (0.4 ms after the deadline)")
EXITED = entry(1.2, "exited", "main process exited 0", exitCode=0)
DIED = entry(30.02, "exited", "main process ended by SIGKILL", exitCode=137, signal="SIGKILL")
EMPTIED = entry(30.2, "emptied", "nothing is left")


def container_of(outcome: str, *timeline: Json, name: str = "worker", **members: Any) -> Json:
    known = {"essential": True, "lastStatus": "STOPPED", "processes": [], "advice": [], "log": []}
    return {"name": name, "outcome": outcome, "timeline": list(timeline), **known, **members}


def process_of(pid: int, **members: Any) -> Json:
    known: Json = {
        "name": "python3",
        "command": "",
        "state": "sleeping",
        "main": False,
        "signals": {},
        "cpuSeconds": 1.5,
        "cpuRate": 0.98,
        "ioRate": 2048.0,
        "memory": 50 << 20,
        "threads": 1,
        "age": 31.0,
    }
    return {"pid": pid, **known, **members}


TREE = [
    process_of(4711, main=True, name="sh", finding="waits for its child", command="/bin/sh -c worker.py"),
    process_of(4712, parent=4711, finding="ignores SIGTERM", signals={"ignored": ["SIGTERM"], "handled": ["SIGINT"]}),
    process_of(4714, parent=4712),
    process_of(4713, parent=4711, waiting="write on /mnt/x", stack=["a", "b"], tracer={"pid": 9, "name": "gdb"}),
]
STUBBORN = container_of(
    "killed",
    SIGNALLED,
    LOOKED,
    KILLED,
    DIED,
    EMPTIED,
    exitCode=137,
    seconds=30.2,
    finding="4711 (sh) waits for its child and forwards nothing",
    processes=TREE,
    advice=["Start the program with exec."],
    log=["INFO started", "    \x1b[31mERROR\t" + "x" * 1000],
)
WEB = container_of("graceful", SIGNALLED, EXITED, name="web", exitCode=0, seconds=1.21)
REPORT = {
    "taskArn": ARN,
    "taskDefinitionArn": "arn:aws:ecs:local:000000000000:task-definition/web:1",
    "clusterArn": "arn:aws:ecs:local:000000000000:cluster/default",
    "lastStatus": "STOPPED",
    "desiredStatus": "STOPPED",
    "stopCode": "UserInitiated",
    "stoppedReason": "new release",
    "stoppingAt": 1800000000.0,
    "stoppedAt": 1800000030.2,
    "seconds": 30.2,
    "containers": [STUBBORN, WEB],
}


@pytest.mark.parametrize(
    ("container", "text"),
    [
        (STUBBORN, "killed 30.0 s after SIGTERM: 4711 (sh) waits for its child and forwards nothing"),
        (WEB, "exited 0 after 1.2 s"),
        (
            container_of("graceful", SIGNALLED, EXITED, EMPTIED, exitCode=0, seconds=30.2),
            "exited 0 after 1.2 s, the last of what it left after 30.2 s",
        ),
        (
            container_of("signalled", SIGNALLED, entry(0.0, "exited", signal="SIGTERM"), exitCode=143, seconds=0.01),
            "ended by SIGTERM after 0.0 s",
        ),
        (
            container_of("left-killed", SIGNALLED, EXITED, KILLED, exitCode=0, finding="4712 (x) ignores SIGTERM"),
            "exited 0, what it left was killed 30.0 s after SIGTERM: 4712 (x) ignores SIGTERM",
        ),
        (container_of("killed", exitCode=137, seconds=2.0), "killed 2.0 s after the stop signal"),
        (container_of("killed", KILLED, exitCode=137), "killed"),
        (
            container_of("killed", SIGNALLED, KILLED, exitCode=137, reason="Killed 30.0 s after the stop signal: late"),
            "killed 30.0 s after SIGTERM: late",
        ),
        (container_of("exited", exitCode=1), "exited 1 by itself"),
        (
            container_of("exited", entry(0.0, "exited", signal="SIGKILL"), reason="OutOfMemoryError"),
            "ended by SIGKILL unasked: OutOfMemoryError",
        ),
        (
            container_of(
                "exited", entry(0.0, "exited", signal="SIGHUP"), reason="Ended by SIGHUP, which was another's"
            ),
            "ended by SIGHUP, which was another's",
        ),
        (container_of("graceful", exitCode=0), "exited 0"),
        (container_of("never-started", reason="no such file"), "never started: no such file"),
        (container_of("unknown", reason="Lost"), "nobody knows how it ended: Lost"),
        (container_of("running", lastStatus="RUNNING"), "running"),
        (container_of("running", SIGNALLED), "stopping: SIGTERM was sent, SIGKILL 30.0 s after it"),
        (container_of("running", SIGNALLED, KILLED, reason="4711 is in D"), "still there after SIGKILL: 4711 is in D"),
    ],
)
def test_verdicts(container: Json, text: str) -> None:
    assert verdict(container) == text


def test_the_verdicts_come_first_and_then_what_to_do() -> None:
    lines = [line.text for line in write_report(REPORT, Page(100))]
    assert lines[:10] == [
        "worker: killed 30.0 s after SIGTERM: 4711 (sh) waits for its child and forwards nothing",
        "web: exited 0 after 1.2 s",
        "",
        "What to do:",
        "- worker: Start the program with exec.",
        "",
        "task 0123456789abcdef0123456789abcdef of web:1, STOPPED",
        "stop begun 2027-01-15T08:00:00Z, took 30.2 s: UserInitiated: new release",
        "",
        "── worker " + "─" * 90,
    ]
    assert "   +0.000 s  SIGTERM to the main process, 4711" in lines
    assert "  +29.900 s  looked at 3 processes" in lines
    assert "What was left, seen 0.10 s before the deadline:" in lines
    assert lines.index("Last lines of its log:") < lines.index("── web " + "─" * 93)


HOOKED = entry(0.1, "hook-ended", "pre-stop hook exited 0")


@pytest.mark.parametrize(
    ("begun", "timeline", "told"),
    [
        (1997.0, [SIGNALLED, EXITED], ["  +0.0 s is 3.0 s after the begin of the task's stop"]),
        (
            1998.0,
            [SIGNALLED, HOOKED],
            ["  +0.0 s is 2.0 s after the begin of the task's stop, after its pre-stop hook"],
        ),
        (1999.99, [SIGNALLED, EXITED], []),
        (2001.0, [SIGNALLED, EXITED], []),
        (1997.0, [EXITED], []),
    ],
)
def test_a_signal_that_came_later_than_the_stop_says_so(begun: float, timeline: list[Json], told: list[str]) -> None:
    lines = write_report(REPORT | {"stoppingAt": begun, "containers": [container_of("graceful", *timeline)]}, Page(80))
    assert [line.text for line in lines if "begin of the task" in line.text] == told


def test_of_what_has_no_story_there_is_no_section() -> None:
    container = container_of("never-started", reason="no such file")
    report = {name: REPORT[name] for name in ("taskArn", "taskDefinitionArn", "lastStatus")} | {
        "containers": [container]
    }
    assert [line.text for line in write_report(report, Page(80))] == [
        "worker: never started: no such file",
        "",
        "task 0123456789abcdef0123456789abcdef of web:1, STOPPED",
    ]


@pytest.mark.parametrize("glyphs", [DRAWN, ASCII])
@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_nothing_is_wider_than_the_page(width: int, glyphs: Any) -> None:
    lines = write_report(REPORT, Page(width, glyphs))
    deep = 12  # of a tree on a narrow page the text goes on to the right
    assert max(len(line.text) for line in lines) <= (width if width > 20 else width + deep)
    assert all(line.text.isprintable() for line in lines)
    text = " ".join(line.text for line in lines)
    assert text.isascii() == (glyphs is ASCII)


@pytest.mark.parametrize(
    ("timeline", "width", "bar"),
    [
        ([SIGNALLED, EXITED, entry(3.0, "emptied")], 25, "  SEO┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄D"),
        ([SIGNALLED, entry(15.0, "exited"), entry(15.1, "emptied")], 25, "  S━━━━━━━━━EO┄┄┄┄┄┄┄┄D"),
        ([SIGNALLED, LOOKED, KILLED, DIED, EMPTIED], 25, "  S━━━━━━━━━━━━━━━LDKEO"),
        ([entry(-10.0, "hook-ended"), {**SIGNALLED, "deadline": 10.0}], 25, "  H┄┄┄┄┄┄┄┄┄S┄┄┄┄┄┄┄┄┄D"),
        ([{**SIGNALLED, "deadline": 0.0}, entry(0.0, "killed"), entry(0.0, "emptied")], 25, "  SDKO" + "┄" * 17),
        ([SIGNALLED, {**entry(1.0, "hastened"), "deadline": 2.0}, entry(2.0, "killed")], 25, "  S" + "━" * 18 + "DK"),
    ],
)
def test_the_bar_is_to_scale_and_keeps_the_order(timeline: list[Json], width: int, bar: str) -> None:
    page = Page(width, DRAWN._replace(rest="┄"))
    drawn = draw_bar(container_of("killed", *timeline), page)
    assert drawn[0].text == bar


def test_the_bar_has_its_ends_and_a_legend() -> None:
    _, ends, legend = draw_bar(WEB, Page(60))
    assert ends.text == "  +0.0 s" + " " * 43 + "+30.0 s"
    assert legend.text == "  S signal  E exit  D deadline"


def test_without_a_signal_there_is_no_bar() -> None:
    assert draw_bar(container_of("exited", entry(0.0, "exited")), Page(60)) == []


MARKED = st.tuples(
    st.floats(-50, 50), st.sampled_from(["signalled", "exited", "looked", "killed", "emptied", "hook-ended"])
)


@given(st.lists(MARKED, max_size=60), st.integers(20, 120))
def test_any_timeline_makes_a_bar(marks: list[tuple[float, str]], width: int) -> None:
    timeline = [entry(after, what) for after, what in sorted(marks)]
    for line in draw_bar(container_of("killed", SIGNALLED, *timeline), Page(width))[:2]:
        assert len(line.text) <= width


def test_the_tree() -> None:
    bare = [{**one, "command": "", "signals": {}} for one in TREE]
    lines = [line.text for line in draw_tree(bare, Page(200)) if "used:" not in line.text]
    assert lines == [
        "  4711 sh (main), sleeping: waits for its child",
        "  ├─ 4712 python3, sleeping: ignores SIGTERM",
        "  │  └─ 4714 python3, sleeping",
        "  └─ 4713 python3, sleeping",
        "        waiting in: write on /mnt/x",
        "        kernel stack: a < b",
        "        traced by: 9 (gdb)",
    ]


def test_what_is_told_of_a_process() -> None:
    lines = [line.text for line in draw_tree([{**TREE[1], "connections": ["tcp 10.0.0.1:5432"]}], Page(200, ASCII))]
    assert lines == [
        "  4712 python3, sleeping: ignores SIGTERM",
        "     signals: ignored SIGTERM; handled SIGINT",
        "     connections: tcp 10.0.0.1:5432",
        "     used: 1.5 s of CPU, 50.0 MiB, 1 thread, in 31 s; when seen 0.98 CPUs, 2.0 KiB/s",
    ]


@pytest.mark.parametrize(
    ("hidden", "told"),
    [(["ioRate"], "in 31 s; when seen 0.98 CPUs"), (["cpuRate", "ioRate"], "1 thread, in 31 s")],
)
def test_a_rate_that_could_not_be_seen_is_not_told(hidden: list[str], told: str) -> None:
    process = {key: value for key, value in process_of(4712).items() if key not in hidden}
    assert [line.text for line in draw_tree([process], Page(200, ASCII))][-1].endswith(told)


def test_names_cannot_steer_the_terminal() -> None:
    evil = "a\x1b[2J\n\r\x9bb"
    container = container_of("killed", SIGNALLED, name=evil, reason=evil, log=[evil], advice=[evil])
    container["processes"] = [process_of(1, name=evil, command=evil, finding=evil, waiting=evil, stack=[evil])]
    lines = write_report({**REPORT, "stoppedReason": evil, "containers": [container]}, Page(80))
    assert all(line.text.isprintable() for line in lines)


def test_sizes() -> None:
    assert [size(count) for count in (0, 1023, 1024, 3 << 20, 5 << 30, 5 << 40)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "3.0 MiB",
        "5.0 GiB",
        "5120.0 GiB",
    ]


def test_a_long_line_of_a_log_is_folded_and_then_cut() -> None:
    lines = [line.text for line in folded("  x" + "y" * 100, Page(32), "  ", 2)]
    assert lines == ["    x" + "y" * 27, "  " + "y" * 26 + " ..."]
    assert [line.text for line in folded("", Page(32), "  ", 2)] == ["  "]


def test_text_without_room_is_written_all_the_same() -> None:
    assert [line.text for line in wrapped("some words", Page(20), " " * 18)] == [" " * 18 + "some words"]


RUNS: list[Json] = [
    {
        "container": "main",
        "number": 1,
        "exitCode": 137,
        "signal": "SIGKILL",
        "reason": "Killed 30.0 s after SIGTERM: 4711 (python3) ignores SIGTERM",
        "startedAt": 1800000000.0,
        "seconds": 61.5,
        "killed": True,
        "restarted": True,
        "running": False,
    },
    {"container": "main", "number": 2, "killed": False, "restarted": True, "running": False, "reason": "no such file"},
    {
        "container": "main",
        "number": 3,
        "startedAt": 1800000100.0,
        "exitCode": 0,
        "killed": False,
        "restarted": False,
        "running": False,
    },
    {"container": "side", "number": 1, "startedAt": 1800000200.0, "killed": False, "restarted": False, "running": True},
]
HISTORY = {"taskArn": ARN, "runs": RUNS}


def test_a_history_is_a_table() -> None:
    assert [line.text for line in write_history(HISTORY, Page(90))] == [
        "CONTAINER  RUN  STARTED               LASTED  EXIT         REASON",
        "main       1    2027-01-15T08:00:00Z  61.5 s  137 SIGKILL  Killed 30.0 s after SIGTERM:",
        "                                                           4711 (python3) ignores SIGTERM",
        "main       2    -                     -       -            no such file",
        "main       3    2027-01-15T08:01:40Z  -       0",
        "side       1    2027-01-15T08:03:20Z  -       running",
    ]


def test_a_narrow_history_has_its_reasons_below() -> None:
    assert [line.text for line in write_history(HISTORY, Page(40))] == [
        "CONTAINER  RUN  STARTED    LASTED  EXIT",
        "main       1    08:00:00Z  61.5 s  137",
        "  Killed 30.0 s after SIGTERM: 4711",
        "  (python3) ignores SIGTERM",
        "main       2    -          -       -",
        "  no such file",
        "main       3    08:01:40Z  -       0",
        "side       1    08:03:20Z  -       running",
    ]


def test_a_history_of_nothing_says_so() -> None:
    lines = write_history({"taskArn": ARN, "runs": []}, Page(80))
    assert [line.text for line in lines] == ["no container of this task was ever started"]


class Screen(io.TextIOWrapper):
    """A standard output of that encoding; a terminal if asked for."""

    def __init__(self, encoding: str, *, terminal: bool = False) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, write_through=True)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def shown(self) -> str:
        buffer = self.buffer
        assert isinstance(buffer, io.BytesIO)
        return buffer.getvalue().decode(self.encoding)


class TestCommands:
    def test_a_report(self, agent: FakeAgent, run: Run) -> None:
        agent.streams.append((200, REPORT))
        result = run("stop-report", "abc")
        assert (result.status, result.err) == (0, "")
        assert result.out.startswith("worker: killed 30.0 s after SIGTERM:")
        assert [request.path for request in agent.requests] == ["/v1/report?task=abc"]

    def test_a_history(self, agent: FakeAgent, run: Run) -> None:
        agent.streams.append((200, HISTORY))
        result = run("history", "abc", "--cluster", "b c")
        assert (result.status, result.err) == (0, "")
        assert result.out.startswith("CONTAINER  RUN  STARTED  ")
        assert [request.path for request in agent.requests] == ["/v1/history?task=abc&cluster=b+c"]

    @pytest.mark.parametrize("name", ["stop-report", "history"])
    def test_json(self, agent: FakeAgent, run: Run, name: str) -> None:
        agent.streams.append((200, REPORT))
        assert json.loads(run(name, "abc", "--output", "json").out) == REPORT

    @pytest.mark.parametrize(("name", "operation"), [("stop-report", "GetStopReport"), ("history", "GetHistory")])
    def test_an_unknown_task(self, agent: FakeAgent, run: Run, name: str, operation: str) -> None:
        error = {"__type": "InvalidParameterException", "message": "The referenced task was not found."}
        agent.streams.append((400, error))
        result = run(name, "abc")
        assert (result.status, result.out) == (1, "")
        assert result.err.endswith(f"when calling the {operation} operation: The referenced task was not found.\n")

    def test_no_agent(self, no_agent: str, run: Run) -> None:
        assert run("stop-report", "abc").status == 3

    def test_the_width_is_that_of_columns(self, agent: FakeAgent, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        for columns in (40, 120):
            monkeypatch.setenv("COLUMNS", str(columns))
            agent.streams.append((200, REPORT))
            assert max(map(len, run("stop-report", "abc").out.splitlines())) == columns

    def test_ascii(self, agent: FakeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
        screen = Screen("ascii")
        monkeypatch.setattr(sys, "stdout", screen)
        agent.streams.append((200, {**REPORT, "stoppedReason": "für immer"}))
        assert main(["stop-report", "abc"]) == 0
        assert "|- 4712 python3, sleeping: ignores SIGTERM" in screen.shown()
        assert "UserInitiated: f\\xfcr immer" in screen.shown()

    @pytest.mark.parametrize("colour", [True, False])
    def test_a_terminal_has_colours_unless_they_are_not_wanted(
        self, agent: FakeAgent, monkeypatch: pytest.MonkeyPatch, colour: bool
    ) -> None:
        screen = Screen("utf-8", terminal=True)
        monkeypatch.setattr(sys, "stdout", screen)
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.delenv("NO_COLOR", raising=False)
        if not colour:
            monkeypatch.setenv("NO_COLOR", "1")
        agent.streams.append((200, REPORT))
        assert main(["stop-report", "abc"]) == 0
        assert ("\x1b[1;31mworker: killed" in screen.shown()) == colour
        assert "└─ 4713 python3, sleeping" in screen.shown()
