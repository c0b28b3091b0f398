"""Log lines to journald with their facts as fields, where standard error is its: ``journalctl SUPERVISOR_TASK=…``.

The native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): a datagram an entry, a field after the other.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import struct
from typing import Any

from supervisor.posix.service import Stderr

SOCKET = "/run/systemd/journal/socket"
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_UNFIT = re.compile("[^A-Z0-9_]")
_NAME_MOST = 64
_TOLD = {"event", "level", "timestamp"}
"""Keys that are not repeated after the event: a reader of the journal sees them anyway."""


def stderr() -> Stderr:
    """Standard error, or the journal behind it."""
    return JournalStderr() if _is_journal() else Stderr()


def _is_journal() -> bool:
    """Whether standard error is the stream to journald that ``JOURNAL_STREAM`` names: it may have been redirected."""
    status = os.fstat(2)
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class JournalStderr(Stderr):
    """Takes lines of JSON. What journald does not take at once goes to its stream, as the line that it is."""

    def __init__(self) -> None:
        super().__init__()
        self._journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._journal.setblocking(False)

    def write(self, text: str) -> int:
        """Send the line as an entry."""
        with contextlib.suppress(OSError, ValueError):
            line = json.loads(text)
            if isinstance(line, dict):
                self._journal.sendto(entry(line), SOCKET)
                return len(text)
        return super().write(text)


def entry(line: dict[str, Any]) -> bytes:
    """The datagram for a line: the event with its facts as message, and each of them as a field."""
    event = str(line.get("event", ""))
    told = " ".join(f"{key}={_on_a_line(value)}" for key, value in line.items() if key not in _TOLD)
    fields = {
        "MESSAGE": f"{event} {told}" if told else event,
        "PRIORITY": str(_PRIORITIES.get(str(line.get("level")), 6)),
        "SYSLOG_IDENTIFIER": "supervisor",
    }
    fields |= {_name(key): _text(value) for key, value in line.items() if key not in ("level", "timestamp")}
    return b"".join(_field(name, value.encode(errors="backslashreplace")) for name, value in fields.items())


def _name(key: str) -> str:
    return f"SUPERVISOR_{_UNFIT.sub('_', key.upper())}"[:_NAME_MOST]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _on_a_line(value: Any) -> str:
    """Text of others must not pass for a line of ours."""
    return value if isinstance(value, str) and value.isprintable() else json.dumps(value)


def _field(name: str, value: bytes) -> bytes:
    """A value of several lines is sent by its length: no text can pass for a field of its own."""
    if b"\n" not in value:
        return name.encode() + b"=" + value + b"\n"
    return name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
