"""What is left shortly before a deadline is looked at: told with the kill, and no reason for the kill to be late."""

from __future__ import annotations

import json
import os
import signal
import sys
import time

import pytest

from supervisor import wire
from supervisor.posix import proc
from tests.process import observed
from tests.process.conftest import StartKeeper, whatever_the_tracking
from tests.process.harness import AMPLE, SOON, WINDOW, Keeper
from tests.process.tracer import PTRACE_O_TRACEEXIT, traced

pytestmark = pytest.mark.process

TERM_MAIN = (signal.SIGTERM, "main")
KILL_GROUP = (signal.SIGKILL, "group")

HANGING = """
import sys, time
from supervisor.posix import sight
from supervisor.keeper import __main__ as keeper
sight.see = lambda *_: time.sleep(1000)
sys.exit(keeper.main())
"""


def looks(keeper: Keeper) -> list[int]:
    """Children of the keeper's that are neither its agent nor a main process."""
    known = {keeper.agent.pid, *(event.pid for event in keeper.find(wire.Spawned))}
    return [pid for pid in proc.children_of(keeper.popen.pid) if pid not in known]


def test_the_facts_of_who_is_stubborn_come_before_its_kill(keeper: Keeper) -> None:
    run, main = keeper.begin("ignores.py", timeout=WINDOW, stop_signals=[(signal.SIGTERM, 0.0), (signal.SIGINT, 1.0)])
    asked_at = keeper.stop(run)
    died_at = keeper.until(lambda: main.died_at, "the death of the main process")
    assert asked_at + WINDOW <= died_at < asked_at + WINDOW + SOON
    keeper.wait(wire.Emptied, run)
    kinds = [type(event) for event in keeper.events]
    assert kinds == [wire.Spawned, wire.Signalled, wire.Looked, wire.Signalled, wire.Exited, wire.Emptied]
    looked = keeper.wait(wire.Looked, run)
    assert asked_at + WINDOW / 2 <= looked.seen_at < asked_at + WINDOW
    assert looked.signums == [signal.SIGTERM]
    (fact,) = json.loads(looked.facts)
    assert (fact["pid"], fact["start_time"]) == (main.pid, keeper.wait(wire.Spawned, run).start_time)


def test_all_that_is_left_is_seen_the_main_process_first(keeper: Keeper) -> None:
    run, main = keeper.begin("leaves_child.py", "stubborn", "never", timeout=WINDOW)
    child = keeper.hear("child")
    left, _ = keeper.begin("leaves_child.py", "stubborn", "asked", timeout=WINDOW)
    orphan = keeper.hear("child")
    keeper.stop(run)
    keeper.stop(left)
    for one, pids in ((run, [main.pid, child.pid]), (left, [orphan.pid])):
        keeper.wait(wire.Emptied, one)
        assert [fact["pid"] for fact in json.loads(keeper.wait(wire.Looked, one).facts)] == pids
        assert len(keeper.find(wire.Looked, one)) == 1


def test_who_ends_in_time_is_not_told_of(keeper: Keeper) -> None:
    run, _ = keeper.begin("graceful.py", timeout=WINDOW)
    keeper.stop(run)
    late, main = keeper.begin("ignores.py", timeout=WINDOW)
    keeper.stop(late)
    observed.until(lambda: bool(looks(keeper)), "a look")
    main.signal(signal.SIGINT)
    for one in (run, late):
        keeper.wait(wire.Emptied, one)
    observed.until(lambda: not looks(keeper), "the end of the look")
    assert keeper.find(wire.Looked) == []


def test_one_look_is_enough_for_many(keeper: Keeper) -> None:
    runs = [keeper.begin("ignores.py", timeout=AMPLE) for _ in range(8)]
    keeper.send(*(wire.Stop(run, WINDOW) for run, _ in runs))
    observed.until(lambda: bool(looks(keeper)), "a look")
    seen = looks(keeper)
    assert len(seen) == 1
    for run, main in runs:
        keeper.wait(wire.Emptied, run)
        assert [fact["pid"] for fact in json.loads(keeper.wait(wire.Looked, run).facts)] == [main.pid]
    assert looks(keeper) == []


def test_without_time_to_look_nothing_was_seen(keeper: Keeper) -> None:
    run, _ = keeper.begin("ignores.py")
    keeper.stop(run, 0.0)
    keeper.wait(wire.Emptied, run)
    looked = keeper.wait(wire.Looked, run)
    assert (looked.facts, looked.signums) == ("[]", [signal.SIGTERM])
    assert looked.seq < keeper.wait(wire.Signalled, run, signum=signal.SIGKILL).seq


@whatever_the_tracking
def test_who_does_not_want_reports_has_none(start_keeper: StartKeeper) -> None:
    keeper = start_keeper(look=False)
    run, _ = keeper.begin("ignores.py", timeout=WINDOW)
    keeper.stop(run)
    keeper.wait(wire.Emptied, run)
    assert keeper.find(wire.Looked) == []
    assert keeper.signals(run) == [TERM_MAIN, KILL_GROUP]


def test_a_look_that_hangs_makes_nothing_late_and_is_not_waited_for(start_keeper: StartKeeper) -> None:
    keeper = start_keeper(command=[sys.executable, "-P", "-c", HANGING])
    run, main = keeper.begin("ignores.py", timeout=WINDOW)
    asked_at = keeper.stop(run)
    died_at = keeper.until(lambda: main.died_at, "the death of the main process")
    assert asked_at + WINDOW <= died_at < asked_at + WINDOW + SOON
    keeper.wait(wire.Emptied, run)
    assert keeper.wait(wire.Looked, run).facts == "[]"
    observed.until(lambda: not looks(keeper), "the end of the look")


@pytest.mark.parametrize("options", [PTRACE_O_TRACEEXIT, 0], ids=["stuck", "zombie"])
def test_a_look_that_cannot_be_killed_is_nobody_s_process_and_keeps_nobody(
    start_keeper: StartKeeper, options: int
) -> None:
    """As one in uninterruptible I/O would be: its tracer holds it, before its death or after."""
    keeper = start_keeper(command=[sys.executable, "-P", "-c", HANGING])
    run, main = keeper.begin("leaves_child.py", "stubborn", "asked", timeout=1.0)
    child = keeper.hear("child")
    asked_at = keeper.stop(run)
    keeper.until(lambda: main.died_at, "the death of the main process")
    observed.until(lambda: looks(keeper) not in ([], [child.pid]), "a look")
    (look,) = (pid for pid in looks(keeper) if pid != child.pid)
    with traced(look, options):
        died_at = keeper.until(lambda: child.died_at, "the death of the child")
        assert asked_at + 1.0 <= died_at < asked_at + 1.0 + SOON
        keeper.wait(wire.Emptied, run)
        assert os.path.exists(f"/proc/{look}")
        again, _ = keeper.begin("ignores.py", timeout=WINDOW)
        keeper.stop(again)
        keeper.wait(wire.Emptied, again)
        ended_at = time.monotonic()
        keeper.terminate()
        keeper._drain()
        keeper.process.death()
        assert time.monotonic() < ended_at + 2 * SOON
    observed.end_all([look])


def test_a_look_touches_nothing_of_the_keepers(keeper: Keeper) -> None:
    run, _ = keeper.begin("ignores.py", timeout=AMPLE)
    keeper.stop(run, 1.0)
    observed.until(lambda: bool(looks(keeper)), "a look")
    (look,) = looks(keeper)
    observed.until(lambda: len(observed.descriptors(look)) == 1, "its one descriptor")
    assert os.getpriority(os.PRIO_PROCESS, look) == os.getpriority(os.PRIO_PROCESS, keeper.popen.pid) + 10
    assert all(name.startswith("pipe:") for name in observed.descriptors(look).values())
