"""Why a process did not stop: from what was seen of it shortly before its deadline to words. Pure.

``posix.sight`` sees, in a process of its own beside the keeper; here is what that means for whoever has to read it.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import msgspec


class Sight(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was seen of one process. Signal sets are masks, bit N-1 for signal N. What could not be read is empty."""

    pid: int
    start_time: int
    """Clock ticks since boot."""
    ppid: int
    session: int
    name: str
    """``comm``."""
    command: str = ""
    """Its command line, cut; empty where reading it could have hung."""
    state: str
    """The letter of ``/proc/PID/stat``."""
    threads: int = 1
    ignored: int = 0
    caught: int = 0
    blocked: int = 0
    pending: int = 0
    """Sent to the process or to its main thread, and not taken yet."""
    is_init: bool = False
    """PID 1 of a PID namespace of its own: signals that it has no handler for do nothing to it."""
    frozen: bool = False
    """By its cgroup."""
    tracer: int = 0
    tracer_name: str = ""
    wchan: str = ""
    """The kernel's function in which it sleeps."""
    syscall: str = ""
    """The system call that it is in, by name."""
    target: str = ""
    """What the descriptor that it waits for is: a path, ``tcp 10.0.0.1:5432``, ``pipe``, ``unix /run/x``."""
    stack: tuple[str, ...] = ()
    """The kernel's stack, innermost first."""
    connections: tuple[str, ...] = ()
    """Open network connections, the first few."""
    cpu_seconds: float = 0.0
    """CPU used in all."""
    cpu_rate: float = 0.0
    """CPUs used while it was looked at: 1.0 is one CPU kept busy."""
    io_rate: float = 0.0
    """Bytes a second that it read and wrote meanwhile."""
    memory: int = 0
    """Resident bytes."""
    age: float = 0.0
    """Seconds since it started."""


class Kind(enum.StrEnum):
    """What kept a process from stopping."""

    UNKNOWN = "unknown"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Of one process: why it had not stopped, and what would help."""

    pid: int
    name: str
    kind: Kind
    text: str
    """A clause that follows on the process's name: ``ignores SIGTERM``."""
    advice: str = ""


def diagnose(sights: Sequence[Sight], signums: Sequence[int], main_pid: int, *, main_over: bool) -> list[Finding]:
    """A finding for each process, the one most to blame first. ``signums``: the stop signals sent so far."""
    raise NotImplementedError


def summarize(findings: Sequence[Finding]) -> str:
    """Of all of them one sentence, for a container's ``reason``: at most 200 characters."""
    raise NotImplementedError
