"""A disk that is full, read-only or hangs: deadlines are kept, what was acknowledged is not lost, and it is said."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from supervisor.cli.failures import AgentRefused
from tests.conftest import PATIENCE
from tests.disks import ext4, tmpfs
from tests.process import observed
from tests.process.observed import Process
from tests.system.daemon import MS, SOON, Daemon
from tests.system.disks import daemon_on

pytestmark = pytest.mark.system

WINDOW = 1
FULL = "database or disk is full; make room on its file system"
UNDER_WAY = "the stop is under way, and cannot be recorded yet: cannot write"
HUNG = 2.0
"""Seconds after which the agent no longer believes that the disk will answer."""


def refusal(daemon: Daemon, operation: str, **body: object) -> str:
    """What a request is refused with, as the server's failure that it is."""
    with pytest.raises(AgentRefused) as raised:
        daemon.call(operation, **body)
    assert raised.value.error_code == "ServerException"
    return raised.value.message


def killed_on_time(main: Process, asked_at: float) -> None:
    """See it killed at the end of its window."""
    assert asked_at + WINDOW <= main.death() < asked_at + WINDOW + SOON


def test_a_full_disk_stops_no_stop_and_loses_nothing() -> None:
    with daemon_on(tmpfs) as (daemon, disk):
        before, during, exits = (daemon.begin("ignores.py", stopTimeout=WINDOW) for _ in range(3))
        for arn, _ in (before, during, exits):
            daemon.wait(arn, "RUNNING")
        definition = daemon.define(daemon.container("exits.py"))
        agent = daemon.agent()
        begun_at = time.monotonic()
        daemon.stop(before[0], reason="before")
        disk.fill()
        assert FULL in refusal(daemon, "RunTask", taskDefinition=definition)
        asked_at = time.monotonic()
        said = refusal(daemon, "StopTask", task=during[0], reason="during")
        assert said.startswith(UNDER_WAY)
        assert FULL in said
        assert time.monotonic() < asked_at + SOON
        exits[1].signal(signal.SIGUSR1)
        killed_on_time(before[1], begun_at)
        killed_on_time(during[1], asked_at)
        assert daemon.task(during[0])["lastStatus"] == "RUNNING", "what is not recorded is not told"
        for _ in range(20):
            refusal(daemon, "RunTask", taskDefinition=definition)
        assert len(daemon.logged("store_failed")) == 1
        disk.free()
        records = [daemon.wait(arn) for arn, _ in (before, during, exits)]
        assert [one["containers"][0]["exitCode"] for one in records] == [137, 137, 138]
        assert [one["stoppedReason"] for one in records[:2]] == ["before", "during"]
        assert [one["stopCode"] for one in records[1:]] == ["UserInitiated", "EssentialContainerExited"]
        assert WINDOW - MS <= records[1]["stoppedAt"] - records[1]["stoppingAt"] < WINDOW + SOON, "when it was"
        assert len(daemon.logged("store_recovered")) == 1
        assert daemon.agent().pid == agent.pid
        daemon.wait(daemon.call("RunTask", taskDefinition=definition)["tasks"][0]["taskArn"])


def test_an_agent_that_starts_on_a_full_disk_takes_up_what_there_is() -> None:
    with daemon_on(tmpfs) as (daemon, disk):
        first, second = (daemon.begin("ignores.py", stopTimeout=WINDOW) for _ in range(2))
        for arn, _ in (first, second):
            daemon.wait(arn, "RUNNING")
        disk.fill()
        begun_at = time.monotonic()
        refusal(daemon, "StopTask", task=first[0])
        daemon.kill_agent()
        asked_at = time.monotonic()
        said = refusal(daemon, "StopTask", task=second[0], reason="of the next")
        assert said.startswith(UNDER_WAY)
        asked_by = time.monotonic()
        killed_on_time(first[1], begun_at)
        assert asked_at + WINDOW <= second[1].death() < asked_by + WINDOW + SOON
        next_agent = daemon.agent()
        disk.free()
        assert daemon.wait(second[0])["stoppedReason"] == "of the next"
        # Of the first the agent that was told died before it could store it, as it had said: an exit is left of it.
        assert daemon.wait(first[0])["containers"][0]["exitCode"] == 137
        assert daemon.agent().pid == next_agent.pid


def test_a_task_that_fills_the_disk_with_its_log_can_be_stopped() -> None:
    with daemon_on(tmpfs) as (daemon, _):
        fills = "trap 'exit 5' TERM; while :; do head -c 65536 /dev/zero || echo full >&9; sleep 0.01; done 9>$READY"
        arn = daemon.run(daemon.container("/bin/sh", "-c", "echo main $$ >$READY; " + fills))
        (main,) = daemon.hear("main")
        observed.until(lambda: len(daemon.logged("store_failed")) > 0 or _is_full(daemon), "a full disk")
        said = refusal(daemon, "StopTask", task=arn)
        assert said.startswith(UNDER_WAY)
        main.death()
        (log,) = Path(daemon.state_dir, "logs").rglob("*.log")
        os.truncate(log, 0)
        assert daemon.wait(arn)["containers"][0]["exitCode"] == 5


def test_a_drain_on_a_full_disk_keeps_every_window() -> None:
    with daemon_on(tmpfs, agent={"shutdown_timeout": 4}) as (daemon, disk):
        arn, main = daemon.begin("ignores.py", stopTimeout=WINDOW)
        daemon.wait(arn, "RUNNING")
        disk.fill()
        asked_at = time.monotonic()
        daemon.terminate()
        assert asked_at + WINDOW <= main.death() < asked_at + WINDOW + SOON
        disk.free()
        daemon.end()
        daemon.start()
        assert daemon.task(arn)["containers"][0]["exitCode"] == 137


def test_a_daemon_that_cannot_begin_says_why() -> None:
    with daemon_on(tmpfs) as (daemon, disk):
        daemon.end()
        disk.fill()
        popen = daemon.spawn()
        assert popen.wait(PATIENCE) == 1
        assert "make room on its file system" in daemon.logged("agent_failed")[-1]["error"]
        disk.free()
        daemon.start()


def test_a_file_system_that_became_read_only() -> None:
    with daemon_on(ext4) as (daemon, disk):
        before, during = (daemon.begin("ignores.py", stopTimeout=WINDOW) for _ in range(2))
        for arn, _ in (before, during):
            daemon.wait(arn, "RUNNING")
        begun_at = time.monotonic()
        daemon.stop(before[0])
        disk.break_it()
        asked_at = time.monotonic()
        said = refusal(daemon, "StopTask", task=during[0])
        assert said.startswith(UNDER_WAY)
        assert "see that its file system can be written to" in said
        killed_on_time(before[1], begun_at)
        killed_on_time(during[1], asked_at)
        assert len(daemon.logged("store_failed")) == 1
        # It can be written to again when it has been checked, unmounted: this one would try until its time is up.
        daemon.kill()


def test_a_disk_that_hangs_delays_no_kill() -> None:
    with daemon_on(ext4) as (daemon, disk):
        before, during, last = (daemon.begin("ignores.py", stopTimeout=WINDOW) for _ in range(3))
        for arn, _ in (before, during, last):
            daemon.wait(arn, "RUNNING")
        begun_at = time.monotonic()
        daemon.stop(before[0], reason="before")
        disk.freeze()
        asked_at = time.monotonic()
        said = refusal(daemon, "StopTask", task=during[0], reason="during")
        answered_at = time.monotonic()
        killed_on_time(before[1], begun_at)
        assert said.startswith(UNDER_WAY)
        assert "its disk has not answered for 2 s" in said
        assert answered_at < asked_at + HUNG + SOON
        again_at = time.monotonic()
        assert refusal(daemon, "StopTask", task=last[0], reason="last").startswith(UNDER_WAY)
        assert time.monotonic() < again_at + SOON, "it is known to hang"
        assert asked_at + WINDOW <= during[1].death() < answered_at + WINDOW + SOON
        killed_on_time(last[1], again_at)
        disk.thaw()
        records = [daemon.wait(arn) for arn, _ in (before, during, last)]
        assert [one["stoppedReason"] for one in records] == ["before", "during", "last"]
        assert [one["containers"][0]["exitCode"] for one in records] == [137] * 3
        assert len(daemon.logged("store_recovered")) == 1


def _is_full(daemon: Daemon) -> bool:
    return os.statvfs(daemon.state_dir).f_bavail == 0
