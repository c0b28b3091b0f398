"""How a stop goes on, container by container, as far as the caller can see it. Pure: time is an argument."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .formats import one_line

KILLED = 137
"""128 + SIGKILL."""
KILL_TOLD = "Killed "
"""How the record's reason begins where SIGKILL was needed."""
NEAR = 0.1
"""Seconds by which our estimate of a deadline may be late: what told us of it was on its way for a moment."""


class ContainerStop:
    """One container of a task that is being stopped. Instants are monotonic, of the caller's own clock."""

    def __init__(self, name: str, asked_at: float) -> None:
        self.name = one_line(name)
        self.state = "PENDING"
        self.ended: str | None = None
        """How it ended; None until then."""
        self.stop_timeout = 0.0
        self.deadline: float | None = None
        """When SIGKILL comes; None while no window runs."""
        self._signalled_at = asked_at
        self.exit_code: int | None = None
        """Of the main process, which may have ended before its container."""
        self.waits_for: tuple[str, ...] | None = None
        """The containers that are to be gone before it is stopped; none: its pre-stop command runs. None: neither."""

    def take(
        self,
        container: dict[str, Any],
        window: dict[str, Any] | None,
        now: float,
        waits_for: list[str] | None = None,
    ) -> None:
        """What the agent says of it at ``now``. Its end is taken once; a new stream repeats it."""
        if self.ended is not None:
            return
        was_pending = self.state == "PENDING"
        self.state = one_line(str(container.get("lastStatus", self.state)))
        self.exit_code = container.get("exitCode")
        self.waits_for = None if waits_for is None else tuple(map(one_line, waits_for))
        if window is not None:
            if self.deadline is None:
                self._signalled_at = now - (window["stopTimeout"] - window["remaining"])
            self.stop_timeout = window["stopTimeout"]
            self.deadline = now + window["remaining"]
        if self.state == "STOPPED":
            not_begun = was_pending and self.exit_code is None
            self.ended = "never started" if not_begun else self._how(container.get("reason"), now)

    def remaining(self, now: float) -> float:
        """Seconds of the window that are left."""
        return 0.0 if self.deadline is None else max(0.0, self.deadline - now)

    @property
    def phase(self) -> str:
        """Where it is, without numbers that change by themselves."""
        if self.ended is not None:
            return self.ended
        if self.exit_code == KILLED:
            return "main process killed"
        if self.exit_code is not None:
            return f"main process exited {self.exit_code}, what it left is being stopped"
        if self.deadline is not None:
            return "stopping"
        if self.waits_for is not None:
            return f"waits for {', '.join(self.waits_for)} to stop" if self.waits_for else "pre-stop command runs"
        return self.state.lower()

    def describe(self, now: float) -> str:
        """The phase, with the time that is left."""
        if self.ended is not None or self.deadline is None or self.exit_code == KILLED:
            return self.phase
        return f"{self.phase}, SIGKILL in {self.remaining(now):.1f} s"

    def _how(self, reason: str | None, now: float) -> str:
        """``exited 0 after 0.4 s``, ``killed after 3.0 s (137)``, with the record's reason if that says more."""
        after = f"after {max(0.0, now - self._signalled_at):.1f} s"
        # A window that was cut short can be over before we have heard that it was: then the record says so.
        ran_out = (reason or "").startswith(KILL_TOLD) or (self.deadline is not None and now >= self.deadline - NEAR)
        if self.exit_code is None:
            how = f"ended {after}, exit code not known"
        elif ran_out and self.exit_code == KILLED:
            how = f"killed {after} ({KILLED})"
        elif ran_out:
            how = f"exited {self.exit_code}, what it left was killed {after}"
        else:
            how = f"exited {self.exit_code} {after}"
        return how if ran_out or not reason else f"{how}: {one_line(reason)}"


class StopProgress:
    """A task that is being stopped, fed with the lines of the agent's stream."""

    def __init__(self, task: dict[str, Any], asked_at: float) -> None:
        """``task`` is StopTask's reply, ``asked_at`` when it was asked for."""
        self.task = task
        self.containers = [ContainerStop(one["name"], asked_at) for one in task.get("containers", [])]
        for stop, container in zip(self.containers, task.get("containers", []), strict=True):
            stop.state = one_line(str(container.get("lastStatus", stop.state)))
            if stop.state == "STOPPED":
                stop.ended = _before(container)

    @property
    def done(self) -> bool:
        """Whether every process of the task was seen to be gone."""
        return bool(self.task.get("lastStatus") == "STOPPED")

    def take(
        self,
        task: dict[str, Any],
        windows: list[dict[str, Any]],
        now: float,
        waiting: Sequence[dict[str, Any]] = (),
    ) -> None:
        """The state of the task at ``now``, with the stop windows that are running, and what others wait for."""
        self.task = task
        containers = {one["name"]: one for one in task.get("containers", [])}
        running = {window["containerName"]: window for window in windows}
        waits = {wait["containerName"]: wait["waitsFor"] for wait in waiting}
        for stop in self.containers:
            if stop.name in containers:
                stop.take(containers[stop.name], running.get(stop.name), now, waits.get(stop.name))


def _before(container: dict[str, Any]) -> str:
    """Of one that was over when the stop was asked for."""
    code, reason = container.get("exitCode"), container.get("reason")
    if code is None and reason:
        return f"was not running: {one_line(reason)}"
    return f"had ended before, exit code {'not known' if code is None else code}"
