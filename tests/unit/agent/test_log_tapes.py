"""Files of several containers read together; times are those of their marks."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from supervisor.agent import log_marks, log_tapes
from supervisor.agent.log_marks import Mark, Marks
from supervisor.agent.log_tapes import Tape
from supervisor.shapes import LogsAsked

ASKED = LogsAsked("task", (), None, None, False, {})


@pytest.fixture(autouse=True)
def logs(tmp_path: Path) -> Path:
    """``web`` has written at 10, 20 and 40, ``db`` at 15 and 30, and both since their last marks, until 60."""
    directory = tmp_path / "task"
    directory.mkdir()
    written = {
        "web": ("w1\nw2\nw3\nw4\nw5\n", [Mark(10.0, 3), Mark(20.0, 6), Mark(40.0, 12)]),
        "db": ("d1\nd2\nd3\n", [Mark(15.0, 3), Mark(30.0, 6)]),
    }
    for name, (text, marks) in written.items():
        path = directory / f"{name}.log"
        path.write_text(text)
        os.utime(path, (60, 60))
        log_marks.rewrite(str(path), Marks(marks))
    return tmp_path


def read(logs: Path, *containers: str, **asked: Any) -> list[dict[str, Any]]:
    async def all_lines() -> list[dict[str, Any]]:
        tapes = [Tape(str(logs), ASKED._replace(**asked), name) for name in containers]
        for tape in tapes:
            tape.open()
        found = [line async for some in log_tapes.lines(tapes, whole=True) for line in some]
        for tape in tapes:
            tape.close()
        return found

    return asyncio.run(all_lines())


def texts(*args: Any, **asked: Any) -> list[str]:
    return [line["line"] for line in read(*args, **asked)]


def test_lines_come_in_the_order_of_their_times(logs: Path) -> None:
    lines = read(logs, "web", "db")
    assert [(line["line"], line["at"]) for line in lines] == [
        ("w1", 10),
        ("d1", 15),
        ("w2", 20),
        ("d2", 30),
        ("w3", 40),
        ("w4", 40),
        ("w5", 60),
        ("d3", 60),
    ]
    assert lines[1] == {"container": "db", "line": "d1", "at": 15.0, "next": 3}


def test_a_file_that_is_not_there_has_no_lines(logs: Path) -> None:
    assert texts(logs, "missing", "db") == ["d1", "d2", "d3"]
    tape = Tape(str(logs), ASKED, "missing")
    assert tape.open() is None
    assert not tape.opened


@pytest.mark.parametrize(
    ("since", "lines"),
    [
        (0, ["w1", "w2", "w3", "w4", "w5"]),
        (10, ["w1", "w2", "w3", "w4", "w5"]),
        (11, ["w2", "w3", "w4", "w5"]),
        (40, ["w3", "w4", "w5"]),
        (41, ["w5"]),
        (60, ["w5"]),
        (61, []),
    ],
)
def test_what_was_written_since(logs: Path, since: float, lines: list[str]) -> None:
    assert texts(logs, "web", since=since) == lines


@pytest.mark.parametrize(("tail", "since", "lines"), [(2, 0, ["w4", "w5"]), (3, 41, ["w5"]), (0, 0, [])])
def test_the_last_lines_of_what_was_written_since(logs: Path, tail: int, since: float, lines: list[str]) -> None:
    assert texts(logs, "web", tail=tail, since=since) == lines


def test_a_place_goes_before_all_else(logs: Path) -> None:
    assert texts(logs, "web", "db", tail=1, places={"web": "6"}) == ["w3", "w4", "w5", "d3"]
    assert texts(logs, "web", tail=1, places={"web": "s=nonsense"}) == ["w5"]


def test_since_a_mark_in_the_middle_of_a_line_is_since_its_beginning(logs: Path) -> None:
    path = str(logs / "task/web.log")
    log_marks.rewrite(path, Marks([Mark(10.0, 4), Mark(20.0, 15)]))
    assert texts(logs, "web", since=15) == ["w2", "w3", "w4", "w5"]


def test_without_following_it_ends_where_the_file_ended(logs: Path) -> None:
    async def grow() -> list[str]:
        tape = Tape(str(logs), ASKED, "db")
        assert tape.open() == {"container": "db", "next": 0}
        with (logs / "task/db.log").open("a") as file:
            file.write("d4\n")
        found = [line["line"] async for some in log_tapes.lines([tape], whole=True) for line in some]
        tape.close()
        return found

    assert asyncio.run(grow()) == ["d1", "d2", "d3"]
