"""Options of ``logConfiguration``: which driver has which, and what they say."""

from __future__ import annotations

import re

from supervisor.errors import ClientError
from supervisor.model import LogConfiguration

from .arns import shown

FILE_DRIVERS = frozenset({"file", "json-file"})
"""Both are the same plain file of lines; the second is the name by which tools know it."""

_FILE_OPTIONS = frozenset({"max-size", "max-file"})
LOG_OPTIONS: dict[str, frozenset[str]] = {
    "json-file": _FILE_OPTIONS,
    "file": _FILE_OPTIONS,
    "journald": frozenset({"tag"}),
    "inherit": frozenset(),
    "none": frozenset(),
}
"""The log drivers, each with the options that it obeys."""

LEAST_SIZE = 16 * 1024
"""Bytes; the head of a file can only be freed in whole blocks, a quarter of the bound at a time."""
MOST_SIZE = 2**60
MOST_FILES = 1000

_SIZE = re.compile(r"(?P<number>[0-9]{1,19}) ?(?P<unit>[kmgt]?)i?b?", re.IGNORECASE)
_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}
_FILES = re.compile(r"0*(?P<number>[0-9]{1,4})")


def is_file_driver(log: LogConfiguration | None) -> bool:
    """Whether the output goes to a file of ours, as it does where nothing is said."""
    return log is None or log.log_driver in FILE_DRIVERS


def log_bound(log: LogConfiguration | None) -> int | None:
    """Bytes of a container's output that are kept, the newest: ``max-size`` times ``max-file``. None: all."""
    size = None if log is None else log.options.get("max-size")
    if log is None or size is None:
        return None
    return (_size(size) or 0) * (_files(log.options.get("max-file", "1")) or 1)


def check_log_sizes(options: dict[str, str], path: str) -> None:
    """``ClientError`` with the option's path where a size or a count cannot be obeyed."""
    size = options.get("max-size")
    if size is not None:
        parsed = _size(size)
        if parsed is None:
            raise ClientError(
                f"{path}['max-size']: expected a number of bytes, or one with k, m or g, such as 10m, got {shown(size)}"
            )
        if not LEAST_SIZE <= parsed <= MOST_SIZE:
            raise ClientError(f"{path}['max-size']: expected at least 16k and at most {MOST_SIZE >> 40}t, got {size}")
    files = options.get("max-file")
    if files is not None:
        if _files(files) is None:
            raise ClientError(f"{path}['max-file']: expected 1 to {MOST_FILES}, got {shown(files)}")
        if size is None:
            raise ClientError(f"{path}['max-file']: it multiplies max-size; give max-size too, or remove it")


def _size(text: str) -> int | None:
    """Bytes, as docker reads sizes; None where it is no size."""
    found = _SIZE.fullmatch(text)
    return int(found["number"]) << _UNITS[found["unit"].lower()] if found else None


def _files(text: str) -> int | None:
    found = _FILES.fullmatch(text)
    return int(found["number"]) if found and 1 <= int(found["number"]) <= MOST_FILES else None
