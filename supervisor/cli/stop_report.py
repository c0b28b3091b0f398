"""``supervisor stop-report``: how a task stopped, and why it did not."""

from __future__ import annotations

import os

import click

from supervisor.config import find_socket

from .client import Client
from .group import Command
from .operations import SOCKET_HELP
from .output import print_value
from .report_text import write_report
from .sheet import page_of_stdout, print_lines
from .suggestions import tasks
from .values import Text

HELP = """Tell how TASK stopped, and what did not stop: of each container the verdict, what to do, the stop signal,
exits and SIGKILL on one line of time, the processes that were left shortly before the deadline, and the last lines of
its log.

TASK is an id or a full ARN. The report is kept as long as the task is, and can be asked for while a stop is under way.
"""

EPILOG = """\b
Example:
  supervisor stop-report --output json 1dc5c17a422b4dc49a7e6a51f5d0a0ce
"""


def command(name: str) -> click.Command:
    """The command under that name."""
    return Command(
        name,
        callback=run,
        help=HELP,
        short_help="Tell how a task stopped, and why it did not",
        epilog=EPILOG,
        params=look_params(),
    )


def look_params() -> list[click.Parameter]:
    """What both commands take that look at one task."""
    return [
        click.Argument(["task"], type=Text(), metavar="TASK", shell_complete=tasks),
        click.Option(
            ["--cluster"], type=Text(), metavar="CLUSTER", help="The task's cluster, if that is not the agent's own."
        ),
        click.Option(
            ["--output"],
            type=click.Choice(["text", "json"]),
            default="text",
            show_default=True,
            help="For people, or for programs.",
        ),
        click.Option(["--socket"], metavar="PATH", help=SOCKET_HELP),
    ]


def run(task: str, cluster: str | None, output: str, socket: str | None) -> None:
    """Print the report."""
    client = Client(socket or find_socket(os.environ, os.geteuid()))
    report = client.look("GetStopReport", "/v1/report", task=task, cluster=cluster)
    if output == "json":
        print_value(report)
    else:
        print_lines(write_report(report, page_of_stdout()))
