"""Being told by the kernel that a file was written to, or that a name in a directory is gone (inotify(7))."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import struct

_MODIFY = 0x00000002
_ONESHOT = 0x80000000
_MOVED_FROM, _MOVED_TO, _DELETE, _DELETE_SELF, _MOVE_SELF = 0x40, 0x80, 0x200, 0x400, 0x800
_NAMES = _MOVED_FROM | _MOVED_TO | _DELETE | _DELETE_SELF | _MOVE_SELF
_ONLY_DIRECTORIES = 0x01000000
_EVENT = struct.Struct("iIII")
"""Watch, mask, cookie, and the length of a name, which follows."""
_READ = 64 * 1024


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


class Inotify:
    """Watches, each of which tells once. ``OSError`` EMFILE or ENOSPC where the kernel's limits are reached."""

    def __init__(self) -> None:
        self._fd = _checked(_libc().inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def fileno(self) -> int:
        """Readable when something was written to."""
        return self._fd

    def add(self, path: str) -> int:
        """The number of a watch that ends with the next write; of a file that is watched already, the same one."""
        return _checked(_libc().inotify_add_watch(self._fd, os.fsencode(path), ctypes.c_uint32(_MODIFY | _ONESHOT)))

    def add_directory(self, path: str) -> int:
        """The number of a watch that tells whenever a name in it is gone, or another's, or the directory itself is."""
        mask = ctypes.c_uint32(_NAMES | _ONLY_DIRECTORIES)
        return _checked(_libc().inotify_add_watch(self._fd, os.fsencode(path), mask))

    def remove(self, watch: int) -> None:
        """End a watch; one that has told is over by itself."""
        with contextlib.suppress(OSError):
            _checked(_libc().inotify_rm_watch(self._fd, watch))

    def read(self) -> list[int]:
        """The watches that have told. Never blocks."""
        try:
            data = os.read(self._fd, _READ)
        except BlockingIOError:
            return []
        told, place = [], 0
        while place < len(data):
            watch, _, _, length = _EVENT.unpack_from(data, place)
            told.append(watch)
            place += _EVENT.size + length
        return told

    def close(self) -> None:
        """End all."""
        os.close(self._fd)
