"""Says ``signalled`` for every signal that it gets, whichever it is, and ends at SIGTERM."""

from __future__ import annotations

import signal
import sys

from ready import say, wait_for_ever


def tell(signum: int, _: object) -> None:
    say("signalled")
    if signum == signal.SIGTERM:
        sys.exit(0)


for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, tell)
say("main")
wait_for_ever()
