"""``supervisor logs``: what the containers of a task have written."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from typing import Any

import click

from supervisor import shapes
from supervisor.config import find_socket
from supervisor.errors import InvalidParameterError

from .client import Client
from .group import Command
from .operations import SOCKET_HELP
from .output import print_bytes
from .suggestions import tasks
from .values import Text

HELP = """Print what the containers of a task have written to standard output and standard error.

All runs of a container are there, one after the other. Where there are several containers, each line begins with the
container's name, and the order of lines of different containers is that of their times, to the second.
"""

EPILOG = """\b
Example:
  supervisor logs --follow --since 10m --tail 100 0123456789abcdef0123456789abcdef
"""

_DURATION = re.compile(r"(?=.)(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9}(?:\.\d{1,9})?)s)?")
_SECONDS = (86400, 3600, 60, 1)


def command(name: str) -> click.Command:
    """The command under that name."""
    return Command(
        name,
        callback=run,
        help=HELP,
        short_help="Print what the containers of a task have written",
        epilog=EPILOG,
        params=[
            click.Argument(["task"], type=Text(), metavar="TASK", shell_complete=tasks),
            click.Option(
                ["--cluster"],
                type=Text(),
                metavar="CLUSTER",
                help="The task's cluster, if that is not the agent's own.",
            ),
            click.Option(
                ["--container", "containers"],
                type=Text(),
                multiple=True,
                metavar="NAME",
                help="Only of this one. Can be repeated.",
            ),
            click.Option(["-f", "--follow"], is_flag=True, help="Go on with what comes, until the task is STOPPED."),
            click.Option(
                ["--since"],
                type=Since(),
                metavar="TIME",
                help="Only what was written from then on, to the second: ISO 8601, Unix time, or a duration as 1h30m.",
            ),
            click.Option(
                ["--tail"], type=click.IntRange(0, 10**9), metavar="N", help="Only the last N lines of each container."
            ),
            click.Option(["--socket"], metavar="PATH", help=SOCKET_HELP),
        ],
    )


def run(
    *,
    task: str,
    cluster: str | None,
    containers: tuple[str, ...],
    follow: bool,
    since: str | None,
    tail: int | None,
    socket: str | None,
) -> None:
    """Print what there is; with ``follow`` also what comes."""
    given = {
        "cluster": cluster,
        "tail": None if tail is None else str(tail),
        "since": since,
    }
    query = [("task", task), *(("container", name) for name in containers)]
    query += [(name, text) for name, text in given.items() if text is not None]
    client = Client(socket or find_socket(os.environ, os.geteuid()))
    show: Callable[[dict[str, Any]], bytes] = _plain
    for told in client.logs(query, follow=follow):
        if "containers" in told:
            show = _Named().show if len(told["containers"]) > 1 else _plain
        else:
            print_bytes(show(told))


def point_in_time(text: str, now: float) -> str:
    """The time, or so long ago if it is a duration: one instant, also when the stream is opened anew.

    ``ValueError`` for what is neither.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        try:
            shapes.parse_since(text)
        except InvalidParameterError:
            raise ValueError(
                f"{text!r} is no time as 2026-01-31T12:00:00Z, no Unix time, no duration as 1h30m"
            ) from None
        return text
    ago = sum(float(part) * seconds for part, seconds in zip(found.groups(), _SECONDS, strict=True) if part)
    return f"{now - ago:.3f}"


class Since(click.ParamType[str]):
    """A time, or how long ago it was."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The time as the agent reads it."""
        try:
            return point_in_time(value, time.time())
        except ValueError as exc:
            self.fail(str(exc), param, ctx)


def _plain(told: dict[str, Any]) -> bytes:
    """The line as it was written; one that is very long comes in parts."""
    end = "" if told.get("partial") else "\n"
    return f"{told['line']}{end}".encode()


class _Named:
    """Lines with the name of their container. Parts of a long one may be apart, and are then lines of their own."""

    def __init__(self) -> None:
        self._within: str | None = None

    def show(self, told: dict[str, Any]) -> bytes:
        name = told["container"]
        goes_on = self._within == name
        cut = b"" if goes_on or self._within is None else b"\n"
        self._within = name if told.get("partial") else None
        return cut + (b"" if goes_on else f"{name} | ".encode()) + _plain(told)
