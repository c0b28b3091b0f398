"""What is left for a moment of a supervisor that was killed: its agent, a child that had not come to its exec.

They hold its lock and its sockets until they are gone as well, and a start that follows at once would find them taken.
"""

from __future__ import annotations

import fcntl
import select
import signal
import socket
import struct
from typing import NoReturn

from supervisor.posix import proc

PATIENCE = 5.0
"""Seconds that a start waits for them."""

_PEER = struct.Struct("3i")
"""``struct ucred``."""


def wait_for_lock(fd: int, owner: str) -> bool:
    """Take the lock of an owner that is dead. False at once where it lives, and where others hold on to its lock."""
    if not owner.isdigit() or not _is_dead(int(owner)):
        return False
    before = signal.signal(signal.SIGALRM, _give_up)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        return True
    except TimeoutError:
        return False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def wait_for_listener(connected: socket.socket) -> bool:
    """Whether who listened there is dead, and now all who had inherited the socket. False at once where it lives."""
    pid, _, _ = _PEER.unpack(connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    if not _is_dead(pid):
        return False
    poll = select.poll()
    poll.register(connected, 0)  # its end alone: a connection that nobody takes ends with the socket
    return bool(poll.poll(PATIENCE * 1000))


def _is_dead(pid: int) -> bool:
    """Whether it has ended, also where nobody has reaped it. Of another pid namespace (0) nothing is known."""
    stat = proc.read_stat(pid) if pid > 0 else None
    return pid > 0 and (stat is None or stat.state == "Z")


def _give_up(*_: object) -> NoReturn:
    raise TimeoutError
