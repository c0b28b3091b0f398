"""Would exit with code 10 on SIGTERM, but its own child, a debugger that hangs, holds it by ptrace(2)."""

from __future__ import annotations

import ctypes
import os
import signal

from ready import say, wait_for_ever

PTRACE_SEIZE = 0x4206
PR_SET_PTRACER = 0x59616D61
"""Of the Yama security module: lets that child trace its parent. Refused where there is no Yama, and needless."""

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long

signal.signal(signal.SIGTERM, lambda *_: os._exit(10))
heard, told = os.pipe()
ready, done = os.pipe()
child = os.fork()
if child == 0:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.read(heard, 1)
    if libc.ptrace(PTRACE_SEIZE, os.getppid(), None, None) != 0:
        os._exit(ctypes.get_errno())
    say("tracer")
    os.write(done, b".")
    wait_for_ever()
libc.prctl(PR_SET_PTRACER, child, 0, 0, 0)
os.write(told, b".")
os.read(ready, 1)
say("main")
wait_for_ever()
