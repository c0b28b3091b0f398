"""One SQLite connection, its lock, and its errors in our words."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from supervisor.errors import StoreDamaged, StoreError

BUSY_TIMEOUT = 5.0
"""Seconds to wait for another process that holds the file, a backup say."""

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_OF_THE_DISK = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}
_PRIMARY = 0xFF
"""The part of an extended error code that says what it is at all."""

is_complete = sqlite3.complete_statement


class Connection:
    """Opened at once. ``damaged`` is called with what shows that the file cannot be trusted."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.lock = threading.RLock()
        self.damaged: Callable[[StoreDamaged], None] = lambda _: None
        with self._errors("open"):
            # isolation_level None: transactions are begun here in so many words, never by sqlite3 itself.
            self.raw = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
            self.raw.execute("PRAGMA synchronous = FULL")
            self.raw.execute("PRAGMA foreign_keys = ON")

    def execute(self, statement: str, parameters: dict[str, object] | None = None) -> list[Any]:
        """The rows of one statement."""
        with self.lock, self._errors("read"):
            return self.raw.execute(statement, parameters or {}).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of what is done in it is on the disk at its end, or nothing."""
        with self.lock, self._errors("write"):
            self.raw.execute("BEGIN IMMEDIATE")
            try:
                yield self.raw
                self.raw.execute("COMMIT")
            except BaseException:
                if self.raw.in_transaction:  # a full disk may have rolled it back already
                    self.raw.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """May be called again."""
        with self.lock, self._errors("close"):
            self.raw.close()

    @contextmanager
    def _errors(self, verb: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as exc:
            code = getattr(exc, "sqlite_errorcode", 0) & _PRIMARY  # misuse of a connection has none
            if code in _DAMAGED:
                damage = StoreDamaged(f"cannot {verb} {self.path}: {exc}")
                self.damaged(damage)
                raise damage from exc
            advice = f"; {_advice(self.path)}" if code in _OF_THE_DISK else ""
            raise StoreError(f"cannot {verb} {self.path}: {exc}{advice}") from exc


def _advice(path: str) -> str:
    """What to do where SQLite's words leave it open: of a full disk it often says that a file cannot be opened."""
    try:
        found = os.statvfs(os.path.dirname(os.path.abspath(path)))
    except OSError as exc:
        return f"{os.path.dirname(path)}: {exc.strerror}"
    if found.f_flag & os.ST_RDONLY:
        return "its file system is read-only: make it writable"
    if found.f_bavail == 0 or (found.f_files and found.f_favail == 0):
        return "make room on its file system"
    return "see that its file system can be written to (dmesg has what the kernel knows)"


def make_file(path: str) -> None:
    """The file with its modes; SQLite gives its ``-wal`` and ``-shm`` the same."""
    directory = os.path.dirname(os.path.abspath(path))
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        mode = os.stat(directory).st_mode
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise StoreError(
                f"cannot keep records in {directory}: others may write there (mode {stat.S_IMODE(mode):04o}); "
                f"chmod 700 {directory}"
            )
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.fchmod(fd, 0o600)
        finally:
            os.close(fd)
    except OSError as exc:
        raise StoreError(f"cannot open {path}: {exc.strerror}") from exc
