"""The report of a stop and the history of a task, through the whole stack and from the command line."""

from __future__ import annotations

import json
import sys

import pytest

from tests.machine import WORKLOADS
from tests.system.daemon import MS, SOON, Daemon, Json

pytestmark = pytest.mark.system

WINDOW = 1
STUBBORN = ("/bin/sh", "-c", f"echo first; echo last words; exec {sys.executable} -S {WORKLOADS}/ignores.py")


def report_of(daemon: Daemon, arn: str) -> Json:
    report: Json = json.loads(daemon.cli("stop-report", "--output", "json", arn).stdout)
    assert report["taskArn"] == arn
    return report


def stopped(daemon: Daemon, *argv: str, stop_timeout: int = WINDOW, words: tuple[str, ...] = ("main",)) -> str:
    """The ARN of a task that was begun and stopped."""
    arn = daemon.run(daemon.container(*argv, stopTimeout=stop_timeout))
    for word in words:
        daemon.hear(word)
    daemon.stop(arn, reason="new release")
    daemon.wait(arn)
    return arn


def whats(container: Json) -> list[str]:
    return [entry["what"] for entry in container["timeline"]]


def test_why_a_stubborn_task_was_killed(tracked: Daemon) -> None:
    arn = stopped(tracked, *STUBBORN)
    report = report_of(tracked, arn)
    assert (report["stopCode"], report["stoppedReason"]) == ("UserInitiated", "new release")
    assert WINDOW - MS <= report["seconds"] < WINDOW + SOON
    (main,) = report["containers"]
    assert (main["outcome"], main["exitCode"], main["window"]) == ("killed", 137, WINDOW)
    assert whats(main) == ["signalled", "looked", "killed", "exited", "emptied"]
    after = [entry["after"] for entry in main["timeline"]]
    assert after[0] == 0.0
    # The window begins before the signal is sent, and is told after it: a busy machine can come between.
    assert after[1] < WINDOW <= after[2] + 10 * MS
    killed = main["timeline"][2]
    assert 0 <= killed["late"] < SOON
    (process,) = main["processes"]
    assert process["main"]
    assert killed["pids"] == [process["pid"]]
    assert "SIGTERM" in process["signals"]["ignored"]
    assert "ignores SIGTERM" in process["finding"]
    assert main["advice"]
    assert main["log"] == ["first", "last words"]
    # and as a person reads it
    lines = tracked.cli("stop-report", arn, environ={"COLUMNS": "200"}).stdout.splitlines()
    assert lines[0].startswith("main: killed 1.0 s after SIGTERM: ")
    assert "ignores SIGTERM" in lines[0]
    (bar,) = [line for line in lines if line.startswith("  S") and line.strip().endswith("O")]
    marks = [char for char in bar if char.isalpha()]
    assert sorted(marks) == sorted("SLDKEO")
    assert any(f"{process['pid']} " in line and "(main)" in line and "ignores SIGTERM" in line for line in lines)
    assert lines[-1] == "  last words"


def test_what_a_main_process_left_is_named(tracked: Daemon) -> None:
    arn = stopped(tracked, "leaves_child.py", "stubborn", "asked", words=("child", "main"))
    (main,) = report_of(tracked, arn)["containers"]
    assert (main["outcome"], main["exitCode"]) == ("left-killed", 3)
    assert whats(main) == ["signalled", "exited", "signalled", "looked", "killed", "emptied"]
    (child,) = main["processes"]
    assert not child["main"]
    assert main["timeline"][2]["pids"] == [child["pid"]]
    assert "ignores SIGTERM" in child["finding"]


def test_a_graceful_stop_has_nothing_to_explain(tracked: Daemon) -> None:
    arn = stopped(tracked, "graceful.py", "7", stop_timeout=30)
    (main,) = report_of(tracked, arn)["containers"]
    assert (main["outcome"], main["exitCode"], main["processes"], main["advice"]) == ("graceful", 7, [], [])
    assert whats(main) == ["signalled", "exited", "emptied"]
    assert main["seconds"] < SOON
    assert tracked.cli("stop-report", arn).stdout.startswith("main: exited 7 after ")


def test_a_report_is_there_as_long_as_its_task_is(daemon: Daemon) -> None:
    arn, _ = daemon.begin("graceful.py")
    (main,) = report_of(daemon, arn)["containers"]
    assert (main["outcome"], main["timeline"]) == ("running", [])
    daemon.stop(arn)
    daemon.wait(arn)
    report = report_of(daemon, arn)
    daemon.kill_agent()
    daemon.agent()
    assert report_of(daemon, arn) == report
    (run,) = json.loads(daemon.cli("history", "--output", "json", arn).stdout)["runs"]
    assert (run["container"], run["number"], run["exitCode"], run["running"]) == ("main", 1, 7, False)
    title, line = daemon.cli("history", arn).stdout.splitlines()
    assert title.split()[:5] == ["CONTAINER", "RUN", "STARTED", "LASTED", "EXIT"]
    assert line.split()[:2] == ["main", "1"]


def test_an_unknown_task(tracked: Daemon) -> None:
    for name, operation in (("stop-report", "GetStopReport"), ("history", "GetHistory")):
        refused = tracked.cli(name, "f" * 32, status=1)
        assert refused.stderr.endswith(
            f"(InvalidParameterException) when calling the {operation} operation: The referenced task was not found.\n"
        )
        assert refused.stdout == ""
