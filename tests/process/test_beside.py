"""Health checks, as runs beside a run: bounded in time, gone with their run, and never in a kill's way."""

from __future__ import annotations

import errno
import os
import secrets
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from supervisor import wire
from supervisor.posix import cgroup
from tests.process.conftest import whatever_the_tracking
from tests.process.harness import AMPLE, SOON, WINDOW, Keeper

pytestmark = pytest.mark.process

TERM_MAIN = (signal.SIGTERM, "main")

HANGS = 'trap "" TERM; sleep 1000 & echo "child $!" >"$READY"; echo "check $$" >"$READY"; wait; wait'


def check(keeper: Keeper, spec: wire.Spawn, script: str, **members: Any) -> str:
    """Ask for a check of that run; its own run's id."""
    beside = keeper.spec(
        "/bin/sh", "-c", script, task=spec.task, container=spec.container, log_driver="check", beside=spec.run
    )
    keeper.send(beside._replace(**members))
    return beside.run


def begin(keeper: Keeper, *argv: str, **members: Any) -> wire.Spawn:
    spec = keeper.spec(*argv, **members)
    keeper.send(spec)
    keeper.hear_main(spec.run)
    return spec


def kinds(keeper: Keeper, run: str) -> list[str]:
    return [type(event).__name__ for event in keeper.events if getattr(event, "run", "") == run]


def test_a_check_tells_how_it_ended_and_its_last_output_is_kept(keeper: Keeper) -> None:
    spec = begin(keeper, "graceful.py")
    for code in (0, 3):
        run = check(keeper, spec, f"echo said {code}; exit {code}", lifetime=AMPLE)
        keeper.wait(wire.Emptied, run)
        assert keeper.wait(wire.Exited, run).code == code
        assert kinds(keeper, run) == ["Spawned", "Exited", "Emptied"]
    assert Path(f"{keeper.settings.log_dir}/{spec.task}/main.check").read_text() == "said 3\n"
    assert kinds(keeper, spec.run) == ["Spawned"]


def test_a_check_has_a_group_of_its_own(keeper: Keeper, tracking: str) -> None:
    spec = begin(keeper, "graceful.py")
    run = check(keeper, spec, HANGS)
    pid = keeper.hear("check").pid
    group = f"{cgroup.own()}/{keeper.settings.cgroup}/{spec.task}"
    assert cgroup.contains(f"{group}/{run}", pid) is (tracking == "cgroup")
    assert os.getsid(pid) == pid
    assert keeper.listed().runs == sorted([spec.run, run])


def test_a_check_is_killed_with_its_children_when_its_time_is_over(keeper: Keeper) -> None:
    spec = begin(keeper, "graceful.py")
    asked_at = time.monotonic()
    run = check(keeper, spec, HANGS, lifetime=WINDOW)
    for word in ("check", "child"):
        one = keeper.hear(word)
        died_at = keeper.until(lambda one=one: one.died_at, "a death")  # type: ignore[misc]
        assert asked_at + WINDOW <= died_at < asked_at + WINDOW + SOON
    keeper.wait(wire.Emptied, run)
    assert keeper.wait(wire.Exited, run).signal == signal.SIGKILL
    assert kinds(keeper, run) == ["Spawned", "Exited", "Emptied"]
    assert kinds(keeper, spec.run) == ["Spawned"]


def test_a_check_leaves_nothing(keeper: Keeper) -> None:
    spec = begin(keeper, "graceful.py")
    run = check(keeper, spec, 'trap "" TERM; sleep 1000 & echo "child $!" >"$READY"', lifetime=AMPLE)
    child = keeper.hear("child")
    assert keeper.until(lambda: child.died_at, "the death of the child") < time.monotonic() + SOON
    keeper.wait(wire.Emptied, run)
    assert keeper.wait(wire.Exited, run).code == 0


def test_a_check_is_killed_when_the_stop_of_its_run_begins(keeper: Keeper) -> None:
    spec = begin(keeper, "ignores.py", stop_timeout=AMPLE)
    run = check(keeper, spec, HANGS, lifetime=AMPLE)
    both = [keeper.hear("check"), keeper.hear("child")]
    asked_at = keeper.stop(spec.run)
    for one in both:
        assert keeper.until(lambda one=one: one.died_at, "a death") < asked_at + SOON  # type: ignore[misc]
    keeper.wait(wire.Emptied, run)
    assert keeper.signals(spec.run) == [TERM_MAIN]


def test_a_check_ends_with_a_main_process_that_exits_unasked_and_the_run_is_over_after_it(keeper: Keeper) -> None:
    spec = begin(keeper, "graceful.py")
    run = check(keeper, spec, HANGS, lifetime=AMPLE)
    one = keeper.hear("child")
    os.kill(keeper.wait(wire.Spawned, spec.run).pid, signal.SIGTERM)
    keeper.wait(wire.Emptied, spec.run)
    assert not one.alive
    ends = [event.run for event in keeper.events if isinstance(event, wire.Emptied)]
    assert ends == [run, spec.run]
    assert keeper.signals(spec.run) == []


def test_a_check_can_be_stopped_by_itself(keeper: Keeper) -> None:
    spec = begin(keeper, "graceful.py")
    run = check(keeper, spec, HANGS)
    one = keeper.hear("check")
    asked_at = keeper.stop(run)
    assert keeper.until(lambda: one.died_at, "the death of the check") < asked_at + SOON
    keeper.wait(wire.Emptied, run)
    assert kinds(keeper, spec.run) == ["Spawned"]


@whatever_the_tracking
def test_a_check_is_refused_where_there_is_nothing_to_check(keeper: Keeper) -> None:
    stopped = begin(keeper, "ignores.py", stop_timeout=AMPLE)
    keeper.stop(stopped.run)
    keeper.wait(wire.Signalled, stopped.run)
    left = begin(keeper, "leaves_child.py", "stubborn", "unasked", stop_timeout=AMPLE)
    keeper.wait(wire.Exited, left.run)
    alive = begin(keeper, "graceful.py")
    helper = alive._replace(run=check(keeper, alive, HANGS))
    keeper.hear("check")
    nobody = alive._replace(run=secrets.token_hex(16))
    for spec, why in (
        (nobody, "there is no such run"),
        (stopped, "it is being stopped"),
        (left, "its main process is over"),
        (helper, "it is a helper itself"),
    ):
        run = check(keeper, spec, "true")
        failed = keeper.wait(wire.SpawnFailed, run)
        assert (failed.stage, failed.errno, failed.detail) == ("beside", errno.ESRCH, why)
        assert kinds(keeper, run) == ["SpawnFailed"]


def test_a_check_that_cannot_begin_says_so(keeper: Keeper) -> None:
    spec = begin(keeper, "graceful.py")
    run = check(keeper, spec, "true", argv=["/nonexistent"])
    failed = keeper.wait(wire.SpawnFailed, run)
    assert (failed.stage, failed.errno) == ("exec", errno.ENOENT)
    assert kinds(keeper, run) == ["SpawnFailed"]
    keeper.stop(spec.run)
    keeper.wait(wire.Emptied, spec.run)


@whatever_the_tracking
def test_a_crowd_of_checks_makes_no_kill_late(keeper: Keeper) -> None:
    spec = begin(keeper, "graceful.py")
    run, main = keeper.begin("ignores.py", timeout=WINDOW)
    asked_at = keeper.stop(run)
    checks = [check(keeper, spec, "exit 0", lifetime=AMPLE) for _ in range(100)]
    died_at = keeper.until(lambda: main.died_at, "the death of the main process")
    assert asked_at + WINDOW <= died_at < asked_at + WINDOW + SOON
    for one in checks:
        keeper.wait(wire.Emptied, one)


def test_a_check_that_has_the_id_of_a_run_is_not_started(keeper: Keeper) -> None:
    spec = begin(keeper, "graceful.py")
    other = keeper.spec("graceful.py")
    taken = other._replace(argv=["/bin/sleep", "1000"], beside=spec.run, lifetime=AMPLE)
    keeper.send(taken, other)  # a check waits for a quiet moment, so the run comes first
    main = keeper.hear_main(other.run)
    keeper.stop(other.run)
    main.death()
    assert keeper.wait(wire.Exited, other.run).code == 7
    keeper.wait(wire.Emptied, other.run)
    assert kinds(keeper, other.run) == ["Spawned", "Signalled", "Exited", "Emptied"]
