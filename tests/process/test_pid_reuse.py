"""A pid that goes to somebody else: nobody is signalled in another's place, and a main pid is not given away early."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from supervisor import wire
from supervisor.posix import proc, process
from tests.process import observed
from tests.process.harness import Keeper

LAST_PID = "/proc/sys/kernel/ns_last_pid"
TRIES = 50
"""Others start processes as well, and may come between."""

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not os.access(LAST_PID, os.W_OK), reason="which pid comes next cannot be chosen here"),
]


@contextlib.contextmanager
def _process_after(pid: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has the first free pid after that one."""
    with open(LAST_PID, "w") as file:
        file.write(str(pid))
    popen = subprocess.Popen(["/bin/sleep", "1000"])
    try:
        yield popen
    finally:
        popen.kill()
        popen.wait()


def test_who_has_the_pid_of_another_is_not_signalled_in_his_place() -> None:
    first = subprocess.Popen(["/bin/sleep", "1000"])
    was = proc.read_stat(first.pid)
    assert was is not None
    ticks = os.sysconf("SC_CLK_TCK")
    observed.until(
        lambda: int(time.clock_gettime(time.CLOCK_BOOTTIME) * ticks) > was.start_time, "the clock's next tick"
    )
    first.kill()
    first.wait()
    for _ in range(TRIES):
        with _process_after(first.pid - 1) as second:
            if second.pid == first.pid:
                assert process.open_identified(first.pid, was.start_time) is None
                assert not process.send_identified(first.pid, was.start_time, signal.SIGKILL)
                assert second.poll() is None
                second.send_signal(signal.SIGTERM)
                assert second.wait() == -signal.SIGTERM, "no SIGKILL has come before"
                return
    pytest.fail("the pid never came again")


def test_the_pid_of_a_main_process_is_not_given_away_before_its_run_is_empty(keeper: Keeper) -> None:
    """Whoever had it would lead the group, and perhaps the session, that are still signalled."""
    run, main = keeper.begin("leaves_child.py", "stubborn", "asked")
    child = keeper.hear("child")
    keeper.stop(run)
    keeper.wait(wire.Exited, run)
    for _ in range(3):
        with _process_after(main.pid - 1) as other:
            assert child.alive
            assert other.pid != main.pid
    keeper.stop(run, 0.0)
    keeper.wait(wire.Emptied, run)
    for _ in range(TRIES):
        with _process_after(main.pid - 1) as other:
            if other.pid == main.pid:
                return
    pytest.fail("the pid never came again: that it did not before says nothing")
