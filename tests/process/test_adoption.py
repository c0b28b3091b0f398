"""A keeper that was killed loses nothing: the next one takes its runs up, with their deadlines, and tells true codes.

The test is a subreaper, so the orphans of a killed keeper are its children, as they would be PID 1's.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from supervisor import wire
from supervisor.keeper.adoption import GONE
from supervisor.posix import proc
from tests.process import observed
from tests.process.conftest import StartKeeper, whatever_the_tracking
from tests.process.harness import SOON, WINDOW, Keeper
from tests.process.observed import Process

pytestmark = pytest.mark.process

START = 1.0
"""Seconds, at most about so many, that a keeper takes to be there."""


def lose(keeper: Keeper) -> None:
    keeper.lose_keeper()
    keeper.begin_anew()
    keeper.greet()


def living(keeper: Keeper, run: str, main: Process, **members: object) -> wire.Spawn:
    """What an agent asks for whose keeper does not know a run that its records have."""
    stat = proc.read_stat(main.pid)
    assert stat is not None
    task = next((spawn.task for spawn in keeper.asked if spawn.run == run), "f" * 32)
    return keeper.spec("/bin/false", run=run, task=task, living=(stat.pid, stat.start_time), **members)


@pytest.mark.parametrize("reaped", [True, False])
def test_a_run_is_taken_up_and_its_exit_code_is_true(keeper: Keeper, reaped: bool) -> None:
    run, main = keeper.begin("graceful.py", "9")
    keeper.forget_all()
    lose(keeper)
    assert run in keeper.listed().runs
    keeper.stop(run)
    if reaped:
        assert os.waitstatus_to_exitcode(keeper.reap(main.pid)) == 9
    exited = keeper.wait(wire.Exited, run)
    assert (exited.code, exited.signal, exited.unknown) == (9, None, "")
    keeper.wait(wire.Emptied, run)
    assert keeper.signals(run) == [(signal.SIGTERM, "main")]


def test_a_signal_that_ends_it_is_told(keeper: Keeper) -> None:
    run, main = keeper.begin("ignores.py")
    lose(keeper)
    main.signal(signal.SIGQUIT)
    keeper.reap(main.pid)
    exited = keeper.wait(wire.Exited, run)
    assert (exited.code, exited.signal) == (None, signal.SIGQUIT)


def test_a_stop_goes_on_and_its_kill_is_neither_early_nor_late(keeper: Keeper) -> None:
    window = 2 * SOON
    run, main = keeper.begin("ignores.py", timeout=window)
    stopped_at = keeper.stop(run)
    told = keeper.wait(wire.Signalled, run)
    lose(keeper)
    keeper.listed()
    assert keeper.find(wire.Signalled, run) == [told], "what was not stored is told again, and nothing is sent twice"
    died_at = main.death()
    assert stopped_at + window <= died_at < stopped_at + window + SOON
    exited = keeper.wait(wire.Exited, run)
    assert exited.signal == signal.SIGKILL


def test_a_deadline_that_has_passed_meanwhile_is_kept_at_once(keeper: Keeper) -> None:
    run, main = keeper.begin("ignores.py", timeout=WINDOW)
    stopped_at = keeper.stop(run)
    keeper.wait(wire.Signalled, run)
    keeper.lose_keeper()
    observed.until(lambda: time.monotonic() > stopped_at + WINDOW, "the deadline")
    assert main.alive
    began_at = time.monotonic()
    keeper.begin_anew()
    assert main.death() < began_at + START + SOON
    keeper.greet()
    assert keeper.wait(wire.Exited, run).signal == signal.SIGKILL


def test_what_has_ended_meanwhile_is_over_and_its_code_unknown(keeper: Keeper) -> None:
    run, main = keeper.begin("graceful.py")
    keeper.lose_keeper()
    main.signal(signal.SIGTERM)
    keeper.reap(main.pid)
    keeper.begin_anew()
    keeper.greet()
    exited = keeper.wait(wire.Exited, run)
    assert (exited.code, exited.signal, exited.unknown) == (None, None, GONE)
    keeper.wait(wire.Emptied, run)
    keeper.end()


@whatever_the_tracking
def test_a_pidfd_that_somebody_has_kept_tells_the_code_of_what_has_ended_meanwhile(keeper: Keeper) -> None:
    run, main = keeper.begin("graceful.py", "5")
    kept = os.pidfd_open(main.pid)
    try:
        keeper.lose_keeper()
        main.signal(signal.SIGTERM)
        keeper.reap(main.pid)
        keeper.begin_anew(kept_fds={run: kept})
        keeper.greet()
        assert keeper.wait(wire.Exited, run).code == 5
    finally:
        os.close(kept)


def test_what_the_main_process_leaves_behind_gets_the_signal_and_its_time(keeper: Keeper) -> None:
    run, main = keeper.begin("leaves_child.py", "graceful", "asked")
    child = keeper.hear("child")
    lose(keeper)
    keeper.stop(run)
    keeper.reap(main.pid)
    keeper.hear("child-stopping")
    child.death()
    keeper.wait(wire.Emptied, run)
    assert keeper.wait(wire.Exited, run).code == 3
    assert keeper.signals(run) == [(signal.SIGTERM, "main"), (signal.SIGTERM, "group")]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_daemon_that_left_its_session_does_not_escape(keeper: Keeper, when: str) -> None:
    run, main = keeper.begin("daemon.py", "stubborn", timeout=WINDOW)
    daemon = keeper.hear("daemon")
    if when == "after":
        keeper.lose_keeper()
    stopped_at = keeper.stop(run) if when == "before" else 0.0
    if when == "before":
        keeper.wait(wire.Exited, run)
        lose(keeper)
    else:
        keeper.begin_anew()
        keeper.greet()
        stopped_at = keeper.stop(run)
        keeper.reap(main.pid)
    assert daemon.death() >= stopped_at + WINDOW
    keeper.wait(wire.Emptied, run)
    assert len(keeper.find(wire.Exited, run)) == 1
    assert keeper.wait(wire.Exited, run).code == 0


def test_a_group_that_forks_all_the_time_is_killed_whole(keeper: Keeper) -> None:
    run, _ = keeper.begin("hopper.py", timeout=WINDOW)
    lose(keeper)
    keeper.stop(run)
    keeper.wait(wire.Emptied, run)
    assert all(observed.state(pid) == "Z" for pid in keeper.left())


@whatever_the_tracking
def test_events_that_nobody_has_stored_are_told_by_the_next_keeper(keeper: Keeper) -> None:
    run, _ = keeper.begin("graceful.py", "4")
    keeper.stop(run)
    keeper.wait(wire.Emptied, run)
    before = [event for event in keeper.events if isinstance(event, wire.Exited | wire.Emptied | wire.Signalled)]
    lose(keeper)
    assert keeper.wait(wire.Emptied, run)
    after = [event for event in keeper.events if isinstance(event, wire.Exited | wire.Emptied | wire.Signalled)]
    assert after == before
    keeper.forget_all()
    keeper.listed()
    lose(keeper)
    assert run not in keeper.listed().runs
    assert keeper.find(wire.Emptied) == []


def test_a_second_death_of_the_keeper_changes_nothing(keeper: Keeper) -> None:
    run, main = keeper.begin("graceful.py", "9")
    for _ in range(3):
        lose(keeper)
    assert keeper.stop(run)
    keeper.reap(main.pid)
    assert keeper.wait(wire.Exited, run).code == 9


@whatever_the_tracking
def test_a_check_that_outlives_its_keeper_is_killed_when_its_time_is_over(keeper: Keeper) -> None:
    run, _ = keeper.begin("graceful.py")
    task = keeper.asked[0].task
    check, helper = keeper.begin("ignores.py", task=task, beside=run, lifetime=2 * SOON)
    asked_at = time.monotonic()
    lose(keeper)
    assert helper.death() < asked_at + 4 * SOON
    assert keeper.wait(wire.Exited, check).signal == signal.SIGKILL
    keeper.wait(wire.Emptied, check)
    assert run in keeper.listed().runs


def test_without_a_ledger_the_records_tell_whom_to_take_up(keeper: Keeper) -> None:
    run, main = keeper.begin("graceful.py", "6")
    keeper.lose_keeper()
    os.unlink(keeper.settings.ledger)
    keeper.begin_anew()
    keeper.greet()
    assert keeper.listed().runs == []
    keeper.send(living(keeper, run, main), wire.Stop(run, None))
    keeper.reap(main.pid)
    assert keeper.wait(wire.Exited, run).code == 6
    keeper.wait(wire.Emptied, run)


@pytest.mark.parametrize("known", [True, False])
def test_a_run_that_lives_is_not_started_again(keeper: Keeper, known: bool) -> None:
    run, main = keeper.begin("graceful.py")
    keeper.lose_keeper()
    if not known:
        os.unlink(keeper.settings.ledger)
    keeper.begin_anew()
    keeper.greet()
    (asked,) = keeper.asked
    keeper.send(asked._replace(living=(0, 0)))
    assert keeper.wait(wire.Spawned, run).pid == main.pid
    assert keeper.listed().runs == [run]


@whatever_the_tracking
def test_a_run_that_was_perhaps_started_is_started_if_it_was_not(keeper: Keeper) -> None:
    run, _ = keeper.begin("graceful.py", living=(0, 0))
    assert keeper.listed().runs == [run]


def test_a_stranger_is_nobody_s_run(keeper: Keeper) -> None:
    with subprocess.Popen(["/bin/sleep", "1000"]) as stranger:
        held = keeper.watch(stranger.pid)
        spec = living(keeper, "f" * 32, held)
        keeper.send(spec, wire.Stop(spec.run, 0.0))
        exited = keeper.wait(wire.Exited, spec.run)
        keeper.wait(wire.Emptied, spec.run)
        assert (exited.code, exited.signal, exited.unknown) == (None, None, GONE)
        assert held.alive
        stranger.kill()


@whatever_the_tracking
def test_the_ledger_of_another_boot_says_nothing(keeper: Keeper) -> None:
    run, main = keeper.begin("graceful.py")
    keeper.lose_keeper()
    ledger = Path(keeper.settings.ledger)
    lines = [line for line in ledger.read_bytes().splitlines() if not line.startswith(b"boot\t")]
    ledger.write_bytes(b"\n".join([b'boot\t"another"', *lines]) + b"\n")
    keeper.begin_anew()
    keeper.greet()
    assert keeper.listed().runs == []
    assert main.alive
    keeper.send(living(keeper, run, main))
    assert keeper.listed().runs == [run]


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe\n\tx\n", b'event 1\t[999,{}]\nspec x\t{"run":7}\nplan x\t3\n'])
@whatever_the_tracking
def test_a_ledger_that_makes_no_sense_keeps_no_keeper_from_its_work(keeper: Keeper, damage: bytes) -> None:
    run, main = keeper.begin("graceful.py", "8")
    keeper.lose_keeper()
    with open(keeper.settings.ledger, "ab") as file:
        file.write(damage + b"cut of")
    keeper.begin_anew()
    keeper.greet()
    assert run in keeper.listed().runs
    keeper.stop(run)
    keeper.reap(main.pid)
    assert keeper.wait(wire.Exited, run).code == 8


@whatever_the_tracking
def test_what_a_run_was_asked_for_is_told(keeper: Keeper) -> None:
    run, main = keeper.begin("graceful.py", "7", cwd="/tmp")
    lose(keeper)
    keeper.send(wire.Describe(run), wire.Describe("e" * 32))
    told = keeper.wait(wire.Described)
    assert told.argv[-2:] == [str(Path(__file__).parents[1] / "workloads/graceful.py"), "7"]
    assert (told.run, told.pid, told.cwd, told.environ["READY"]) == (run, main.pid, "/tmp", keeper.words.path)
    assert keeper.listed().runs == [run]
    assert len(keeper.find(wire.Described)) == 1


@whatever_the_tracking
def test_the_ledger_does_not_grow_without_end(keeper: Keeper) -> None:
    big = {"BIG": "x" * 100_000}
    environ = {"READY": keeper.words.path, **big}
    sizes = []
    for _ in range(30):
        run = keeper.start("/bin/true", environ=environ)
        keeper.wait(wire.Emptied, run)
        keeper.forget_all()
        keeper.listed()
        sizes.append(os.stat(keeper.settings.ledger).st_size)
    assert max(sizes) < 2_000_000
    keeper.end()
    assert not os.path.exists(keeper.settings.ledger)


@whatever_the_tracking
def test_what_no_agent_has_stored_outlives_the_end_of_the_keeper(start_keeper: StartKeeper) -> None:
    """A disk that stays full, say: the budget of the drain ends, and with it the keeper."""
    keeper = start_keeper(shutdown_timeout=0.1)
    run, main = keeper.begin("graceful.py", "9")
    keeper.stop(run)
    keeper.wait(wire.Emptied, run)
    keeper.terminate()
    keeper.give_up()
    keeper.begin_anew(shutdown_timeout=30.0)
    keeper.greet()
    assert keeper.wait(wire.Exited, run).code == 9
    assert not main.alive


def test_the_ledger_is_nobody_else_s(keeper: Keeper) -> None:
    keeper.begin("graceful.py")
    assert os.stat(keeper.settings.ledger).st_mode & 0o777 == 0o600
    for line in Path(keeper.settings.ledger).read_bytes().splitlines():
        _, tab, value = line.partition(b"\t")
        assert not tab or json.loads(value) is not None
