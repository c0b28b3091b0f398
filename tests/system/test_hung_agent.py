"""An agent that hangs, through a whole drain: the tasks have their windows, and what became of them is recorded."""

from __future__ import annotations

import signal

from tests.system.daemon import Daemon


def test_an_agent_that_hangs_through_a_drain_is_replaced_and_every_exit_is_recorded(daemon: Daemon) -> None:
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
