"""What is due when."""

from __future__ import annotations

from supervisor.agenda import Agenda


def test_the_earliest_comes_first_and_each_once() -> None:
    agenda = Agenda()
    agenda.set("late", 3.0)
    agenda.set("early", 1.0)
    agenda.set("between", 2.0)
    assert agenda.next_at() == 1.0
    assert agenda.take(0.9) == []
    assert agenda.take(2.0) == ["early", "between"]
    assert agenda.take(2.0) == []
    assert agenda.next_at() == 3.0


def test_another_instant_replaces_the_one_before() -> None:
    agenda = Agenda()
    agenda.set("run", 1.0)
    agenda.set("run", 5.0)
    assert agenda.take(4.0) == []
    agenda.set("run", 2.0)
    assert agenda.next_at() == 2.0
    assert agenda.take(9.0) == ["run"]
    agenda.set("run", 2.0)
    assert agenda.take(9.0) == ["run"], "the same instant again is another time"


def test_what_is_never_due_is_not_told() -> None:
    agenda = Agenda()
    agenda.set("run", 1.0)
    agenda.set("run", None)
    agenda.set("unknown", None)
    assert (agenda.next_at(), agenda.take(9.0)) == (None, [])
