"""kill -9 of keeper and agent together: tasks run on, are never started twice, and their stops and codes are as before.

The tests are the subreaper that PID 1 is elsewhere: a killed keeper's children are theirs then.
"""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from supervisor.posix import proc
from tests.machine import cannot_test
from tests.process import observed
from tests.system.conftest import StartDaemon
from tests.system.daemon import AMPLE, MS, SOON, SUPERVISOR, Daemon

pytestmark = pytest.mark.system

WINDOW = 3
BOOT_ID = "/proc/sys/kernel/random/boot_id"
RESTARTS = {"enabled": True, "restartAttemptPeriod": 60}
BACKOFF = "supervisor.restart-backoff"


@pytest.fixture(params=["cgroup", "descent"])
def own(request: pytest.FixtureRequest, start_daemon: StartDaemon) -> Daemon:
    """A daemon of the test's own, in each way of tracking."""
    return start_daemon(request.param)


def instant(stamp: str) -> float:
    return dt.datetime.fromisoformat(stamp).timestamp()


def copies(run_id: str) -> list[int]:
    """The processes that say in their environment that they are of that run."""
    found = [
        pid for pid in proc.snapshot() if proc.read_environ(pid).get(b"SUPERVISOR_CONTAINER_ID") == run_id.encode()
    ]
    return [pid for pid in found if observed.state(pid) != "Z"]


def test_a_task_runs_on_and_is_the_same_task(own: Daemon) -> None:
    arn, main = own.begin("graceful.py", "7")
    before = own.wait(arn, "RUNNING")
    own.lose_keeper()
    own.start()
    assert own.task(arn) == before
    assert copies(before["containers"][0]["runtimeId"]) == [main.pid]
    assert own.logged("runs_taken_over", adopted=1, children=0)
    own.stop(arn)
    main.death()
    own.reap_orphans()
    after = own.wait(arn)
    assert (after["containers"][0]["exitCode"], after["stopCode"]) == (7, "UserInitiated")


def test_a_stop_has_the_time_that_it_had_left(own: Daemon) -> None:
    arn, main = own.begin("ignores.py", stopTimeout=WINDOW)
    asked_at = time.monotonic()
    own.stop(arn)
    own.lose_keeper()
    own.start()
    died_at = main.death()
    own.reap_orphans()
    assert asked_at + WINDOW - MS <= died_at < asked_at + WINDOW + SOON
    task = own.wait(arn)
    assert task["containers"][0]["exitCode"] == 137
    assert "ignores SIGTERM" in task["containers"][0]["reason"]


def test_a_restart_policy_starts_no_second_copy_beside_the_first(own: Daemon) -> None:
    arn, main = own.begin("graceful.py", "1", restartPolicy=RESTARTS, dockerLabels={BACKOFF: "0.1:0.1"})
    first = own.wait(arn, "RUNNING")["containers"][0]["runtimeId"]
    own.lose_keeper()
    own.start()
    assert copies(first) == [main.pid]
    main.signal(signal.SIGTERM)
    main.death()
    own.reap_orphans()
    assert own.hear("main")[0].pid != main.pid
    own.stop(arn)
    own.wait(arn)


def test_what_ended_while_nobody_was_there_has_no_code_and_a_reason(own: Daemon) -> None:
    arn, main = own.begin("graceful.py", "7")
    own.wait(arn, "RUNNING")
    own.lose_keeper()
    main.signal(signal.SIGTERM)
    main.death()
    own.reap_orphans()
    own.start()
    container = own.wait(arn)["containers"][0]
    assert "exitCode" not in container
    assert container["reason"].startswith("Exit code unknown: it ended while no keeper lived")


def test_many_deaths(own: Daemon) -> None:
    arns = [own.begin("graceful.py", str(code))[0] for code in (3, 4, 5)]
    for _ in range(4):
        own.lose_keeper()
        own.start()
    for arn in arns:
        own.stop(arn)
    observed.until(lambda: _are_stopped(own, arns), "all stopped")
    codes = [own.task(arn)["containers"][0]["exitCode"] for arn in arns]
    assert codes == [3, 4, 5]


def _are_stopped(daemon: Daemon, arns: list[str]) -> bool:
    daemon.reap_orphans()
    return all(daemon.task(arn)["lastStatus"] == "STOPPED" for arn in arns)


def test_a_directory_has_one_owner_and_a_second_one_says_who(own: Daemon) -> None:
    argv = [*SUPERVISOR, "agent", "--state-dir", own.state_dir, "--socket", f"{own.directory}/other.sock"]
    second = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=AMPLE)
    assert second.returncode == 1
    assert f"the supervisor with pid {own.keeper.pid} owns it" in second.stderr
    assert "Traceback" not in second.stderr


def test_after_a_restart_of_the_host_every_task_is_over_with_a_reason(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    """The next start sees another boot id; and whoever has a pid of before by then is a stranger."""
    daemon = start_daemon()
    arn, main = daemon.begin("graceful.py")
    waits, short = daemon.begin("graceful.py", "1", restartPolicy=RESTARTS, dockerLabels={BACKOFF: "60:60"})
    daemon.wait(waits, "RUNNING")
    short.signal(signal.SIGTERM)
    daemon.until(lambda: daemon.logged("container_restarting") or None, "a pause")
    daemon.wait(arn, "RUNNING")
    daemon.lose_keeper()
    (tmp_path / "boot_id").write_text("11111111-2222-3333-4444-555555555555\n")
    try:
        daemon.start(
            prefix=["unshare", "--mount", "sh", "-c", f'mount --bind {tmp_path}/boot_id {BOOT_ID} && exec "$@"', "sh"]
        )
    except AssertionError as exc:
        if os.geteuid() != 0 or "mount" in str(exc):
            cannot_test("another boot id cannot be mounted here")
        raise
    for each in (arn, waits):
        task = daemon.task(each)
        assert (task["lastStatus"], task["stopCode"]) == ("STOPPED", "TerminationNotice")
        assert task["stoppedReason"] == "The host was restarted"
    container = daemon.task(arn)["containers"][0]
    assert "exitCode" not in container
    assert container["reason"] == "Exit code unknown: the host went down while it ran"
    assert main.alive, "whoever has its pid is somebody else by now"
    main.signal(signal.SIGKILL)
    main.death()
    daemon.reap_orphans()
