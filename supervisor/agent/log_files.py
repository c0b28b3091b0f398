"""Keeping the log files of what runs: none takes more room than it was given, and it is known when what was written.

Nobody is in the way of the writers, and nobody is woken by a file that is not written to: the kernel tells of the first
write (inotify), then the file is looked at once a second until it has stopped growing, and only then is it watched
again. Who writes so fast that a quarter of the bound would be written within that second is looked at more often.
What is too much is freed at the beginning of the file, in place: the writer holds it open, and appends.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from supervisor import shapes
from supervisor.agent import log_marks
from supervisor.agent.log_watches import Watches
from supervisor.agent.logs import path_of
from supervisor.log import get_logger
from supervisor.model import LastStatus, Task, TaskDefinition
from supervisor.posix import files

PAUSE = 1.0
"""Seconds between two looks at a file that grows, and between two marks."""
LEAST_PAUSE = 0.05
"""The same, of one that is about to outgrow its bound."""
UNWATCHED_PAUSE = 30.0
"""The same, where the kernel can watch no more files."""

_log = get_logger("agent")


class Kept:
    """One log file. ``look`` is the only one to touch it, one call at a time."""

    def __init__(self, path: str, bound: int | None) -> None:
        self.path = path
        self.bound = bound
        self.over = False
        """Nothing will be written any more."""
        self.woken = asyncio.Event()
        self._marks: log_marks.Marks | None = None
        self._size = 0
        self._marked_at = 0.0
        self._looked_at = time.monotonic()

    def look(self) -> float | None:
        """Free and mark what has been written; seconds until the next look, None if nothing was. Raises ``OSError``."""
        if self._marks is None:
            self._marks = log_marks.load(self.path)
            self._size = self._marks.size
        now = time.monotonic()
        seen = os.stat(self.path)
        grown, passed = seen.st_size - self._size, now - self._looked_at
        self._size, self._looked_at = seen.st_size, now
        if grown < 0:  # somebody has truncated it
            self._marks = log_marks.Marks()
            log_marks.rewrite(self.path, self._marks)
        if self.bound is not None and seen.st_size > self.bound:
            self._free(self.bound, max(seen.st_blksize, 4096))
        if seen.st_size > self._marks.size and (grown <= 0 or now - self._marked_at >= PAUSE):
            self._mark(self._marks, seen.st_mtime, now)
        if not grown:
            return None
        if self.bound is None:
            return PAUSE
        return min(max(self.bound / 4 * passed / max(grown, 1), LEAST_PAUSE), PAUSE)

    def wake(self) -> None:
        """Its growth is measured from now on: it was idle until then."""
        self._looked_at = time.monotonic()

    def unchanged(self) -> bool:
        """Whether it is as long as at the last look."""
        return os.stat(self.path).st_size == self._size

    def _mark(self, marks: log_marks.Marks, at: float, now: float) -> None:
        self._marked_at = now
        mark = marks.add(at, self._size)
        if len(marks.marks) <= log_marks.MOST:
            log_marks.append(self.path, mark)
        else:
            with open(self.path, "rb") as file:
                marks.thin(files.data_from(file.fileno(), 0) or 0)
            log_marks.rewrite(self.path, marks)

    def _free(self, bound: int, block: int) -> None:
        """Down to three quarters of the bound, so that it is not done again with the next write."""
        fd = os.open(self.path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            first = files.data_from(fd, 0)
            if first is not None and self._size - first > bound:
                end = self._size - (bound - bound // 4)
                files.free(fd, 0, end - end % block)  # whole blocks: in one that is freed in part zeros would be left
        except OSError as exc:
            if exc.errno != errno.EOPNOTSUPP:
                raise
            self.bound = None
            why = "its file system cannot free a part of a file"
            _log.warning("log_not_bounded", path=self.path, max_bytes=bound, why=why)
        finally:
            os.close(fd)


class _Name(NamedTuple):
    task_id: str
    container: str


class LogFiles:
    """Keeps the files of the tasks that it is told of with ``observe``, as long as ``run`` runs."""

    def __init__(self, log_dir: str, definition: Callable[[str, int], TaskDefinition | None]) -> None:
        """``definition``: the task definition of that family and revision, which says how large a log may become."""
        self._log_dir = log_dir
        self._definition = definition
        # None: it writes to no file of ours
        self._kept: dict[_Name, Kept | None] = {}
        self._new: asyncio.Queue[Kept] = asyncio.Queue()
        self._looks = ThreadPoolExecutor(1, thread_name_prefix="log-files")
        self._watches: Watches | None = None

    def observe(self, task: Task) -> None:
        """Told of every task that lives, at the start of the agent and after every change, its last one included."""
        for container in task.containers:
            name = _Name(task.task_id, container.name)
            if name not in self._kept and container.started_at is not None:  # else there may be no file yet
                self._take_up(name, task)
        if task.last_status is LastStatus.STOPPED:
            for container in task.containers:
                kept = self._kept.pop(_Name(task.task_id, container.name), None)
                if kept is not None:
                    kept.over = True
                    kept.woken.set()

    def _take_up(self, name: _Name, task: Task) -> None:
        self._kept[name] = None
        definition = self._definition(task.family, task.revision)
        if definition is None:
            return
        log = next(one.log_configuration for one in definition.container_definitions if one.name == name.container)
        if shapes.is_file_driver(log):
            path = path_of(self._log_dir, name.task_id, name.container)
            kept = self._kept[name] = Kept(path, shapes.log_bound(log))
            self._new.put_nowait(kept)

    async def run(self) -> None:
        """Until cancelled."""
        try:
            self._watches = Watches()
        except OSError as exc:
            _log.warning("logs_not_watched", error=exc.strerror, looked_at_every=UNWATCHED_PAUSE)
        held: set[Kept] = set()

        async def hold(kept: Kept) -> None:
            held.add(kept)
            await self._keep(kept)
            held.discard(kept)

        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    group.create_task(hold(await self._new.get()))
        finally:
            if self._watches is not None:
                self._watches.close()
            self._looks.shutdown()
            for kept in held:  # what has ended by now is not taken up again by the next agent
                with contextlib.suppress(OSError):
                    kept.look()

    async def _keep(self, kept: Kept) -> None:
        """Look at it for as long as it is written to."""
        loop = asyncio.get_running_loop()
        warned = False
        while True:
            kept.woken.clear()
            over = kept.over  # before the look: what was written until then it sees
            try:
                pause = await loop.run_in_executor(self._looks, kept.look)
                if over and pause is None:
                    return
                if not over:
                    await (self._written(kept) if pause is None else _pause(kept, pause))
            except FileNotFoundError:
                return  # somebody has removed it: it may be written to, and nobody can see it
            except OSError as exc:
                if not warned:
                    _log.warning("log_not_kept", path=kept.path, error=exc.strerror)
                if over:
                    return
                warned = True
                await _pause(kept, UNWATCHED_PAUSE)

    async def _written(self, kept: Kept) -> None:
        """Wait until it is written to, or over."""
        if self._watches is None:
            return await _pause(kept, UNWATCHED_PAUSE)
        try:
            with self._watches.written(kept.path, kept.woken):
                if not kept.unchanged():  # between the look and the watch
                    return None
                await kept.woken.wait()
                kept.wake()
        except OSError as exc:
            if exc.errno != errno.ENOSPC:
                raise
            return await _pause(kept, UNWATCHED_PAUSE)
        if kept.bound is not None and not kept.over:
            await _pause(kept, LEAST_PAUSE)  # the first write says nothing of how fast others follow
        return None


async def _pause(kept: Kept, seconds: float) -> None:
    """So long, or until it is over."""
    if kept.over:
        return
    kept.woken.clear()
    try:
        async with asyncio.timeout(seconds):
            await kept.woken.wait()
    except TimeoutError:
        pass
