"""The keeper's part of an upgrade: when it is replaced, when not, and what the next one goes on with."""

from __future__ import annotations

import contextlib
import signal
import sys
import time

import pytest

from supervisor import wire
from supervisor.keeper import proof
from supervisor.keeper.poller import Poller
from supervisor.keeper.proof import Proof
from supervisor.keeper.settings import Settings
from supervisor.posix import proc
from tests.conftest import PATIENCE
from tests.process import observed
from tests.process.conftest import StartKeeper, whatever_the_tracking
from tests.process.harness import SOON, WINDOW, Keeper

pytestmark = pytest.mark.process


def upgrade(keeper: Keeper) -> None:
    """As an agent asks for it; the test is the next agent, too, as it has the same link."""
    seen = len(keeper.find(wire.Reexecuting))
    keeper.send(wire.Reexec())
    keeper.until(lambda: len(keeper.find(wire.Reexecuting)) > seen, "the last frame")
    assert isinstance(keeper.events[-1], wire.Reexecuting), "nothing comes after it"


def hello(keeper: Keeper) -> None:
    keeper.send(wire.Hello(wire.VERSION))


def test_runs_and_events_are_held_by_the_next(keeper: Keeper) -> None:
    run, main = keeper.begin("graceful.py", "7")
    exits, other = keeper.begin("graceful.py", "8")
    other.signal(signal.SIGTERM)
    ended = keeper.wait(wire.Exited, exits)
    upgrade(keeper)
    assert keeper.listed().runs == sorted([run, exits])
    keeper.events.clear()
    hello(keeper)
    assert keeper.wait(wire.Exited, exits) == ended, "which was not forgotten, and comes again as it was"
    keeper.stop(run)
    assert keeper.wait(wire.Exited, run).code == 7
    keeper.wait(wire.Emptied, run)
    assert keeper.process.alive
    assert not main.alive
    seqs = [event.seq for event in keeper.events if hasattr(event, "seq")]
    assert seqs == sorted(set(seqs)), "their numbers go on"


def test_a_kill_that_is_near_comes_first_and_on_time(keeper: Keeper) -> None:
    run, main = keeper.begin("ignores.py", timeout=WINDOW)
    asked_at = keeper.stop(run)
    keeper.wait(wire.Signalled, run)
    upgrade(keeper)
    assert not main.alive, "before the keeper was ready to be replaced"
    assert asked_at + WINDOW <= main.death() < asked_at + WINDOW + SOON
    hello(keeper)
    assert keeper.wait(wire.Exited, run).signal == signal.SIGKILL
    keeper.wait(wire.Emptied, run)
    assert len(keeper.logged("keeper_started")) == 2


@whatever_the_tracking
def test_kills_without_a_pause_are_no_time_for_it(keeper: Keeper) -> None:
    windows = [number * 0.4 for number in range(1, 12)]
    runs = [keeper.begin("ignores.py", timeout=window) for window in windows]
    asked_at = [keeper.stop(run) for run, _ in runs]
    keeper.send(wire.Reexec())
    assert keeper.wait(wire.Proven) == wire.Proven(None, "SIGKILLs are due, or near")
    keeper.listed()
    hello(keeper)
    for (run, main), at, window in zip(runs, asked_at, windows, strict=True):
        keeper.wait(wire.Emptied, run)
        assert at + window <= main.death() < at + window + SOON
    assert len(keeper.logged("keeper_started")) == 1
    assert keeper.logged("upgrade_given_up")


def test_a_run_without_limits_of_ours_after_a_second_upgrade(keeper: Keeper) -> None:
    """Adopted ones, too: a helper of the first keeper's is as good as one of the third's."""
    run, main = keeper.begin("leaves_child.py", "stubborn", "asked", timeout=WINDOW)
    child = keeper.hear("child")
    for _ in range(2):
        upgrade(keeper)
        hello(keeper)
    assert proc.read_stat(main.pid).ppid == keeper.process.pid  # type: ignore[union-attr]
    asked_at = keeper.stop(run)
    assert asked_at + WINDOW <= child.death() < asked_at + WINDOW + SOON
    assert keeper.wait(wire.Exited, run).code == 3
    keeper.wait(wire.Emptied, run)


@whatever_the_tracking
def test_without_an_agent_the_next_starts_one(keeper: Keeper) -> None:
    run, main = keeper.begin("graceful.py", "7")
    first = keeper.agent
    keeper.send(wire.Reexec())
    keeper.lose_agent()
    keeper.greet()
    assert keeper.agent.pid != first.pid
    assert keeper.listed().runs == [run]
    main.signal(signal.SIGTERM)
    assert keeper.wait(wire.Exited, run).code == 7


@whatever_the_tracking
def test_no_upgrade_when_it_drains(keeper: Keeper) -> None:
    run, _ = keeper.begin("ignores.py")
    keeper.terminate()
    keeper.wait(wire.Draining)
    keeper.send(wire.Reexec())
    assert keeper.wait(wire.Proven) == wire.Proven(None, "the supervisor is shutting down")
    hello(keeper)
    keeper.stop(run, 0.0)
    keeper.wait(wire.Emptied, run)


@whatever_the_tracking
def test_no_upgrade_without_a_ledger(start_keeper: StartKeeper) -> None:
    keeper = start_keeper(ledger="")
    keeper.send(wire.Prove())
    assert keeper.wait(wire.Proven).why_not.startswith("there is no ledger")


@whatever_the_tracking
def test_the_agents_proof_has_the_last_word(keeper: Keeper) -> None:
    keeper.begin("graceful.py")
    for _ in range(2):
        keeper.events.clear()
        keeper.send(wire.Prove())
        assert keeper.wait(wire.Proven) == wire.Proven("of the stand-in", "")


# the child that tries the installed version


class Told:
    """A proof, and the test as the keeper's loop."""

    def __init__(self) -> None:
        self.poller = Poller()
        settings = Settings([], {}, "", "descent", "", [], 1.0, [])
        self.proof = Proof(self.poller, settings, lambda *told: self.said.append(told))
        self.said: list[tuple[str | None, str]] = []

    def close(self) -> None:
        self.poller._epoll.close()

    def ask(self, *, is_quiet: bool = True) -> tuple[str | None, str]:
        self.proof.ask()
        patient_until = time.monotonic() + PATIENCE
        while not self.said and time.monotonic() < patient_until:
            self.proof.serve(lambda _: is_quiet)
            self.poller.wait(self.proof.next_at())
        return self.said.pop()


CHILDREN = {
    "a version": ("print('a warning'); print('1.2.3')", ("1.2.3", "")),
    "a reason": ("import sys; sys.exit('cannot use that')", (None, "does not start: cannot use that")),
    "a traceback": ("1 / 0", (None, "does not start: ZeroDivisionError: division by zero")),
    "no word": ("", (None, "does not start: status 0")),
    "many words": ("print('x' * 1_000_000); print('1.2.3')", ("1.2.3", "")),
    "a signal": ("import os; os.kill(os.getpid(), 11)", (None, "does not start: signal 11")),
    "no end": ("import time; time.sleep(1000)", (None, "has not said within 1 s whether it could start")),
    "a child of its own": (
        "import os, time; print('1.2.3', flush=True); os.fork() or (os.setsid(), time.sleep(1000))",
        ("1.2.3", ""),
    ),
}


@pytest.mark.parametrize(("code", "told"), CHILDREN.values(), ids=CHILDREN)
def test_what_the_child_says(monkeypatch: pytest.MonkeyPatch, code: str, told: tuple[str | None, str]) -> None:
    monkeypatch.setattr(proof, "ARGV", [sys.executable, "-S", "-c", code])
    monkeypatch.setattr(proof, "PROOF_TAKES", 1.0)
    with observed.subreaper():
        with contextlib.closing(Told()) as proof_of:
            version, why_not = proof_of.ask()
        assert version == told[0]
        assert why_not.endswith(told[1])
        observed.end_all(list(observed.children()))
