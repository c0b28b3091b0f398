"""What ``/proc`` tells. A status letter there is never taken for death: a zombie leader can have living threads."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

FILE_LOCKS = "Max file locks"

_HAS_CHILDREN = os.path.exists(f"/proc/self/task/{os.getpid()}/children")
"""CONFIG_PROC_CHILDREN: without it, who is whose child is read from every process of the host."""


class Stat(NamedTuple):
    """Some fields of ``/proc/PID/stat`` (proc_pid_stat(5))."""

    pid: int
    state: str
    ppid: int
    session: int
    start_time: int
    """Clock ticks since boot (field 22): with the pid, the identity of a process within one boot."""


def read_stat(pid: int) -> Stat | None:
    """The process's ``stat``, or None if there is no such process."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # hidepid: not ours
        return None
    try:
        text = os.read(fd, 1024)
    except ProcessLookupError:
        return None
    finally:
        os.close(fd)
    # The name, in parentheses, may itself hold spaces and parentheses: take the fields after the last one.
    fields = text[text.rindex(b")") + 2 :].split()
    return Stat(pid, fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[19]))


def read_zombie_status(pid: int, start_time: int) -> int | None:
    """The wait status of that process if it is a zombie that is not reaped yet; None if not, or where we may not know.

    To who may not know it the kernel shows 0, which would pass for a success; it then hides ``wchan`` as well.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return None
    fields = text[text.rindex(b")") + 2 :].split()
    if fields[0] not in (b"Z", b"X") or int(fields[19]) != start_time:
        return None
    status, wchan = int(fields[49]), int(fields[32])
    return status if status or wchan else None


def pids() -> list[int]:
    """Every process of the host, in the order of their numbers."""
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())


def snapshot() -> dict[int, Stat]:
    """Every process that existed throughout the call; of those that came or went during it, some."""
    return {stat.pid: stat for pid in pids() if (stat := read_stat(pid)) is not None}


def children_of(pid: int) -> list[int]:
    """The pids of the process's children, zombies among them; none where it is gone.

    Whole where none of them is reaped meanwhile, as our own are not but by us: newcomers come at the end of the list.
    """
    if not _HAS_CHILDREN:
        return [stat.pid for stat in snapshot().values() if stat.ppid == pid]
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                found += [int(one) for one in file.read().split()]
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return found
    return found


def children() -> list[int]:
    """The pids of our own children."""
    return children_of(os.getpid())


def threads(pid: int) -> int:
    """How many threads the process has, 0 where it is gone; the one that began it is there as long as others are."""
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0


def read_environ(pid: int) -> dict[bytes, bytes]:
    """The environment that the process was started with; empty where it is gone or not ours to read."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            pairs = file.read().split(b"\0")
    except OSError:
        return {}
    return {name: value for name, equals, value in (pair.partition(b"=") for pair in pairs) if equals}


def read_argv(pid: int) -> list[str]:
    """Its command line, as far as it lets it be seen; empty where it is gone."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return [os.fsdecode(word) for word in file.read().split(b"\0")[:-1]]
    except OSError:
        return []


def read_file_locks_limit(pid: int) -> int | None:
    """The hard limit RLIMIT_LOCKS of the process; None if unlimited or gone."""
    try:
        with open(f"/proc/{pid}/limits") as file:
            for line in file:
                if line.startswith(FILE_LOCKS):
                    hard = line[len(FILE_LOCKS) :].split()[1]
                    return None if hard == "unlimited" else int(hard)
    except OSError:
        return None
    return None


def boot_id() -> str:
    """The kernel's random name for this boot."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


_TICKS = os.sysconf("SC_CLK_TCK")


def running_since(start_time: int) -> float:
    """The monotonic instant at which a process with that start time was started.

    Start times go on while the host is suspended; the monotonic clock does not.
    """
    now = time.monotonic()
    return now - max(time.clock_gettime(time.CLOCK_BOOTTIME) - start_time / _TICKS, 0.0)


def started_at(start_time: int) -> float:
    """The same instant as Unix time, by the wall clock as it is set now."""
    return time.time() - max(time.clock_gettime(time.CLOCK_BOOTTIME) - start_time / _TICKS, 0.0)
