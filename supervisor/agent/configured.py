"""The tasks that the configuration asks for: one of each file of ``tasks_dir``, and one of each file of ``--task``.

A file holds a task definition, in JSON or TOML. At the start of the agent a new revision is registered where the file
says something else than the latest one, and a task is started where none of it is there. Tasks know each other by their
``startedBy``: ``tasks_dir/NAME`` and ``task/NAME``, where NAME is the file's without its ending.

A task of ``tasks_dir`` is kept running: one that stops is followed by another, after a pause that grows while they do
not last. Only what a user has stopped is left alone, until the next start of the supervisor. A task of ``--task`` is
started once, and when it is over the keeper is asked to end with its status.

What an earlier life has left behind is taken for the task if it lives. That it does is known when the keeper has told
what has become of the runs it was asked to take up; one that turns out to be over, or is being stopped, is waited for,
and followed by another.

"Once", and "until the next start", are meant of a life of the supervisor, which outlasts every agent. So the record of
the host tells in which life a task was begun; it is committed together with the task.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

import msgspec

from supervisor import wire
from supervisor.agenda import Agenda
from supervisor.agent.caller import HostUser
from supervisor.agent.draft import Draft
from supervisor.agent.engine import Engine
from supervisor.agent.service import Service
from supervisor.agent.task_files import Asked, essential_files, files_of, read_definition
from supervisor.clock import Clock
from supervisor.config import AgentTable
from supervisor.errors import ClientError, ConfigError, StoreError
from supervisor.lifecycle import restarts
from supervisor.log import get_logger
from supervisor.model import Backoff, ContainerInstance, DesiredStatus, LastStatus, StopCode, Task
from supervisor.shapes import requests
from supervisor.store import Store

_BACKOFF = Backoff(first=1.0, most=60.0)
_LASTED = 300.0
"""Seconds after which the pauses begin anew with the first, as with ``restartAttemptPeriod``."""

_log = get_logger("agent")


def exit_status(task: Task) -> tuple[int, str]:
    """What a process ends with that ran this task alone, and why: 1 where nobody knows."""
    if task.stop_code is StopCode.TASK_FAILED_TO_START:
        return 1, f"it never started: {task.stopped_reason}"
    started = [one for one in task.containers if one.essential and one.started_at is not None]
    if not started:
        return 1, f"it never started: {task.stopped_reason}"
    first = min(started, key=lambda one: one.exited_at or float("inf"))
    code = None if first.exit is None else first.exit.exit_code
    if code is None:
        return 1, f"how its container {first.name} ended is not known: {first.reason}"
    return code, f"its container {first.name} ended with it"


class Configured:
    """All of them. ``run`` starts them, and starts again what has to be."""

    def __init__(
        self,
        service: Service,
        engine: Engine,
        *,
        store: Store,
        clock: Clock,
        table: AgentTable,
        asked: Asked,
        send: Callable[[wire.Request], None],
    ) -> None:
        self._service = service
        self._engine = engine
        self._store = store
        self._clock = clock
        self._tasks_dir = table.tasks_dir
        self._cluster = table.cluster
        self._life = asked.life
        self._essential = essential_files(asked.task_files)
        self._send = send
        self._definitions: dict[str, str] = {}
        self._present: dict[str, str] = {}
        """By ``startedBy`` the id of the task that is there, or was the last one."""
        self._since: dict[str, float] = {}
        """When that was started, on the monotonic clock; of one found at the start, when it was found."""
        self._short: dict[str, int] = {}
        """How many in a row did not last, or could not be started."""
        self._leaving: set[str] = set()
        """Those whose present task is an earlier life's that is being stopped."""
        self._due = Agenda()
        self._told = asyncio.Event()
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        await self._told.wait()
        for started_by, path in [*self._essential.items(), *files_of(self._tasks_dir)]:
            if await self._define(started_by, path):
                await self._begin(started_by)
        _log.info("configured_tasks_begun", tasks=sorted(self._present))
        while True:
            await self._wait()
            for started_by in self._due.take(self._clock.monotonic()):
                await self._begin(started_by, again=started_by not in self._essential)

    def know_what_lives(self) -> None:
        """What has become of the runs of earlier lives has been told."""
        self._told.set()

    def observe(self, task: Task) -> None:
        """A task has changed: is it one of ours, and over?"""
        started_by = task.started_by or ""
        if task.last_status is LastStatus.STOPPED and self._present.get(started_by) == task.task_id:
            self._over(started_by, task)

    async def _define(self, started_by: str, path: str) -> bool:
        """See that a revision says what the file says; False where the file is refused."""
        if started_by in self._essential and self._is_begun(started_by):
            return True  # it is not started again: whatever became of the file must not end it
        caller = HostUser(os.geteuid(), os.getpid())
        while True:
            try:
                request = read_definition(started_by, path)
                definition = await self._service.keep_task_definition(request, caller)
            except (ConfigError, ClientError) as exc:
                error = str(exc) if isinstance(exc, ConfigError) else f"cannot use {path}: {exc}"
                _log.error("task_file_refused", file=path, error=error)
                self._end_without(started_by, error)
                return False
            except StoreError as exc:
                _log.error("store_failed", error=str(exc))
                await asyncio.sleep(_BACKOFF.first)
            else:
                self._definitions[started_by] = definition.task_definition_arn
                return True

    def _is_begun(self, started_by: str) -> bool:
        return self._host().begun.get(started_by) == self._life

    def _host(self) -> ContainerInstance:
        instance = self._store.instance()
        assert instance is not None, "it was established"
        return instance

    async def _begin(self, started_by: str, *, again: bool = False) -> None:
        """Have a task of it there; ``again``: also where this life has begun one before."""

        def begin(draft: Draft) -> Task | str:
            begun = self._is_begun(started_by)
            task = self._newest(started_by, draft)
            if (task is None or task.last_status is LastStatus.STOPPED) and (again or not begun):
                request = requests.RunTask(task_definition=self._definitions[started_by], started_by=started_by)
                reply = self._service.run_in(request, draft)
                if reply["failures"]:
                    return str(reply["failures"][0]["reason"])
                task = self._newest(started_by, draft)
            if not begun and (task is None or task.desired_status is DesiredStatus.RUNNING):
                host = self._host()
                others = {name: life for name, life in host.begun.items() if life == self._life}
                draft.resources.append(msgspec.structs.replace(host, begun={**others, started_by: self._life}))
            return task or "its record is gone"

        try:
            there = await self._engine.submit(begin)
        except StoreError as exc:
            _log.error("store_failed", error=str(exc))
            self._try_later(started_by)
            return
        except ClientError as exc:
            there = str(exc)
        if isinstance(there, Task):
            self._took(started_by, there)
        elif not self._engine.draining:
            _log.error("task_not_started", started_by=started_by, error=there)
            self._end_without(started_by, there)
            if started_by not in self._essential:
                self._try_later(started_by)

    def _took(self, started_by: str, task: Task) -> None:
        """It is committed that this is the task."""
        self._present[started_by] = task.task_id
        self._since[started_by] = self._clock.monotonic()
        if task.desired_status is DesiredStatus.STOPPED and not self._is_begun(started_by):
            self._leaving.add(started_by)
        current = self._engine.task(task.task_id) or task
        if current.last_status is LastStatus.STOPPED:  # before it was ours to observe
            self._over(started_by, current)

    def _over(self, started_by: str, task: Task) -> None:
        if started_by in self._leaving:
            self._leaving.discard(started_by)
            self._due.set(started_by, self._clock.monotonic())
            self._woken.set()
        elif started_by in self._essential:
            status, why = exit_status(task)
            _log.info(
                "essential_task_over", task=task.task_id, file=self._essential[started_by], status=status, why=why
            )
            self._send(wire.End(status))
        elif task.stop_code is not StopCode.USER_INITIATED and not self._engine.draining:
            if self._clock.monotonic() - self._since[started_by] >= _LASTED:
                self._short.pop(started_by, None)
            self._try_later(started_by)

    def _try_later(self, started_by: str) -> None:
        short = self._short[started_by] = self._short.get(started_by, 0) + 1
        pause = restarts.backoff_pause(_BACKOFF, short, self._present.get(started_by, ""))
        self._due.set(started_by, self._clock.monotonic() + pause)
        _log.info("task_will_follow", started_by=started_by, seconds=round(pause, 3))
        self._woken.set()

    def _end_without(self, started_by: str, why: str) -> None:
        if started_by in self._essential:
            _log.error("essential_task_never_started", file=self._essential[started_by], status=1, why=why)
            self._send(wire.End(1))

    async def _wait(self) -> None:
        """Until something is due."""
        due_at = self._due.next_at()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if due_at is None else max(due_at - self._clock.monotonic(), 0.0)):
                await self._woken.wait()
        self._woken.clear()

    def _newest(self, started_by: str, draft: Draft) -> Task | None:
        """The task that was started last for it: one that is not STOPPED, if there is such a one."""
        live = [task for task in draft.live().values() if task.started_by == started_by]
        if live:
            return max(live, key=lambda task: (task.created_at, task.desired_status is DesiredStatus.RUNNING))
        found = self._store.task_positions(
            cluster=self._cluster, desired_status=DesiredStatus.STOPPED, started_by=started_by, limit=1
        )
        return self._store.task(found[0][1]) if found else None
