"""``supervisor wait``: the waiters of ``aws ecs``, told by the agent instead of asking it again and again."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from supervisor.shapes import OPERATIONS

from .client import Client
from .failures import CommandError, WaiterFailed
from .group import Command, Group
from .operations import Body, OperationCommand, Run

DEFAULT_TIMEOUT = 600.0
"""Seconds; as long as the stock waiters try."""

WAITERS = {
    "tasks-running": (
        "TasksRunning",
        """Wait until all the tasks are RUNNING.

        Prints nothing. Fails with status 1 when one of them stops, is not found, or when the time is up.
        """,
    ),
    "tasks-stopped": (
        "TasksStopped",
        """Wait until all the tasks are STOPPED: every process of theirs was seen to be gone.

        Prints nothing. Fails with status 1 when one of them is not found, or when the time is up.
        """,
    ),
}


UNSUPPORTED = ("services-stable", "services-inactive")
"""Waiters of ECS that have nothing to wait for here."""


def command(name: str) -> click.Command:
    """The group of waiters under that name."""
    waiters = [_waiter(waiter) for waiter in WAITERS] + [_unsupported(waiter) for waiter in UNSUPPORTED]
    return Group(
        name,
        commands=waiters,
        help="Wait until tasks have reached a state.",
        short_help="Wait until tasks have reached a state",
    )


def _waiter(name: str) -> click.Command:
    timeout = click.Option(
        ["--timeout"],
        type=click.FloatRange(min=0, min_open=True),
        default=DEFAULT_TIMEOUT,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait.",
    )
    waiter, text = WAITERS[name]
    return OperationCommand(name, "DescribeTasks", _run(waiter), own=[timeout], without=("include",), help_text=text)


def _unsupported(name: str) -> click.Command:
    """Takes whatever ``aws`` would, and says with status 1 that there are no services."""

    def refuse(**_: Any) -> None:
        instead = "wait for tasks with 'supervisor wait tasks-running' or 'tasks-stopped'"
        raise CommandError(f"cannot wait for {name}: services are not supported in this version; {instead}")

    anything = {"ignore_unknown_options": True, "allow_extra_args": True}
    text = "Not supported: this version has no services."
    return Command(name, callback=refuse, help=text, hidden=True, context_settings=anything)


def _run(waiter: str) -> Run:
    def run(client: Client, body: Body, own: dict[str, Any]) -> None:
        try:
            msgspec.convert(body, OPERATIONS["DescribeTasks"])
        except msgspec.ValidationError as exc:
            raise click.UsageError(f"wrong input: {exc}", click.get_current_context()) from exc
        wait(client, waiter, body.get("cluster"), body["tasks"], own["timeout"])

    return run


def wait(client: Client, waiter: str, cluster: str | None, tasks: list[str], timeout: float) -> None:
    """Return when all the tasks are in the state; ``WaiterFailed`` when they cannot be, or not in time."""
    wanted = "RUNNING" if waiter == "TasksRunning" else "STOPPED"
    waiting = tasks
    try:
        for reply in client.watch(cluster, tasks, timeout):
            for failure in reply.get("failures", []):
                raise WaiterFailed(waiter, f"task {failure.get('arn')} is {failure.get('reason')}")
            waiting = [task["taskArn"] for task in reply["tasks"] if task["lastStatus"] != wanted]
            if not waiting and reply["tasks"]:
                return
            for task in reply["tasks"]:
                if task["lastStatus"] == "STOPPED" != wanted:
                    raise WaiterFailed(waiter, f"task {task['taskArn']} is STOPPED: {_why(task)}")
    except TimeoutError:
        raise WaiterFailed(waiter, f"after {timeout:g} s not yet {wanted}: {', '.join(waiting)}") from None


def _why(task: dict[str, Any]) -> str:
    return str(task.get("stoppedReason") or "no reason is recorded")
