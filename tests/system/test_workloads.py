"""Every way in which a workload can stop, through the whole stack, in both ways of tracking: its record, no rest."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import NamedTuple

import pytest

from tests.conftest import PATIENCE
from tests.process import observed
from tests.system.daemon import AMPLE, MS, SOON, Daemon, Json

pytestmark = pytest.mark.system

WINDOW = 1
"""Seconds: the shortest stop timeout that a definition can have."""
MAIN_KILLED = r"Killed 1\.\d s after the stop signal: the main process did not exit in time"
REST_KILLED = r"Killed 1\.\d s after the stop signal: processes that the main process left behind did not exit in time"


class Story(NamedTuple):
    """A workload, the words by which its processes say that they are there, and what must be recorded of its stop."""

    argv: tuple[str, ...]
    exit_code: int
    reason: str | None = None
    """A pattern. Whoever has none stopped by itself, within the window; for all others the window ran out."""
    words: tuple[str, ...] = ("main",)


STOPPED = {
    "graceful": Story(("graceful.py", "7"), 7),
    "ignored": Story(("ignores.py",), 137, MAIN_KILLED),
    "unhandled": Story(("unhandled.py",), 143),
    "sigstopped": Story(("stopped.py",), 9),
    "child that heeds": Story(("leaves_child.py", "graceful", "asked"), 3, None, ("child", "main")),
    "child that does not": Story(("leaves_child.py", "stubborn", "asked"), 3, REST_KILLED, ("child", "main")),
    "daemon that heeds": Story(("daemon.py", "graceful"), 0, None, ("daemon", "main")),
    "daemon that does not": Story(("daemon.py", "stubborn"), 0, REST_KILLED, ("daemon", "main")),
    "cleared environment": Story(("cleared.py", "asked"), 4, REST_KILLED, ("orphan", "main")),
    "fork storm": Story(("grows.py",), 137, MAIN_KILLED, ("main",)),
}
"""Tasks that the user stops."""

EXITED = {
    "exits": Story(("exits.py", "11"), 11),
    "leaves a child that heeds": Story(("leaves_child.py", "graceful", "unasked"), 3, None, ("child", "main")),
    "leaves one that does not": Story(("leaves_child.py", "stubborn", "unasked"), 3, REST_KILLED, ("child", "main")),
    "leaves an orphan": Story(("cleared.py", "unasked"), 4, REST_KILLED, ("orphan", "main")),
    "leaves the output open": Story(("pipe_holder.py",), 5, REST_KILLED, ("grandchild", "main")),
}
"""Tasks that end by themselves."""


def assert_told(story: Story, task: Json, begun: str = "stoppingAt") -> None:
    """The one container's exit code and reason are as the story has them, and so is the time that its end took."""
    (container,) = task["containers"]
    assert container["exitCode"] == story.exit_code
    took = task["stoppedAt"] - task[begun]
    if story.reason is None:
        assert "reason" not in container
        assert took < SOON
    else:
        assert re.fullmatch(story.reason, container["reason"])
        assert WINDOW - MS <= took < WINDOW + SOON


def begin(daemon: Daemon, story: Story) -> tuple[str, list[observed.Process]]:
    """Run the workload; the task's ARN and its processes, which are all there."""
    timeout = AMPLE if story.reason is None else WINDOW
    arn = daemon.run(daemon.container(*story.argv, stopTimeout=timeout))
    return arn, [who for word in story.words for who in daemon.hear(word)]


@pytest.mark.parametrize("story", STOPPED.values(), ids=STOPPED)
def test_a_task_is_stopped_by_its_user(tracked: Daemon, story: Story) -> None:
    arn, processes = begin(tracked, story)
    if story.argv == ("stopped.py",):
        observed.until(lambda: observed.state(processes[0].pid) == "T", "SIGSTOP")
    tracked.wait(arn, "RUNNING")
    tracked.stop(arn)
    task = tracked.wait(arn)
    assert not [observed.describe(one.pid) for one in processes if one.alive]
    assert task["stopCode"] == "UserInitiated"
    assert_told(story, task)


@pytest.mark.parametrize("story", EXITED.values(), ids=EXITED)
def test_a_task_ends_with_its_essential_container(tracked: Daemon, story: Story) -> None:
    arn, processes = begin(tracked, story)
    task = tracked.wait(arn)
    assert not [observed.describe(one.pid) for one in processes if one.alive]
    assert (task["stopCode"], task["stoppedReason"]) == (
        "EssentialContainerExited",
        "Essential container in task exited",
    )
    assert_told(story, task, begun="executionStoppedAt")


@pytest.mark.parametrize(("manner", "code"), [("graceful", 6), ("stubborn", 137)])
def test_a_zombie_leader_with_living_threads_is_not_taken_for_dead(
    tracked: Daemon, compiled: Callable[[str], str], manner: str, code: int
) -> None:
    arn = tracked.run(tracked.container(compiled("zombie_leader"), manner, stopTimeout=WINDOW))
    (main,) = tracked.hear("main")
    observed.until(lambda: observed.state(main.pid) == "Z", "a zombie leader")
    tracked.wait(arn, "RUNNING")
    tracked.stop(arn)
    task = tracked.wait(arn)
    assert not main.alive
    assert_told(Story((), code, None if code == 6 else MAIN_KILLED), task)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"command": ["/nonexistent", "x"]}, r".*cannot start, exec: No such file or directory \(ENOENT\)"),
        ({"command": ["/dev/null"]}, r".*cannot start, exec: Permission denied \(EACCES\)"),
        ({"workingDirectory": "/nonexistent"}, r".*cannot start, workingDirectory: No such file .* \(ENOENT\)"),
    ],
    ids=["no program", "no permission", "no directory"],
)
def test_what_cannot_be_started_says_why_and_has_no_exit_code(tracked: Daemon, members: Json, reason: str) -> None:
    arn = tracked.run(tracked.container("graceful.py", **members))
    task = tracked.wait(arn)
    (container,) = task["containers"]
    assert (task["stopCode"], task["stoppedReason"]) == ("TaskFailedToStart", "Task failed to start")
    assert "exitCode" not in container
    assert container["reason"].startswith("CannotStartContainerError: ")
    assert re.fullmatch(reason, container["reason"])
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
