"""One run of ``check-stop``: the command is started as a task, awaited until it is ready, stopped, and judged."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from supervisor.errors import SupervisorError

from .check_report import clean
from .client import Client
from .failures import NotTried
from .output import say
from .private import PrivateAgent
from .readiness import Probe
from .verdict import CheckedRun, Json, Verdict, judge

NAME = "command"
"""Of the container, and so of its log file."""
LOG_LINES = 20
LOG_BYTES = 64 * 1024
START_TIMEOUT = 30.0
"""Seconds within which the agent starts it, on however slow a host."""
PAUSE = 0.02
"""Seconds between two looks at a port or a log file, of which nobody tells us."""
STUCK_TIMEOUT = 15.0
"""Seconds after the end of the window within which a killed process is gone, unless the kernel holds it."""


SHELL_HINT = "give the program and its arguments as words of their own, or a shell's line as: sh -c 'exec …'"


class Plan(NamedTuple):
    """What is the same for every run."""

    definition: Json
    signals: str
    accepted: frozenset[int]
    probe: Probe | None
    ready_after: float
    """Seconds after which it is taken to be ready where there is no probe."""
    ready_timeout: float

    @property
    def program(self) -> str:
        """The first word of the command."""
        return str(self.definition["containerDefinitions"][0]["command"][0])

    @property
    def readiness(self) -> tuple[str, str]:
        """How it is seen, and on what."""
        return ("time", f"{self.ready_after:g}") if self.probe is None else (self.probe.kind, self.probe.target)


class Watch:
    """The task's record as the agent's stream tells it, taken in by a thread so that an early exit is seen at once."""

    def __init__(self, client: Client, task: Json) -> None:
        self.task = task
        self.window: float | None = None
        """Seconds of the stop, once one runs."""
        self._failure: SupervisorError | None = None
        self._changed = threading.Condition()
        threading.Thread(target=self._follow, args=[client], daemon=True).start()

    def _follow(self, client: Client) -> None:
        try:
            for reply in client.watch(None, [self.task["taskArn"]]):
                with self._changed:
                    self.task = reply["tasks"][0]
                    for window in reply.get("windows", []):
                        self.window = window["stopTimeout"]
                    self._changed.notify_all()
                    if self.is_over():
                        return
        except SupervisorError as exc:
            with self._changed:
                self._failure = exc
                self._changed.notify_all()

    def has_started(self) -> bool:
        """Whether it runs, or has run."""
        return bool(self.task["lastStatus"] != "PENDING")

    def is_over(self) -> bool:
        """Whether nothing of it is left."""
        return bool(self.task["lastStatus"] == "STOPPED")

    def is_ending(self) -> bool:
        """Whether its main process is over, or it is being stopped."""
        return bool(self.task.get("desiredStatus") == "STOPPED" or self.is_over())

    def wait(self, fact: Callable[[], bool], timeout: float) -> bool:
        """Whether the fact holds within so many seconds. Raises what ended the stream."""
        with self._changed:
            holds = self._changed.wait_for(lambda: fact() or self._failure is not None, timeout)
            if self._failure is not None and not fact():
                raise self._failure
            return holds


def check_once(plan: Plan, agent: PrivateAgent, number: int) -> CheckedRun:
    """Start it, await it, stop it, judge it."""
    begun_at = time.monotonic()
    reply = agent.client.call("RunTask", {"taskDefinition": "check-stop", "startedBy": "check-stop"})
    if not reply["tasks"]:
        raise NotTried(f"cannot start the command: {reply['failures'][0].get('reason')}")
    task = reply["tasks"][0]
    watch = Watch(agent.client, task)
    log_file = agent.log_file(task["taskArn"], NAME)
    _tell(f"run {number}: started")
    obstacle = _await_ready(plan, watch, log_file)
    ready_after = round(time.monotonic() - begun_at, 3)
    if obstacle is not None:
        return CheckedRun(number, Verdict.NOT_TRIED, obstacle, exit_code=_exit_code(watch), log=tail(log_file))
    _tell(f"run {number}: ready after {ready_after:.2f} s; stopping it")
    told = _stop(agent.client, watch)
    run = judge(number, ready_after, told, plan.signals, plan.accepted)
    return run._replace(log=tail(log_file))


def _await_ready(plan: Plan, watch: Watch, log_file: str) -> str | None:
    """None when it is ready; else why it will not be."""
    if not watch.wait(watch.has_started, START_TIMEOUT):
        return f"not started within {START_TIMEOUT:g} s"
    until = time.monotonic() + plan.ready_timeout
    if plan.probe is None:
        watch.wait(watch.is_ending, plan.ready_after)
    else:
        missing = plan.probe.missing(log_file)
        while missing is not None and not watch.wait(watch.is_ending, PAUSE):
            if time.monotonic() >= until:
                return f"not ready within {plan.ready_timeout:g} s: {missing}"
            missing = plan.probe.missing(log_file)
    return _early_end(watch, plan.program) if watch.is_ending() else None


def _early_end(watch: Watch, program: str) -> str:
    """How it ended before it was ready; what it has left is waited for, so that its log is whole."""
    watch.wait(watch.is_over, STUCK_TIMEOUT)
    container = watch.task["containers"][0]
    code, reason = _exit_code(watch), container.get("reason")
    if code is None:
        text = f"{program!r} was not started: {reason or watch.task.get('stoppedReason') or 'no reason is recorded'}"
        return f"{text}; {SHELL_HINT}" if " " in program else text
    hint = "; if it goes into the background, have it stay in the foreground" if code == 0 else ""
    return f"exited with code {code} before it was ready" + (f" ({reason})" if reason else "") + hint


def _exit_code(watch: Watch) -> int | None:
    code: int | None = watch.task["containers"][0].get("exitCode")
    return code


def _stop(client: Client, watch: Watch) -> Json:
    """Have it stopped; what its stop report says of the command."""
    arn = watch.task["taskArn"]
    client.call("StopTask", {"task": arn, "reason": "check-stop"})
    watch.wait(lambda: watch.is_over() or watch.window is not None, STUCK_TIMEOUT)
    watch.wait(watch.is_over, (watch.window or 0.0) + STUCK_TIMEOUT)
    report = client.look("GetStopReport", "/v1/report", task=arn)
    told: Json = next(one for one in report["containers"] if one["name"] == NAME)
    return told


def tail(log_file: str) -> list[str]:
    """The last lines that it wrote; none where there is no file."""
    with contextlib.suppress(OSError), open(log_file, "rb") as file:
        file.seek(max(file.seek(0, 2) - LOG_BYTES, 0))
        return [clean(line) for line in file.read().decode(errors="replace").splitlines()[-LOG_LINES:]]
    return []


def _tell(text: str) -> None:
    """Progress, for who sits before it."""
    if sys.stderr.isatty():
        say(text)
