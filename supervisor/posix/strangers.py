"""Processes that are not our children, since an earlier keeper of ours had started them: how they ended, their group.

Another process reaps them, so their status is read where it can be had: of a zombie that nobody has reaped yet in
``/proc/PID/stat``, afterwards through a pidfd that was open before (``PIDFD_GET_INFO``, Linux 6.15 and later).
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct

from supervisor.posix import proc
from supervisor.posix.process import Wait

_GET_INFO = 0xC040FF0B
"""``_IOWR(0xFF, 11, struct pidfd_info)`` of ``linux/pidfd.h``, for the 64 bytes of its first version."""
_INFO_SIZE = 64
_INFO_EXIT = 1 << 3
_EXIT_CODE_AT = 60
_PROCESS_GROUP = 1 << 2
"""PIDFD_SIGNAL_PROCESS_GROUP, Linux 6.9 and later."""


def is_over(pidfd: int) -> bool:
    """Whether every thread of the process has ended, reaped or not."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def read_end(pidfd: int, pid: int, start_time: int) -> Wait | None:
    """How a process that is over ended; None where the kernel does not tell, or not any more."""
    # It may be reaped between two of these: then the pidfd, which did not tell before, does.
    return _of_reaped(pidfd) or _of_zombie(pid, start_time) or _of_reaped(pidfd)


def _of_reaped(pidfd: int) -> Wait | None:
    info = bytearray(_INFO_SIZE)
    struct.pack_into("=Q", info, 0, _INFO_EXIT)
    try:
        fcntl.ioctl(pidfd, _GET_INFO, info)
    except OSError:
        return None
    (mask,) = struct.unpack_from("=Q", info, 0)
    return _wait(struct.unpack_from("=i", info, _EXIT_CODE_AT)[0]) if mask & _INFO_EXIT else None


def _of_zombie(pid: int, start_time: int) -> Wait | None:
    status = proc.read_zombie_status(pid, start_time)
    return None if status is None else _wait(status)


def _wait(status: int) -> Wait:
    if os.WIFSIGNALED(status):
        return Wait(None, os.WTERMSIG(status))
    return Wait(os.WEXITSTATUS(status), None)


def kill_group(pidfd: int) -> bool:
    """SIGKILL for the process group that the process leads, or led. False where the kernel cannot, or nobody is left.

    A number could be another group's by now; the pidfd cannot.
    """
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL, None, _PROCESS_GROUP)
    except OSError:
        return False
    return True
