"""Secrets: variables whose values are read from files by the child that becomes the process, and known to nobody else.

A relative path is below the directory of secrets, and read with the rights that the keeper has: so a task can be given
what its user could not read. An absolute one is read with the rights of the task's user.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from supervisor.posix import paths

MOST_BYTES = 64 * 1024
"""Of one value."""


def read_ours(secrets: dict[str, str], directory: str) -> dict[str, str]:
    """The values of relative paths; to be called with the keeper's rights. ``OSError`` names variable and path."""
    return _read({name: path for name, path in secrets.items() if not path.startswith("/")}, _Below(directory))


def read_users(secrets: dict[str, str]) -> dict[str, str]:
    """The values of absolute paths; to be called with the rights of the task's user."""
    return _read({name: path for name, path in secrets.items() if path.startswith("/")}, _open_any)


class _Below:
    def __init__(self, directory: str) -> None:
        self._directory = directory

    def __call__(self, path: str) -> int:
        return paths.open_file(f"{self._directory}/{path}", os.O_RDONLY, trusted=True)


def _open_any(path: str) -> int:
    """Links and all: whatever it leads to is the user's own to read."""
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)


def _read(secrets: dict[str, str], open_one: Callable[[str], int]) -> dict[str, str]:
    values = {}
    for name, path in secrets.items():
        try:
            values[name] = _value(open_one(path))
        except OSError as exc:
            raise OSError(exc.errno or errno.EIO, f"{name} from {path!r}: {exc.strerror}") from None
        except ValueError:  # a NUL in the path
            raise OSError(errno.EINVAL, f"{name} from {path!r}: it is no path") from None
    return values


def _value(fd: int) -> str:
    try:
        # What has no size is no file but a question to the kernel: below /proc it would answer for us.
        if os.fstat(fd).st_size == 0:
            raise OSError(errno.ENODATA, "it is empty, or not a regular file")
        data = os.read(fd, MOST_BYTES + 1)
    finally:
        os.close(fd)
    if len(data) > MOST_BYTES:
        raise OSError(errno.EFBIG, f"it has more than {MOST_BYTES // 1024} KiB")
    if b"\0" in data:
        raise OSError(errno.EINVAL, "it has a NUL, which no variable can have")
    return os.fsdecode(data.removesuffix(b"\n"))
