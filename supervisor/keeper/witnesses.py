"""Who tells that an adopted run is empty: SIGCHLD does not, nor does a cgroup of those who have left it.

Of each whose main process is over, one process that is left is held by a pidfd; its end brings the next look.
"""

from __future__ import annotations

import functools
import os
import select
from collections.abc import Callable, Iterable

from supervisor.keeper.poller import Poller, Priority
from supervisor.posix import process


class Witnesses:
    """At most one for each run."""

    def __init__(self, poller: Poller, owe_look: Callable[[], None]) -> None:
        self._poller = poller
        self._owe_look = owe_look
        self._pidfds: dict[str, int] = {}

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._pidfds

    def choose(self, run_id: str, pids: Iterable[int]) -> None:
        """Hold one of these; where none of them is left, another look is owed at once."""
        pidfds = (process.open_if(pid, lambda: True) for pid in pids)
        pidfd = next((pidfd for pidfd in pidfds if pidfd is not None), None)
        if pidfd is None:
            self._owe_look()
            return
        self._pidfds[run_id] = pidfd
        self._poller.watch(pidfd, select.EPOLLIN, Priority.EXIT, functools.partial(self.let_go, run_id))

    def let_go(self, run_id: str) -> None:
        """It has ended, or nobody asks any more."""
        if (pidfd := self._pidfds.pop(run_id, None)) is not None:
            self._poller.forget(pidfd)
            os.close(pidfd)
            self._owe_look()
