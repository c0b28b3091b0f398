"""The main job, end to end: a task is registered, run, stopped and described, and its record is as documented."""

from __future__ import annotations

import datetime as dt
import json
import re
import time

import pytest

from tests.conformance import assert_matches
from tests.page import DOCUMENTED_OUTPUT, assert_documented
from tests.system.daemon import MS, SOON, Daemon, Json

pytestmark = pytest.mark.system

REASON = "  a release: „grün“ → \t'quoted' \"twice\" "

KILLED = r"Killed 1\.\d s after the stop signal: \d+ \(.*\) ignores SIGTERM"


def printed(daemon: Daemon, *args: str) -> Json:
    """What a command line prints."""
    reply: Json = json.loads(daemon.cli(*args).stdout)
    return reply


WEB_PORT, HELPER_PORT = 18080, 18081


def as_a_person_would(daemon: Daemon) -> str:
    """Register and run from the command line; the ARN of the task, whose processes are ready.

    Both its containers will have to be killed in part, so that each has every member of a record, ``reason`` too.
    """

    def ports(number: int) -> Json:
        return {"stopTimeout": 1, "portMappings": [{"containerPort": number}]}

    web = daemon.container("leaves_child.py", "stubborn", "asked", name="web", **ports(WEB_PORT))
    helper = daemon.container("exits.py", name="helper", essential=False, **ports(HELPER_PORT))
    definition = {"family": "shop", "containerDefinitions": [web, helper]}
    registered = printed(daemon, "register-task-definition", "--cli-input-json", json.dumps(definition))
    assert_matches("RegisterTaskDefinition", "output", registered)
    assert registered["taskDefinition"]["revision"] == 1
    colour = {"environment": [{"name": "COLOUR", "value": "blue"}]}
    commands = {"web": web["command"], "helper": daemon.container("ignores.py")["command"]}
    overrides = {"containerOverrides": [{"name": name, "command": commands[name], **colour} for name in commands]}
    ran = printed(
        daemon, "run-task", "--task-definition", "shop", "--started-by", "me", "--overrides", json.dumps(overrides)
    )
    assert_matches("RunTask", "output", ran)
    task = ran["tasks"][0]
    assert (task["lastStatus"], task["desiredStatus"]) == ("PENDING", "RUNNING")
    assert printed(daemon, "list-tasks")["taskArns"] == [task["taskArn"]]
    assert daemon.cli("wait", "tasks-running", "--tasks", task["taskArn"]).stdout == ""
    daemon.hear("main", 2)
    return str(task["taskArn"])


def test_a_task_from_its_registration_to_its_record(daemon: Daemon) -> None:
    began_at = time.time()
    arn = as_a_person_would(daemon)
    reply = printed(daemon, "stop-task", "--task", arn, "--reason", REASON)
    assert_matches("StopTask", "output", reply)
    asked = reply["task"]
    assert (asked["desiredStatus"], asked["lastStatus"]) == ("STOPPED", "RUNNING")
    assert asked["stoppedReason"] == REASON
    assert asked["stopCode"] == "UserInitiated"
    assert {"stoppedAt", "executionStoppedAt"}.isdisjoint(asked)
    daemon.cli("wait", "tasks-stopped", "--tasks", arn)
    described = printed(daemon, "describe-tasks", "--tasks", arn)
    assert described["failures"] == []
    task = described["tasks"][0]
    assert_recorded(task, asked, began_at)
    assert_documented(DOCUMENTED_OUTPUT, task, "task")
    parsed = assert_matches("DescribeTasks", "output", described)["tasks"][0]
    assert parsed["stoppedAt"] == dt.datetime.fromtimestamp(task["stoppedAt"], dt.UTC)
    assert assert_matches("StopTask", "output", {"task": task})["task"] == parsed
    assert printed(daemon, "list-tasks")["taskArns"] == []
    assert printed(daemon, "list-tasks", "--desired-status", "STOPPED")["taskArns"] == [arn]


def assert_recorded(task: Json, asked: Json, began_at: float) -> None:
    """Every member that this life must have left, with its value."""
    task_id, account = task["taskArn"].rpartition("/")[2], task["taskArn"].split(":")[4]
    assert task["taskArn"] == f"arn:aws:ecs:local:{account}:task/default/{task_id}"
    assert len(task_id) == 32
    assert task["clusterArn"] == f"arn:aws:ecs:local:{account}:cluster/default"
    assert task["taskDefinitionArn"] == f"arn:aws:ecs:local:{account}:task-definition/shop:1"
    assert task["containerInstanceArn"].startswith(f"arn:aws:ecs:local:{account}:container-instance/default/")
    constant = {
        "startedBy": "me",
        "stoppedReason": REASON,
        "stopCode": "UserInitiated",
        "lastStatus": "STOPPED",
        "desiredStatus": "STOPPED",
        "group": "family:shop",
        "launchType": "EXTERNAL",
        "healthStatus": "UNKNOWN",
        "connectivity": "CONNECTED",
        "enableExecuteCommand": False,
        "attachments": [],
        "attributes": [],
        "tags": [],
    }
    assert {name: task.get(name) for name in constant} == constant
    assert task["version"] > asked["version"] > 1
    names = ("createdAt", "startedAt", "stoppingAt", "executionStoppedAt", "stoppedAt")
    assert task["stoppingAt"] == asked["stoppingAt"]
    stamps = [began_at - 0.001, *(task[name] for name in names), time.time()]
    assert stamps == sorted(stamps)
    assert 1.0 - MS <= task["stoppedAt"] - task["stoppingAt"] < 1.0 + SOON, "the window of both"
    web, helper = task["containers"]
    assert [one["lastStatus"] for one in (web, helper)] == ["STOPPED", "STOPPED"]
    assert (web["name"], web["exitCode"]) == ("web", 3)
    assert re.fullmatch(KILLED + ", and was left behind by .*", web["reason"])
    assert (helper["name"], helper["exitCode"]) == ("helper", 137)
    assert re.fullmatch(KILLED, helper["reason"])
    for container, port in ((web, WEB_PORT), (helper, HELPER_PORT)):
        bound = {"bindIP": "0.0.0.0", "containerPort": port, "hostPort": port, "protocol": "tcp"}
        assert container["networkBindings"] == [bound]
    assert web["containerArn"] != helper["containerArn"]
    overrides = task["overrides"]["containerOverrides"]
    assert [one["environment"] for one in overrides] == [[{"name": "COLOUR", "value": "blue"}]] * 2
    assert [one["command"][-1].rpartition("/")[2] for one in overrides] == ["asked", "ignores.py"]


def test_a_stop_asked_twice_keeps_the_first_reason_and_the_first_deadline(daemon: Daemon) -> None:
    arn, main = daemon.begin("ignores.py", stopTimeout=1)
    asked_at = time.monotonic()
    first = daemon.stop(arn, reason="first")
    second = daemon.stop(arn.rpartition("/")[2], reason="second")
    assert (second["stoppedReason"], second["stoppingAt"]) == ("first", first["stoppingAt"])
    assert asked_at + 1 <= main.death() < asked_at + 1 + SOON
    record = daemon.wait(arn)
    assert record["stoppedReason"] == "first"
    after = daemon.stop(arn, reason="third")
    assert after == record, "a stop of a stopped task is answered with its record, and changes nothing"


def test_a_stop_without_a_reason_says_who_asked(daemon: Daemon) -> None:
    arn, _ = daemon.begin("unhandled.py")
    assert daemon.stop(arn)["stoppedReason"] == "Task stopped by user"


def test_what_happened_is_in_the_log(daemon: Daemon) -> None:
    arn, main = daemon.begin("exits.py", "3")
    daemon.wait(arn)
    task_id = arn.rpartition("/")[2]
    assert daemon.logged("container_started", task=task_id, pid=main.pid)
    told = daemon.logged("task_stopped", task=task_id)
    assert [(line["level"], line["stop_code"], line["exit_codes"]) for line in told] == [
        ("info", "EssentialContainerExited", {"main": 3})
    ]
