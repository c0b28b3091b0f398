"""Reading what containers have written to journald, with the system's own ``journalctl``.

The child connects its output to journald itself, so nothing of ours has seen it. An entry is a container's if it has
the tag, and comes from one of its runs: from the run's cgroup where it has one, or that of its pre-stop command, from
its main process, or over the same stream as something that did. Of a process that was gone before journald could ask
for its cgroup the entry has the unit that the child has named.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import functools
import os
import re
import shlex
import signal
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

import msgspec

from supervisor import wire
from supervisor.errors import ClientError
from supervisor.posix import proc, process
from supervisor.shapes import LogsAsked

Runs = Callable[[], dict[str, int | None]]
"""The ids of a container's runs, each with the pid of its main process."""

_RUN = re.compile(r"[0-9a-f]{32}|supervisor-[0-9a-f]{32}\.service")
"""A cgroup of a run, or the unit that its stream names."""
_MARGIN = 3600.0
"""Seconds by which the wall clock may have been set while the task ran, without a line of it being missed."""
_LONGEST = 1024 * 1024
"""Bytes of an entry with all its fields; journald cuts lines long before."""


class Entries:
    """Those of one container. ``span``: Unix times of its task's beginning, and of its end if that is over.

    Others may have used the tag for years; their entries need not be gone through.
    """

    def __init__(
        self, asked: LogsAsked, container: str, tag: str, runs: Runs, span: tuple[float, float | None]
    ) -> None:
        self._asked = asked
        begin, end = span
        self._since = max(begin - _MARGIN, asked.since or 0.0)
        self._until = None if end is None else end + _MARGIN
        self._container = container
        self._tag = tag
        self._runs = runs
        self._place = asked.places.get(container)
        self._streams: set[str] = set()

    def _argv(self, *, follow: bool) -> list[str]:
        argv = ["journalctl", "--output=json", "--all", "--no-pager", "--quiet"]
        if follow:
            argv += ["--follow", "--no-tail"]
        if self._place is not None:
            argv.append(f"--after-cursor={self._place}")
        else:
            argv.append(f"--since=@{self._since:.6f}")
        if self._until is not None:
            argv.append(f"--until=@{self._until:.6f}")
        return [*argv, f"SYSLOG_IDENTIFIER={self._tag}"]

    async def read(self) -> AsyncGenerator[list[dict[str, Any]], None]:
        """What there is, after what was read before."""
        most = self._asked.tail if self._place is None else None
        async with contextlib.aclosing(self._entries(follow=False)) as entries:
            if most is None:
                async for some in entries:
                    yield some
                return
            last = collections.deque[dict[str, Any]](maxlen=most)
            async for some in entries:
                last.extend(some)
        if last:
            yield list(last)

    async def follow(self, ended: asyncio.Future[None]) -> AsyncGenerator[list[dict[str, Any]], None]:
        """What there is and what comes, until ``ended`` is done."""
        if self._asked.tail is not None:
            async with contextlib.aclosing(self.read()) as last:
                async for some in last:
                    yield some
        async with contextlib.aclosing(self._entries(follow=True, ended=ended)) as entries:
            async for some in entries:
                yield some

    async def _entries(
        self, *, follow: bool, ended: asyncio.Future[None] | None = None
    ) -> AsyncGenerator[list[dict[str, Any]], None]:
        journalctl = await self._start(self._argv(follow=follow))
        assert journalctl.stdout is not None
        with _ended_by(journalctl.pid) as end:
            if ended is not None:
                ended.add_done_callback(end)
            try:
                while (text := await journalctl.stdout.readline()).endswith(b"\n"):
                    line = self._line(msgspec.json.decode(text))
                    if line is not None:
                        self._place = line["next"]
                        yield [line]
                status = await journalctl.wait()
            except ValueError as exc:  # msgspec's errors are among them
                raise self._cannot(f"it has said what is no entry: {exc}") from exc
            finally:
                if ended is not None:
                    ended.remove_done_callback(end)
                end()
                await journalctl.wait()
        if status and (ended is None or not ended.done()):
            raise self._cannot(f"it has ended with status {status}")

    async def _start(self, argv: list[str]) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                limit=_LONGEST,
                preexec_fn=functools.partial(process.die_with_parent, os.getpid()),
            )
        except OSError as exc:
            raise self._cannot(exc.strerror) from exc

    def _cannot(self, why: str | None) -> ClientError:
        command = shlex.join(["journalctl", f"SYSLOG_IDENTIFIER={self._tag}"])
        return ClientError(f"cannot read the journal: journalctl: {why}; the lines are those of: {command}")

    def _line(self, entry: dict[str, Any]) -> dict[str, Any] | None:
        """The entry as a line, if it is one of this container's."""
        stream = entry.get("_STREAM_ID")
        if stream not in self._streams:
            if not any(_is_of(entry, run, main) for run, main in self._runs().items()):
                return None
            if stream is not None:
                self._streams.add(stream)
        message = entry.get("MESSAGE")
        if isinstance(message, list):  # bytes that are not UTF-8
            message = bytes(byte for byte in message if isinstance(byte, int)).decode(errors="replace")
        at = int(entry.get("__REALTIME_TIMESTAMP", 0)) / 1e6
        return {"container": self._container, "line": message or "", "at": round(at, 3), "next": entry["__CURSOR"]}


def _is_of(entry: dict[str, Any], run: str, main: int | None) -> bool:
    """Whether the entry itself says that it is of that run. A pid says so where nothing names another run.

    A journal reaches back over many boots, and pids begin anew with each.
    """
    groups, unit = str(entry.get("_SYSTEMD_CGROUP", "")).split("/"), str(entry.get("_SYSTEMD_UNIT", ""))
    if run in groups or wire.hook_run(run) in groups or unit == wire.journal_unit(run):
        return True
    named = any(_RUN.fullmatch(name) for name in (*groups, unit))
    return main is not None and entry.get("_PID") == str(main) and not named


@contextlib.contextmanager
def _ended_by(pid: int) -> Iterator[Callable[..., None]]:
    """What ends that child of ours, if it is not over. asyncio's own way may take the exit status from its waiter."""

    def is_ours() -> bool:
        stat = proc.read_stat(pid)
        return stat is not None and stat.ppid == os.getpid()

    pidfd = process.open_if(pid, is_ours)

    def end(*_: object) -> None:
        if pidfd is not None:
            process.send(pidfd, signal.SIGTERM)

    try:
        yield end
    finally:
        if pidfd is not None:
            os.close(pidfd)
