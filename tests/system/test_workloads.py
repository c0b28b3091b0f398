"""Tasks of several containers, and those that do not start, through the whole stack in both ways of tracking."""

from __future__ import annotations

import time

import pytest

from tests.conftest import PATIENCE
from tests.process import observed
from tests.system.daemon import SOON, Daemon, Json

pytestmark = pytest.mark.system

WINDOW = 1
"""Seconds: the shortest stop timeout that a definition can have."""


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"command": ["/nonexistent", "x"]}, "exec: No such file or directory: '/nonexistent' (ENOENT)"),
        ({"command": ["/dev/null"]}, "exec: Permission denied: '/dev/null' (EACCES)"),
        ({"workingDirectory": "/none"}, "workingDirectory: No such file or directory: '/none' (ENOENT)"),
    ],
    ids=["no program", "no permission", "no directory"],
)
def test_what_cannot_be_started_says_why_and_has_no_exit_code(tracked: Daemon, members: Json, reason: str) -> None:
    arn = tracked.run(tracked.container("graceful.py", **members))
    task = tracked.wait(arn)
    (container,) = task["containers"]
    assert (task["stopCode"], task["stoppedReason"]) == ("TaskFailedToStart", "Task failed to start")
    assert "exitCode" not in container
    assert container["reason"] == f"CannotStartContainerError: cannot start, {reason}"
    assert {"startedAt", "executionStoppedAt"}.isdisjoint(task)


def test_one_that_cannot_start_has_the_others_stopped(tracked: Daemon) -> None:
    well = tracked.container("graceful.py", "7", name="well")
    ill = tracked.container("/nonexistent", name="ill", dependsOn=[{"containerName": "well", "condition": "START"}])
    arn = tracked.run(well, ill)
    task = tracked.wait(arn)
    assert task["stopCode"] == "TaskFailedToStart"
    # It may have had the signal before it had a handler; either way it was stopped, and not killed.
    assert task["containers"][0]["exitCode"] in (7, 143)
    assert "exitCode" not in task["containers"][1]


def test_a_stop_that_comes_while_a_task_starts(tracked: Daemon) -> None:
    definition = tracked.define(tracked.container("unhandled.py"))
    for _ in range(10):
        (task,) = tracked.call("RunTask", taskDefinition=definition)["tasks"]
        assert tracked.stop(task["taskArn"])["desiredStatus"] == "STOPPED"
        record = tracked.wait(task["taskArn"])
        assert (record["stopCode"], record["containers"][0].get("exitCode")) == ("UserInitiated", 143)


def test_a_container_that_waits_for_its_start_is_never_started_after_a_stop(tracked: Daemon) -> None:
    first = tracked.container("unhandled.py", name="first")
    second = tracked.container("exits.py", name="second", dependsOn=[{"containerName": "first", "condition": "START"}])
    (task,) = tracked.call("RunTask", taskDefinition=tracked.define(second, first))["tasks"]
    tracked.stop(task["taskArn"])
    record = tracked.wait(task["taskArn"])
    by_name = {one["name"]: one for one in record["containers"]}
    assert by_name["first"]["exitCode"] == 143
    assert record["stopCode"] == "UserInitiated"
    started = "runtimeId" in by_name["second"]
    assert started == ("exitCode" in by_name["second"]), "it was either started and has an exit code, or neither"


def test_the_exit_of_an_essential_container_stops_the_others_in_parallel(tracked: Daemon) -> None:
    arn = tracked.run(
        tracked.container("works_on.py", "/dev/null", name="essential"),
        tracked.container("graceful.py", "7", name="graceful", essential=False),
        tracked.container("ignores.py", name="stubborn", essential=False, stopTimeout=WINDOW),
        tracked.container("daemon.py", "stubborn", name="leaves", essential=False, stopTimeout=WINDOW),
    )
    mains = {process.pid: process for process in tracked.hear("main", 4)}
    tracked.wait(arn, "RUNNING")
    (essential,) = [one for one in mains.values() if observed.describe(one.pid).endswith("works_on.py /dev/null ")]
    asked_at = time.monotonic()
    essential.signal(15)
    task = tracked.wait(arn)
    assert WINDOW <= time.monotonic() - asked_at < WINDOW + SOON, "two windows that run at the same time are one"
    assert (task["stopCode"], task["stoppedReason"]) == (
        "EssentialContainerExited",
        "Essential container in task exited",
    )
    codes = {one["name"]: one["exitCode"] for one in task["containers"]}
    assert codes == {"essential": 42, "graceful": 7, "stubborn": 137, "leaves": 0}
    assert task["executionStoppedAt"] + WINDOW / 2 < task["stoppedAt"]


def test_the_exit_of_another_container_stops_nothing(tracked: Daemon) -> None:
    arn = tracked.run(
        tracked.container("graceful.py", "7", name="essential"),
        tracked.container("exits.py", "5", name="other", essential=False),
    )
    tracked.hear("main", 2)
    tracked.wait(arn, "RUNNING")
    for reply in tracked.client.watch(None, [arn], PATIENCE):
        task = reply["tasks"][0]
        essential, other = task["containers"]
        if other["lastStatus"] == "STOPPED":
            assert (essential["lastStatus"], other["exitCode"], task["desiredStatus"]) == ("RUNNING", 5, "RUNNING")
            break
    tracked.stop(arn)
    assert [one["exitCode"] for one in tracked.wait(arn)["containers"]] == [7, 5]
