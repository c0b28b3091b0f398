"""A debugger that has hung: it holds a process by ptrace(2), and does nothing with it until it is told to."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator

PTRACE_DETACH = 17
PTRACE_SEIZE = 0x4206
PTRACE_O_TRACEEXIT = 0x40
WALL = 0x40000000


def _ptrace(request: int, pid: int, data: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    if libc.ptrace(request, pid, None, data) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Traced:
    """A process that this test traces, from outside its container."""

    def __init__(self, pid: int, options: int) -> None:
        self.pid = pid
        self._held = True
        _ptrace(PTRACE_SEIZE, pid, options)

    def let_go(self) -> None:
        """Let it go its way: wait for the stop that it is in, or its end, and detach."""
        if self._held:
            self._held = False
            _, status = os.waitpid(self.pid, WALL)
            if os.WIFSTOPPED(status):
                _ptrace(PTRACE_DETACH, self.pid, 0)


@contextlib.contextmanager
def traced(pid: int, options: int = 0) -> Iterator[Traced]:
    """Hold the process, until told to let it go."""
    tracee = Traced(pid, options)
    try:
        yield tracee
    finally:
        tracee.let_go()
