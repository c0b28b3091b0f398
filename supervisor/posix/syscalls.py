"""System calls by number, those that a process can be found waiting in. Numbers never change once they are given."""

from __future__ import annotations

import os

_X86_64 = """
read 0, write 1, open 2, close 3, stat 4, fstat 5, lstat 6, poll 7, ioctl 16, pread64 17, pwrite64 18, readv 19,
writev 20, access 21, select 23, msync 26, pause 34, nanosleep 35, sendfile 40, connect 42, accept 43, sendto 44,
recvfrom 45, sendmsg 46, recvmsg 47, clone 56, fork 57, vfork 58, execve 59, exit 60, wait4 61, semop 65, msgsnd 69,
msgrcv 70, fcntl 72, flock 73, fsync 74, fdatasync 75, truncate 76, ftruncate 77, getdents 78, rename 82, mkdir 83,
rmdir 84, creat 85, unlink 87, rt_sigtimedwait 128, rt_sigsuspend 130, statfs 137, fstatfs 138, sync 162, mount 165,
umount2 166, futex 202, io_getevents 208, getdents64 217, restart_syscall 219, semtimedop 220, clock_nanosleep 230,
exit_group 231, epoll_wait 232, mq_timedsend 242, mq_timedreceive 243, waitid 247, openat 257, mkdirat 258,
newfstatat 262, unlinkat 263, renameat 264, pselect6 270, ppoll 271, splice 275, sync_file_range 277,
epoll_pwait 281, fallocate 285, accept4 288, preadv 295, pwritev 296, recvmmsg 299, syncfs 306, sendmmsg 307,
renameat2 316, copy_file_range 326, statx 332, io_pgetevents 333, io_uring_enter 426, clone3 435, openat2 437,
epoll_pwait2 441, futex_waitv 449, futex_wait 455
"""
_AARCH64 = """
io_getevents 4, epoll_pwait 22, fcntl 25, ioctl 29, flock 32, mkdirat 34, unlinkat 35, renameat 38, umount2 39,
mount 40, statfs 43, fstatfs 44, truncate 45, ftruncate 46, fallocate 47, openat 56, close 57, getdents64 61, read 63,
write 64, readv 65, writev 66, pread64 67, pwrite64 68, preadv 69, pwritev 70, sendfile 71, pselect6 72, ppoll 73,
splice 76, newfstatat 79, fstat 80, sync 81, fsync 82, fdatasync 83, sync_file_range 84, exit 93, exit_group 94,
waitid 95, futex 98, nanosleep 101, clock_nanosleep 115, restart_syscall 128, rt_sigsuspend 133, rt_sigtimedwait 137,
mq_timedsend 182, mq_timedreceive 183, msgrcv 188, msgsnd 189, semtimedop 192, semop 193, accept 202, connect 203,
sendto 206, recvfrom 207, sendmsg 211, recvmsg 212, clone 220, execve 221, msync 227, accept4 242, recvmmsg 243,
wait4 260, syncfs 267, sendmmsg 269, renameat2 276, copy_file_range 285, statx 291, io_pgetevents 292,
io_uring_enter 426, clone3 435, openat2 437, epoll_pwait2 441, futex_waitv 449, futex_wait 455
"""


def _by_number(table: str) -> dict[int, str]:
    pairs = (entry.split() for entry in table.replace("\n", " ").split(","))
    return {int(number): name for name, number in pairs}


_NAMES = _by_number({"x86_64": _X86_64, "aarch64": _AARCH64}.get(os.uname().machine, "read -2"))

_OF_A_DESCRIPTOR = """
read write readv writev pread64 pwrite64 preadv pwritev close fstat ioctl connect accept accept4 sendto recvfrom
sendmsg recvmsg recvmmsg sendmmsg sendfile splice fcntl flock fsync fdatasync ftruncate fstatfs fallocate syncfs
sync_file_range getdents getdents64 copy_file_range mq_timedsend mq_timedreceive
"""
_FIRST_IS_A_DESCRIPTOR = frozenset(_OF_A_DESCRIPTOR.split())

_32_BIT = ("_compat", "int80", "syscall_32", "do_fast_syscall_32")
"""In the stack of a process of another word size, whose system calls have other numbers."""


def name_of(number: int, stack: tuple[str, ...]) -> str:
    """The call's name; empty where it is not in the table."""
    if any(mark in frame for frame in stack[-4:] for mark in _32_BIT):
        return ""
    return _NAMES.get(number, "")


def descriptor_of(name: str, first: int) -> int | None:
    """The descriptor that the call was given as its first argument; None where that is something else."""
    return first & 0xFFFFFFFF if name in _FIRST_IS_A_DESCRIPTOR else None
