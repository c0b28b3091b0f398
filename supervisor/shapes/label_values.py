"""What is written in the ``supervisor.`` labels, read: signals, durations, commands. Each error is a ``ValueError``."""

from __future__ import annotations

import re
import signal
from typing import NamedTuple

import msgspec

from supervisor.model import Backoff, StopScope

from .arns import shown

LAST_SIGNAL = 64
"""``_NSIG`` of Linux on all but MIPS."""

MAX_SIGNALS = 8
MAX_SECONDS = 2**31 - 1
"""As far as ``stopTimeout`` goes."""

MOST_BACKOFF = 300.0
"""Seconds, where only the first pause is given."""

MAX_BACKOFF = 3600.0

_DURATION = re.compile(r"(?P<number>[0-9]{1,12}(\.[0-9]{1,6})?)(?P<unit>[smh]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


class Step(NamedTuple):
    """One signal of a sequence."""

    signal: int
    seconds: float | None
    """Until the next one, or, of the last, until SIGKILL; None: for all that is left of the window."""


def read_signal(text: str) -> int:
    """``SIGTERM``, ``TERM``, ``SIGRTMIN+3`` or ``15`` as a number."""
    if re.fullmatch(r"[0-9]{1,2}", text):
        number = int(text)
    elif found := re.fullmatch(r"(?:SIG)?RTMIN\+([0-9]{1,2})", text.upper()):
        number = signal.SIGRTMIN + int(found[1])
    else:
        name = text.upper() if text.upper().startswith("SIG") else "SIG" + text.upper()
        if name not in signal.Signals.__members__:
            raise ValueError(f"{shown(text)} is no signal; give a name such as SIGTERM or a number, 1 to 64")
        number = signal.Signals[name]
    if not 1 <= number <= LAST_SIGNAL:
        raise ValueError(f"{shown(text)} is no signal; signals are 1 to {LAST_SIGNAL}")
    if number in (signal.SIGKILL, signal.SIGSTOP):
        raise ValueError(f"{shown(text)} cannot be handled, so nothing could stop in its own way; use SIGTERM")
    return int(number)


def read_signals(text: str) -> tuple[Step, ...]:
    """``SIGTERM``, or several in their order, each with its seconds: ``SIGTERM:20,SIGINT:5``. The last may go without.

    All the seconds together are no more than a ``stopTimeout`` can be.
    """
    parts = re.split(", *", text)
    if len(parts) > MAX_SIGNALS:
        raise ValueError(f"expected up to {MAX_SIGNALS} signals, got {len(parts)}")
    steps = tuple(_read_step(part) for part in parts)
    for step, part in zip(steps[:-1], parts, strict=False):
        if step.seconds is None:
            raise ValueError(f"{shown(part)} does not say when the next signal follows; give seconds, as {part}:20")
    if (whole := sum(step.seconds or 0.0 for step in steps)) > MAX_SECONDS:
        raise ValueError(f"{whole:.0f} seconds in all are too many; expected up to {MAX_SECONDS}")
    return steps


def _read_step(text: str) -> Step:
    name, colon, seconds = text.partition(":")
    return Step(read_signal(name), read_duration(seconds) if colon else None)


def read_scope(text: str) -> StopScope:
    """``main`` or ``group``."""
    if text not in tuple(StopScope):
        raise ValueError(f"expected main or group, got {shown(text)}")
    return StopScope(text)


def read_duration(text: str) -> float:
    """``90``, ``1.5``, ``90s``, ``5m`` or ``2h`` as seconds, more than none."""
    found = _DURATION.fullmatch(text)
    seconds = float(found["number"]) * _SECONDS[found["unit"]] if found else 0.0
    if not 0 < seconds <= MAX_SECONDS:
        bounds = "more than 0" if seconds <= MAX_SECONDS else f"up to {MAX_SECONDS}"
        raise ValueError(f"expected seconds such as 90, 1.5, 5m or 2h, {bounds}, got {shown(text)}")
    return seconds


def read_command(text: str) -> tuple[str, ...]:
    """A program and its arguments as a JSON array, if it begins with ``[``; else a text for ``/bin/sh -c``."""
    if "\0" in text:
        raise ValueError("contains a NUL character, which cannot be given to a process; remove it")
    if not text.startswith("["):
        if not text.strip():
            raise ValueError("there is nothing to run; give a command, or remove the label")
        return ("/bin/sh", "-c", text)
    try:
        argv = msgspec.json.decode(text, type=tuple[str, ...])
    except msgspec.DecodeError:
        raise ValueError(
            'begins with \'[\' and is no JSON array of strings; write ["program", "argument"], or begin a test of the'
            " shell with the word test"
        ) from None
    if not argv or not argv[0]:
        raise ValueError("the program's name is missing; put its path or name first")
    if any("\0" in argument for argument in argv):
        raise ValueError("contains a NUL character, which cannot be given to a process; remove it")
    return argv


def read_backoff(text: str) -> Backoff:
    """``1:60``: the first pause and the longest, in seconds; of ``1`` alone the longest is 300."""
    first_text, colon, most_text = text.partition(":")
    first = read_duration(first_text)
    most = read_duration(most_text) if colon else MOST_BACKOFF
    if not first <= most <= MAX_BACKOFF:
        raise ValueError(
            f"expected FIRST:MOST with FIRST up to MOST, and MOST up to {MAX_BACKOFF:g} ({MOST_BACKOFF:g} unless"
            f" said), got {shown(text)}"
        )
    return Backoff(first, most)
