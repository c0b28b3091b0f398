"""The judgement of one process: the first cause that holds, from what stands above all signals to what it waits for."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import NamedTuple

from . import waits
from .records import Kind, Sight, signal_name

BUSY = 0.1
"""CPUs from which on a process is said to be still working."""
BRISK = 64 * 1024
"""Bytes a second, read and written, from which on it is."""
_NEW = 0.25
"""Seconds: whoever is younger, and whose parent is over already, comes from a chain of forks."""
_CHAIN = "processes fork and exit again and again"
_NO_EFFECT = frozenset((signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH))
_STILL = ("Z", "X", "x")
_SHELLS = {"sh", "dash", "bash", "ash", "ksh", "mksh", "zsh", "fish", "busybox"}


class Case(NamedTuple):
    """All that the judgement of one process looks at."""

    sight: Sight
    signums: tuple[int, ...]
    is_main: bool
    main_over: bool
    children: tuple[Sight, ...]
    """Of those that were seen, in their order."""
    parent: Sight | None


class Cause(NamedTuple):
    """A kind, and a clause that follows on the process's name."""

    kind: Kind
    text: str


def is_shell(sight: Sight) -> bool:
    """Whether it runs a shell; a shell that has exec'ed something else does not.

    A script has its own name, and its command line begins with the shell that its first line names.
    """
    program = sight.command.partition(" ")[0].rpartition("/")[2]
    return any(name.removeprefix("-") in _SHELLS for name in (sight.name, program))


def named(signums: Sequence[int], conjunction: str) -> str:
    """``SIGTERM and SIGINT``."""
    names = [signal_name(signum) for signum in signums] or ["the stop signal"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {conjunction} {names[-1]}"


def listed(sights: Sequence[Sight], most: int = 3) -> str:
    """``child 12 (sleep)``, ``children 12 (sleep), 13 (cat) and 2 more``; empty for none."""
    if not sights:
        return ""
    text = ", ".join(f"{one.pid} ({one.name})" for one in sights[:most])
    more = f" and {len(sights) - most} more" if len(sights) > most else ""
    return f"{'children' if len(sights) > 1 else 'child'} {text}{more}"


def is_in(mask: int, signum: int) -> bool:
    """Whether the mask has the signal."""
    return bool(mask >> signum - 1 & 1) if 0 < signum < 65 else False


def is_working(sight: Sight) -> bool:
    """Whether it made progress while it was looked at."""
    return (sight.cpu_rate or 0.0) >= BUSY or (sight.io_rate or 0.0) >= BRISK


def handles(sight: Sight, signum: int) -> bool:
    """Whether the signal reaches code of its own: a handler, or sigwait and signalfd, for which it must be blocked.

    While a thread is in sigwait, what it waits for is shown as not blocked.
    """
    in_sigwait = sight.syscall == "rt_sigtimedwait" or sight.wchan.startswith("do_sigtimedwait")
    return in_sigwait or is_in(sight.caught, signum) or is_in(sight.blocked, signum)


def heeded(case: Case) -> tuple[int, ...]:
    """Those of the stop signals that it does not ignore."""
    return tuple(one for one in case.signums if not is_in(case.sight.ignored, one))


def was_not_told(sight: Sight, signums: Sequence[int], *, is_main: bool, main_over: bool) -> bool:
    """Whether it cannot have had the signal: that would have ended it. Only the main process has it for certain."""
    if is_main or main_over or sight.state in _STILL or sight.is_init:
        return False
    kept = sight.ignored | sight.pending
    return bool(signums) and not any(is_in(kept, one) or handles(sight, one) or one in _NO_EFFECT for one in signums)


def judge(case: Case) -> Cause:
    """The cause of one process."""
    for look in (_above_signals, _deaf, _never_told, _shell, _handles):
        cause = look(case)
        if cause is not None:
            return cause
    return Cause(Kind.UNKNOWN, "did not end, and nothing was seen that kept it from it")


def _above_signals(case: Case) -> Cause | None:
    """What holds a process whatever it thinks of the signal."""
    sight, signals = case.sight, named(case.signums, "or")
    if sight.state in ("X", "x"):
        return Cause(Kind.GONE, f"came and went while it was looked at: {_CHAIN}")
    if sight.state == "Z":
        return _owed(case)
    if sight.frozen:
        return Cause(Kind.FROZEN, f"is frozen by its cgroup, and cannot act on {signals}")
    tracer = f"its tracer {sight.tracer}{f' ({sight.tracer_name})' if sight.tracer_name else ''}"
    if sight.state == "t" or (sight.tracer and any(is_in(sight.pending, one) for one in heeded(case))):
        return Cause(Kind.TRACED, f"is held by {tracer if sight.tracer else 'a tracer'}")
    if sight.state == "T":
        return Cause(Kind.STOPPED, "is stopped (SIGSTOP, or a signal like it)")
    if waits.is_vfork(sight):
        children = listed(case.children) or "a child"
        return Cause(Kind.VFORK, f"has called vfork, and no handler runs before {children} has exec'ed or is over")
    if sight.state == "D" and not is_working(sight):
        place = next((one for one in (sight.target, sight.syscall, sight.wchan) if one), "")
        function = sight.wchan or next(iter(sight.stack), "")
        on = f" on {waits.shortened(place, 90)}" if place else ""
        at = f" in {function}" if function and function != place else ""
        return Cause(Kind.UNINTERRUPTIBLE, f"is in uninterruptible I/O{on}{at}, which no signal ends")
    return None


def _owed(case: Case) -> Cause:
    sight, parent = case.sight, case.parent
    if sight.tracer:
        name = f" ({sight.tracer_name})" if sight.tracer_name else ""
        return Cause(Kind.OWED, f"is over, and its tracer {sight.tracer}{name} has not taken notice")
    who = f"its parent {parent.pid} ({parent.name})" if parent is not None else f"its parent {sight.ppid}"
    return Cause(Kind.OWED, f"is over, and {who} has not reaped it")


def _deaf(case: Case) -> Cause | None:
    """Whom the signal cannot move."""
    sight, signums = case.sight, case.signums
    if not case.is_main and sight.age < _NEW and case.parent is None:
        return Cause(Kind.FORKS, f"was started moments before, by a process that is over already: {_CHAIN}")
    heard = heeded(case)
    if signums and not heard:
        return Cause(Kind.IGNORES, f"ignores {named(signums, 'and')}")
    held = [one for one in heard if is_in(sight.blocked, one) and is_in(sight.pending, one)]
    if held and len(held) == len(heard):
        return Cause(Kind.BLOCKS, f"blocks {named(held, 'and')}, sent and still pending")
    unhandled = [one for one in heard if not handles(sight, one)]
    if not unhandled or len(unhandled) < len(heard):
        return None
    if sight.is_init:
        text = f"is PID 1 of a PID namespace and has no handler for {named(heard, 'or')}, which does nothing to it then"
        return Cause(Kind.INIT, text)
    if all(one in _NO_EFFECT for one in heard):
        text = f"has no handler for {named(heard, 'or')}, which does nothing without one"
        return Cause(Kind.NO_EFFECT, text)
    return None


def _never_told(case: Case) -> Cause | None:
    """Who has no handler, is not ended, and so has not had the signal."""
    sight = case.sight
    if was_not_told(sight, case.signums, is_main=case.is_main, main_over=case.main_over):
        text = (
            f"never got {named(case.signums, 'or')}: it went to the main process only, or before this one was started"
        )
        return Cause(Kind.NOT_TOLD, text)
    if case.signums and not any(handles(sight, one) for one in heeded(case)):
        if any(is_in(sight.pending, one) for one in heeded(case)):
            return Cause(Kind.LATE, f"has {named(heeded(case), 'or')} pending, and was about to end")
        return Cause(Kind.LATE, f"was started, or has exec'ed, after {named(heeded(case), 'or')} had been sent")
    return None


def _untold_children(case: Case) -> tuple[Sight, ...]:
    return tuple(
        one for one in case.children if was_not_told(one, case.signums, is_main=False, main_over=case.main_over)
    )


def _shell(case: Case) -> Cause | None:
    """A shell runs its trap when what it waits for is over, and passes nothing on to that."""
    sight = case.sight
    if not is_shell(sight) or not case.children or is_working(sight):
        return None
    wait = waits.find(sight, listed(case.children))
    if wait is None or wait.kind is not Kind.CHILD:
        return None
    text = f"is a shell that waits for its {listed(case.children)}"
    if _untold_children(case):
        return Cause(Kind.SHELL, f"{text}, to which it forwards no signal")
    if any(handles(one, signum) for one in case.children for signum in heeded(case)):
        return Cause(Kind.SHELL, f"{text}, and forwards no signal to it unless its trap does")
    return None


def _handles(case: Case) -> Cause:
    """It has code for the signal, which has not come to its end."""
    sight, signals = case.sight, named([one for one in heeded(case) if handles(case.sight, one)], "and")
    if is_working(sight):
        return Cause(Kind.WORKING, f"was still working ({_progress(sight)}) after {signals}")
    wait = waits.find(sight, listed(case.children))
    untold = _untold_children(case)
    if untold and (wait is None or wait.kind in SOFT):
        return Cause(Kind.NOT_FORWARDED, f"waits for its {listed(untold)}, to which it did not forward {signals}")
    if wait is not None:
        return Cause(wait.kind, f"handles {signals}, and waits for {wait.what}")
    if sight.state == "R":
        return Cause(Kind.WORKING, f"handles {signals}, and was running")
    where = sight.syscall or sight.wchan
    return Cause(Kind.UNKNOWN, f"handles {signals}, and did not end{f' (in {where})' if where else ''}")


SOFT = frozenset((Kind.CHILD, Kind.PIPE, Kind.TIME, Kind.EVENTS, Kind.SIGNAL, Kind.LOCK))
"""In these a process may well wait for its children: directly, or for what tells of their end."""


def _progress(sight: Sight) -> str:
    cpu, rate = sight.cpu_rate or 0.0, sight.io_rate or 0.0
    parts = [f"CPU {cpu:.2f}"] if cpu >= 0.01 else []
    if rate >= 1e6:
        parts.append(f"{rate / 1e6:.0f} MB/s")
    elif rate >= 1e3:
        parts.append(f"{rate / 1e3:.0f} kB/s")
    return ", ".join(parts)
