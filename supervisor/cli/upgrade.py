"""``supervisor upgrade``: the installed version in the place of the one that runs."""

from __future__ import annotations

import os

import click

from supervisor.config import find_socket

from .client import Client
from .failures import UpgradeFailed
from .group import Command
from .operations import SOCKET_HELP
from .output import print_line, say

HELP = """Replace the keeper and the agent that run by the version that is installed where they were started from.

Both stay the processes that they are, and the tasks run on: stops keep their deadlines, and exit codes keep coming.
Requests that come meanwhile wait a moment. The installed version is tried first; where it cannot take over, the one
that runs goes on, and the exit status is 1. Also the same version can be installed: both processes are then renewed.

The settings stay those that the supervisor was started with: for another configuration, restart it.
"""

EPILOG = """\b
Example:
  supervisor upgrade --socket /run/supervisor/supervisor.sock
"""


def command(name: str) -> click.Command:
    """The command under that name."""
    return Command(
        name,
        callback=run,
        help=HELP,
        short_help="Replace what runs by what is installed",
        epilog=EPILOG,
        params=[click.Option(["--socket"], metavar="PATH", help=SOCKET_HELP)],
    )


def run(socket: str | None) -> None:
    """Ask for the upgrade, and see that the new version serves."""
    client = Client(socket or find_socket(os.environ, os.geteuid()))
    agreed = client.begin_upgrade()
    before, after = agreed["from"]["version"], agreed["to"]
    say(f"supervisor: version {after} can take over from {before}")
    # Who answers now is the next: the one before had closed its doors when it agreed, and this waits for the new ones.
    health = client.look("GetHealth", "/v1/health")
    if "upgradeRefused" in health:
        raise UpgradeFailed(f"cannot upgrade: {health['upgradeRefused']}; version {health['version']} goes on")
    if health["version"] != after:
        raise UpgradeFailed(f"cannot upgrade: version {health['version']} answers")
    print_line(f"upgraded from {before} to {after}: keeper {health['keeperPid']}, agent {health['pid']}")
