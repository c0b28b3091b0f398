"""Lines out of files, whole or with their beginning freed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervisor.agent.logs import BLOCK, LogFile, path_of, tail
from supervisor.posix import files


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "task").mkdir()
    return Path(path_of(str(tmp_path), "task", "main"))


def last(path: Path, count: int) -> list[str]:
    return tail(str(path.parents[1]), "task", "main", count)


def free(path: Path, length: int) -> None:
    fd = os.open(path, os.O_RDWR)
    files.free(fd, 0, length)
    os.close(fd)


def read(path: Path, *, whole: bool = True, place: int = 0) -> list[str]:
    with LogFile(str(path)) as log:
        log.place = place
        found = []
        while page := log.page(whole=whole):
            found += [line.text for line in page]
            assert page[-1].next == log.place
        return found


def test_there_may_be_no_file(path: Path) -> None:
    assert last(path, 3) == []


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("\n", [""]),
        ("a", ["a"]),
        ("a\n", ["a"]),
        ("a\nb\nc\n", ["b", "c"]),
        ("a\nb\nc", ["b", "c"]),
        ("a\n\n\n", ["", ""]),
        ("a\r\nb\u2028c\x0bd\n", ["a\r", "b\u2028c\x0bd"]),
    ],
)
def test_the_last_two_lines(path: Path, text: str, lines: list[str]) -> None:
    path.write_bytes(text.encode())
    assert last(path, 2) == lines
    assert last(path, 0) == []
    assert last(path, 100) == read(path)


def test_the_last_lines_of_a_long_file(path: Path) -> None:
    path.write_text("".join(f"{number:<63}\n" for number in range(10000)))
    assert [int(line) for line in last(path, 3000)] == list(range(7000, 10000))


def test_a_line_without_an_end_is_waited_for(path: Path) -> None:
    path.write_text("one\ntw")
    with LogFile(str(path)) as log:
        assert [line.text for line in log.page(whole=False)] == ["one"]
        assert log.page(whole=False) == []
        with path.open("a") as writer:
            writer.write("o\n")
        assert [(line.text, line.start, line.next) for line in log.page(whole=False)] == [("two", 4, 8)]


def test_a_very_long_line_comes_in_parts_that_are_whole_characters(path: Path) -> None:
    text = "x" + "\N{OLD ITALIC LETTER A}" * (BLOCK // 2)
    path.write_text(f"{text}\nshort\n")
    with LogFile(str(path)) as log:
        found = log.page(whole=False)
        while page := log.page(whole=False):
            found += page
    assert [line.partial for line in found] == [True, True, False, False]
    assert "".join(line.text for line in found[:-1]) == text
    assert found[-1].text == "short"


def test_bytes_that_are_no_text_are_replaced(path: Path) -> None:
    path.write_bytes(b"a\xff\xfeb\n" + bytes(range(256)) * 600)
    found = read(path)
    assert found[0] == "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}b"
    assert max(map(len, found)) <= BLOCK


def test_what_was_freed_is_not_read_nor_the_rest_of_the_line_in_which_it_ends(path: Path) -> None:
    path.write_text("".join(f"{number:<59}\n" for number in range(5000)))  # blocks of the file do not end with lines
    free(path, 4096 * 50)
    first = 4096 * 50 // 60 + 1
    assert [int(line) for line in read(path)] == list(range(first, 5000))
    assert [int(line) for line in last(path, 10000)] == list(range(first, 5000))
    assert [int(line) for line in last(path, 2)] == [4998, 4999]
    with LogFile(str(path)) as log:
        assert log.first_line() == first * 60


def test_what_is_freed_while_it_is_read_is_skipped(path: Path) -> None:
    path.write_text("".join(f"{number:<59}\n" for number in range(5000)))
    with LogFile(str(path)) as log:
        log.page(whole=False)
        free(path, 4096 * 50)
        assert int(log.page(whole=False)[0].text) == 4096 * 50 // 60 + 1


def test_all_of_it_can_be_freed(path: Path) -> None:
    path.write_text("x\n" * 4096)
    free(path, 8192)
    assert read(path) == last(path, 5) == []


def test_reading_ends_where_it_was_told_to(path: Path) -> None:
    path.write_text("one\ntwo\n")
    with LogFile(str(path)) as log:
        log.end = log.size()
        with path.open("a") as writer:
            writer.write("three\n")
        assert [line.text for line in log.page(whole=True)] == ["one", "two"]
        assert log.page(whole=True) == []


def test_where_the_line_begins_that_a_place_is_in(path: Path) -> None:
    path.write_text("one\ntwo\n" + "x" * 2 * BLOCK)
    with LogFile(str(path)) as log:
        assert [log.line_at(place) for place in (0, 2, 4, 5, 8, 100)] == [0, 0, 4, 4, 8, 8]
        assert log.line_at(2 * BLOCK) == 2 * BLOCK


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.binary(max_size=300), count=st.integers(0, 12))
def test_the_last_lines_are_the_last_of_all(path: Path, text: bytes, count: int) -> None:
    path.write_bytes(text)
    lines = text.decode(errors="replace").split("\n")
    everything = lines[:-1] if lines[-1] == "" else lines
    assert read(path) == everything
    assert last(path, count) == everything[max(len(everything) - count, 0) :]
