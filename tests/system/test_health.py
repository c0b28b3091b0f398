"""Health checks through the whole stack: what they find is in the record, and they hold nobody up.

A first check comes after five seconds at the earliest: all tasks are started at once, and each test looks at its own.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from supervisor.posix import proc
from tests.conftest import PATIENCE
from tests.machine import WORKLOADS
from tests.process.observed import Process
from tests.system.daemon import SOON, Daemon, Json

pytestmark = pytest.mark.system

HANGS = [sys.executable, "-S", str(WORKLOADS / "leaves_child.py"), "stubborn", "never"]
"""Says ``child`` and ``main``, ignores SIGTERM with its child, and does not end."""
LONG = 60
"""A timeout, seconds, that no test waits for."""


def checked(daemon: Daemon, *command: str, name: str = "main", **check: Any) -> Json:
    """A container with a health check, which a single failure makes unhealthy."""
    health = {"command": list(command), "interval": 5, "retries": 1, **check}
    return daemon.container("graceful.py", "7", name=name, healthCheck=health)


@pytest.fixture(scope="module")
def tasks(shared: Daemon) -> dict[str, str]:
    """All of them, running: the ARNs by what is wrong with each, or not."""
    answer = f'test ! -e {shared.directory}/asked || touch {shared.directory}/answered; echo "port $PORT is open"'
    sound = checked(shared, "CMD-SHELL", answer)
    sound["environment"].append({"name": "PORT", "value": "80"})
    follower = shared.container("graceful.py", "7", name="follower", essential=False)
    follower["dependsOn"] = [{"containerName": "main", "condition": "HEALTHY"}]
    stuck = 'echo "stuck $$ 0" > "$READY"; trap "" TERM; sleep 1000; sleep 1000'
    definitions: dict[str, list[Json]] = {
        "sound": [sound, follower],
        "ill": [checked(shared, "CMD", "/bin/sh", "-c", "echo no database; echo at all; exit 3")],
        "missing": [checked(shared, "CMD", "/nonexistent/probe")],
        "starting": [checked(shared, "CMD", "/bin/false", startPeriod=300)],
        "stuck": [checked(shared, "CMD-SHELL", stuck, timeout=LONG)],
        "hung": [checked(shared, "CMD", *HANGS, timeout=2)],  # the last: the test must be there when it is checked
    }
    started = {}
    for name, containers in definitions.items():
        started[name] = shared.run(*containers)
        shared.hear("main")
    return started


def wait_for(daemon: Daemon, arn: str, health: str) -> Json:
    """Wait until the task's health is so; its record."""
    seen: Json = {}
    try:
        for reply in daemon.client.watch(None, [arn], PATIENCE):
            seen = reply["tasks"][0]
            if seen["healthStatus"] == health:
                return seen
    except TimeoutError:
        pass
    raise AssertionError(f"never {health}: {seen}\n{daemon.log_text()}")


def hear_of(daemon: Daemon, arn: str, word: str) -> Process:
    """The process of that task that says the word next."""
    while True:
        (who,) = daemon.hear(word)
        if proc.read_environ(who.pid).get(b"SUPERVISOR_TASK_ARN") == arn.encode():
            return who


def changes(daemon: Daemon, arn: str) -> list[tuple[str, str]]:
    """What the log tells of the task's health: status and output."""
    lines = daemon.logged("health_changed", task=arn.rpartition("/")[2])
    return [(line["status"], line["output"]) for line in lines]


def test_a_check_that_hangs_is_killed_with_its_children_and_makes_unhealthy(
    shared: Daemon, tasks: dict[str, str]
) -> None:
    processes = [hear_of(shared, tasks["hung"], word) for word in ("child", "main")]
    task = wait_for(shared, tasks["hung"], "UNHEALTHY")
    for process in processes:
        process.death()
    assert changes(shared, tasks["hung"]) == [("UNHEALTHY", "Health check exceeded timeout (2s)")]
    assert (task["lastStatus"], task["desiredStatus"]) == ("RUNNING", "RUNNING"), "nobody stops what is unhealthy"


def test_what_waits_for_healthy_starts_then(shared: Daemon, tasks: dict[str, str]) -> None:
    task = shared.wait(tasks["sound"], "RUNNING")
    assert {one["name"]: one["healthStatus"] for one in task["containers"]} == {
        "main": "HEALTHY",
        "follower": "UNKNOWN",
    }
    assert task["healthStatus"] == "HEALTHY"
    assert changes(shared, tasks["sound"]) == [("HEALTHY", "port 80 is open")], "it has its container's environment"
    of_task = [line for line in shared.log_text().splitlines() if tasks["sound"].rpartition("/")[2] in line]
    healthy = next(number for number, line in enumerate(of_task) if "health_changed" in line)
    followed = next(number for number, line in enumerate(of_task) if "container_started" in line and "follower" in line)
    assert healthy < followed


def test_a_check_that_fails_makes_unhealthy(shared: Daemon, tasks: dict[str, str]) -> None:
    task = wait_for(shared, tasks["ill"], "UNHEALTHY")
    assert [one["healthStatus"] for one in task["containers"]] == ["UNHEALTHY"]
    assert changes(shared, tasks["ill"]) == [("UNHEALTHY", "no database")]


def test_a_check_that_cannot_be_started_makes_unhealthy(shared: Daemon, tasks: dict[str, str]) -> None:
    wait_for(shared, tasks["missing"], "UNHEALTHY")
    told = "cannot start, exec: No such file or directory: '/nonexistent/probe' (ENOENT)"
    assert changes(shared, tasks["missing"]) == [("UNHEALTHY", told)]


def test_a_stop_does_not_wait_for_a_check(shared: Daemon, tasks: dict[str, str]) -> None:
    check = hear_of(shared, tasks["stuck"], "stuck")
    shared.stop(tasks["stuck"])
    task = shared.wait(tasks["stuck"])
    assert not check.alive
    assert task["stoppedAt"] - task["stoppingAt"] < SOON
    assert [(one["exitCode"], one["healthStatus"]) for one in task["containers"]] == [(7, "UNKNOWN")]
    assert changes(shared, tasks["stuck"]) == []


def test_a_new_agent_knows_the_status_and_goes_on_checking(shared: Daemon, tasks: dict[str, str]) -> None:
    wait_for(shared, tasks["sound"], "HEALTHY")
    shared.kill_agent()
    assert shared.task(tasks["sound"])["healthStatus"] == "HEALTHY"
    Path(f"{shared.directory}/asked").touch()
    shared.until(lambda: os.path.exists(f"{shared.directory}/answered") or None, "another check")
    assert len(changes(shared, tasks["sound"])) == 1
    assert shared.task(tasks["ill"])["healthStatus"] == "UNHEALTHY"
    assert changes(shared, tasks["starting"]) == [], "within its start period no failure counts"
