"""Ignores SIGTERM: only SIGKILL ends it."""

from __future__ import annotations

import signal

from ready import say, wait_for_ever

signal.signal(signal.SIGTERM, signal.SIG_IGN)
say("main")
wait_for_ever()
