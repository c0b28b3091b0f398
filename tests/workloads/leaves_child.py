"""Exits, with code 3, and leaves a child behind.

``leaves_child.py CHILD WHEN``: the child is ``graceful`` (says ``child-stopping`` and exits) or ``stubborn`` (ignores
SIGTERM); the main process exits ``unasked``, or on SIGTERM (``asked``), or ignores that (``never``).
"""

from __future__ import annotations

import os
import signal
import sys

from ready import say, wait_for_ever


def stop_child(*_: object) -> None:
    say("child-stopping")
    os._exit(0)


kind, when = sys.argv[1:]
signal.signal(signal.SIGTERM, signal.SIG_IGN if when == "never" else lambda *_: os._exit(3))
heard, told = os.pipe()
if os.fork() == 0:
    signal.signal(signal.SIGTERM, stop_child if kind == "graceful" else signal.SIG_IGN)
    say("child")
    os.close(told)
    os.close(heard)
    wait_for_ever()
os.close(told)
os.read(heard, 1)  # nobody may leave before the child is set up
say("main")
if when == "unasked":
    os._exit(3)
wait_for_ever()
