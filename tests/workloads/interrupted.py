"""Ignores SIGTERM; exits on SIGINT, with code 5."""

from __future__ import annotations

import signal
import sys

from ready import say, wait_for_ever

signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, lambda *_: sys.exit(5))
say("main")
wait_for_ever()
