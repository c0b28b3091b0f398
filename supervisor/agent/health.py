"""Health checks: one schedule for those of all containers, and what their ends say of them.

The keeper starts each check as a helper beside the run that it checks, and ends it by itself, with all that it has
started: when its lifetime is over, or when the stop of that run begins. So nothing here holds a stop up, and nothing is
lost with an agent: the next one begins with the status that was recorded.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
from collections import deque
from collections.abc import Callable
from uuid import uuid4

from supervisor import health, wire
from supervisor.agenda import Agenda
from supervisor.clock import Clock
from supervisor.errors import SupervisorError
from supervisor.log import get_logger
from supervisor.model import Container, DesiredStatus, ExitStatus, HealthCheck, HealthStatus, LastStatus, Task

MOST_AT_ONCE = 128
"""Checks under way; others wait for their turn, so that a thousand containers do not fork a thousand at one instant."""
MOST_OUTPUT = 4096
"""Bytes of what a check has written that are kept: the last ones."""
OVERDUE = 30.0
"""Seconds after its timeout at which a check that has still not ended is one that SIGKILL does not end. So many,
because its end is read no sooner than the commit before it is done, and a disk can take its time."""
SPREAD = 2.0
"""Seconds over which a new agent spreads the first checks of what it found running."""
_HELD_UP = 1.0
"""Seconds by which this loop may be late until what it has not read yet is read first."""

_NOT_MADE = ("beside", "drain")
"""Stages of a spawn that the keeper refused because the run, or everything, is being stopped: no result."""
_ENDS = (wire.Signalled, wire.Exited, wire.Emptied)
"""Events of a run after which what its checks say is no news of it."""

Request = Callable[[Task, str, str], wire.Spawn]
"""(task, container name, run id) → the spawn request of that container."""
Report = Callable[[str, HealthStatus, str, int | None], None]
"""Takes (run id, status, output, exit code) of a container whose recorded status is another one."""

_log = get_logger("agent")


class _Watch:
    """One run of a container, and its checks."""

    def __init__(self, task: Task, container: Container, run_id: str, check: HealthCheck, state: health.State) -> None:
        self.task = task
        self.container = container
        self.run_id = run_id
        self.check = check
        self.state = state
        self.over = False
        """The run has ended, or is about to: what is still told of its checks says nothing."""
        self.check_run: str | None = None
        """The check that has not ended yet, also where its result has been counted without its end."""


class Health:
    """``observe`` tasks and ``take`` the keeper's events in any order; ``run`` is the one place where checks begin."""

    def __init__(
        self,
        clock: Clock,
        send: Callable[[wire.Request], None],
        request: Request,
        report: Report,
        log_dir: str,
    ) -> None:
        self._clock = clock
        self._send = send
        self._request = request
        self._report = report
        self._log_dir = log_dir
        self._watches: dict[str, _Watch] = {}
        self._by_task: dict[str, set[str]] = {}
        self._checks: dict[str, _Watch] = {}
        """By the run id of the check, until nothing is left of it."""
        self._busy: set[str] = set()
        """The checks that count against ``MOST_AT_ONCE``."""
        self._agenda = Agenda()
        """When each run is looked at next: a check is due, or the one under way is overdue."""
        self._waiting: deque[_Watch] = deque()
        """Those whose check is due, in their order."""
        self._changed = asyncio.Event()

    # what is to be checked

    def observe(self, task: Task) -> None:
        """A task as it was committed: runs that are to be checked are from now on, all others are not any more."""
        found = {one.run_id: one for one in task.containers if one.run_id is not None and _is_checked(task, one)}
        for run_id in self._by_task.get(task.task_id, set()) - found.keys():
            self._drop(run_id)
        for run_id, container in found.items():
            if (watch := self._watches.get(run_id)) is None:
                self._begin(task, run_id, container)
            else:
                watch.task, watch.container = task, container

    def _begin(self, task: Task, run_id: str, container: Container) -> None:
        check, since = container.health_check, container.running_since
        assert check is not None
        assert since is not None
        # Where many are found running, not all are checked at one instant: each has its own, made from its run id.
        at = self._clock.monotonic() + int(run_id[:4], 16) / 0x10000 * SPREAD
        state = health.resume(check, since, container.health_status, at)
        watch = self._watches[run_id] = _Watch(task, container, run_id, check, state)
        self._by_task.setdefault(task.task_id, set()).add(run_id)
        self._wake(watch, state.due_at)

    def _drop(self, run_id: str) -> None:
        watch = self._watches.pop(run_id)
        self._halt(watch)
        runs = self._by_task[watch.task.task_id]
        runs.discard(run_id)
        if not runs:
            del self._by_task[watch.task.task_id]

    def _halt(self, watch: _Watch) -> None:
        """No more checks of that run, and no more results. What is under way the keeper ends."""
        watch.over = True
        self._agenda.set(watch.run_id, None)
        self._free(watch)

    # when

    async def run(self) -> None:
        """Begin each check at its time, until cancelled."""
        while True:
            self._tick(self._clock.monotonic())
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._agenda.next_at()):
                    await self._changed.wait()

    def _wake(self, watch: _Watch, at: float | None) -> None:
        self._agenda.set(watch.run_id, at)
        self._changed.set()

    def _tick(self, now: float) -> None:
        while (at := self._agenda.next_at()) is not None and at <= now:
            for run_id in self._agenda.take(at):
                watch = self._watches[run_id]
                if watch.check_run is None:
                    self._waiting.append(watch)
                elif now - at > _HELD_UP:  # its end may have been told while we were held up
                    self._wake(watch, now + _HELD_UP)
                else:
                    self._give_up(watch, now)
        while self._waiting and len(self._busy) < MOST_AT_ONCE:
            watch = self._waiting.popleft()
            if not watch.over:
                self._start(watch, now)

    def _start(self, watch: _Watch, now: float) -> None:
        run = uuid4().hex
        watch.state = health.started(watch.state, now)
        try:
            spawn = self._request(watch.task, watch.container.name, run)
            self._send(check_request(spawn, watch.run_id, run, watch.check))
        except SupervisorError as exc:
            _log.error("health_check_not_made", **_facts(watch), error=str(exc))
            watch.state = health.abandoned(watch.state, watch.check, now)
            self._wake(watch, watch.state.due_at)
            return
        watch.check_run = run
        self._checks[run] = watch
        self._busy.add(run)
        self._wake(watch, now + watch.check.timeout + OVERDUE)

    def _give_up(self, watch: _Watch, now: float) -> None:
        """What SIGKILL does not end is a failure at each turn that a check would have: another would only join it."""
        self._free(watch)
        if watch.state.started_at is None:
            watch.state = health.started(watch.state, now)
        self._count(watch, False, f"{_exceeded(watch)}, and SIGKILL has not ended it", None)

    # what the keeper tells

    def take(self, event: wire.Event) -> bool:
        """An event of the keeper; whether it was one of a check. It is still to be forgotten there in its turn."""
        if isinstance(event, wire.Draining):
            return False
        watch = self._checks.get(event.run)
        if watch is None:
            if isinstance(event, _ENDS) and (ending := self._watches.get(event.run)) is not None:
                self._halt(ending)  # before it is stored: a check that dies with its run is no failure
            return False
        if isinstance(event, wire.Exited | wire.SpawnFailed) and watch.check_run == event.run:
            self._end(watch, event)
        if isinstance(event, wire.Emptied | wire.SpawnFailed):
            del self._checks[event.run]
        return True

    def _end(self, watch: _Watch, event: wire.Exited | wire.SpawnFailed) -> None:
        self._free(watch)
        watch.check_run = None
        now, began = self._clock.monotonic(), watch.state.started_at
        if watch.over or began is None:  # without a beginning it was given up, and that was counted
            return
        match event:
            case wire.SpawnFailed(stage=stage) if stage in _NOT_MADE:
                watch.state = health.abandoned(watch.state, watch.check, now)
                self._wake(watch, watch.state.due_at)
            case wire.SpawnFailed():
                symbol = errno.errorcode.get(event.errno, str(event.errno))
                self._count(watch, False, f"cannot start, {event.stage}: {event.detail} ({symbol})", None)
            case wire.Exited(signal=signal.SIGKILL) if now - began >= watch.check.timeout:
                written = self._output(watch)
                self._count(watch, False, f"{_exceeded(watch)}: {written}" if written else _exceeded(watch), None)
            case wire.Exited():
                status = ExitStatus(event.code, event.signal)
                self._count(watch, event.code == 0, self._output(watch), status.exit_code)

    def _free(self, watch: _Watch) -> None:
        self._busy.discard(watch.check_run or "")
        self._changed.set()

    def _count(self, watch: _Watch, ok: bool, output: str, exit_code: int | None) -> None:
        before, now = watch.state.status, self._clock.monotonic()
        watch.state = health.finished(watch.state, watch.check, ok, now)
        self._wake(watch, watch.state.due_at)
        status = watch.state.status
        if status is not before:
            level = "info" if status is HealthStatus.HEALTHY else "warning"
            first = output.partition("\n")[0]
            getattr(_log, level)("health_changed", **_facts(watch), status=status.value, output=first)
        if status is not watch.container.health_status:  # again after each check, until it is in the record
            self._report(watch.run_id, status, output, exit_code)

    def _output(self, watch: _Watch) -> str:
        """The end of what the check has written; empty where it cannot be read."""
        path = f"{self._log_dir}/{watch.task.task_id}/{watch.container.name}.check"
        with contextlib.suppress(OSError), open(path, "rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - MOST_OUTPUT, 0))
            return file.read(MOST_OUTPUT).decode(errors="replace").strip()
        return ""


def check_request(spawn: wire.Spawn, beside: str, run: str, check: HealthCheck) -> wire.Spawn:
    """A check as the keeper is asked for it: who, where and in what surroundings its container is, for a short life."""
    kind, *words = check.command
    return spawn._replace(
        run=run,
        argv=["/bin/sh", "-c", *words] if kind == "CMD-SHELL" else words,
        log_driver="check",
        stop_signals=[(int(signal.SIGTERM), 0.0)],
        stop_scope="main",
        stop_timeout=0.0,
        memory_max=None,
        memory_low=None,
        cpu_weight=None,
        task_memory_max=None,
        task_memory_low=None,
        task_cpu_weight=None,
        pre_stop=[],
        beside=beside,
        lifetime=float(check.timeout),
    )


def _is_checked(task: Task, container: Container) -> bool:
    return (
        task.desired_status is DesiredStatus.RUNNING
        and container.health_check is not None
        and container.last_status is LastStatus.RUNNING
        and container.identity is not None
        and container.running_since is not None
        and container.exit is None
        and not container.stop_asked
    )


def _exceeded(watch: _Watch) -> str:
    return f"Health check exceeded timeout ({watch.check.timeout}s)"


def _facts(watch: _Watch) -> dict[str, str]:
    return {"task": watch.task.task_id, "container": watch.container.name}
