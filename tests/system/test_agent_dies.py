"""kill -9 of the agent: tasks run on, stops end on time, exits are kept, and callers notice nothing but a delay."""

from __future__ import annotations

import datetime as dt
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.conftest import PATIENCE
from tests.machine import REPOSITORY
from tests.process import observed
from tests.process.observed import Process
from tests.system.daemon import AMPLE, MS, SOON, SUPERVISOR, Daemon

pytestmark = pytest.mark.system

WINDOW = 1
CONNECTED, WAITING = "03", "02"
"""States of a connection that somebody has accepted, and of one that nobody has."""


@contextmanager
def hung_agent(daemon: Daemon) -> Iterator[None]:
    """An agent that does nothing meanwhile and is killed at the end: so long there is none, however fast they start."""
    agent = daemon.agent()
    agent.signal(signal.SIGSTOP)
    observed.until(lambda: observed.state(agent.pid) == "T", "a stopped agent")
    yield
    agent.signal(signal.SIGKILL)
    agent.death()


@contextmanager
def command(daemon: Daemon, *args: str) -> Iterator[subprocess.Popen[str]]:
    """A command line under way."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    argv = [*SUPERVISOR, *args, "--socket", daemon.socket]
    with subprocess.Popen(argv, cwd=REPOSITORY, stdin=subprocess.DEVNULL, **pipes) as popen:
        try:
            yield popen
        finally:
            popen.kill()


def connections(daemon: Daemon, state: str = CONNECTED) -> set[str]:
    """The callers' sockets at the daemon's end, by inode (``/proc/net/unix``)."""
    with open("/proc/net/unix") as file:
        lines = [line.split() for line in file if line.rstrip().endswith(f" {daemon.socket}")]
    return {line[6] for line in lines if line[5] == state}


def accepted(agent: Process, daemon: Daemon) -> set[str]:
    """Those that this agent has taken."""
    mine = set(observed.descriptors(agent.pid).values())
    return {inode for inode in connections(daemon) if f"socket:[{inode}]" in mine}


def test_tasks_run_on_and_are_known_to_the_next_agent(tracked: Daemon) -> None:
    arn, main = tracked.begin("graceful.py", "7")
    before = tracked.wait(arn, "RUNNING")
    first = tracked.agent()
    tracked.kill_agent()
    assert tracked.task(arn) == before
    assert main.alive
    assert tracked.agent().pid != first.pid
    assert tracked.logged("agent_died", signal=9)
    tracked.stop(arn)
    assert tracked.wait(arn)["containers"][0]["exitCode"] == 7


@pytest.mark.parametrize("argv", [("ignores.py",), ("leaves_child.py", "stubborn", "asked")])
def test_a_stop_under_way_ends_on_time_without_an_agent(tracked: Daemon, argv: tuple[str, ...]) -> None:
    arn = tracked.run(tracked.container(*argv, stopTimeout=WINDOW))
    (last,) = tracked.hear("main") if len(argv) == 1 else tracked.hear("child")
    tracked.hear("main", len(argv) // 2)
    asked_at = time.monotonic()
    tracked.stop(arn, reason="before it died")
    tracked.until(lambda: tracked.logged("container_signalled", task=arn.rpartition("/")[2]) or None, "the signal")
    with hung_agent(tracked):
        assert asked_at + WINDOW <= last.death() < asked_at + WINDOW + SOON
    record = tracked.wait(arn)
    assert (record["stopCode"], record["stoppedReason"]) == ("UserInitiated", "before it died")
    assert record["containers"][0]["exitCode"] == (137 if len(argv) == 1 else 3)
    assert record["containers"][0]["reason"].startswith("Killed 1.")
    assert WINDOW - MS <= record["stoppedAt"] - record["stoppingAt"] < WINDOW + SOON, (
        "when it was, not when it was heard of"
    )


def test_exits_while_there_is_no_agent_are_recorded_as_they_were(tracked: Daemon) -> None:
    begun = [tracked.begin(*argv) for argv in (("graceful.py", "31"), ("unhandled.py",), ("unhandled.py",))]
    for arn, _ in begun:
        tracked.wait(arn, "RUNNING")
    with hung_agent(tracked):
        for (_, main), signum in zip(begun, (signal.SIGTERM, signal.SIGUSR1, signal.SIGKILL), strict=True):
            main.signal(signum)
            main.death()
    records = [tracked.wait(arn) for arn, _ in begun]
    containers = [record["containers"][0] for record in records]
    assert [one["exitCode"] for one in containers] == [31, 138, 137]
    assert [one.get("reason") for one in containers] == [
        None,
        "Ended by SIGUSR1, which was not the supervisor's",
        "Ended by SIGKILL, which was not the supervisor's",
    ]
    died_at = dt.datetime.fromisoformat(tracked.logged("agent_died")[-1]["timestamp"]).timestamp()
    for record in records:
        assert record["stopCode"] == "EssentialContainerExited"
        assert record["executionStoppedAt"] <= died_at + 0.001, "when it was, not when the next agent heard of it"


def test_a_daemon_left_behind_while_there_is_no_agent_is_stopped(tracked: Daemon) -> None:
    arn = tracked.run(tracked.container("daemon.py", "stubborn", stopTimeout=WINDOW))
    (left,), (main,) = tracked.hear("daemon"), tracked.hear("main")
    tracked.wait(arn, "RUNNING")
    with hung_agent(tracked):
        main.signal(signal.SIGTERM)
        main.death()
        left.death()
    record = tracked.wait(arn)
    assert (record["stopCode"], record["containers"][0]["exitCode"]) == ("EssentialContainerExited", 0)


def test_requests_wait_for_the_next_agent(shared: Daemon) -> None:
    """The listening socket is the keeper's: nobody is refused, and each gets the answer that there is."""
    arn, _ = shared.begin("unhandled.py")
    for _ in range(3):
        shared.kill_agent()
        assert shared.task(arn)["lastStatus"] == "RUNNING"
    shared.kill_agent()
    assert json.loads(shared.cli("stop-task", "--task", arn).stdout)["task"]["desiredStatus"] == "STOPPED"
    shared.kill_agent()
    assert shared.wait(arn)["containers"][0]["exitCode"] == 143


def test_a_request_that_waits_when_the_agent_dies_is_carried_out_once(shared: Daemon) -> None:
    definition = shared.define(shared.container("exits.py"))
    before = shared.call("ListTasks", desiredStatus="STOPPED")["taskArns"]
    with hung_agent(shared), command(shared, "run-task", "--task-definition", definition) as running:
        observed.until(lambda: bool(connections(shared, WAITING)), "a request")
        shared.agent().signal(signal.SIGKILL)
        output, error = running.communicate(timeout=PATIENCE)
    assert (running.returncode, error) == (0, "")
    (task,) = json.loads(output)["tasks"]
    shared.wait(task["taskArn"])
    assert set(shared.call("ListTasks", desiredStatus="STOPPED")["taskArns"]) == {*before, task["taskArn"]}


def test_a_wait_goes_on_with_the_next_agent(shared: Daemon) -> None:
    arn, main = shared.begin("graceful.py", "7")
    shared.wait(arn, "RUNNING")
    agent = shared.agent()
    before = accepted(agent, shared)
    with command(shared, "wait", "tasks-stopped", "--tasks", arn) as waits:
        observed.until(lambda: bool(accepted(agent, shared) - before), "the watch")
        shared.kill_agent()
        agent = shared.agent()
        observed.until(lambda: bool(accepted(agent, shared)), "the watch of the next agent")
        assert waits.poll() is None
        main.signal(signal.SIGTERM)
        output, error = waits.communicate(timeout=PATIENCE)
    assert (waits.returncode, output, error) == (0, "", "")
    assert shared.task(arn)["lastStatus"] == "STOPPED"


def test_a_wait_that_begins_while_there_is_no_agent(shared: Daemon) -> None:
    arn, _ = shared.begin("graceful.py", "7")
    shared.kill_agent()
    shared.cli("wait", "tasks-running", "--tasks", arn)
    shared.stop(arn)
    shared.kill_agent()
    shared.cli("wait", "tasks-stopped", "--tasks", arn)


def test_a_stop_that_is_watched_is_seen_through_with_the_next_agent(shared: Daemon) -> None:
    arn, _ = shared.begin("ignores.py", stopTimeout=2)
    with command(shared, "stop-task", "--task", arn, "--wait") as stops:
        assert stops.stderr is not None
        assert "SIGKILL in" in stops.stderr.readline() + stops.stderr.readline()
        shared.kill_agent()
        output, error = stops.communicate(timeout=PATIENCE)
    assert stops.returncode == 0
    task = json.loads(output)["task"]
    assert (task["lastStatus"], task["containers"][0]["exitCode"]) == ("STOPPED", 137)
    assert "killed after 2." in error


def test_a_task_that_starts_its_containers_one_after_the_other_goes_on(shared: Daemon) -> None:
    def after(name: str) -> dict[str, Any]:
        return {"dependsOn": [{"containerName": name, "condition": "START"}]}

    containers = [shared.container("graceful.py", "7", name="a")]
    containers += [shared.container("graceful.py", "7", name=new, **after(old)) for old, new in ("ab", "bc", "cd")]
    arn = shared.run(*containers, clientToken="one-after-the-other")
    shared.kill_agent()
    shared.wait(arn, "RUNNING", timeout=AMPLE)
    shared.hear("main", 4)
    shared.stop(arn)
    assert [one["exitCode"] for one in shared.wait(arn)["containers"]] == [7] * 4


def test_a_daemon_is_ready_once(daemon: Daemon) -> None:
    """The agent's second start is no second start of the daemon."""
    daemon.kill_agent()
    assert daemon.call("ListTasks")["taskArns"] == []
    assert len(daemon.logged("tasks_recovered")) == 2
    assert len(daemon.logged("keeper_started")) == 1
