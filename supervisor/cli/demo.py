"""``supervisor demo``: the main job, shown on real processes by a private agent that leaves nothing behind."""

from __future__ import annotations

import time
from typing import Any

import click

from .client import Client
from .group import Command
from .output import print_value
from .private import private_agent
from .report_text import write_report
from .sheet import page_of_stdout, print_lines
from .stop import follow

HELP = """Show a stop: three containers, of which one is graceful, one ignores SIGTERM, one leaves a child behind.

A private agent is started in a temporary directory, runs the task, stops it, prints its record and the report of the
stop, and is ended.
Needs no root and no configuration, and touches nothing else on this host.
"""

EPILOG = """\b
Example:
  supervisor demo
"""

STOP_TIMEOUT = 3
COLUMNS = 110

DEFINITION: dict[str, Any] = {
    "family": "demo",
    "containerDefinitions": [
        {
            "name": "graceful",
            "command": ["sh", "-c", "trap 'sleep 1; exit 0' TERM; while :; do sleep 0.1; done # finishes its work"],
            "stopTimeout": STOP_TIMEOUT,
        },
        {
            "name": "stubborn",
            "essential": False,
            "command": ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done # ignores SIGTERM"],
            "stopTimeout": STOP_TIMEOUT,
        },
        {
            "name": "parent",
            "essential": False,
            "command": [
                "sh",
                "-c",
                "(trap '' TERM; sleep 1000) & trap 'exit 0' TERM; while :; do sleep 0.1; done # leaves a child",
            ],
            "stopTimeout": STOP_TIMEOUT,
        },
    ],
}


def command(name: str) -> click.Command:
    """The command under that name."""
    return Command(name, callback=run, help=HELP, epilog=EPILOG, short_help="Show a stop on real processes")


def run() -> None:
    """Run, stop, record: each step is said before it is done."""
    with private_agent() as agent:
        _show(agent.client, agent.pid)


def _show(client: Client, pid: int) -> None:
    from supervisor import procinfo

    _say(f"A task of three containers, each with {STOP_TIMEOUT} s between SIGTERM and SIGKILL:")
    client.call("RegisterTaskDefinition", DEFINITION)
    task = client.call("RunTask", {"taskDefinition": "demo", "startedBy": "demo"})["tasks"][0]
    for reply in client.watch(None, [task["taskArn"]]):
        if reply["tasks"][0]["lastStatus"] != "PENDING":
            break
    for line in procinfo.tree(pid):
        click.echo(line if len(line) <= COLUMNS else line[: COLUMNS - 1] + "…")
    _say(f"supervisor stop-task --task {task['taskArn'].rpartition('/')[2]} --reason 'end of the demo' --wait")
    asked_at = time.monotonic()
    reply = client.call("StopTask", {"task": task["taskArn"], "reason": "end of the demo"})
    record = follow(client, None, reply["task"], asked_at)
    _say("The record:")
    print_value({"task": record})
    _say(f"supervisor stop-report {task['taskArn'].rpartition('/')[2]}")
    print_lines(write_report(client.look("GetStopReport", "/v1/report", task=task["taskArn"]), page_of_stdout()))
    left = [line for line in procinfo.tree(pid) if "sh -c" in line]
    _say("Left behind: " + (", ".join(left) or "nothing."))


def _say(text: str) -> None:
    click.echo(f"\n==> {text}\n")
