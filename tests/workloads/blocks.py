"""Blocks SIGTERM, as a program does that was started by a thread that had blocked it: the signal stays pending."""

from __future__ import annotations

import signal

from ready import say, wait_for_ever

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
say("main")
wait_for_ever()
