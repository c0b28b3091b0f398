"""``dockerLabels`` under ``supervisor.``: what ECS has no member for, said where every ECS client lets it through.

How a container is stopped (``stop-signal``, ``stop-scope``, ``pre-stop``), how long it may run (``max-runtime``), the
pauses between its runs (``restart-backoff``), and how long the stop of its whole task may take (``stop-budget``).
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from supervisor.errors import ClientError
from supervisor.model import LABEL_PREFIX, Backoff, ContainerDefinition, StopScope

from .arns import shown
from .label_values import (
    Step,
    read_backoff,
    read_command,
    read_duration,
    read_scope,
    read_signals,
)

STOP_SIGNAL = LABEL_PREFIX + "stop-signal"
STOP_SCOPE = LABEL_PREFIX + "stop-scope"
PRE_STOP = LABEL_PREFIX + "pre-stop"
STOP_BUDGET = LABEL_PREFIX + "stop-budget"
MAX_RUNTIME = LABEL_PREFIX + "max-runtime"
RESTART_BACKOFF = LABEL_PREFIX + "restart-backoff"

LABELS: dict[str, Callable[[str], Any]] = {
    STOP_SIGNAL: read_signals,
    STOP_SCOPE: read_scope,
    PRE_STOP: read_command,
    STOP_BUDGET: read_duration,
    MAX_RUNTIME: read_duration,
    RESTART_BACKOFF: read_backoff,
}
"""All of them, each with what reads it."""

PRE_STOP_SHARE = 0.5
"""Of the window a pre-stop command may use at most this part; the rest is the process's, to act on the signal."""


class StopPolicy(NamedTuple):
    """How one container is stopped."""

    signals: tuple[tuple[int, float], ...]
    """The stop signals in their order, each with the part of the window, 0 to 1, after which it is sent. One that
    would come only with the end of the window (1) is never sent: SIGKILL is."""
    scope: StopScope
    timeout: float
    """The window: seconds between the first stop signal and SIGKILL."""
    pre_stop: tuple[str, ...]
    """The command that is run before the first signal; empty: none."""


def stop_policy(definition: ContainerDefinition, default_timeout: float) -> StopPolicy:
    """What the labels and ``stopTimeout`` say; a timeout that nothing says, or 0, is the agent's default, as in ECS."""
    labels = definition.docker_labels
    steps = read_signals(labels.get(STOP_SIGNAL, "SIGTERM"))
    window = _window(steps) or float(definition.stop_timeout or default_timeout)
    return StopPolicy(
        signals=_shares(steps, window),
        scope=StopScope(labels.get(STOP_SCOPE, StopScope.MAIN)),
        timeout=window,
        pre_stop=read_command(labels[PRE_STOP]) if PRE_STOP in labels else (),
    )


def _window(steps: tuple[Step, ...]) -> float | None:
    """The seconds of a sequence that says all of them; None where the last signal has what is left."""
    return None if steps[-1].seconds is None else sum(step.seconds or 0.0 for step in steps)


def _shares(steps: tuple[Step, ...], window: float) -> tuple[tuple[int, float], ...]:
    shares = []
    due = 0.0
    for step in steps:
        shares.append((step.signal, min(due / window, 1.0)))
        due += step.seconds or 0.0
    return tuple(shares)


def restart_backoff(definition: ContainerDefinition) -> Backoff | None:
    """The pauses between runs; None where a restart follows at once, as in ECS."""
    text = definition.docker_labels.get(RESTART_BACKOFF)
    return None if text is None else read_backoff(text)


def max_runtime(definition: ContainerDefinition) -> float | None:
    """Seconds after which a run is stopped; None for no such bound."""
    text = definition.docker_labels.get(MAX_RUNTIME)
    return None if text is None else read_duration(text)


def stop_budget(definitions: Iterable[ContainerDefinition]) -> float | None:
    """Seconds for the stop of the task that these are the containers of; None for no such bound."""
    said = (one.docker_labels[STOP_BUDGET] for one in definitions if STOP_BUDGET in one.docker_labels)
    return next(map(read_duration, said), None)


def check_labels(definition: ContainerDefinition, path: str) -> None:
    """Labels outside ``supervisor.`` are free; those under it must be known, well-formed, and agree with the rest.

    ``path`` is the container's. ``ClientError``.
    """
    for name, value in definition.docker_labels.items():
        if not name.startswith(LABEL_PREFIX):
            continue
        here = _path(path, name)
        if name not in LABELS:
            near = difflib.get_close_matches(name[:64].lower(), LABELS, n=1, cutoff=0.0)[0]
            raise ClientError(f"{here}: unknown label; did you mean {near!r}?")
        try:
            LABELS[name](value)
        except ValueError as error:
            raise ClientError(f"{here}: {error}") from None
    _check_window(definition, path)
    policy = definition.restart_policy
    if RESTART_BACKOFF in definition.docker_labels and not (policy and policy.enabled):
        raise ClientError(
            f"{_path(path, RESTART_BACKOFF)}: nothing is restarted without restartPolicy.enabled; set it, or remove"
            " the label"
        )


def _check_window(definition: ContainerDefinition, path: str) -> None:
    """The seconds of a sequence of signals against ``stopTimeout``, where both are given."""
    text, timeout = definition.docker_labels.get(STOP_SIGNAL), definition.stop_timeout
    if text is None or not timeout:
        return
    steps = read_signals(text)
    seconds = sum(step.seconds or 0.0 for step in steps)
    here = _path(path, STOP_SIGNAL)
    if _window(steps) is None:
        if seconds >= timeout:
            raise ClientError(
                f"{here}: the last signal comes {seconds:g} seconds after the first, and stopTimeout is {timeout}, so"
                f" that nothing would be left for it; raise stopTimeout above {seconds:g}"
            )
    elif not math.isclose(seconds, timeout, abs_tol=1e-6):
        raise ClientError(
            f"{here}: its seconds are {seconds:g} in all, and stopTimeout is {timeout}; make them the same, or remove"
            " stopTimeout"
        )


def check_budgets(definitions: Iterable[ContainerDefinition]) -> None:
    """``ClientError`` where containers of one task say different stop budgets."""
    first: tuple[str, str] | None = None
    for index, definition in enumerate(definitions):
        text = definition.docker_labels.get(STOP_BUDGET)
        if text is None:
            continue
        path = f"containerDefinitions[{index}]"
        if first is not None and read_duration(text) != read_duration(first[1]):
            raise ClientError(
                f"{_path(path, STOP_BUDGET)}: {shown(text)} here and {shown(first[1])} in {first[0]}; a task has one"
                " stop budget, say it once"
            )
        first = first or (path, text)


def _path(path: str, label: str) -> str:
    return f"{path}.dockerLabels[{shown(label)}]"
