"""The keeper's own log lines: few, and never a reason to wait."""

from __future__ import annotations

import json
import time
from typing import Any

from supervisor.posix import journal


class Log:
    """One line an event, ``noun_verbed`` with its facts: JSON, or for a person where standard error is a terminal."""

    def __init__(self) -> None:
        self._stderr = journal.stderr()
        self._is_terminal = self._stderr.isatty()

    def info(self, event: str, **facts: Any) -> None:
        """Something happened as it should."""
        self._write("info", event, facts)

    def warning(self, event: str, **facts: Any) -> None:
        """Something a person should know of."""
        self._write("warning", event, facts)

    def _write(self, level: str, event: str, facts: dict[str, Any]) -> None:
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1e6):06d}Z"
        if self._is_terminal:
            told = " ".join(f"{key}={value}" for key, value in facts.items())
            self._stderr.write(f"{stamp} [{level:<8}] {event:<30} logger=keeper {told}\n")
        else:
            line = {"event": event, "logger": "keeper", **facts, "level": level, "timestamp": stamp}
            self._stderr.write(json.dumps(line) + "\n")
