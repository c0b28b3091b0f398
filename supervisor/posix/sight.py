"""What can be seen of one process from outside, shortly before it is killed: the fields of ``diagnosis.Sight``.

Every process of a container is looked at, in a process beside the keeper, and a look must never hang. So no path
that a process has open is followed to its file system, and its command line is read last, and not at all in state D:
that lies in its own memory, whose lock the hung call may hold. What is gone meanwhile, or not ours to read, is left
out; as another user ``syscall``, ``stack``, ``io`` and descriptors are, and state and ``wchan`` must do.
"""

from __future__ import annotations

import os
import time
from typing import Any, NamedTuple

from supervisor.posix import cgroup, proc, sockets, syscalls

_CPU_CLOCK = 2
"""Low bits of a process's CPU-time clock id, below its complemented pid (clock_getcpuclockid(3))."""
_TICKS = os.sysconf("SC_CLK_TCK")
_MOST_THREADS = 32
_MOST_FRAMES = 16
_MOST_COMMAND = 200
_READ = 16384
_DEAD = ("Z", "X", "x")
_SIGNALS = {"ignored": "SigIgn", "caught": "SigCgt", "blocked": "SigBlk"}


class Sample(NamedTuple):
    """How much a process had done by an instant: two of them make a rate."""

    at: float
    """Monotonic seconds."""
    cpu: int
    """Nanoseconds of CPU time, of all its threads."""
    io: tuple[int, int] | None
    """Bytes that it read and wrote, cached or not, and those below the cache; None where that is hidden from us."""


class _Thread(NamedTuple):
    """A thread of the process, and its ``status``."""

    directory: str
    status: dict[str, str]

    @property
    def state(self) -> str:
        return self.status.get("State", "?")[:1]


def sample(pid: int) -> Sample | None:
    """What it has done so far; None where it is gone."""
    try:
        cpu = time.clock_gettime_ns(~pid << 3 | _CPU_CLOCK)
    except OSError:
        return None
    told = _read_pairs(f"/proc/{pid}/io")
    io = (_sum(told, "rchar", "wchar"), _sum(told, "read_bytes", "write_bytes")) if told else None
    return Sample(time.monotonic(), cpu, io)


def _sum(told: dict[str, str], *keys: str) -> int:
    return sum(int(told.get(key, 0)) for key in keys)


def see(pid: int, before: Sample | None) -> dict[str, Any] | None:
    """The members of ``diagnosis.Sight``, ready for JSON; None where the process is gone. ``before``: for rates.

    Who has come since the first look, and is gone again, is told with state X: such processes are all that is ever
    seen of a chain of them.
    """
    stat = proc.read_stat(pid)
    status = _read_pairs(f"/proc/{pid}/status")
    if stat is None or not status:
        gone = before is None and sample(pid) is None
        return {"pid": pid, "start_time": 0, "ppid": 0, "session": 0, "name": "?", "state": "X"} if gone else None
    leader = _Thread(f"/proc/{pid}", status)
    threads = [leader] if status.get("Threads") == "1" else _threads(pid, leader)
    thread = _most_telling(threads)
    found = {
        "pid": pid,
        "start_time": stat.start_time,
        "ppid": stat.ppid,
        "session": stat.session,
        "name": _printable(status.get("Name", "")),
        "state": thread.state,
        "threads": int(status.get("Threads", "1")),
        "memory": int(status.get("VmRSS", "0").split()[0]) * 1024,
        "age": max(time.clock_gettime(time.CLOCK_BOOTTIME) - stat.start_time / _TICKS, 0.0),
        **_signals(pid, thread, threads),
        **_tracer(status),
        **_rates(pid, before),
    }
    if thread.state not in _DEAD:
        found |= _whereabouts(pid, thread)
        found["frozen"] = _is_frozen(pid)
        found["connections"] = sockets.connections(pid)
        if all(one.state != "D" for one in threads):
            found["command"] = _command(pid)
    return found


def _threads(pid: int, leader: _Thread) -> list[_Thread]:
    """The leader first, then the others, as many as can be looked at."""
    try:
        names = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return [leader]
    others = [f"/proc/{pid}/task/{name}" for name in names[:_MOST_THREADS] if int(name) != pid]
    return [leader, *(one for one in (_Thread(path, _read_pairs(f"{path}/status")) for path in others) if one.status)]


def _most_telling(threads: list[_Thread]) -> _Thread:
    """The main thread, or the first that lives; instead of one that waits, a thread in state D that it may wait for."""
    living = [one for one in threads if one.state not in _DEAD]
    first = living[0] if living else threads[0]
    if first.state != "S":
        return first
    return next((one for one in living if one.state == "D"), first)


def _signals(pid: int, thread: _Thread, threads: list[_Thread]) -> dict[str, Any]:
    """Masks. A signal is blocked for the process only if every living thread blocks it."""
    masks = {key: _mask(thread, name) for key, name in _SIGNALS.items()}
    for one in threads:
        if one.state not in _DEAD:
            masks["blocked"] &= _mask(one, "SigBlk")
    masks["pending"] = _mask(thread, "SigPnd") | _mask(thread, "ShdPnd")
    numbers = thread.status.get("NSpid", "").split()
    return {**masks, "is_init": len(numbers) > 1 and numbers[-1] == "1" and pid != 1}


def _mask(thread: _Thread, name: str) -> int:
    return int(thread.status.get(name, "0"), 16)


def _tracer(status: dict[str, str]) -> dict[str, Any]:
    tracer = int(status.get("TracerPid", "0"))
    return {"tracer": tracer, "tracer_name": _printable(_read(f"/proc/{tracer}/comm").strip())} if tracer else {}


def _rates(pid: int, before: Sample | None) -> dict[str, float]:
    now = sample(pid)
    if now is None:
        return {}
    rates = {"cpu_seconds": now.cpu / 1e9}
    if before is not None and (seconds := now.at - before.at) > 0:
        rates["cpu_rate"] = round(max(now.cpu - before.cpu, 0) / 1e9 / seconds, 3)
        if before.io is not None and now.io is not None:
            most = max(after - earlier for earlier, after in zip(before.io, now.io, strict=True))
            rates["io_rate"] = round(max(most, 0) / seconds, 1)
    return rates


def _whereabouts(pid: int, thread: _Thread) -> dict[str, Any]:
    """Where in the kernel the thread is, and what it was asked to do there."""
    wchan = _read(f"{thread.directory}/wchan").strip()
    stack = tuple(_frames(_read(f"{thread.directory}/stack")))
    found: dict[str, Any] = {"wchan": "" if wchan == "0" else wchan, "stack": list(stack)}
    number, *arguments = _read(f"{thread.directory}/syscall").split() or [""]
    if arguments:  # not "running"
        found["syscall"] = name = syscalls.name_of(int(number), stack)
        fd = syscalls.descriptor_of(name, int(arguments[0], 16))
        if fd is not None:
            found["target"] = _target(pid, fd)
    return found


def _frames(stack: str) -> list[str]:
    """``[<0>] do_wait+0x5f/0xe0`` is do_wait."""
    lines = (line.split() for line in stack.splitlines()[:_MOST_FRAMES])
    return [words[1].partition("+")[0] for words in lines if len(words) > 1]


def _target(pid: int, fd: int) -> str:
    """What the descriptor is. The link is read and not followed: who follows it waits for the file's server as well."""
    try:
        path = os.readlink(f"/proc/{pid}/fd/{fd}")
    except OSError:
        return ""
    if path.startswith("socket:["):
        return sockets.describe(pid, fd)
    if path.startswith("pipe:["):
        return "pipe"
    return _printable(path.removeprefix("anon_inode:"))


def _is_frozen(pid: int) -> bool:
    directory = cgroup.of(pid)
    if directory is None:
        return False
    asked = cgroup.read(directory, "cgroup.freeze") == "1"  # not yet reached where one of the group cannot be frozen
    return asked or "frozen 1" in (cgroup.read(directory, "cgroup.events") or "")


def _command(pid: int) -> str:
    return _printable(_read(f"/proc/{pid}/cmdline").replace("\0", " ").strip())[:_MOST_COMMAND]


def _read_pairs(path: str) -> dict[str, str]:
    """The lines ``key: value`` of a file."""
    pairs = (line.partition(":") for line in _read(path).splitlines())
    return {key: value.strip() for key, _, value in pairs}


def _read(path: str) -> str:
    """The beginning of a file of ``/proc``, empty where there is none to read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(fd, _READ).decode(errors="replace")
    except OSError:
        return ""
    finally:
        os.close(fd)


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
