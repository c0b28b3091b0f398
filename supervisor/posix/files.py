"""Files of which the beginning is freed while somebody writes at their end."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from typing import Any

_KEEP_SIZE = 0x01
_PUNCH_HOLE = 0x02


@functools.cache
def _fallocate() -> Any:
    libc = ctypes.CDLL(None, use_errno=True)
    call = getattr(libc, "fallocate64", None) or libc.fallocate  # musl's offsets have 64 bits under the plain name
    call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_longlong, ctypes.c_longlong)
    return call


def free(fd: int, offset: int, length: int) -> None:
    """Give the file system back what is there; from now on it reads as zeros, and the file is as long as before.

    ``OSError`` EOPNOTSUPP where the file system cannot do that. Who writes elsewhere in the file notices nothing.
    """
    while _fallocate()(fd, _PUNCH_HOLE | _KEEP_SIZE, offset, length) != 0:
        number = ctypes.get_errno()
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number))


def data_from(fd: int, offset: int) -> int | None:
    """Where at or after ``offset`` the file has something that was not freed; None if it has not.

    The descriptor's own position is there afterwards.
    """
    try:
        return os.lseek(fd, offset, os.SEEK_DATA)
    except OSError as exc:
        if exc.errno != errno.ENXIO:
            raise
        return None
