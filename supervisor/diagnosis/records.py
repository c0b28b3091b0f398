"""What was seen of a process, and what is found to have kept it from stopping."""

from __future__ import annotations

import enum
import signal

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
    """The letter of ``/proc/PID/stat``; of the first living thread where the main one is over.

    X: it was gone before anything else could be seen."""
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
    cpu_rate: float | None = None
    """CPUs used while it was looked at: 1.0 is one CPU kept busy. None where it was not there for so long."""
    io_rate: float | None = None
    """Bytes a second that it read and wrote meanwhile; None also where that is hidden."""
    memory: int = 0
    """Resident bytes."""
    age: float = 0.0
    """Seconds since it started."""


class Kind(enum.StrEnum):
    """What kept a process from stopping."""

    FROZEN = "frozen"
    """By its cgroup."""
    STOPPED = "stopped"
    """By SIGSTOP."""
    TRACED = "traced"
    UNINTERRUPTIBLE = "uninterruptible"
    """In a call that no signal ends."""
    OWED = "owed"
    """It is over, and has not been reaped."""
    GONE = "gone"
    """It came and went while the others were looked at."""
    VFORK = "vfork"
    """It waits for a child that has not exec'ed: no handler runs meanwhile."""
    IGNORES = "ignores"
    BLOCKS = "blocks"
    INIT = "init"
    """PID 1 of a namespace, without a handler."""
    NO_EFFECT = "no-effect"
    """The signal does nothing to whoever has no handler for it."""
    FORKS = "forks"
    """Short-lived processes, each of which has started the next."""
    NOT_TOLD = "not-told"
    """The signal went to the main process only, and this is another."""
    SHELL = "shell"
    """A shell that waits for what it runs, and forwards nothing."""
    NOT_FORWARDED = "not-forwarded"
    """It waits for a child that it has not told."""
    WORKING = "working"
    LOCK = "lock"
    CHILD = "child"
    NETWORK = "network"
    CONNECTIONS = "connections"
    PIPE = "pipe"
    DISK = "disk"
    INPUT = "input"
    TIME = "time"
    EVENTS = "events"
    SIGNAL = "signal"
    """From LOCK on: it handles the stop signal, and waits for this."""
    LATE = "late"
    """The signal would have ended it: it came to be after that."""
    UNKNOWN = "unknown"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Of one process: why it had not stopped, and what would help."""

    pid: int
    name: str
    kind: Kind
    text: str
    """A clause that follows on the process's name: ``ignores SIGTERM``."""
    advice: str = ""


def signal_name(number: int) -> str:
    """``SIGTERM``, ``SIGRTMIN+1``; those that have no name by their number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        real_time = signal.SIGRTMIN < number < signal.SIGRTMAX
        return f"SIGRTMIN+{number - signal.SIGRTMIN}" if real_time else f"signal {number}"
