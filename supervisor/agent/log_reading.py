"""``GET /v1/logs``: what the containers of a task have written, and what they are writing.

A reader holds places in files and nothing else; the agent keeps no line. Each line says where the next one begins, so
that a client whose stream breaks goes on from there.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from supervisor import shapes
from supervisor.agent.log_journal import Entries
from supervisor.agent.log_tapes import Tape, lines
from supervisor.agent.log_watches import Watches
from supervisor.agent.world import World
from supervisor.errors import ClientError, SupervisorError
from supervisor.model import LastStatus, LogConfiguration, Task

Lines = AsyncGenerator[list[dict[str, Any]], None]
"""Some at a time, as they come."""

END = [{"end": True}]
"""Said last: a stream that ends without it was broken off."""

_NOT_READABLE = {
    "none": "cannot show the output of {name}: it is dropped, since its log driver is none",
    "inherit": "cannot show the output of {name}: it is where the supervisor's own is, since its log driver is inherit",
}


class LogService(World):
    """What the logs are read with."""

    _watches: Watches | None = None

    def logs(
        self,
        *,
        cluster: str | None,
        task: str | None,
        containers: Sequence[str],
        tail: str | None,
        since: str | None,
        follow: bool,
        places: Sequence[str],
    ) -> Lines:
        """The lines of a task's containers; ``follow``: until the task is STOPPED. All errors but the system's at once.

        ``places``: ``container:next`` for each container of which lines have been read before.
        """
        names = self._cluster(cluster)
        asked = shapes.check_logs(
            names, task=task, containers=containers, tail=tail, since=since, follow=follow, places=places
        )
        found = self._recorded(asked.task_id, names)
        readable = self._readable(asked, found)
        return _told({"containers": list(readable)}, self._sources(asked, found, readable))

    def _readable(self, asked: shapes.LogsAsked, task: Task) -> dict[str, LogConfiguration | None]:
        """The containers that are meant. One that cannot be shown is refused where nothing else would be shown."""
        configured = self._log_configurations(task)
        chosen = {name: configured.get(name) for name in shapes.check_container_names(asked, task)}
        hidden = {name: log.log_driver for name, log in chosen.items() if log and log.log_driver in _NOT_READABLE}
        if hidden and (asked.containers or len(hidden) == len(chosen)):
            raise ClientError("; ".join(_NOT_READABLE[driver].format(name=name) for name, driver in hidden.items()))
        return {name: log for name, log in chosen.items() if name not in hidden}

    def _sources(
        self, asked: shapes.LogsAsked, task: Task, readable: dict[str, LogConfiguration | None]
    ) -> list[Lines]:
        """The files of the containers as one, and a journal for each of the others."""
        files = [name for name, log in readable.items() if shapes.is_file_driver(log)]
        journals = {name: log for name, log in readable.items() if log and not shapes.is_file_driver(log)}
        sources: list[Lines] = []
        if files:
            tapes = [Tape(f"{self._settings.agent.state_dir}/logs", asked, name) for name in files]
            sources.append(self._follow_files(tapes, asked.task_id) if asked.follow else _read_files(tapes))
        for name, log in journals.items():
            tag = log.options.get("tag", name)
            runs = functools.partial(self._runs, asked.task_id, name, {})
            entries = Entries(asked, name, tag, runs, (task.created_at, task.stopped_at))
            sources.append(self._follow_journal(entries, asked.task_id) if asked.follow else entries.read())
        return sources

    def _log_configurations(self, task: Task) -> dict[str, LogConfiguration | None]:
        """By container; nothing where the definition is gone, as that of a task that has stopped can be."""
        definition = self._store.definition(task.family, task.revision)
        if definition is None:
            return {}
        return {one.name: one.log_configuration for one in definition.container_definitions}

    async def _follow_files(self, tapes: Sequence[Tape], task_id: str) -> Lines:
        watches = self._watches = self._watches or _watches()
        try:
            with self._engine.watching([task_id]) as changed:
                while True:
                    changed.clear()  # before the look: what changes after it sets it again
                    over = self._is_over(task_id)
                    with contextlib.ExitStack() as watching:
                        for tape in tapes:
                            place = None if tape.opened else await asyncio.to_thread(tape.open)
                            if place is not None:
                                yield [place]
                            if tape.opened:
                                watching.enter_context(watches.written(tape.path, changed))
                        async for some in lines(tapes, whole=over):
                            yield some
                        if over:
                            return
                        await changed.wait()
        except OSError as exc:
            raise _cannot_read(exc) from exc
        finally:
            for tape in tapes:
                tape.close()

    async def _follow_journal(self, entries: Entries, task_id: str) -> Lines:
        """What comes until the task is over, and then what had not come yet."""
        with self._engine.watching([task_id]) as changed:
            ended = asyncio.ensure_future(self._end_of(task_id, changed))
            try:
                async with contextlib.aclosing(entries.follow(ended)) as coming:
                    async for some in coming:
                        yield some
            finally:
                ended.cancel()
        async with contextlib.aclosing(entries.read()) as rest:
            async for some in rest:
                yield some

    async def _end_of(self, task_id: str, changed: asyncio.Event) -> None:
        while not self._is_over(task_id):
            await changed.wait()
            changed.clear()

    def _is_over(self, task_id: str) -> bool:
        task = self._engine.task(task_id)
        return task is None or task.last_status is LastStatus.STOPPED

    def _runs(self, task_id: str, container: str, known: dict[str, int | None]) -> dict[str, int | None]:
        """The runs of a container, each with its main process; past ones are read whenever there is a new one."""
        task = self._engine.task(task_id)
        present = None if task is None else task.container(container)
        if present is not None and present.run_id is not None:
            if present.run_id not in known:
                known |= {run.run_id: run.pid for run in self._store.runs(task_id) if run.container == container}
            known[present.run_id] = None if present.identity is None else present.identity.pid
        return known


async def _read_files(tapes: Sequence[Tape]) -> Lines:
    try:
        for tape in tapes:
            await asyncio.to_thread(tape.open)
        async for some in lines(tapes, whole=True):
            yield some
    except OSError as exc:
        raise _cannot_read(exc) from exc
    finally:
        for tape in tapes:
            tape.close()


async def _told(header: dict[str, Any], sources: Sequence[Lines]) -> Lines:
    """Whose lines these are, all lines as they come, and at last that it is all, or why it cannot be."""
    yield [header]
    try:
        async with contextlib.aclosing(_together(sources)) as told:
            async for some in told:
                yield some
    except SupervisorError as exc:
        yield [{"error": shapes.render_error(exc)}]
    else:
        yield END


async def _together(sources: Sequence[Lines]) -> Lines:
    """Lines from any of them; no source is ahead of the reader by more than one step."""
    waited = {asyncio.ensure_future(anext(source, END)): source for source in sources}
    try:
        while waited:
            done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                source = waited.pop(each)
                some = each.result()
                if some is not END:
                    yield some
                    waited[asyncio.ensure_future(anext(source, END))] = source
    finally:
        for each in waited:
            each.cancel()
        await asyncio.gather(*waited, return_exceptions=True)
        for source in sources:
            await source.aclose()


def _watches() -> Watches:
    try:
        return Watches()
    except OSError as exc:
        raise _cannot_read(exc) from exc


def _cannot_read(exc: OSError) -> SupervisorError:
    if exc.errno in (errno.EMFILE, errno.ENOSPC):
        limits = "fs.inotify.max_user_instances and fs.inotify.max_user_watches"
        return SupervisorError(f"cannot follow the log: the kernel watches no more files; raise {limits}")
    return SupervisorError(f"cannot read the log: {exc.strerror}")
