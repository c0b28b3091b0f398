"""On SIGTERM works on until it may go: until something can be read from the FIFO given. Then exits with code 42."""

from __future__ import annotations

import signal
import sys

from ready import say, wait_for_ever


def finish(*_: object) -> None:
    say("working")
    with open(sys.argv[1]) as go:
        go.read(1)
    sys.exit(42)


signal.signal(signal.SIGTERM, finish)
say("main")
wait_for_ever()
