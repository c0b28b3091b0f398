"""An end at a bad moment, or with an agent that hangs: the tasks have their windows, and their exits are recorded."""

from __future__ import annotations

import signal

import pytest

from tests.process import observed
from tests.system.daemon import Daemon

pytestmark = pytest.mark.system

SIGTERM_HELD = 1 << signal.SIGTERM - 1
"""In ``SigBlk`` of ``/proc/PID/status``."""


def test_an_agent_that_hangs_through_a_drain_is_replaced(daemon: Daemon) -> None:
    arn, main = daemon.begin("graceful.py")
    agent = daemon.agent()
    agent.signal(signal.SIGSTOP)
    daemon.terminate()
    agent.death()
    main.death()
    daemon.has_ended()
    (told,) = daemon.logged("agent_hangs")
    assert (told["pid"], told["why"]) == (agent.pid, "it did not answer")
    daemon.start()
    assert daemon.task(arn)["containers"][0]["exitCode"] == 7, "that of the workload"


def test_told_to_end_while_it_begins_it_stops_what_an_earlier_one_has_left(daemon: Daemon) -> None:
    arn, main = daemon.begin("graceful.py")
    agent = daemon.agent()
    assert daemon.popen is not None
    daemon.keeper.signal(signal.SIGKILL)
    daemon.popen.wait()
    daemon.spawn()
    daemon.until(lambda: int(observed.status(daemon.keeper.pid)["SigBlk"], 16) & SIGTERM_HELD or None, "its beginning")
    daemon.terminate()
    main.death()
    observed.end_all([main.pid, agent.pid])  # orphans, and so ours to reap
    daemon.has_ended()
    daemon.start()
    assert daemon.task(arn)["containers"][0]["exitCode"] == 7, "that of the workload"
