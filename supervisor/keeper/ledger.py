"""What the keeper holds, noted where the keeper after it finds it: the one who was killed could not hand it over.

A file of lines, ``key<TAB>JSON``; a key without a value is gone. Only the last line of a key counts. The file is in a
directory of the memory (tmpfs): a disk that is full, slow or hung must not make a kill late. It need not outlive the
host, and is not synced: what was written survives the death of the writer.

Keys: ``boot``; ``spec RUN`` (before the fork), ``born RUN`` (after it), ``exec RUN`` (from the child itself, before it
becomes what was asked for), ``plan RUN``; ``event SEQ`` until the agent has stored it; ``agent``.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from typing import Any

from supervisor import wire
from supervisor.errors import WireError

_COMPACT_FROM = 1 << 20
"""Bytes from which on it is worth to write the file anew, if at least three quarters of it are of the past."""
_UNWRITTEN_MOST = 4 << 20
"""Bytes that wait for room in the directory."""

SENSELESS = (WireError, KeyError, ValueError, TypeError, AttributeError)
"""What is raised by records that no keeper of ours has written."""

Records = dict[str, Any]


def read(path: str) -> Records:
    """What the file says, by key; empty where there is none. What was cut off by the end of its writer is left out."""
    found = {}
    for key, value in _lines(path).items():
        with contextlib.suppress(ValueError):
            found[key] = json.loads(value)
    return found


def events(records: Records) -> dict[int, wire.Event]:
    """Those that no agent has stored, by number, in order. What makes no sense is left out."""
    found: dict[int, wire.Event] = {}
    for key in [key for key in records if key.startswith("event ")]:
        with contextlib.suppress(*SENSELESS):
            number, members = records[key]
            found[int(key.partition(" ")[2])] = wire.revive(wire.kind_of(number), members)
    return dict(sorted(found.items()))


def _lines(path: str) -> dict[str, bytes]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return {}
    with open(fd, "rb") as file:
        *whole, _ = file.read().split(b"\n")
    found: dict[str, bytes] = {}
    for line in whole:
        key, tab, value = line.partition(b"\t")
        name = key.decode(errors="replace")
        found.pop(name, None)  # the order is that of the last lines
        if tab:
            found[name] = value
    return found


class Ledger:
    """The file of this keeper. Nothing that goes wrong with it stops the keeper: ``complain`` is told, once."""

    def __init__(self, path: str, complain: Callable[[OSError], None]) -> None:
        self._path = path
        self._complain = complain
        self._unwritten = bytearray()
        self._fd: int | None = None
        self._size = 0
        self._compact_at = _COMPACT_FROM
        self.sound = bool(path)
        """Whether the file has everything."""

    def begin(self, records: Records) -> None:
        """Start anew with what was taken over from the keeper before."""
        if self._path:
            self._replace({key: _encode(value) for key, value in records.items()})

    def put(self, key: str, value: Any) -> None:
        """Note a value; it is in the file after ``flush``."""
        if self._fd is not None:
            self._unwritten += b"%s\t%s\n" % (key.encode(), _encode(value))

    def drop(self, key: str) -> None:
        """The key is gone."""
        if self._fd is not None:
            self._unwritten += b"%s\n" % key.encode()

    def flush(self) -> None:
        """Have everything in the file that was noted."""
        if not self._unwritten or self._fd is None:
            return
        try:
            while self._unwritten:
                written = os.write(self._fd, self._unwritten)
                self._size += written
                del self._unwritten[:written]
        except OSError as exc:
            self._fail(exc)
            if len(self._unwritten) > _UNWRITTEN_MOST:
                self.remove()  # none is better than one that is wrong

    @property
    def is_long(self) -> bool:
        """Whether most of the file may be of the past."""
        return self._fd is not None and self._size >= self._compact_at

    def compact(self) -> None:
        """Leave out what is of the past. Takes milliseconds, and loses what a child writes meanwhile."""
        self.flush()
        self._replace(_lines(self._path))
        self._compact_at = max(_COMPACT_FROM, 4 * self._size)

    @property
    def fd(self) -> int | None:
        """Where a child of ours appends a line of its own."""
        return self._fd

    def remove(self) -> None:
        """The keeper ends, and holds nothing."""
        self._close()
        if self._path:
            with contextlib.suppress(OSError):
                os.unlink(self._path)

    def _replace(self, lines: dict[str, bytes]) -> None:
        new = f"{self._path}.new"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = os.open(new, flags, 0o600)
            try:
                text = b"".join(b"%s\t%s\n" % (key.encode(), value) for key, value in lines.items())
                left = text
                while left:
                    left = left[os.write(fd, left) :]
                os.rename(new, self._path)
            except OSError:
                os.close(fd)
                raise
        except OSError as exc:
            self._fail(exc)
            return
        self._close()
        self._fd, self._size = fd, len(text)

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _fail(self, error: OSError) -> None:
        if self.sound:
            self.sound = False
            self._complain(error)


def note_exec(fd: int, run: str) -> None:
    """From the child: from now on the run may have begun."""
    with contextlib.suppress(OSError):
        os.write(fd, f"exec {run}\ttrue\n".encode("ascii"))


def _encode(value: Any) -> bytes:
    # Lone surrogates (bytes of a name that are not UTF-8) come back as they were only if they are escaped.
    return json.dumps(value, separators=(",", ":")).encode("ascii")
