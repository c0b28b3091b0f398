"""What the processes of a task see of it and may ask for it, by the addresses in their environment."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from supervisor.posix import proc
from tests.conformance import assert_matches
from tests.process.observed import Process
from tests.system.daemon import Daemon, Json

pytestmark = pytest.mark.system

WINDOW = 40


def address(main: Process, name: str) -> str:
    return proc.read_environ(main.pid)[name.encode()].decode()


def ask(uri: str, method: str = "GET", body: Any = None) -> tuple[int, Any]:
    place = urlsplit(uri)
    assert place.hostname == "127.0.0.1"
    connection = http.client.HTTPConnection(place.hostname, place.port)
    try:
        connection.request(method, place.path, None if body is None else json.dumps(body))
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def told(uri: str) -> Json:
    status, answer = ask(uri)
    assert status == 200, answer
    found: Json = answer
    return found


def test_a_container_sees_itself_its_task_and_what_it_uses(tracked: Daemon, tracking: str) -> None:
    arn, main = tracked.begin("graceful.py", memory=64)
    uri = address(main, "ECS_CONTAINER_METADATA_URI_V4")
    record = tracked.wait(arn, "RUNNING")
    itself = told(uri)
    assert itself["ContainerARN"] == record["containers"][0]["containerArn"]
    assert (itself["KnownStatus"], itself["DesiredStatus"], itself["Limits"]["Memory"]) == ("RUNNING", "RUNNING", 64)
    task = told(f"{uri}/task")
    assert (task["TaskARN"], task["Containers"]) == (arn, [itself])
    assert told(f"{uri}/taskWithTags")["TaskTags"] == {}
    stats = told(f"{uri}/stats")
    assert stats["memory_stats"]["usage"] > 100_000
    # Without a cgroup the kernel counts CPU time in hundredths of a second, and this program needs less than one.
    assert stats["cpu_stats"]["cpu_usage"]["total_usage"] >= (1 if tracking == "cgroup" else 0)
    assert stats["pids_stats"]["current"] == 1
    assert told(f"{uri}/task/stats").keys() == {itself["DockerId"]}
    tracked.stop(arn)
    tracked.wait(arn)


def test_a_program_that_is_being_stopped_sees_how_long_it_has_and_why(tracked: Daemon) -> None:
    arn, main = tracked.begin("ignores.py", stopTimeout=WINDOW)
    uri = address(main, "ECS_CONTAINER_METADATA_URI_V4")
    assert "StopDeadline" not in told(uri)
    tracked.stop(arn, reason="a release")
    stopping = tracked.until(lambda: found if "StopTimeLeft" in (found := told(uri)) else None, "the deadline")
    assert (stopping["DesiredStatus"], stopping["KnownStatus"]) == ("STOPPED", "RUNNING")
    assert (stopping["StopReason"], stopping["StopCode"]) == ("a release", "UserInitiated")
    assert 0 < told(uri)["StopTimeLeft"] < stopping["StopTimeLeft"] <= WINDOW
    main.signal(9)
    tracked.wait(arn)


def test_an_address_is_kept_over_restarts_and_is_nobody_elses(daemon: Daemon) -> None:
    arn, main = daemon.begin("graceful.py")
    other_arn, other = daemon.begin("graceful.py")
    uri, foreign = (address(one, "ECS_CONTAINER_METADATA_URI_V4") for one in (main, other))
    daemon.kill_agent()
    assert told(f"{uri}/task")["TaskARN"] == arn
    assert told(f"{foreign}/task")["TaskARN"] == other_arn
    assert uri.rpartition("-")[2] != foreign.rpartition("-")[2]
    for guess in (uri[:-1] + ("0" if uri[-1] != "0" else "1"), uri.replace("-0-", "-1-"), uri.rpartition("-")[0]):
        assert ask(guess)[0] == 404
    port = urlsplit(uri).port
    assert ask(f"http://127.0.0.1:{port}/", "POST", {})[0] == 404  # the API of the agent's owner is not here
    daemon.end()
    daemon.start()
    _, again = daemon.begin("graceful.py")
    assert urlsplit(address(again, "ECS_AGENT_URI")).port == port


def test_it_can_be_turned_off(start_daemon: Any) -> None:
    daemon: Daemon = start_daemon(tasks={"tracking": "auto", "metadata": False})
    _, main = daemon.begin("graceful.py")
    assert not [name for name in proc.read_environ(main.pid) if name.startswith(b"ECS_")]


def test_a_task_protects_itself_until_it_is_done(daemon: Daemon) -> None:
    arn, main = daemon.begin("graceful.py")
    uri = address(main, "ECS_AGENT_URI") + "/task-protection/v1/state"
    off = {"protection": {"ProtectionEnabled": False, "ExpirationDate": None, "TaskArn": arn}}
    assert ask(uri) == (200, off)
    status, answer = ask(uri, "PUT", {"ProtectionEnabled": True, "ExpiresInMinutes": 60})
    assert (status, answer["protection"]["ProtectionEnabled"]) == (200, True)
    daemon.kill_agent()
    assert ask(uri) == (200, answer)
    described = daemon.call("GetTaskProtection", cluster="default", tasks=[arn, "0" * 32])
    assert_matches("GetTaskProtection", "output", described)
    assert [one["protectionEnabled"] for one in described["protectedTasks"]] == [True]
    assert [one["reason"] for one in described["failures"]] == ["MISSING"]
    status, refused = ask(uri, "PUT", {"ProtectionEnabled": True, "Else": 1})
    assert (status, refused["error"]["Code"]) == (400, "InvalidParameterException")
    assert refused["error"]["Message"] == "UpdateTaskProtection: failed to decode request"
    assert ask(uri.replace("/api/", "/api/x"))[1]["error"]["Code"] == "ResourceNotFoundException"
    assert ask(uri, "PUT", {"ProtectionEnabled": False}) == (200, off)
    printed = daemon.cli("update-task-protection", "--cluster", "default", "--tasks", arn, "--protection-enabled")
    assert json.loads(printed.stdout)["protectedTasks"][0]["protectionEnabled"] is True
    assert ask(uri)[1]["protection"]["ProtectionEnabled"] is True
    daemon.stop(arn)  # does not ask
    daemon.wait(arn)
    reply = daemon.call("UpdateTaskProtection", cluster="default", tasks=[arn], protectionEnabled=True)
    assert [one["reason"] for one in reply["failures"]] == ["TASK_NOT_VALID"]
