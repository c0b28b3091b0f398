"""What a process waits for, from the system call that it is in or, where that is hidden, the kernel's function."""

from __future__ import annotations

from typing import NamedTuple

from .records import Kind, Sight

_LOCK = {"futex", "futex_wait", "futex_waitv", "flock", "fcntl", "semop", "semtimedop"}
_CHILD = {"wait4", "waitid"}
_TIME = {"nanosleep", "clock_nanosleep"}
_EVENTS = {"epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect6", "io_uring_enter"}
_SIGNAL = {"pause", "rt_sigsuspend", "rt_sigtimedwait"}
_SYNC = {"fsync", "fdatasync", "sync", "syncfs", "sync_file_range", "msync", "io_getevents", "io_pgetevents"}
_QUEUE = {"msgsnd", "msgrcv", "mq_timedsend", "mq_timedreceive"}

_PLACES = (
    (Kind.VFORK, ("wait_for_vfork_done", "kernel_clone")),
    (Kind.LOCK, ("futex", "locks_lock", "fcntl_setlk", "flock", "do_sem", "__do_semtimedop")),
    (Kind.CHILD, ("do_wait", "kernel_wait", "kernel_waitid")),
    (Kind.PIPE, ("pipe_", "anon_pipe", "fifo_", "wait_for_partner", "do_msg", "wq_sleep")),
    (Kind.NETWORK, ("inet_", "tcp_", "udp_", "sk_", "unix_", "sock", "__skb", "skb_")),
    (Kind.DISK, ("jbd2", "wait_on_page", "folio_wait", "io_schedule", "ext4", "xfs", "btrfs", "blk_", "nfs", "fuse")),
    (Kind.TIME, ("hrtimer_nanosleep", "do_nanosleep", "alarm_timer", "common_nsleep")),
    (
        Kind.EVENTS,
        ("ep_poll", "do_epoll_wait", "do_poll", "do_select", "poll_schedule", "schedule_hrtimeout", "io_cqring"),
    ),
    (Kind.SIGNAL, ("sigsuspend", "do_sigtimedwait", "__x64_sys_pause", "__arm64_sys_pause", "sys_pause")),
    (Kind.INPUT, ("n_tty", "tty_")),
)
"""How the names of the kernel's functions begin that something waits in."""


class Wait(NamedTuple):
    """A kind from LOCK to SIGNAL, and an object of *waits for*."""

    kind: Kind
    what: str


def shortened(text: str, most: int) -> str:
    """The text, or its end where it is too long: of a path that tells most."""
    return text if len(text) <= most else f"…{text[1 - most :]}"


def place(sight: Sight) -> Kind | None:
    """The kind of wait by the innermost of the kernel's functions that tells one."""
    for frame in (*sight.stack, sight.wchan):
        name = frame.removeprefix("__pfx_")
        for kind, beginnings in _PLACES:
            if name.startswith(beginnings):
                return kind
    return None


def is_vfork(sight: Sight) -> bool:
    """Whether it waits for a child to exec: no signal but SIGKILL ends that."""
    if sight.state == "D" and sight.syscall in ("vfork", "clone", "clone3"):
        return True
    return sight.state in ("D", "S") and (sight.syscall == "vfork" or place(sight) is Kind.VFORK)


def find(sight: Sight, children: str) -> Wait | None:
    """What it waits for; None where it runs, or where that cannot be told. ``children``: those that are left of it."""
    if sight.state not in ("S", "D", "I"):
        return None
    call, at = sight.syscall, place(sight)
    if call in _CHILD or (not call and at is Kind.CHILD):
        return Wait(Kind.CHILD, f"its {children}" if children else "a child")
    if call in _EVENTS or (not call and at is Kind.EVENTS):
        return _events(sight)
    if call in _SIGNAL or (not call and at is Kind.SIGNAL):
        return Wait(Kind.SIGNAL, "another signal")
    if call in _TIME or (call in ("", "restart_syscall") and at is Kind.TIME):
        return Wait(Kind.TIME, "time to pass (it sleeps)")
    if call in _QUEUE:
        return Wait(Kind.PIPE, "a message queue")
    if call in _SYNC:
        return Wait(Kind.DISK, f"the disk ({call}{_of(sight)})")
    # A record lock is asked for by fcntl, which does much else.
    if call in _LOCK and (call != "fcntl" or at in (Kind.LOCK, None)):
        return Wait(Kind.LOCK, _lock(sight))
    return _transfer(sight, at)


def _events(sight: Sight) -> Wait:
    count = len(sight.connections)
    if not count:
        return Wait(Kind.EVENTS, f"events{f' ({sight.syscall})' if sight.syscall else ''}")
    number = "at least 8" if count >= 8 else str(count)
    ends = ", ".join(sight.connections[:3]) + (", …" if count > 3 else "")
    return Wait(Kind.CONNECTIONS, f"{number} open connection{'s' if count > 1 else ''}: {shortened(ends, 90)}")


def _lock(sight: Sight) -> str:
    if sight.target:
        return f"a lock{_of(sight)}"
    if sight.syscall.startswith("futex") and sight.threads > 1:
        return f"a lock or another of its {sight.threads} threads (futex)"
    return f"a lock{f' ({sight.syscall})' if sight.syscall else ''}"


def _transfer(sight: Sight, at: Kind | None) -> Wait | None:
    """It reads, writes, connects, accepts or opens."""
    target = sight.target
    if target == "pipe" or at is Kind.PIPE:
        if sight.syscall in ("open", "openat", "openat2"):
            return Wait(Kind.PIPE, "somebody to open the other end of a FIFO")
        end = {"read": "a writer to", "readv": "a writer to", "write": "a reader of", "writev": "a reader of"}
        name = "a pipe" if target in ("", "pipe") else f"the pipe {shortened(target, 80)}"
        return Wait(Kind.PIPE, f"{end.get(sight.syscall, 'the other end of')} {name}")
    if sight.syscall in ("accept", "accept4"):
        return Wait(Kind.NETWORK, f"a caller ({sight.syscall}{_on(target)})")
    if target.split(" ")[0] in ("tcp", "udp", "unix", "socket", "mptcp") or at is Kind.NETWORK:
        return Wait(Kind.NETWORK, f"the network ({sight.syscall or sight.wchan}{_on(target)})")
    if target.startswith(("/dev/pts/", "/dev/tty", "/dev/console")) or at is Kind.INPUT:
        return Wait(Kind.INPUT, f"its terminal{_of(sight)}")
    if at is Kind.LOCK:
        return Wait(Kind.LOCK, _lock(sight))
    if target.startswith("/") or at is Kind.DISK:
        return Wait(Kind.DISK, f"the disk ({sight.syscall or sight.wchan}{_of(sight)})")
    if target:
        return Wait(Kind.EVENTS, f"{target} ({sight.syscall})")
    return None


def _of(sight: Sight) -> str:
    return f" on {shortened(sight.target, 80)}" if sight.target else ""


def _on(target: str) -> str:
    if target.startswith(("tcp listening ", "udp on ")):
        return f", {target.removesuffix(' ')}"
    return f" on {shortened(target, 80)}" if target and target != "socket" else ""
