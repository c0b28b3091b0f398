"""What containers have written: the files that their standard output and error go to, read as lines.

A file holds all runs of a container, one after the other. Its beginning may have been freed; what is left of the line
in which that ended is no line any more. It can be read while it is written, and while more of it is freed.
"""

from __future__ import annotations

import contextlib
import os
from typing import NamedTuple, Self

from supervisor.posix import files

BLOCK = 64 * 1024
"""Bytes read at once, and the most that a line has; a longer one comes in parts."""


class Line(NamedTuple):
    """A line without its end, and the places in the file where it begins and where the next one does."""

    text: str
    start: int
    next: int
    partial: bool
    """It is longer than a block, and goes on in the next one."""


def path_of(log_dir: str, task_id: str, container: str) -> str:
    """Where the keeper opens the file of a container."""
    return f"{log_dir}/{task_id}/{container}.log"


def tail(log_dir: str, task_id: str, container: str, lines: int) -> list[str]:
    """The last lines of a container's log file; none where there is no file."""
    with contextlib.suppress(OSError), LogFile(path_of(log_dir, task_id, container)) as log:
        log.end = log.size()  # whoever writes faster than we read shall not keep us
        log.place = log.last_lines(lines)
        found: list[str] = []
        while page := log.page(whole=True):
            found = [*found, *(line.text for line in page)][-lines:]
        return found
    return []


class LogFile:
    """A log file that is read from ``place`` on, up to ``end`` or for as long as it grows. Raises ``OSError``."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self.place = 0
        self.end: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Read no more."""
        os.close(self._fd)

    def size(self) -> int:
        """Bytes up to its end, those that were freed among them."""
        return os.fstat(self._fd).st_size

    def written_at(self) -> float:
        """Unix time of the last write."""
        return os.fstat(self._fd).st_mtime

    def page(self, *, whole: bool) -> list[Line]:
        """The next lines, at most a block of them; none at the end. ``whole``: also what has no line end yet."""
        while True:
            start = self.place
            most = BLOCK if self.end is None else min(BLOCK, self.end - start)
            data = os.pread(self._fd, max(most, 0), start)
            if not data:
                return []
            there = files.data_from(self._fd, start)  # asked after the read: what was freed in between reads as zeros
            if there != start:
                self.place = self.size() if there is None else self.line_after(there)
                continue
            return self._split(data, whole=whole and len(data) < BLOCK)

    def _split(self, data: bytes, *, whole: bool) -> list[Line]:
        *complete, rest = data.split(b"\n")
        lines = [self._take(text, 1) for text in complete]
        if whole and rest:
            lines.append(self._take(rest, 0))
        elif not complete and len(rest) == BLOCK:
            lines.append(self._take(_whole_characters(rest), 0, partial=True))
        return lines

    def _take(self, text: bytes, more: int, *, partial: bool = False) -> Line:
        start, self.place = self.place, self.place + len(text) + more
        return Line(text.decode(errors="replace"), start, self.place, partial)

    def line_after(self, place: int) -> int:
        """Where the first line begins that is there whole, if what is before ``place`` is gone."""
        if place == 0:
            return 0
        return place + os.pread(self._fd, BLOCK, place).find(b"\n") + 1

    def line_at(self, place: int) -> int:
        """Where the line begins that ``place`` is in."""
        first = max(place - BLOCK, 0)
        found = os.pread(self._fd, place - first, first).rfind(b"\n")
        return first + found + 1 if found >= 0 else place if first else 0

    def first_line(self) -> int:
        """Where the first line begins that is still there."""
        there = files.data_from(self._fd, 0)
        return self.size() if there is None else self.line_after(there)

    def last_lines(self, count: int) -> int:
        """Where the last lines begin, so many of them as there are."""
        first, end = self.first_line(), self.size()
        place = end if count else first
        while place > first:
            start = max(place - BLOCK, first)
            data = os.pread(self._fd, place - start, start)
            found = len(data)
            while (found := data.rfind(b"\n", 0, found)) >= 0:
                if start + found + 1 == end:
                    continue  # it ends the last line, and begins none
                count -= 1
                if not count:
                    return start + found + 1
            place = start
        return first if count else end


def _whole_characters(data: bytes) -> bytes:
    """Without the bytes at its end that are but the beginning of a character in UTF-8."""
    for back in range(1, 4):
        lead = data[-back]
        if lead >= 0xC0:
            length = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
            return data[:-back] if length > back else data
        if lead < 0x80:
            return data
    return data
