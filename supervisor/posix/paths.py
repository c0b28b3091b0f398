"""Opening files where somebody else could have put something in our way, and directories that are one user's alone.

A path is followed part by part, each opened in the one before and none of them a symbolic link. What has been opened
can be looked at, and cannot be exchanged any more for something else; a path that was looked at can.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from supervisor.posix.rights import Ids

_PART = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""Nothing is waited for: a FIFO has no reader, perhaps never."""
_OF_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def open_directory(path: str, *, make: int | None = None, trusted: bool = False) -> int:
    """That directory, by an absolute path without symbolic links; ``make``: the mode of what is not there yet.

    ``trusted``: only if nobody but us and root can write where it leads through.
    """
    fd = os.open("/", _PART)
    for name in filter(None, path.split("/")):
        try:
            inner = _open_part(fd, name, make)
        finally:
            os.close(fd)
        fd = inner
        if trusted:
            _check_writers(fd)
    return fd


def open_file(path: str, flags: int, mode: int = 0, *, make: int | None = None, trusted: bool = False) -> int:
    """A regular file that has no other name, as ``open_directory`` finds it. What it is instead is an ``OSError``."""
    directory, _, name = path.rpartition("/")
    _check_name(name)
    dir_fd = open_directory(directory, make=make, trusted=trusted)
    try:
        fd = os.open(name, flags | _FILE, mode, dir_fd=dir_fd)
    finally:
        os.close(dir_fd)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        if found.st_nlink != 1 and flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EMLINK, "it has another name too, or none any more")
        os.set_blocking(fd, True)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _open_part(dir_fd: int, name: str, make: int | None) -> int:
    _check_name(name)
    try:
        return os.open(name, _PART, dir_fd=dir_fd)
    except FileNotFoundError:
        if make is None:
            raise
    with contextlib.suppress(FileExistsError):  # another has made it just now
        os.mkdir(name, make, dir_fd=dir_fd)
    return os.open(name, _PART, dir_fd=dir_fd)


def _check_name(name: str) -> None:
    if name in ("", ".", ".."):
        raise OSError(errno.EINVAL, "a part of its path is empty, or a dot, or two")


def _check_writers(fd: int) -> None:
    found = os.fstat(fd)
    if found.st_uid not in (0, os.geteuid()) or (found.st_mode & _OF_OTHERS and not found.st_mode & stat.S_ISVTX):
        raise PermissionError(errno.EPERM, "others may write to a directory on its path")


def who_may_write_above(path: str) -> str | None:
    """The first directory on the way to ``path`` in which another user than root could exchange it; None is good."""
    directory = "/"
    for name in path.split("/")[1:]:
        found = os.lstat(directory)
        if found.st_uid != 0 or (found.st_mode & _OF_OTHERS and not found.st_mode & stat.S_ISVTX):
            return directory
        directory = os.path.join(directory, name)
    return None


def claim(directory: str, owner: Ids | None, names: tuple[str, ...]) -> bool:
    """Make the directory the owner's (None: ours), with mode 0700, or see that it is. ``PermissionError``: why not.

    One that is there already is changed only where it holds nothing but files that begin with these names: whoever
    has written /etc into the configuration keeps it. True: it is root's own, and to be handed over to the owner when
    it is known that nobody uses it.
    """
    ours = Ids(os.geteuid(), os.getegid(), [])
    owner = owner or ours
    with contextlib.suppress(FileExistsError):
        os.makedirs(os.path.dirname(directory), exist_ok=True)
        os.mkdir(directory, 0o700)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found, inside = os.fstat(fd), os.listdir(fd)
        mode = stat.S_IMODE(found.st_mode)
        if mode & _OF_OTHERS:
            raise PermissionError(errno.EPERM, f"others may write there (mode {mode:04o}); chmod 700 {directory}")
        is_known = all(name.startswith(names) for name in inside)
        if found.st_uid != owner.uid:
            is_roots = ours.uid == found.st_uid == 0 and is_known
            if not is_roots and (ours.uid != 0 or inside):
                why = (
                    f"it belongs to user {found.st_uid}; chown -R {owner.uid}:{owner.gid} {directory}, or name another"
                )
                raise PermissionError(errno.EPERM, why)
            if not is_roots:
                os.fchown(fd, owner.uid, owner.gid)
        if is_known and mode != 0o700:
            os.fchmod(fd, 0o700)
        return found.st_uid != owner.uid and found.st_uid == 0
    finally:
        os.close(fd)


def hand_over(directory: str, owner: Ids) -> None:
    """Give it away with all that is in it, itself last: until then nobody but root can put something in our way."""
    for _, names, files, dir_fd in os.fwalk(directory, follow_symlinks=False):
        for name in (*names, *files):
            os.chown(name, owner.uid, owner.gid, dir_fd=dir_fd, follow_symlinks=False)
    os.chown(directory, owner.uid, owner.gid, follow_symlinks=False)
