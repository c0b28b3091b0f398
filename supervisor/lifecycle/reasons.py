"""A container's ``reason``: how it ended, in a person's words, where an exit code alone does not say it."""

from __future__ import annotations

import signal

from supervisor.lifecycle.events import Exited
from supervisor.model import MAX_REASON, Container, ExitStatus

MAX_RUNTIME = "supervisor.max-runtime"
NO_TIME = 0.02
"""Seconds: a window in which nobody could have stopped, nor have been looked at."""
OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"


def of_exit(container: Container, event: Exited) -> str | None:
    """Whose signal it was if not ours: told by the order of events, for stamps can be equal."""
    if event.out_of_memory:
        return OUT_OF_MEMORY
    if event.unknown:
        return cut(event.unknown)
    number = event.exit.signal
    if number is not None and container.signalled_at is None and container.killed_at is None:
        return f"Ended by {signal_name(number)}, which was not the supervisor's"
    return container.reason


def of_end(container: Container) -> str | None:
    """Why a container ended otherwise than by an exit of its own; None where it did."""
    if container.killed_at is None or container.reason == OUT_OF_MEMORY:
        return container.reason
    if container.signal_clock is not None and container.kill_clock is not None:
        waited = container.kill_clock - container.signal_clock
    else:
        waited = container.killed_at - (container.signalled_at or container.killed_at)
    asked = "" if not _has_expired(container) else f", which came after {container.max_runtime:g} s ({MAX_RUNTIME})"
    code = f". {container.reason}" if container.exit == ExitStatus() and container.reason else ""
    who = container.finding or _who_was_late(container)
    return cut(f"Killed {waited:.1f} s after the stop signal{asked}: {who}{code}")


def _who_was_late(container: Container) -> str:
    if container.window is not None and container.window < NO_TIME:
        return "it was given no time"
    exited, exited_at = container.exit, container.exited_at or container.killed_at or 0.0
    by_kill = exited is not None and exited.signal == signal.SIGKILL and exited_at >= (container.killed_at or 0.0)
    who = "the main process" if by_kill else "processes that the main process left behind"
    return f"{who} did not exit in time"


def of_runtime(container: Container) -> str:
    """Of a run that was stopped because it had run long enough."""
    return f"Stopped after {container.max_runtime:g} s, its {MAX_RUNTIME}"


def _has_expired(container: Container) -> bool:
    return container.max_runtime is not None and container.reason == of_runtime(container)


def of_dependency(dependency: str, why: str) -> str:
    """Of a container that was never started."""
    return cut(f"CannotStartContainerError: container {dependency!r}, which it depends on, {why}")


def signal_name(number: int) -> str:
    """``SIGTERM``; ``signal 40`` where it has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def cut(text: str) -> str:
    """At most as long as ECS lets a reason be."""
    return text if len(text) <= MAX_REASON else text[: MAX_REASON - 1] + "…"
