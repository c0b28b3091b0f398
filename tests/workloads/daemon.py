"""Starts a daemon as the book says, forked twice and in its own session, and exits with code 0 on SIGTERM.

``daemon.py DAEMON [CGROUP]``: on SIGTERM a ``graceful`` daemon says ``daemon-stopping`` and exits, a ``stubborn`` one
does not. It moves to the cgroup if one is given, as root can.
"""

from __future__ import annotations

import os
import signal
import sys

from ready import say, wait_for_ever


def stop_daemon(*_: object) -> None:
    say("daemon-stopping")
    os._exit(0)


signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
heard, told = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() > 0:
        os._exit(0)
    signal.signal(signal.SIGTERM, stop_daemon if sys.argv[1] == "graceful" else signal.SIG_IGN)
    if len(sys.argv) > 2:
        with open(f"{sys.argv[2]}/cgroup.procs", "w") as file:
            file.write("0")
    say("daemon")
    os.close(heard)
    os.close(told)
    wait_for_ever()
os.wait()
os.close(told)
os.read(heard, 1)
say("main")
wait_for_ever()
