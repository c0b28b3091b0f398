"""What psutil and ``/proc`` tell a person of a process: for words in records and logs, never for a decision."""

from __future__ import annotations

from collections.abc import Iterable

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
