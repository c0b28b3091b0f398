"""When what was written: marks beside a log file whose lines carry no time.

A mark says that by that time the file had that size. They are a line each in ``CONTAINER.log.marks``, in order.
"""

from __future__ import annotations

import bisect
import contextlib
import os
import re
from typing import NamedTuple

MOST = 4096
_SUFFIX = ".marks"
_MARK = re.compile(r"(\d{1,15}\.\d{3}) (\d{1,19})")


class Mark(NamedTuple):
    """All that is before ``size`` was written by then."""

    at: float
    """Unix time."""
    size: int


class Marks:
    """The marks of one file, each later and further than the one before."""

    def __init__(self, marks: list[Mark] | None = None) -> None:
        self.marks = marks or []

    @property
    def size(self) -> int:
        """How far they reach."""
        return self.marks[-1].size if self.marks else 0

    def add(self, at: float, size: int) -> Mark:
        """A new one at the end; if the wall clock has stepped back, no earlier than the last."""
        mark = Mark(round(max(at, self.marks[-1].at if self.marks else at), 3), size)
        self.marks.append(mark)
        return mark

    def since(self, at: float) -> int:
        """The place in the file from which on everything is that was written at that Unix time or later."""
        index = bisect.bisect_left(self.marks, at, key=lambda mark: mark.at)
        return self.marks[index - 1].size if index else 0

    def time_of(self, place: int) -> float | None:
        """By when what is at that place was written; None if no mark reaches so far."""
        index = bisect.bisect_right(self.marks, place, key=lambda mark: mark.size)
        return self.marks[index].at if index < len(self.marks) else None

    def thin(self, freed: int) -> None:
        """Half as many: none of what was freed, and of the older ones every second. The later half stays as it is."""
        index = bisect.bisect_right(self.marks, freed, key=lambda mark: mark.size)
        left = self.marks[max(index - 1, 0) :]
        if len(left) > MOST // 2:
            half = len(left) // 2
            left = [*left[:half:2], *left[half:]]
        self.marks = left


def load(log_path: str) -> Marks:
    """The marks of that log file, as far as they can be read."""
    found: list[Mark] = []
    with contextlib.suppress(OSError, UnicodeDecodeError), open(log_path + _SUFFIX, encoding="ascii") as file:
        for line in file:
            parts = _MARK.fullmatch(line.rstrip("\n"))  # the last one may be cut: the host may have died over it
            if parts is not None:
                mark = Mark(float(parts[1]), int(parts[2]))
                if not found or (mark.at >= found[-1].at and mark.size > found[-1].size):
                    found.append(mark)
    return Marks(found)


def append(log_path: str, mark: Mark) -> None:
    """Write one more. Raises ``OSError``."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(log_path + _SUFFIX, flags, 0o640), "wb") as file:
        file.write(_text(mark))


def rewrite(log_path: str, marks: Marks) -> None:
    """Write all of them in place of what is there. Raises ``OSError``."""
    new = f"{log_path}{_SUFFIX}.new"
    flags = os.O_WRONLY | os.O_TRUNC | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(new, flags, 0o640), "wb") as file:
        file.write(b"".join(map(_text, marks.marks)))
    os.replace(new, log_path + _SUFFIX)


def _text(mark: Mark) -> bytes:
    return f"{mark.at:.3f} {mark.size}\n".encode()
