from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from supervisor.agent import log_marks
from supervisor.agent.log_marks import MOST, Mark, Marks

MARKS = [Mark(10.0, 100), Mark(20.0, 250), Mark(30.0, 300)]


def test_since_begins_after_what_was_written_before() -> None:
    marks = Marks(list(MARKS))
    assert [marks.since(at) for at in (5, 10, 10.5, 20, 25, 30, 31)] == [0, 0, 100, 100, 250, 250, 300]
    assert Marks().since(5) == 0


def test_the_time_by_which_a_place_was_written() -> None:
    marks = Marks(list(MARKS))
    assert [marks.time_of(place) for place in (0, 99, 100, 299, 300)] == [10, 10, 20, 30, None]


def test_the_wall_clock_may_step_back() -> None:
    marks = Marks(list(MARKS))
    assert marks.add(15.0, 400) == Mark(30.0, 400)
    assert marks.since(30.5) == 400


def test_they_are_found_again(tmp_path: Path) -> None:
    path = str(tmp_path / "main.log")
    assert log_marks.load(path).marks == []
    log_marks.rewrite(path, Marks(MARKS[:2]))
    log_marks.append(path, MARKS[2])
    assert log_marks.load(path).marks == MARKS
    assert sorted(each.name for each in tmp_path.iterdir()) == ["main.log.marks"]


def test_what_cannot_be_read_of_them_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "main.log.marks").write_text("10.000 100\nnonsense\n9.000 120\n20.000 90\n20.000 250\n30.000 30")
    assert log_marks.load(str(tmp_path / "main.log")).marks == [Mark(10.0, 100), Mark(20.0, 250)]
    (tmp_path / "main.log.marks").write_bytes(b"\xff\n")
    assert log_marks.load(str(tmp_path / "main.log")).marks == []


def test_too_many_are_thinned_out_the_older_half_first() -> None:
    marks = Marks([Mark(float(at), at * 10) for at in range(1, MOST + 2)])
    marks.thin(0)
    assert len(marks.marks) <= MOST * 3 // 4 + 1
    assert marks.size == (MOST + 1) * 10
    assert [mark.at for mark in marks.marks[-3:]] == [MOST - 1, MOST, MOST + 1]
    assert [mark.at for mark in marks.marks[:3]] == [1, 3, 5]


def test_those_of_what_was_freed_go_first() -> None:
    marks = Marks([Mark(float(at), at * 10) for at in range(1, MOST + 2)])
    marks.thin(MOST * 10 - 5)
    assert [mark.size for mark in marks.marks] == [MOST * 10 - 10, MOST * 10, MOST * 10 + 10]


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(1, 50)), max_size=40), st.floats(0, 100), st.integers(0, 500))
def test_thinned_or_not_nothing_that_was_written_since_is_left_out(
    steps: list[tuple[float, int]], since: float, freed: int
) -> None:
    marks, at, size = Marks(), 0.0, 0
    for later, more in steps:
        at, size = at + later, size + more
        marks.add(at, size)
    written = [mark for mark in marks.marks if mark.at >= since]
    begins = marks.since(since)
    assert all(mark.size > begins for mark in written)
    marks.thin(freed)
    assert marks.since(since) <= begins
