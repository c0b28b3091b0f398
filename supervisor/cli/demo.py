"""``supervisor demo``: the main job, shown on real processes by a private agent that leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import click

from .client import Client
from .failures import CommandError
from .group import Command
from .output import print_value
from .stop import follow

HELP = """Show a stop: three containers, of which one is graceful, one ignores SIGTERM, one leaves a child behind.

A private agent is started in a temporary directory, runs the task, stops it, prints its record, and is ended.
Needs no root and no configuration, and touches nothing else on this host.
"""

EPILOG = """\b
Example:
  supervisor demo
"""

STOP_TIMEOUT = 3
READY_TIMEOUT = 30.0
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
    directory = tempfile.mkdtemp(prefix="supervisor-demo-")
    try:
        with _agent(directory) as (pid, client):
            _show(client, pid)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


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
    left = [line for line in procinfo.tree(pid) if "sh -c" in line]
    _say("Left behind: " + (", ".join(left) or "nothing."))


def _say(text: str) -> None:
    click.echo(f"\n==> {text}\n")


@contextlib.contextmanager
def _agent(directory: str) -> Iterator[tuple[int, Client]]:
    """A private agent, ready; on the way out it is told to end, and waited for. Gives its pid and a client."""
    path = f"{directory}/supervisor.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, open(f"{directory}/agent.log", "wb") as log:
        ready.bind(f"{directory}/notify")
        ready.settimeout(READY_TIMEOUT)
        argv = [sys.executable, "-m", "supervisor", "agent", "--state-dir", f"{directory}/state", "--socket", path]
        # A session of its own: a Ctrl-C here is answered here, and the agent told in so many words.
        agent = subprocess.Popen(
            argv, stderr=log, env={**os.environ, "NOTIFY_SOCKET": f"{directory}/notify"}, start_new_session=True
        )
        try:
            _await_ready(ready, agent, f"{directory}/agent.log")
            yield agent.pid, Client(path)
        finally:
            _end(agent)


def _await_ready(ready: socket.socket, agent: subprocess.Popen[bytes], log: str) -> None:
    ready.settimeout(0.1)
    until = time.monotonic() + READY_TIMEOUT
    while time.monotonic() < until and agent.poll() is None:
        with contextlib.suppress(TimeoutError):
            if b"READY=1" in ready.recv(1024):
                return
    with open(log, errors="replace") as file:
        raise CommandError(f"cannot start a private agent; its log: {file.read()}")


def _end(agent: subprocess.Popen[bytes]) -> None:
    """SIGTERM stops what still runs within its windows; a second one cuts them short."""
    for _ in range(2):
        agent.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            agent.wait(2 * STOP_TIMEOUT)
            return
    agent.wait()
