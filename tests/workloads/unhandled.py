"""Has never heard of signals: SIGTERM does what the kernel does by default."""

from __future__ import annotations

from ready import say, wait_for_ever

say("main")
wait_for_ever()
