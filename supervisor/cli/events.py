"""``supervisor events``: the journal, a line of JSON for each event."""

from __future__ import annotations

import json
import os

import click

from supervisor.config import find_socket

from .client import Client
from .group import Command
from .operations import SOCKET_HELP
from .output import print_line
from .values import Text

HELP = """Print the journal of events: what happened to each task, one line of JSON for each change.

The events are those of ECS (`ECS Task State Change`), and `seq` is their number here. An event can come twice: the
same task and `detail.version` are the same event.
"""

EPILOG = """\b
Example:
  supervisor events --follow --since 2026-01-31T12:00:00Z
"""


def command(name: str) -> click.Command:
    """The command under that name."""
    return Command(
        name,
        callback=run,
        help=HELP,
        short_help="Print the journal of events",
        epilog=EPILOG,
        params=[
            click.Option(["--follow"], is_flag=True, help="Go on with what is yet to come, until interrupted."),
            click.Option(["--after"], type=Text(), metavar="SEQ", help="Only events after the one of that number."),
            click.Option(
                ["--since"], type=Text(), metavar="TIME", help="Only events from then on: ISO 8601, or Unix time."
            ),
            click.Option(
                ["--task"], type=Text(), metavar="TASK", help="Only events of this task: its id or its full ARN."
            ),
            click.Option(["--socket"], metavar="PATH", help=SOCKET_HELP),
        ],
    )


def run(follow: bool, after: str | None, since: str | None, task: str | None, socket: str | None) -> None:
    """Print what there is; with ``follow`` also what comes."""
    if after is not None and since is not None:
        raise click.UsageError("'--after' and '--since' both say where to begin; give one", click.get_current_context())
    query = {name: text for name, text in (("after", after), ("since", since), ("task", task)) if text is not None}
    client = Client(socket or find_socket(os.environ, os.geteuid()))
    for event in client.events(follow=follow, **query):
        print_line(json.dumps(event))
