"""How a workload tells what it is doing: a line ``WORD PID INSTANT`` in the file or FIFO that ``READY`` names.

The instant is on the monotonic clock; a shell leaves it out. Whoever runs a workload waits for its words, and for no
time: a signal sent before ``main`` was said may find no handler. A workload that runs without ``READY`` says nothing.
"""

from __future__ import annotations

import os
import time

PATH = os.environ.get("READY")


def say(word: str, path: str | None = PATH) -> None:
    """One write, so that the lines of several processes do not mix."""
    if path:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        os.write(fd, f"{word} {os.getpid()} {time.monotonic():.6f}\n".encode())
        os.close(fd)


def wait_for_ever() -> None:
    """Do nothing until a signal ends this process."""
    import signal

    while True:
        signal.pause()
