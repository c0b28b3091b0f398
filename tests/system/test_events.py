"""The journal of events, read and followed from the command line."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.machine import REPOSITORY
from tests.system.daemon import SUPERVISOR, Daemon, Json

pytestmark = pytest.mark.system


@pytest.fixture
def follower(daemon: Daemon) -> Iterator[subprocess.Popen[str]]:
    argv = [*SUPERVISOR, "events", "--follow", "--socket", daemon.socket]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as follower:
        yield follower
        follower.send_signal(signal.SIGINT)
        assert follower.wait() == 130


def until_stopped(follower: subprocess.Popen[str], arn: str) -> list[Json]:
    events = []
    assert follower.stdout is not None
    for line in follower.stdout:
        event: Json = json.loads(line)
        assert event["resources"] == [arn]
        events.append(event)
        if event["detail"]["lastStatus"] == "STOPPED":
            return events
    raise AssertionError(f"the follower has ended: {events}")


def test_a_follower_sees_a_whole_life_although_the_agent_dies_in_the_middle(
    daemon: Daemon, follower: subprocess.Popen[str]
) -> None:
    arn, _ = daemon.begin("graceful.py")
    daemon.kill_agent()
    daemon.stop(arn, reason="seen")
    events = until_stopped(follower, arn)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    versions = [event["detail"]["version"] for event in events]
    assert versions == sorted(set(versions))
    statuses = [(event["detail"]["lastStatus"], event["detail"]["desiredStatus"]) for event in events]
    assert [one for number, one in enumerate(statuses) if one not in statuses[:number]] == [
        ("PENDING", "RUNNING"),
        ("RUNNING", "RUNNING"),
        ("RUNNING", "STOPPED"),
        ("STOPPED", "STOPPED"),
    ]
    last = events[-1]["detail"]
    assert (last["stoppedReason"], last["version"]) == ("seen", daemon.task(arn)["version"])
    # read again, whole and in part
    lines = daemon.cli("events", "--task", arn).stdout.splitlines()
    assert [json.loads(line) for line in lines] == events
    lines = daemon.cli("events", "--after", str(events[-2]["seq"])).stdout.splitlines()
    assert [json.loads(line) for line in lines] == events[-1:]
    assert daemon.cli("events", "--since", "2999-01-01T00:00:00Z").stdout == ""
    refused = daemon.cli("events", "--since", "yesterday", status=1)
    assert (
        "(InvalidParameterException) when calling the ListEvents operation: since: expected Unix time" in refused.stderr
    )
