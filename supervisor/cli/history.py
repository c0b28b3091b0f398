"""``supervisor history``: every run of a task's containers."""

from __future__ import annotations

import os
from typing import Any

import click

from supervisor.config import find_socket

from .client import Client
from .formats import one_line
from .group import Command
from .output import print_value
from .report_text import utc
from .sheet import Line, Page, page_of_stdout, print_lines, wrapped
from .stop_report import look_params

HELP = """Print every run of each container of TASK: when it was started, how long it lasted, how it ended, and why.

TASK is an id or a full ARN. A container that is restarted has several runs.
"""

EPILOG = """\b
Example:
  supervisor history --output json 1dc5c17a422b4dc49a7e6a51f5d0a0ce
"""

TITLES = ("CONTAINER", "RUN", "STARTED", "LASTED", "EXIT")
REASON = "REASON"
LEAST_REASON = 24
"""Columns below which a reason does not stand beside the rest, but under it."""


def command(name: str) -> click.Command:
    """The command under that name."""
    return Command(
        name,
        callback=run,
        help=HELP,
        short_help="Print every run of a task's containers",
        epilog=EPILOG,
        params=look_params(),
    )


def run(task: str, cluster: str | None, output: str, socket: str | None) -> None:
    """Print the runs."""
    client = Client(socket or find_socket(os.environ, os.geteuid()))
    history = client.look("GetHistory", "/v1/history", task=task, cluster=cluster)
    if output == "json":
        print_value(history)
    else:
        print_lines(write_history(history, page_of_stdout()))


def write_history(history: dict[str, Any], page: Page) -> list[Line]:
    """A table; where it is too narrow for that, reasons stand below, and dates and names of signals are left out."""
    runs = history["runs"]
    if not runs:
        return wrapped("no container of this task was ever started", page)
    rows = [_fields(one, dated=True) for one in runs]
    if _width([TITLES, *rows]) > page.width:
        rows = [_fields(one, dated=False) for one in runs]
    widths = [max(map(len, column)) for column in zip(TITLES, *rows, strict=True)]
    beside = page.width - _width([TITLES, *rows]) - 2 >= LEAST_REASON
    title = _row(TITLES, widths)
    lines = [Line(f"{title}  {REASON}" if beside else title.rstrip(), "bold")]
    for one, fields in zip(runs, rows, strict=True):
        first, style, reason = _row(fields, widths), "red" if one["killed"] else "", one.get("reason", "")
        if not reason:
            lines.append(Line(first.rstrip(), style))
        elif beside:
            lines += wrapped(reason, page, f"{first}  ", " " * (len(first) + 2), style)
        else:
            lines += [Line(first.rstrip(), style), *wrapped(reason, page, "  ", style=style)]
    return lines


def _fields(run: dict[str, Any], *, dated: bool) -> tuple[str, ...]:
    """Those of one run; the dates of starts and the names of signals can be left out."""
    started = utc(run["startedAt"])[0 if dated else 11 :] if "startedAt" in run else "-"
    lasted = f"{run['seconds']:.1f} s" if "seconds" in run else "-"
    return one_line(run["container"]), str(run["number"]), started, lasted, _exit(run, named=dated)


def _exit(run: dict[str, Any], *, named: bool) -> str:
    if run["running"]:
        return "running"
    if named and "signal" in run:
        return f"{run['exitCode']} {run['signal']}"
    return str(run.get("exitCode", "-"))


def _width(rows: list[tuple[str, ...]]) -> int:
    """Columns that they take with two between each."""
    return sum(max(map(len, column)) + 2 for column in zip(*rows, strict=True)) - 2


def _row(fields: tuple[str, ...], widths: list[int]) -> str:
    return "  ".join(field.ljust(width) for field, width in zip(fields, widths, strict=True))
