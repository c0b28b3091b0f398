"""Nothing outlives its container: children, daemons, orphans without a mark, those that fork while they are killed."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable

import pytest

from supervisor import wire
from supervisor.posix import cgroup, proc
from tests.process import observed
from tests.process.conftest import StartKeeper
from tests.process.harness import AMPLE, KEEPER, SOON, WINDOW, Keeper

pytestmark = pytest.mark.process

TERM_MAIN = (signal.SIGTERM, "main")
TERM_GROUP = (signal.SIGTERM, "group")
KILL_GROUP = (signal.SIGKILL, "group")


def test_a_child_left_behind_gets_the_signal_at_once(keeper: Keeper) -> None:
    run, _ = keeper.begin("leaves_child.py", "graceful", "asked")
    child = keeper.hear("child")
    keeper.stop(run)
    keeper.hear("child-stopping")
    assert keeper.wait(wire.Exited, run).code == 3
    keeper.wait(wire.Emptied, run)
    assert not child.alive
    assert keeper.signals(run) == [TERM_MAIN, TERM_GROUP]
    assert keeper.wait(wire.Signalled, run, whom="group").pids == [child.pid]


def test_a_child_left_behind_has_what_remains_of_the_same_window(keeper: Keeper) -> None:
    run, _ = keeper.begin("leaves_child.py", "stubborn", "asked", timeout=WINDOW)
    child = keeper.hear("child")
    asked_at = keeper.stop(run)
    assert keeper.wait(wire.Exited, run).code == 3
    assert child.alive
    died_at = keeper.until(lambda: child.died_at, "the death of the child")
    assert asked_at + WINDOW <= died_at < asked_at + WINDOW + SOON
    keeper.wait(wire.Emptied, run)
    assert keeper.signals(run) == [TERM_MAIN, TERM_GROUP, KILL_GROUP]
    assert keeper.wait(wire.Signalled, run, signum=signal.SIGKILL).pids == [child.pid]
    assert len({event.deadline for event in keeper.find(wire.Signalled, run)}) == 1


@pytest.mark.parametrize("kind", ["graceful", "stubborn"])
def test_nothing_outlives_a_main_process_that_exits_unasked(keeper: Keeper, kind: str) -> None:
    began_at = time.monotonic()
    run, _ = keeper.begin("leaves_child.py", kind, "unasked", timeout=WINDOW)
    child = keeper.hear("child")
    died_at = keeper.until(lambda: child.died_at, "the death of the child")
    keeper.wait(wire.Emptied, run)
    assert keeper.wait(wire.Exited, run).code == 3
    if kind == "graceful":
        keeper.hear("child-stopping")
        assert keeper.signals(run) == [TERM_GROUP]
    else:
        assert died_at >= began_at + WINDOW
        assert keeper.signals(run) == [TERM_GROUP, KILL_GROUP]


def test_a_stop_after_the_main_process_exited_can_bring_the_deadline_of_the_rest_forward(keeper: Keeper) -> None:
    run, _ = keeper.begin("leaves_child.py", "stubborn", "unasked", timeout=AMPLE)
    child = keeper.hear("child")
    keeper.wait(wire.Signalled, run, whom="group")
    asked_at = keeper.stop(run, 0.0)
    assert keeper.until(lambda: child.died_at, "the death of the child") < asked_at + SOON
    keeper.wait(wire.Emptied, run)
    assert keeper.wait(wire.Exited, run).code == 3


def test_the_stop_is_over_the_moment_the_last_process_is_gone(keeper: Keeper) -> None:
    run, _ = keeper.begin("leaves_child.py", "stubborn", "unasked", timeout=AMPLE)
    child = keeper.hear("child")
    keeper.wait(wire.Signalled, run, whom="group")
    child.signal(signal.SIGKILL)
    died_at = keeper.until(lambda: child.died_at, "the death of the child")
    keeper.wait(wire.Emptied, run)
    assert time.monotonic() < died_at + SOON
    assert keeper.signals(run) == [TERM_GROUP]


def test_the_main_process_stays_a_zombie_and_keeps_its_pid_until_the_group_is_empty(keeper: Keeper) -> None:
    run, main = keeper.begin("leaves_child.py", "stubborn", "unasked", timeout=AMPLE)
    child = keeper.hear("child")
    keeper.wait(wire.Exited, run)
    keeper.listed()
    assert (observed.state(main.pid), main.alive, child.alive) == ("Z", False, True)
    assert keeper.find(wire.Emptied, run) == []
    keeper.stop(run, 0.0)
    keeper.wait(wire.Emptied, run)
    assert observed.state(main.pid) is None


def test_the_exit_code_is_recorded_once_whatever_follows(keeper: Keeper) -> None:
    run, _ = keeper.begin("leaves_child.py", "stubborn", "unasked", timeout=WINDOW)
    keeper.stop(run)
    keeper.wait(wire.Emptied, run)
    assert [(event.code, event.signal) for event in keeper.find(wire.Exited, run)] == [(3, None)]
    assert len(keeper.find(wire.Emptied, run)) == 1


def test_the_scope_group_signals_everybody_at_once(keeper: Keeper) -> None:
    run, main = keeper.begin("leaves_child.py", "graceful", "asked", stop_scope="group")
    child = keeper.hear("child")
    keeper.stop(run)
    keeper.hear("child-stopping")
    assert keeper.wait(wire.Exited, run).code == 3
    keeper.wait(wire.Emptied, run)
    assert keeper.signals(run)[0] == TERM_GROUP
    assert sorted(keeper.find(wire.Signalled, run)[0].pids) == sorted([main.pid, child.pid])
    assert TERM_MAIN not in keeper.signals(run)


def test_the_scope_main_leaves_the_children_to_the_main_process(keeper: Keeper) -> None:
    run, _ = keeper.begin("leaves_child.py", "graceful", "never", timeout=WINDOW)
    child = keeper.hear("child")
    keeper.stop(run)
    keeper.wait(wire.Emptied, run)
    assert not child.alive
    assert keeper.heard("child-stopping") is None
    assert keeper.signals(run)[:2] == [TERM_MAIN, KILL_GROUP]


def test_a_daemon_in_its_own_session_gets_the_signal_when_its_main_process_is_gone(keeper: Keeper) -> None:
    run, main = keeper.begin("daemon.py", "graceful")
    daemon = keeper.hear("daemon")
    assert os.getsid(daemon.pid) != os.getsid(main.pid)
    keeper.stop(run)
    keeper.hear("daemon-stopping")
    assert keeper.wait(wire.Exited, run).code == 0
    keeper.wait(wire.Emptied, run)
    assert not daemon.alive
    assert keeper.signals(run) == [TERM_MAIN, TERM_GROUP]


def test_a_stubborn_daemon_in_its_own_session_is_killed_at_the_deadline(keeper: Keeper) -> None:
    run, _ = keeper.begin("daemon.py", "stubborn", timeout=WINDOW)
    daemon = keeper.hear("daemon")
    asked_at = keeper.stop(run)
    died_at = keeper.until(lambda: daemon.died_at, "the death of the daemon")
    assert asked_at + WINDOW <= died_at < asked_at + WINDOW + SOON
    keeper.wait(wire.Emptied, run)
    assert keeper.signals(run) == [TERM_MAIN, TERM_GROUP, KILL_GROUP]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can leave its cgroup")
@pytest.mark.parametrize("tracking", ["cgroup"], indirect=True)
def test_a_daemon_that_has_left_its_cgroup_is_found(keeper: Keeper) -> None:
    elsewhere = cgroup.own()
    assert elsewhere is not None
    run, _ = keeper.begin("daemon.py", "stubborn", elsewhere, timeout=WINDOW)
    daemon = keeper.hear("daemon")
    assert not cgroup.contains(f"{elsewhere}/{keeper.settings.cgroup}", daemon.pid)
    keeper.stop(run)
    keeper.until(lambda: daemon.died_at, "the death of the daemon")
    keeper.wait(wire.Emptied, run)
    assert keeper.signals(run) == [TERM_MAIN, TERM_GROUP, KILL_GROUP]


@pytest.mark.parametrize("when", ["asked", "unasked"])
def test_an_orphan_without_environment_or_session_is_found(keeper: Keeper, when: str) -> None:
    run, main = keeper.begin("cleared.py", when, timeout=WINDOW)
    orphan = keeper.hear("orphan")
    assert proc.read_environ(orphan.pid) == {}
    if when == "asked":
        assert os.getsid(orphan.pid) != os.getsid(main.pid)
        keeper.stop(run)
    keeper.until(lambda: orphan.died_at, "the death of the orphan")
    keeper.wait(wire.Emptied, run)
    assert keeper.wait(wire.Exited, run).code == 4
    assert keeper.signals(run)[-2:] == [(signal.SIGTERM, "group"), KILL_GROUP]


def test_an_orphan_of_one_run_is_not_taken_for_one_of_another(keeper: Keeper) -> None:
    other, _ = keeper.begin("cleared.py", "asked")
    others_orphan = keeper.hear("orphan")
    run, _ = keeper.begin("cleared.py", "unasked", timeout=0.0)
    orphan = keeper.hear("orphan")
    keeper.wait(wire.Emptied, run)
    assert not orphan.alive
    assert others_orphan.alive
    assert keeper.signals(other) == []


def test_an_orphan_with_the_tag_of_another_is_told_by_its_environment(start_keeper: StartKeeper) -> None:
    """Where a supervisor above us uses the tag already, the other marks must do."""
    keeper = start_keeper(command=["prlimit", "--locks=1000", sys.executable, *KEEPER])
    run, _ = keeper.begin("daemon.py", "stubborn", timeout=WINDOW)
    daemon = keeper.hear("daemon")
    assert proc.read_file_locks_limit(daemon.pid) == 1000
    keeper.stop(run)
    keeper.until(lambda: daemon.died_at, "the death of the daemon")
    keeper.wait(wire.Emptied, run)


def test_a_process_that_never_stays_is_caught(keeper: Keeper) -> None:
    run, _ = keeper.begin("hopper.py", timeout=WINDOW)
    keeper.hear("hop")
    asked_at = keeper.stop(run)
    keeper.wait(wire.Emptied, run)
    assert asked_at + WINDOW <= time.monotonic() < asked_at + WINDOW + SOON
    assert keeper.wait(wire.Exited, run).code == 0


def test_a_fork_bomb_is_ended_by_one_kill_while_it_grows(keeper: Keeper) -> None:
    run, main = keeper.begin("grows.py", timeout=AMPLE)
    for _ in range(20):
        keeper.hear("born")
    keeper.stop(run, 0.0)
    keeper.wait(wire.Signalled, run, signum=signal.SIGKILL)
    killed_at = time.monotonic()
    keeper.wait(wire.Emptied, run)
    assert keeper.wait(wire.Exited, run).signal == signal.SIGKILL
    assert not main.alive
    births = []
    while born := keeper.heard("born"):
        births.append(born.said_at)
    assert [at for at in births if at is None or at > killed_at] == []
    assert len(births) < 150, "it had stopped growing by itself"


def test_threads_that_are_left_behind_without_a_leader_are_not_taken_for_dead(
    keeper: Keeper, compiled: Callable[[str], str]
) -> None:
    script = '"$0" stubborn & read _ <"$1"'
    go = f"{keeper.directory}/go"
    os.mkfifo(go)
    run = keeper.start("/bin/sh", "-c", script, compiled("zombie_leader"), go, timeout=WINDOW)
    threads = keeper.hear("main")
    observed.until(lambda: observed.state(threads.pid) == "Z", "a zombie leader")
    with open(go, "w") as file:
        file.write("\n")
    keeper.wait(wire.Exited, run)
    exited_at = time.monotonic()
    died_at = keeper.until(lambda: threads.died_at, "the death of the threads")
    assert keeper.wait(wire.Signalled, run, whom="group", signum=signal.SIGTERM).pids == [threads.pid]
    assert died_at >= exited_at + WINDOW / 2
    keeper.wait(wire.Emptied, run)
    assert keeper.signals(run) == [TERM_GROUP, KILL_GROUP]


def test_the_end_of_the_output_is_not_waited_for(start_keeper: StartKeeper) -> None:
    output, held = os.pipe()
    try:
        keeper = start_keeper(stdout=held)
        os.close(held)
        run, _ = keeper.begin("pipe_holder.py", log_driver="inherit", timeout=AMPLE)
        grandchild = keeper.hear("grandchild")
        assert keeper.wait(wire.Exited, run).code == 5
        assert os.path.samestat(os.fstat(output), os.stat(f"/proc/{grandchild.pid}/fd/1"))
        keeper.stop(run, 0.0)
        keeper.wait(wire.Emptied, run)
        assert not grandchild.alive
    finally:
        os.close(output)


def test_an_orphan_is_reaped_while_its_run_goes_on(keeper: Keeper) -> None:
    run, main = keeper.begin("daemon.py", "graceful")
    daemon = keeper.hear("daemon")
    daemon.signal(signal.SIGKILL)
    observed.until(lambda: observed.state(daemon.pid) is None, "a reaped orphan")
    assert main.alive
    assert keeper.find(wire.Exited, run) == []


def test_a_container_of_many_processes_is_signalled_whole_and_told_in_part(keeper: Keeper) -> None:
    script = (
        'for i in 1 2 3 4 5 6 7 8; do for j in 1 2 3 4 5; do sleep 1000 & done; done; echo "main $$" >"$READY"; wait'
    )
    run, main = keeper.begin("/bin/sh", "-c", script, stop_scope="group")
    keeper.stop(run)
    keeper.wait(wire.Emptied, run)
    told = keeper.wait(wire.Signalled, run)
    assert len(told.pids) == 32
    assert not main.alive
