"""Stops itself (SIGSTOP), and would exit with code 9 on SIGTERM: it must be continued to do so."""

from __future__ import annotations

import os
import signal
import sys

from ready import say, wait_for_ever

signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))
say("main")
os.kill(os.getpid(), signal.SIGSTOP)
wait_for_ever()
