"""Exits at once with code 5, and leaves a grandchild in its own session that ignores SIGTERM and keeps the output open.

Who waits for the end of the output waits for the grandchild.
"""

from __future__ import annotations

import os
import signal

from ready import say, wait_for_ever

heard, told = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() > 0:
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say("grandchild")
    os.close(heard)
    os.close(told)
    wait_for_ever()
os.wait()
os.close(told)
os.read(heard, 1)
say("main")
os._exit(5)
