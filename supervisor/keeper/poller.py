"""One wait for everything that a descriptor can tell, and for the next instant that something is due at."""

from __future__ import annotations

import enum
import select
import time
from collections.abc import Callable

_LONGEST_WAIT = 3600.0

Callback = Callable[[], None]


class Priority(enum.IntEnum):
    """In what order things that are ready together are served: who is gone is known before anybody is asked."""

    SIGNAL = 0
    EXIT = 1
    REQUEST = 2


class Poller:
    """epoll with a callback for each descriptor."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, tuple[Priority, Callback]] = {}

    def watch(self, fd: int, mask: int, priority: Priority, callback: Callback) -> None:
        """Call ``callback`` whenever the descriptor is ready; a descriptor watched already gets the new mask."""
        if fd in self._watched:
            self._epoll.modify(fd, mask)
        else:
            self._epoll.register(fd, mask)
        self._watched[fd] = (priority, callback)

    def forget(self, fd: int) -> None:
        """No more calls for the descriptor, also not one that is ready already."""
        if self._watched.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def wait(self, until: float | None) -> None:
        """Wait until something is ready or the monotonic instant has come; serve what is ready."""
        delay = _LONGEST_WAIT if until is None else min(max(until - time.monotonic(), 0.0), _LONGEST_WAIT)
        # epoll counts milliseconds and would wake up to one late; select counts microseconds.
        select.select([self._epoll], [], [], delay)
        ready = [(self._watched[fd][0], fd) for fd, _ in self._epoll.poll(0)]
        for _, fd in sorted(ready):
            if fd in self._watched:  # an earlier callback may have forgotten it
                self._watched[fd][1]()
