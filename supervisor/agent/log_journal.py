"""Reading what containers have written to journald, with the system's own ``journalctl``.

The child connects its output to journald itself, so nothing of ours has seen it. An entry is a container's if it has
the tag, and comes from one of its runs: from the run's cgroup where it has one, from its main process, or over the same
stream as something that did.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import shlex
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from supervisor.errors import ClientError
from supervisor.posix import process
from supervisor.shapes import LogsAsked

Runs = Callable[[], list[tuple[str, int | None]]]
"""The ids of a container's runs, each with the pid of its main process."""

_LONGEST = 1024 * 1024
"""Bytes of an entry with all its fields; journald cuts lines long before."""


class Entries:
    """Those of one container."""

    def __init__(self, asked: LogsAsked, container: str, tag: str, runs: Runs) -> None:
        self._asked = asked
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
        elif self._asked.since is not None:
            argv.append(f"--since=@{self._asked.since:.6f}")
        return [*argv, f"SYSLOG_IDENTIFIER={self._tag}"]

    async def read(self) -> AsyncIterator[dict[str, Any]]:
        """What there is, after what was read before."""
        most = self._asked.tail if self._place is None else None
        if most is None:
            async for line in self._entries(follow=False):
                yield line
        else:
            last: list[dict[str, Any]] = []
            async for line in self._entries(follow=False):
                last = [*last, line][-most:] if most else []
                self._place = line["next"]
            for line in last:
                yield line

    async def follow(self, ended: asyncio.Future[None]) -> AsyncIterator[dict[str, Any]]:
        """What there is and what comes, until ``ended`` is done."""
        if self._asked.tail is not None:
            async for line in self.read():
                yield line
        async for line in self._entries(follow=True, ended=ended):
            yield line

    async def _entries(
        self, *, follow: bool, ended: asyncio.Future[None] | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        journalctl = await self._start(self._argv(follow=follow))
        assert journalctl.stdout is not None
        if ended is not None:
            ended.add_done_callback(lambda _: _end(journalctl))
        try:
            while (text := await journalctl.stdout.readline()).endswith(b"\n"):
                line = self._line(msgspec.json.decode(text))
                if line is not None:
                    self._place = line["next"]
                    yield line
        except ValueError as exc:  # msgspec's errors are among them
            raise self._cannot(f"it has said what is no entry: {exc}") from exc
        finally:
            _end(journalctl)
            await journalctl.wait()
        if journalctl.returncode and (ended is None or not ended.done()):
            raise self._cannot(f"it has ended with status {journalctl.returncode}")

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
        command = shlex.join(self._argv(follow=False))
        return ClientError(f"cannot read the journal with journalctl: {why}; the command is '{command}'")

    def _line(self, entry: dict[str, Any]) -> dict[str, Any] | None:
        """The entry as a line, if it is one of this container's."""
        stream = entry.get("_STREAM_ID")
        if stream not in self._streams:
            group, pid = str(entry.get("_SYSTEMD_CGROUP", "")).split("/"), str(entry.get("_PID"))
            if not any(run in group or pid == str(main) for run, main in self._runs()):
                return None
            if stream is not None:
                self._streams.add(stream)
        message = entry.get("MESSAGE")
        if isinstance(message, list):  # bytes that are not UTF-8
            message = bytes(byte for byte in message if isinstance(byte, int)).decode(errors="replace")
        at = int(entry.get("__REALTIME_TIMESTAMP", 0)) / 1e6
        return {"container": self._container, "line": message or "", "at": round(at, 3), "next": entry["__CURSOR"]}


def _end(journalctl: asyncio.subprocess.Process) -> None:
    if journalctl.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            journalctl.terminate()
