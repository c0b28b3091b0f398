"""A process that never stays: it forks, the parent exits, the child goes on in a new session, and so on.

Whoever lists it and then signals what was listed comes too late. Says ``hop`` once it is on its way; bounded.
The main process exits with code 0 on SIGTERM.
"""

from __future__ import annotations

import os
import signal
import time

from ready import say, wait_for_ever

HOPS = 4000
STAY = 0.005
"""Seconds that each process lives."""

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for hop in range(HOPS):
        os.setsid()
        if os.fork() > 0:
            os._exit(0)
        if hop == 3:
            say("hop")
        time.sleep(STAY)
    os._exit(0)
say("main")
wait_for_ever()
