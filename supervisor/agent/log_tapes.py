"""Reading the log files of a task's containers together, each line with the time by which it was written."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any

from supervisor.agent import log_marks
from supervisor.agent.logs import Line, LogFile, path_of
from supervisor.shapes import LogsAsked

_TICK = 0.01
"""Seconds by which the time of a file's last write can be too early: the kernel takes it from its last tick."""


class Tape:
    """The log file of one container, which may not be there yet."""

    def __init__(self, log_dir: str, asked: LogsAsked, container: str) -> None:
        self.container = container
        self.path = path_of(log_dir, asked.task_id, container)
        self._asked = asked
        self._log: LogFile | None = None
        self._marks = log_marks.Marks()
        self._lines: deque[Line] = deque()
        self._written_at = 0.0

    @property
    def opened(self) -> bool:
        """Whether the file has been there."""
        return self._log is not None

    def open(self) -> dict[str, Any] | None:
        """Find where to begin, if the file is there: this place. Raises ``OSError``."""
        try:
            log = LogFile(self.path)
        except FileNotFoundError:
            return None
        self._log = log
        self._marks = log_marks.load(self.path)
        log.end = None if self._asked.follow else log.size()
        log.place = self._begin(log)
        return {"container": self.container, "next": log.place}

    def _begin(self, log: LogFile) -> int:
        told = self._asked.places.get(self.container, "")
        if told.isascii() and told.isdigit() and len(told) <= 18:
            return int(told)
        begin = log.first_line()
        if self._asked.since is not None:
            since = self._asked.since - _TICK
            place = log.size() if log.written_at() < since else log.line_at(self._marks.since(since))
            begin = max(begin, place)
        if self._asked.tail is not None:
            begin = max(begin, log.last_lines(self._asked.tail))
        return begin

    def fill(self, *, whole: bool) -> None:
        """Have lines ready, if there are any; ``whole``: also what has no line end yet. Raises ``OSError``."""
        if not self._lines and self._log is not None:
            self._lines.extend(self._log.page(whole=whole))
            self._written_at = self._log.written_at()

    @property
    def ready(self) -> bool:
        """Whether there are lines to take."""
        return bool(self._lines)

    @property
    def at(self) -> float:
        """By when the first of the lines that are ready was written: Unix time."""
        found = self._marks.time_of(self._lines[0].start)
        return self._written_at if found is None else found

    def take(self) -> dict[str, Any]:
        """The first of the lines that are ready."""
        at = round(self.at, 3)
        line = self._lines.popleft()
        told = {"container": self.container, "line": line.text, "at": at, "next": line.next}
        return {**told, "partial": True} if line.partial else told

    def close(self) -> None:
        """Read no more."""
        if self._log is not None:
            self._log.close()


async def lines(tapes: Sequence[Tape], *, whole: bool) -> AsyncIterator[list[dict[str, Any]]]:
    """The lines that there are now, many at a time, in the order of their times as far as these are known."""
    for tape in tapes:
        await asyncio.to_thread(tape.fill, whole=whole)
    while ready := [tape for tape in tapes if tape.ready]:
        taken = []
        while True:
            first = min(ready, key=lambda tape: tape.at)
            taken.append(first.take())
            if not first.ready:  # its next line may be the first of all
                break
        yield taken
        await asyncio.to_thread(first.fill, whole=whole)
