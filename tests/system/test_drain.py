"""The end of the daemon: everything is stopped in parallel, who was late is named, and what was stopped stays known."""

from __future__ import annotations

import os
import signal

import pytest

from supervisor.cli.failures import AgentRefused
from tests.process.observed import Process
from tests.system.conftest import StartDaemon
from tests.system.daemon import AMPLE, MS, SOON, Daemon, Json

pytestmark = pytest.mark.system

WINDOW = 1
REASON = "The supervisor is shutting down"


def after_a_restart(daemon: Daemon, *arns: str) -> list[Json]:
    """The records that the next life of the daemon has of the tasks of this one."""
    daemon.start()
    return [daemon.task(arn) for arn in arns]


def begin_each(daemon: Daemon, *argvs: tuple[str, ...], timeout: int) -> tuple[list[str], list[Process]]:
    """A task of each, all ready; their ARNs and main processes."""
    begun = [daemon.begin(*argv, stopTimeout=timeout) for argv in argvs]
    for arn, _ in begun:
        daemon.wait(arn, "RUNNING")
    return [arn for arn, _ in begun], [main for _, main in begun]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_everything_is_stopped_in_parallel_and_laggards_are_named(daemon: Daemon, signum: int) -> None:
    argvs = [("ignores.py",)] * 4 + [("graceful.py", "7"), ("leaves_child.py", "stubborn", "asked")]
    arns, _ = begin_each(daemon, *argvs, timeout=WINDOW)
    daemon.terminate(signum)
    daemon.has_ended()
    (finished,) = daemon.logged("drain_finished")
    late = {one["task"]: one["reason"] for one in finished["killed"]}
    assert late.keys() == {arn.rpartition("/")[2] for arn in arns if arn != arns[4]}
    assert all(reason.startswith("Killed 1.") for reason in late.values())
    assert [line["status"] for line in daemon.logged("keeper_ended")] == [0]
    records = after_a_restart(daemon, *arns)
    for record in records:
        assert (record["stopCode"], record["stoppedReason"]) == ("TerminationNotice", REASON)
        assert (record["lastStatus"], record["desiredStatus"]) == ("STOPPED", "STOPPED")
    assert [one["containers"][0]["exitCode"] for one in records] == [137, 137, 137, 137, 7, 3]
    took = max(one["stoppedAt"] for one in records) - min(one["stoppingAt"] for one in records)
    assert WINDOW - MS <= took < WINDOW + SOON, "five windows at the same time are one"


def test_a_second_signal_cuts_the_windows_short(daemon: Daemon) -> None:
    arns, mains = begin_each(daemon, ("ignores.py",), ("graceful.py", "7"), timeout=AMPLE)
    daemon.terminate()
    daemon.until(lambda: daemon.logged("drain_started") or None, "the drain")
    mains[1].death()
    assert mains[0].alive
    daemon.terminate(signal.SIGINT)
    daemon.has_ended()
    assert len(daemon.logged("drain_cut_short")) == 1
    records = after_a_restart(daemon, *arns)
    assert [one["containers"][0]["exitCode"] for one in records] == [137, 7]
    assert records[0]["stoppedAt"] - records[0]["stoppingAt"] < SOON


def test_no_window_is_longer_than_the_budget(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(agent={"shutdown_timeout": 2})
    arns, _ = begin_each(daemon, ("ignores.py",), timeout=AMPLE)
    daemon.terminate()
    daemon.has_ended()
    (record,) = after_a_restart(daemon, *arns)
    assert record["containers"][0]["exitCode"] == 137
    assert 1 < record["stoppedAt"] - record["stoppingAt"] < 2


def test_no_task_is_started_any_more_and_the_rest_is_still_answered(daemon: Daemon) -> None:
    (arn,), (main,) = begin_each(daemon, ("ignores.py",), timeout=WINDOW)
    definition = daemon.define(daemon.container("exits.py"))
    daemon.terminate()
    daemon.until(lambda: daemon.logged("tasks_stopping") or None, "the drain")
    with pytest.raises(AgentRefused, match="cannot run tasks: the supervisor is shutting down") as refused:
        daemon.call("RunTask", taskDefinition=definition)
    assert refused.value.error_code == "ClientException"
    assert daemon.task(arn)["stopCode"] == "TerminationNotice"
    assert main.alive, "the answers above were given in the middle of it"
    daemon.has_ended()


def test_a_stop_under_way_keeps_its_reason_and_its_window(daemon: Daemon) -> None:
    (arn,), _ = begin_each(daemon, ("ignores.py",), timeout=WINDOW)
    daemon.stop(arn, reason="mine")
    daemon.terminate()
    daemon.has_ended()
    (record,) = after_a_restart(daemon, arn)
    assert (record["stopCode"], record["stoppedReason"]) == ("UserInitiated", "mine")
    assert WINDOW - MS <= record["stoppedAt"] - record["stoppingAt"] < WINDOW + SOON


def test_an_agent_that_dies_in_the_drain_does_not_stop_it(daemon: Daemon) -> None:
    arns, _ = begin_each(daemon, ("ignores.py",), ("graceful.py", "7"), timeout=WINDOW)
    daemon.terminate()
    daemon.until(lambda: daemon.logged("tasks_stopping") or None, "the drain")
    daemon.kill_agent()
    daemon.has_ended()
    records = after_a_restart(daemon, *arns)
    assert [one["containers"][0]["exitCode"] for one in records] == [137, 7]
    assert {one["stopCode"] for one in records} == {"TerminationNotice"}
    assert WINDOW - MS <= records[0]["stoppedAt"] - records[0]["stoppingAt"] < WINDOW + SOON


def test_it_may_be_told_to_end_before_it_has_begun(daemon: Daemon) -> None:
    def tell_myself() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))
        os.kill(os.getpid(), signal.SIGTERM)

    daemon.end()
    daemon.spawn(preexec_fn=tell_myself)
    daemon.has_ended()


def test_a_daemon_with_nothing_to_stop_ends_at_once(daemon: Daemon) -> None:
    daemon.terminate()
    daemon.has_ended()
    (started,), (ended,) = daemon.logged("drain_started"), daemon.logged("keeper_ended")
    assert started["timestamp"][:19] <= ended["timestamp"][:19]
    assert daemon.logged("drain_finished", tasks=0, killed=[])
