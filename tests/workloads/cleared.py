"""Leaves an orphan without any mark that it could drop: own session, empty environment; SIGTERM is ignored.

``cleared.py WHEN``: the main process exits with code 4, ``unasked`` once the orphan is there, or on SIGTERM
(``asked``).
"""

from __future__ import annotations

import os
import signal
import sys

from ready import PATH, say, wait_for_ever

if sys.argv[1] == "orphan":
    say("orphan", sys.argv[2])
    os.write(int(sys.argv[3]), b".")
    wait_for_ever()

signal.signal(signal.SIGTERM, lambda *_: os._exit(4))
heard, told = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() > 0:
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.set_inheritable(told, True)
    argv = [sys.executable, "-S", os.path.abspath(__file__), "orphan", PATH or "", str(told)]
    os.execve(sys.executable, argv, {})
os.wait()
os.read(heard, 1)
say("main")
if sys.argv[1] == "unasked":
    os._exit(4)
wait_for_ever()
