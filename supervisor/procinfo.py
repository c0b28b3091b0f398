"""What psutil and ``/proc`` tell of the host, and a person of a process.

What is told of processes is for words in records and logs, never for a decision.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import psutil

_TOLD = 4


def describe(pids: Iterable[int]) -> str:
    """Who is there and what holds each: ``4711 (python), in uninterruptible I/O at nfs_wait; …``."""
    told = [text for text in map(_describe, pids) if text is not None]
    more = len(told) - _TOLD
    return "; ".join(told[:_TOLD]) + (f"; and {more} more" if more > 0 else "")


def _describe(pid: int) -> str | None:
    try:
        process = psutil.Process(pid)
        status = process.status()
        with open(f"/proc/{pid}/comm", errors="replace") as file:  # psutil would read the command line, which can hang
            name = file.read().rstrip("\n")
    except (psutil.Error, OSError):
        return None
    tracer = _tracer(pid)
    if tracer is not None:
        return f"{pid} ({name}), held by its tracer {tracer}"
    if status == psutil.STATUS_DISK_SLEEP:
        return f"{pid} ({name}), in uninterruptible I/O{_at(pid)}"
    if status == psutil.STATUS_ZOMBIE:
        return f"{pid} ({name}), over, and not yet reaped by its parent"
    return f"{pid} ({name}), {status}"


def _tracer(pid: int) -> str | None:
    try:
        with open(f"/proc/{pid}/status", errors="replace") as file:
            tracer = next((int(line.split()[1]) for line in file if line.startswith("TracerPid:")), 0)
        return f"{tracer} ({psutil.Process(tracer).name()})" if tracer else None
    except (OSError, psutil.Error):
        return None


def _at(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/wchan") as file:
            where = file.read().strip()
    except OSError:
        return ""
    return f" at {where}" if where not in ("", "0") else ""


def tree(pid: int) -> list[str]:
    """The process and all below it, a line each, drawn as ``ps --forest`` does: pid, then the command indented."""
    lines: list[str] = []
    waiting = [(pid, 0)]
    while waiting:
        one, depth = waiting.pop()
        try:
            process = psutil.Process(one)
            command = " ".join(process.cmdline()).replace("\n", " ") or process.name()
            below = sorted((child.pid for child in process.children()), reverse=True)
        except psutil.Error:
            continue
        lines.append(f"{one:>8}  {'   ' * (depth - 1) + '└─ ' if depth else ''}{command}")
        waiting += [(child, depth + 1) for child in below]
    return lines


class LocalHost:
    """This host: what it has, as it was when the agent started, and the ports that are in use now."""

    def __init__(self) -> None:
        self.cpu = (psutil.cpu_count() or 1) * 1024
        """CPU units, 1024 a core."""
        self.memory = psutil.virtual_memory().total // 2**20
        """MiB."""
        machine = os.uname().machine
        self.architecture = {"aarch64": "arm64"}.get(machine, machine)

    def bound_ports(self) -> frozenset[tuple[int, str]]:
        """Ports that somebody listens on, with ``tcp`` or ``udp``.

        From ``/proc/net``: psutil would also look for the owner of each, through every process of the host.
        """
        listening = {"tcp": _TCP_LISTEN, "udp": _UDP_BOUND}
        return frozenset(
            (port, protocol)
            for protocol, state in listening.items()
            for table in (protocol, protocol + "6")
            for port in _local_ports(table, state)
        )


_TCP_LISTEN = "0A"
_UDP_BOUND = "07"


def _local_ports(table: str, state: str) -> Iterator[int]:
    with contextlib.suppress(FileNotFoundError), open(f"/proc/net/{table}") as file:  # no IPv6: no such table
        next(file)
        for line in file:
            _, local, _, found, *_ = line.split()
            if found == state:
                yield int(local.rpartition(":")[2], 16)


class Usage(NamedTuple):
    """What a few processes use together."""

    processes: int
    user: float
    """Seconds of CPU; with those of children that have ended and been waited for."""
    system: float
    resident: int
    """Bytes."""


class HostUsage(NamedTuple):
    """What the host has, and has used."""

    cpu_time: float
    """Seconds since boot, of all CPUs, idle ones too."""
    cpus: int
    memory: int
    """Bytes."""


def measure(pid: int) -> Usage | None:
    """The process and all below it, as far as they live; None where it is gone."""
    try:
        main = psutil.Process(pid)
        family = [main, *main.children(recursive=True)]
    except psutil.Error:
        return None
    user = system = 0.0
    resident = 0
    for process in family:
        try:
            times, memory = process.cpu_times(), process.memory_info()
        except psutil.Error:
            continue
        user += times.user + times.children_user
        system += times.system + times.children_system
        resident += memory.rss
    return Usage(len(family), user, system, resident)


def measure_host() -> HostUsage:
    """The host, now."""
    times = psutil.cpu_times()
    counted_twice = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # they are in user and nice, too
    return HostUsage(sum(times) - counted_twice, psutil.cpu_count() or 1, int(psutil.virtual_memory().total))
