"""``stop-task --timeout`` and ``--force`` on real processes: more time, less time, none, and a record that says so."""

from __future__ import annotations

import http.client
import json
import re
import time

import pytest

from supervisor.cli.client import Client, Connection
from supervisor.cli.failures import AgentRefused
from tests.conftest import PATIENCE
from tests.system.daemon import SOON, Daemon, Json

pytestmark = pytest.mark.system


def ended(record: Json) -> tuple[int, float]:
    """The exit code, and the seconds from the request to the end."""
    assert record["lastStatus"] == "STOPPED"
    assert record["createdAt"] <= record["startedAt"] <= record["stoppingAt"] <= record["executionStoppedAt"]
    assert record["executionStoppedAt"] <= record["stoppedAt"]
    return record["containers"][0]["exitCode"], record["stoppedAt"] - record["stoppingAt"]


def windows(daemon: Daemon, arn: str) -> list[Json]:
    """The stop windows that are running."""
    told: list[Json] = next(daemon.client.watch(None, [arn], PATIENCE))["windows"]
    return told


def until_signalled(daemon: Daemon, arn: str) -> Json:
    """The window as it is first told."""
    for reply in daemon.client.watch(None, [arn], PATIENCE):
        if reply["windows"]:
            window: Json = reply["windows"][0]
            return window
    raise AssertionError("the stream ended")


def test_force_kills_at_once(shared: Daemon) -> None:
    arn, main = shared.begin("ignores.py")
    record = json.loads(shared.cli("stop-task", "--task", arn, "--force", "--wait").stdout)["task"]
    main.death()
    code, seconds = ended(record)
    assert code == 137
    assert seconds < SOON
    assert record["containers"][0]["reason"] == "Killed 0.0 s after the stop signal: it was given no time"


def test_force_cuts_a_running_window_short(shared: Daemon) -> None:
    arn, main = shared.begin("ignores.py")
    shared.cli("stop-task", "--task", arn, "--reason", "first")
    assert until_signalled(shared, arn)["stopTimeout"] == 60
    done = shared.cli("stop-task", "--task", arn, "--force", "--wait", "--reason", "second")
    main.death()
    record = json.loads(done.stdout)["task"]
    assert ended(record)[0] == 137
    assert record["stoppedReason"] == "first"
    assert re.search(r"^main: killed after \d+\.\d s \(137\)$", done.stderr, re.MULTILINE)


def test_timeout_sets_the_window_of_this_stop(shared: Daemon) -> None:
    arn, main = shared.begin("ignores.py", stopTimeout=60)
    asked_at = time.monotonic()
    record = json.loads(shared.cli("stop-task", "--task", arn, "--timeout", "0.5", "--wait").stdout)["task"]
    main.death()
    code, seconds = ended(record)
    assert code == 137
    assert 0.5 <= seconds < 0.5 + SOON
    assert time.monotonic() - asked_at >= 0.5


def test_a_first_stop_may_have_more_time_than_the_container_s_own(shared: Daemon) -> None:
    arn, _ = shared.begin("ignores.py", stopTimeout=1)
    shared.cli("stop-task", "--task", arn, "--timeout", "600")
    window = until_signalled(shared, arn)
    assert window["stopTimeout"] == 600
    assert window["remaining"] > 500
    shared.cli("stop-task", "--task", arn, "--force")
    assert ended(shared.wait(arn))[0] == 137


def test_a_stop_under_way_gets_no_more_time_and_its_window_jumps(shared: Daemon) -> None:
    arn, _ = shared.begin("ignores.py", stopTimeout=60)
    shared.cli("stop-task", "--task", arn)
    first = until_signalled(shared, arn)
    shared.cli("stop-task", "--task", arn, "--timeout", "600")
    assert windows(shared, arn)[0]["stopTimeout"] == 60
    stream = shared.client.watch(None, [arn], PATIENCE)
    assert next(stream)["windows"][0]["remaining"] <= first["remaining"]
    shared.cli("stop-task", "--task", arn, "--timeout", "30")
    jumped = next(one for reply in stream for one in reply["windows"] if one["remaining"] <= 30)
    assert 30 <= jumped["stopTimeout"] < 60
    shared.cli("stop-task", "--task", arn, "--force")
    shared.wait(arn)


def test_a_shorter_window_survives_the_agent(daemon: Daemon) -> None:
    """The new agent asks again for every stop; it must not ask for less, or more, than was asked for."""
    arn, main = daemon.begin("ignores.py", stopTimeout=1)
    daemon.cli("stop-task", "--task", arn, "--timeout", "600")
    until_signalled(daemon, arn)
    daemon.kill_agent()
    assert windows(daemon, arn)[0]["remaining"] > 500
    assert main.alive
    daemon.cli("stop-task", "--task", arn, "--force")
    assert ended(daemon.wait(arn))[0] == 137


@pytest.mark.parametrize("text", ["-1", "soon", "5, 5", ""])
def test_a_wrong_header_is_refused_and_stops_nothing(shared: Daemon, text: str) -> None:
    arn, _ = shared.begin("graceful.py")
    with pytest.raises(AgentRefused, match="x-supervisor-stop-timeout: expected 0 to") as caught:
        Client(shared.socket).call("StopTask", {"task": arn}, **{"x-supervisor-stop-timeout": text})
    assert caught.value.error_code == "InvalidParameterException"
    assert shared.task(arn)["desiredStatus"] == "RUNNING"
    shared.stop(arn)
    shared.wait(arn)


def test_a_header_that_is_there_twice_is_refused(shared: Daemon) -> None:
    body = json.dumps({"task": "0" * 32}).encode()
    connection = Connection(shared.socket, PATIENCE)
    connection.putrequest("POST", "/")
    connection.putheader("X-Amz-Target", "AmazonEC2ContainerServiceV20141113.StopTask")
    connection.putheader("Content-Length", str(len(body)))
    for seconds in ("5", "6"):
        connection.putheader("x-supervisor-stop-timeout", seconds)
    connection.endheaders(body)
    with connection.getresponse() as response:
        assert response.status == http.client.BAD_REQUEST
        assert "got '5, 6'" in json.loads(response.read())["message"]
    connection.close()
