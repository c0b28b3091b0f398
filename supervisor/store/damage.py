"""A database that cannot be trusted: it is never written to again, and never thrown away."""

from __future__ import annotations

import contextlib
import os
import time

from supervisor.errors import StoreDamaged, StoreError

_WAL_MAGIC = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")


def check_wal(path: str) -> None:
    """`StoreDamaged` where the file beside it is no write-ahead log.

    SQLite would pass over it without a word, and with it over every commit that had not reached the database yet. One
    that begins with zeros had not been written yet when the host lost its power: nothing was in it.
    """
    try:
        with open(f"{path}-wal", "rb") as file:
            magic = file.read(4)
    except OSError:
        return
    if magic not in _WAL_MAGIC and magic.strip(b"\0"):
        raise StoreDamaged(f"cannot trust {path}: its -wal file is not a write-ahead log")


def set_aside(path: str) -> str:
    """Rename the database, with what belongs to it, out of the way of a new one; the name that it has now."""
    kept = f"{path}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    try:
        # The database comes last: a new one beside an old log would take the log for its own.
        for part in ("-wal", "-shm", ""):
            with contextlib.suppress(FileNotFoundError):
                os.rename(path + part, kept + part)
    except OSError as exc:
        raise StoreError(f"cannot set {path} aside, which is damaged: {exc.strerror}") from exc
    return kept
