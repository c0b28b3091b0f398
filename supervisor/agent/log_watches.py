"""Who waits for a file to be written to, in the agent's loop. An idle file wakes nobody."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from supervisor.posix.inotify import Inotify


class Watches:
    """One inotify descriptor for all who wait. Made in a running loop; raises ``OSError`` as `Inotify` does."""

    def __init__(self) -> None:
        self._inotify = Inotify()
        self._waiting: dict[int, set[asyncio.Event]] = {}
        asyncio.get_running_loop().add_reader(self._inotify.fileno(), self._tell)

    @contextlib.contextmanager
    def written(self, path: str, event: asyncio.Event) -> Iterator[None]:
        """Inside, the next write to the file sets the event; later ones do not."""
        watch = self._inotify.add(path)
        self._waiting.setdefault(watch, set()).add(event)
        try:
            yield
        finally:
            others = self._waiting.get(watch)
            if others is not None:
                others.discard(event)
                if not others:
                    del self._waiting[watch]
                    self._inotify.remove(watch)

    def close(self) -> None:
        """Tell nobody any more."""
        asyncio.get_running_loop().remove_reader(self._inotify.fileno())
        self._inotify.close()

    def _tell(self) -> None:
        for watch in self._inotify.read():
            for event in self._waiting.pop(watch, ()):
                event.set()
