"""The pidfds of main processes, kept by systemd for the keeper after us: an exit while no keeper lives is not lost.

Without systemd nothing is sent. More than ``FileDescriptorStoreMax=`` are refused silently; those runs are told
apart and followed all the same, as without the store.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from supervisor.posix import service

_NAME = re.compile("run-([0-9a-f]{32})")


class FdStore:
    """What systemd keeps for us. ``kept``: the runs whose pidfds it had when we started."""

    def __init__(self, kept: Iterable[str]) -> None:
        self._kept = set(kept)

    def keep(self, run: str, pidfd: int) -> None:
        """``FDPOLL=0``: else systemd lets go of it when the process exits, just when it is needed."""
        self._kept.add(run)
        service.notify(f"FDSTORE=1\nFDNAME=run-{run}\nFDPOLL=0", pidfd)

    def drop(self, run: str) -> None:
        """The run is over."""
        if run in self._kept:
            self._kept.discard(run)
            service.notify(f"FDSTOREREMOVE=1\nFDNAME=run-{run}")

    def take_over(self, runs: Iterable[str]) -> None:
        """These are held from an earlier keeper, who had given them, and of what is kept no others are needed."""
        held = set(runs)
        for run in self._kept - held:
            self.drop(run)
        self._kept = held


def find(names: Iterable[str], first: int) -> dict[str, int]:
    """By run, what was kept among descriptors of these names (sd_listen_fds_with_names(3)) that begin at ``first``."""
    matches = ((_NAME.fullmatch(name), first + place) for place, name in enumerate(names))
    return {match[1]: fd for match, fd in matches if match is not None}
