"""``dockerLabels`` under ``supervisor.``: how a container is stopped, said where every ECS client lets it through."""

from __future__ import annotations

import difflib
import re
import signal
from typing import NamedTuple

from supervisor.errors import ClientError
from supervisor.model import LABEL_PREFIX, ContainerDefinition, StopScope

from .arns import shown

STOP_SIGNAL = LABEL_PREFIX + "stop-signal"
STOP_SCOPE = LABEL_PREFIX + "stop-scope"
LABELS = (STOP_SIGNAL, STOP_SCOPE)
LAST_SIGNAL = 64
"""``_NSIG`` of Linux on all but MIPS."""


class StopPolicy(NamedTuple):
    """How one container is stopped."""

    signal: int
    """The stop signal's number."""
    scope: StopScope
    timeout: float
    """Seconds between the stop signal and SIGKILL."""


def stop_policy(definition: ContainerDefinition, default_timeout: float) -> StopPolicy:
    """What the labels and ``stopTimeout`` say; a timeout absent or 0 is the agent's default, as in ECS."""
    labels = definition.docker_labels
    return StopPolicy(
        signal=read_signal(labels.get(STOP_SIGNAL, "TERM")),
        scope=StopScope(labels.get(STOP_SCOPE, StopScope.MAIN)),
        timeout=float(definition.stop_timeout or default_timeout),
    )


def read_signal(text: str) -> int:
    """``SIGTERM``, ``TERM`` or ``15`` as a number; ``ValueError`` says what is wrong."""
    if re.fullmatch(r"[0-9]{1,2}", text):
        number = int(text)
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


def check_labels(labels: dict[str, str], path: str) -> None:
    """Labels outside ``supervisor.`` are free; those under it must be known and well-formed (``ClientError``)."""
    for name, value in labels.items():
        here = f"{path}[{shown(name)}]"
        if name == STOP_SIGNAL:
            try:
                read_signal(value)
            except ValueError as error:
                raise ClientError(f"{here}: {error}") from None
        elif name == STOP_SCOPE:
            if value not in tuple(StopScope):
                raise ClientError(f"{here}: expected main or group, got {shown(value)}")
        elif name.startswith(LABEL_PREFIX):
            near = difflib.get_close_matches(name[:64], LABELS, n=1, cutoff=0.0)[0]
            raise ClientError(f"{here}: unknown label; did you mean {near!r}?")
