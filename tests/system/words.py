"""What workloads say of themselves: lines ``WORD PID …`` in a FIFO, which their environment names as ``READY``."""

from __future__ import annotations

import os
import select
import time

from tests.conftest import PATIENCE


class Words:
    """The listener's end of such a FIFO."""

    def __init__(self, path: str) -> None:
        self.path = path
        os.mkfifo(path)
        os.chmod(path, 0o622)
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._partial = b""
        self._said: list[tuple[str, int]] = []

    def close(self) -> None:
        """Hear no more. May be called again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def take(self, word: str, count: int) -> list[int]:
        """Wait until the word has been said so many times; the pids of those that did, fewer if no more came."""
        taken: list[int] = []
        patient_until = time.monotonic() + PATIENCE
        while True:
            for said in [said for said in self._said if said[0] == word][: count - len(taken)]:
                self._said.remove(said)
                taken.append(said[1])
            if len(taken) == count or not self._hear(patient_until - time.monotonic()):
                return taken

    def forget(self) -> None:
        """What has been said by tasks that are over, and was heard by nobody."""
        self._hear(0)
        self._said.clear()

    def _hear(self, timeout: float) -> bool:
        if not select.select([self._fd], [], [], max(timeout, 0))[0]:
            return False
        *lines, self._partial = (self._partial + os.read(self._fd, 65536)).split(b"\n")
        for line in lines:
            word, pid, *_ = line.decode().split()
            self._said.append((word, int(pid)))
        return True
