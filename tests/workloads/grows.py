"""A bounded fork bomb: eight lines of descent, each in a session of its own, that ignore SIGTERM and grow.

A pipe with ``MOST`` bytes in it is their common permission, so there are never more than that. Each says ``born``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

from ready import say, wait_for_ever

MOST = 200
LINES = 8
PACE = 0.02
"""Seconds between a process and its child."""

signal.signal(signal.SIGTERM, signal.SIG_IGN)
permissions, granted = os.pipe()
os.write(granted, b"." * MOST)
os.set_blocking(permissions, False)


def grow() -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(permissions, 1) and os.fork() == 0:
            say("born")
            time.sleep(PACE)
    wait_for_ever()


for _ in range(LINES):
    if os.fork() == 0:
        os.setsid()
        grow()
say("main")
wait_for_ever()
