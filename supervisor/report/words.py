"""What all parts of a report say alike: names of signals, numbers, members that are left out."""

from __future__ import annotations

from typing import Any

from supervisor.diagnosis import signal_name
from supervisor.model import ExitStatus

_LAST_SIGNAL = 64


def signal_names(mask: int) -> list[str]:
    """Of a set of signals as the kernel writes it: bit N-1 for signal N."""
    return [signal_name(number) for number in range(1, _LAST_SIGNAL + 1) if mask >> (number - 1) & 1]


def end_of(exited: ExitStatus) -> str:
    """A clause that follows on who it was: ``exited 0``, ``ended by SIGKILL``."""
    if exited.signal is not None:
        return f"ended by {signal_name(exited.signal)}"
    return "ended, exit code not known" if exited.code is None else f"exited {exited.code}"


def seconds(value: float) -> float:
    """To a millisecond, and never minus nothing."""
    return round(value, 3) + 0.0


def told(**members: Any) -> dict[str, Any]:
    """Those members that there is something to say of: absent ones are left out, not null."""
    return {name: value for name, value in members.items() if value is not None}
