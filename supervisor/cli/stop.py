"""``supervisor stop-task``: the operation, and ``--wait`` to see it through."""

from __future__ import annotations

import time
from typing import Any

import click

from .client import Client
from .failures import CommandError
from .operations import Body, OperationCommand
from .output import say
from .progress import StopProgress
from .views import View, shown

INTERRUPTED = 130

STOP_TIMEOUT = "x-supervisor-stop-timeout"
"""The header that says what ECS has no member for: the seconds of this stop."""


def command(name: str) -> click.Command:
    """The command under that name."""
    wait = click.Option(
        ["--wait"],
        is_flag=True,
        help="Show on stderr how the containers stop, and print the record when the task is STOPPED.",
    )
    timeout = click.Option(
        ["--timeout"],
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        help="The time between the stop signal and SIGKILL for this stop, in place of each container's own. "
        "Of a stop that is under way it can only bring the end forward, to so many seconds from now.",
    )
    force = click.Option(
        ["--force"],
        is_flag=True,
        help="No more time: SIGKILL at once, also where a stop is under way. The same as --timeout 0.",
    )
    return OperationCommand(name, "StopTask", stop, own=[wait, timeout, force])


def stop(client: Client, body: Body, own: dict[str, Any]) -> Body:
    """Ask for the stop; the reply at once, or with ``--wait`` the record when it is over."""
    asked_at = time.monotonic()
    reply = client.call("StopTask", body, **_headers(own["timeout"], force=own["force"]))
    if own["wait"]:
        reply = {"task": follow(client, body.get("cluster"), reply["task"], asked_at)}
    return reply


def _headers(timeout: float | None, *, force: bool) -> dict[str, str]:
    """What the request says beside its body."""
    if force and timeout is not None:
        raise click.UsageError("'--force' is '--timeout 0': give one of the two", click.get_current_context())
    seconds = 0.0 if force else timeout
    return {} if seconds is None else {STOP_TIMEOUT: f"{seconds:.3f}"}


def follow(client: Client, cluster: str | None, task: dict[str, Any], asked_at: float) -> dict[str, Any]:
    """Show the stop until the task is STOPPED; its last record. Ctrl-C ends the showing, not the stop."""
    progress = StopProgress(task, asked_at)
    arn = task["taskArn"]
    try:
        with shown(progress) as view:
            view.refresh()
            if not progress.done:
                _watch(client, cluster, arn, progress, view)
    except KeyboardInterrupt:
        options = f"--cluster {cluster} --tasks {arn}" if cluster else f"--tasks {arn}"
        say(f"supervisor: the stop goes on; 'supervisor wait tasks-stopped {options}' waits for its end")
        raise click.exceptions.Exit(INTERRUPTED) from None
    return progress.task


def _watch(client: Client, cluster: str | None, arn: str, progress: StopProgress, view: View) -> None:
    """Feed the stream to the progress until the task is STOPPED."""
    for reply in client.watch(cluster, [arn]):
        if not reply["tasks"]:
            raise CommandError(f"cannot follow the stop of {arn}: the agent no longer has a record of it")
        windows, waiting = reply.get("windows", []), reply.get("waiting", [])
        progress.take(reply["tasks"][0], windows, time.monotonic(), waiting)
        view.refresh()
        if progress.done:
            return
