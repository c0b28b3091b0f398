"""On SIGTERM moves to a cgroup that is its own to do with as it likes, and freezes it: ``frozen.py GROUP``."""

from __future__ import annotations

import os
import signal
import sys

from ready import say, wait_for_ever


def freeze(*_: object) -> None:
    for name, text in (("cgroup.procs", "0"), ("cgroup.freeze", "1")):
        with open(f"{sys.argv[1]}/{name}", "w") as file:
            file.write(text)
    os._exit(14)


signal.signal(signal.SIGTERM, freeze)
say("main")
wait_for_ever()
