"""A sequence of stop signals: each at its part of the window, and no kill later for it."""

from __future__ import annotations

import signal

import pytest

from supervisor import wire
from tests.process.harness import AMPLE, SOON, Keeper

pytestmark = pytest.mark.process

TERM, INT, HUP = signal.SIGTERM, signal.SIGINT, signal.SIGHUP
KILL_GROUP = (signal.SIGKILL, "group")


def test_the_second_signal_comes_at_its_time_and_ends_it(keeper: Keeper) -> None:
    run, _ = keeper.begin("interrupted.py", timeout=1.0, stop_signals=[(TERM, 0.0), (INT, 0.25)])
    asked_at = keeper.stop(run)
    exited = keeper.wait(wire.Exited, run)
    assert exited.code == 5
    keeper.wait(wire.Emptied, run)
    assert keeper.signals(run) == [(TERM, "main"), (INT, "main")]
    first, second = keeper.find(wire.Signalled, run)
    assert first.deadline == second.deadline
    assert asked_at + 0.25 <= second.clock < asked_at + 0.25 + SOON
    assert first.clock < second.clock <= exited.clock, "they tell when they happened"


def test_a_deadline_brought_forward_brings_the_later_signals_forward(keeper: Keeper) -> None:
    run, _ = keeper.begin("interrupted.py", timeout=AMPLE, stop_signals=[(TERM, 0.0), (HUP, 0.0), (INT, 0.5)])
    keeper.stop(run)
    keeper.wait(wire.Signalled, run, signum=HUP)
    asked_at = keeper.stop(run, 0.4)
    assert keeper.wait(wire.Exited, run).signal == HUP
    keeper.wait(wire.Emptied, run)
    assert keeper.signals(run) == [(TERM, "main"), (HUP, "main")]
    other, main = keeper.begin("ignores.py", timeout=AMPLE, stop_signals=[(TERM, 0.0), (signal.SIGCHLD, 0.5)])
    keeper.stop(other)
    keeper.wait(wire.Signalled, other, signum=TERM)
    asked_at = keeper.stop(other, 0.4)
    later = keeper.wait(wire.Signalled, other, signum=signal.SIGCHLD)
    assert asked_at + 0.19 <= later.clock < asked_at + 0.2 + SOON
    died_at = keeper.until(lambda: main.died_at, "the death of the main process")
    assert asked_at + 0.4 <= died_at < asked_at + 0.4 + SOON
    keeper.wait(wire.Emptied, other)
    assert keeper.signals(other) == [(TERM, "main"), (signal.SIGCHLD, "main"), KILL_GROUP]


def test_what_is_left_behind_gets_the_current_signal_and_the_later_ones(keeper: Keeper) -> None:
    signals = [(TERM, 0.0), (INT, 0.5)]
    run, main = keeper.begin("leaves_child.py", "stubborn", "asked", timeout=0.6, stop_signals=signals)
    child = keeper.hear("child")
    keeper.stop(run)
    keeper.until(lambda: main.died_at, "the death of the main process")
    keeper.until(lambda: child.died_at, "the death of the child")
    keeper.wait(wire.Emptied, run)
    assert keeper.signals(run) == [(TERM, "main"), (TERM, "group"), (INT, "group")]
    assert keeper.find(wire.Signalled, run)[-1].pids == [child.pid]
