"""The socket's file: by it alone a supervisor can be reached, and anybody who may write in its directory can delete it.

The kernel tells us when it is gone. A listening socket cannot be given another file, so there is a new socket, under
the descriptor of the old one, and a new agent, which is the way to hand it over; the agent's end costs nobody anything.
Who had come in by the old one and was not accepted yet is turned away.

A file that somebody else has put there is left alone, and so is the socket of a service manager.
"""

from __future__ import annotations

import os
import select
import stat
import time
from collections.abc import Callable

from supervisor.keeper.poller import Poller, Priority
from supervisor.keeper.report import Log
from supervisor.posix import service
from supervisor.posix.inotify import Inotify

_AGAIN = 1.0
"""Seconds until it is tried again where the directory cannot be written, or two are made one after the other."""


class SocketFile:
    """The file at ``path`` of the listening socket ``fd``; ``replaced`` is called when there is a new socket."""

    def __init__(self, poller: Poller, log: Log, path: str, fd: int, replaced: Callable[[], None]) -> None:
        self._log = log
        self._path = path
        self._directory = os.path.dirname(path) or "."
        self._fd = fd
        self._replaced = replaced
        self._told = False
        found = os.lstat(path)
        self._mode, self._owner, self._group = stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid
        self._identity = (found.st_dev, found.st_ino)
        self._inotify = Inotify()
        self._inotify.add_directory(self._directory)
        poller.watch(self._inotify.fileno(), select.EPOLLIN, Priority.REQUEST, self._look)
        self._made_at = 0.0
        self.due_at: float | None = None
        """Monotonic instant at which it is to be made again; None while all is well."""

    def _look(self) -> None:
        self._inotify.read()
        if self.due_at is None and self._found() is None:
            self.due_at = max(time.monotonic(), self._made_at + _AGAIN)

    def _found(self) -> tuple[int, int] | None:
        try:
            found = os.lstat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def serve(self, now: float) -> None:
        """Make it again, if that is due."""
        if self.due_at is not None and now >= self.due_at:
            self._restore(now)

    def _restore(self, now: float) -> None:
        if self._found() is not None:
            self.due_at = None
            return
        try:
            with service.listen_unix(self._path, self._mode, None) as sock:
                os.chown(self._path, self._owner, self._group)
                self._inotify.add_directory(self._directory)  # perhaps it is a new one, too
                os.dup2(sock.fileno(), self._fd)
        except OSError as exc:
            self.due_at = now + _AGAIN
            if not self._told:
                self._log.warning("socket_lost", path=self._path, error=exc.strerror or str(exc))
            self._told = True
            return
        self._identity = self._found() or self._identity
        self._made_at, self.due_at, self._told = now, None, False
        self._log.warning("socket_restored", path=self._path)
        self._replaced()

    def remove(self) -> None:
        """At the end; unless it is somebody else's by now."""
        if self._found() == self._identity:
            os.unlink(self._path)
