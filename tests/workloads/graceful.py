"""Exits on SIGTERM, with the code given (7)."""

from __future__ import annotations

import signal
import sys

from ready import say, wait_for_ever

code = int(sys.argv[1]) if len(sys.argv) > 1 else 7
signal.signal(signal.SIGTERM, lambda *_: sys.exit(code))
say("main")
wait_for_ever()
