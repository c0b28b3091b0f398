"""Who has to give a sign of life by when."""

from __future__ import annotations

import pytest

from supervisor.keeper.watchdog import (
    DRAIN_PATIENCE,
    PATIENCE,
    START_PATIENCE,
    Ask,
    Beat,
    Order,
    Replace,
    Watchdog,
    period,
)


class Watched(Watchdog):
    """With a clock that goes from one due instant to the next, never further than ``until``."""

    now = 100.0
    draining = False
    owed: float | None = None

    def greeted(self) -> Watched:
        """An agent that serves."""
        self.started(self.now, 0)
        self.serves(self.now)
        return self

    def pass_until(self, until: float) -> list[tuple[float, Order]]:
        """What is ordered meanwhile, and when."""
        told: list[tuple[float, Order]] = []
        while (at := self.next_at(self.owed, draining=self.draining)) is not None and at <= until:
            self.now = max(self.now, at)
            told += [(self.now, order) for order in self.tick(self.now, self.owed, draining=self.draining)]
        self.now = until
        return told


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 15.0),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_period_is_half_of_what_the_service_manager_waits(environ: dict[str, str], seconds: float | None) -> None:
    assert period(environ, 7) == seconds


def test_with_nothing_to_do_nobody_is_woken() -> None:
    assert Watched(None).next_at(None, draining=False) is None
    assert Watched(None).greeted().next_at(None, draining=False) is None


def test_beats_do_not_depend_on_an_agent() -> None:
    watched = Watched(1.0)
    assert watched.pass_until(103.0) == [(100.0 + beat, Beat()) for beat in range(4)]


def test_the_agent_is_asked_at_the_pace_of_the_beats_and_has_until_the_next_one() -> None:
    watched = Watched(10.0).greeted()
    assert watched.pass_until(110.0) == [(100.0, Beat()), (110.0, Beat()), (110.0, Ask(1))]
    watched.answered(1, 112.0)
    assert watched.pass_until(122.0)[-1] == (122.0, Ask(2))
    assert watched.pass_until(132.0)[-1] == (132.0, Replace("it did not answer", 10.0))
    assert all(order == Beat() for _, order in watched.pass_until(200.0)), "it is on its way"


def test_an_answer_to_an_earlier_question_is_none() -> None:
    watched = Watched(10.0).greeted()
    watched.pass_until(110.0)
    watched.answered(0, 111.0)
    assert watched.pass_until(120.0)[-1] == (120.0, Replace("it did not answer", 10.0))


def test_an_agent_that_leaves_an_event_lying_is_asked_and_left_alone_while_it_answers() -> None:
    watched = Watched(None).greeted()
    watched.owed = 101.0
    for number in range(1, 4):
        (told,) = watched.pass_until(watched.now + PATIENCE + (1 if number == 1 else 0))
        assert told == (watched.now, Ask(number))
        watched.answered(number, watched.now)
    watched.owed = None
    assert watched.next_at(None, draining=False) is None


def test_one_that_does_not_answer_is_replaced_also_when_the_event_is_no_reason_any_more() -> None:
    watched = Watched(None).greeted()
    watched.owed = 100.0
    assert watched.pass_until(105.0) == [(105.0, Ask(1))]
    watched.owed = None
    assert watched.pass_until(200.0) == [(110.0, Replace("it did not answer", PATIENCE))]


def test_in_a_drain_it_is_asked_at_once_and_again_and_again() -> None:
    watched = Watched(None).greeted()
    watched.pass_until(150.0)
    watched.draining = True
    assert watched.pass_until(150.0) == [(150.0, Ask(1))]
    watched.answered(1, 150.5)
    hung = [(152.5, Ask(2)), (152.5 + DRAIN_PATIENCE, Replace("it did not answer", DRAIN_PATIENCE))]
    assert watched.pass_until(200.0) == hung


def test_one_that_never_serves_is_replaced_with_more_patience_each_time() -> None:
    watched = Watched(None)
    for fruitless in range(3):
        watched.started(watched.now, fruitless)
        patience = START_PATIENCE * 2**fruitless
        (told,) = watched.pass_until(watched.now + patience)
        assert told == (watched.now, Replace("it did not begin to serve", patience))


def test_who_was_late_himself_blames_nobody() -> None:
    watched = Watched(None).greeted()
    watched.owed = 100.0
    watched.pass_until(105.0)
    assert watched.tick(160.0, 100.0, draining=False) == [Ask(2)], "both were frozen: it is asked again"
    watched.answered(2, 160.1)
    assert watched.next_at(100.0, draining=False) == 160.1 + PATIENCE
    watched.started(200.0, 0)
    assert watched.tick(300.0, None, draining=False) == []
    assert watched.next_at(None, draining=False) == 300.0 + START_PATIENCE
