"""What could stand at a place of the command line: files, and what the agent knows. Quick, and silent if it fails."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from supervisor.config import find_socket

from .client import Client
from .failures import CommandError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

FILE = "file://"
PATIENCE = 0.5
"""Seconds that the agent has for all that is asked of it: somebody sits there and waits."""
MOST = 100
"""Tasks that are described at once."""

Body = dict[str, Any]


def socket_of(ctx: click.Context) -> str:
    """The agent's socket as the line so far, or the environment, has it."""
    return ctx.params.get("socket") or find_socket(os.environ, os.geteuid())


def files(incomplete: str) -> list[CompletionItem]:
    """``file://`` and the paths behind it; directories end in a slash."""
    from click.shell_completion import CompletionItem

    if not incomplete.startswith(FILE):
        return [CompletionItem(FILE)] if FILE.startswith(incomplete) else []
    directory, _, name = incomplete.removeprefix(FILE).rpartition("/")
    shown = incomplete[: len(incomplete) - len(name)]
    try:
        with os.scandir(os.path.expanduser(directory) or ("/" if shown != FILE else ".")) as entries:
            found = sorted(entry.name + "/" * entry.is_dir() for entry in entries if entry.name.startswith(name))
    except OSError:
        return []
    return [CompletionItem(shown + one) for one in found if name or not one.startswith(".")]


class _Asking:
    """Requests that share one patience."""

    def __init__(self, ctx: click.Context) -> None:
        self._path = socket_of(ctx)
        self._until = time.monotonic() + PATIENCE

    def __call__(self, operation: str, **body: Any) -> Body:
        """The reply; empty where there is none in time."""
        left = self._until - time.monotonic()
        if left <= 0:
            return {}
        try:
            return Client(self._path, timeout=left).call(operation, body)
        except CommandError:
            return {}


def tasks(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Ids of tasks, or their ARNs where one was begun; to be stopped, only those that are not STOPPED."""
    from click.shell_completion import CompletionItem

    ask = _Asking(ctx)
    arns = [
        arn for wanted in ("RUNNING", "STOPPED") for arn in ask("ListTasks", desiredStatus=wanted).get("taskArns", [])
    ]
    described = ask("DescribeTasks", tasks=arns[:MOST]).get("tasks", []) if arns else []
    to_stop = getattr(ctx.command, "operation", "") == "StopTask"
    found = []
    for task in described:
        arn: str = task["taskArn"]
        value = arn if incomplete.startswith("arn") else arn.rpartition("/")[2]
        if value.startswith(incomplete) and not (to_stop and task["lastStatus"] == "STOPPED"):
            definition = task["taskDefinitionArn"].rpartition("/")[2]
            found.append(CompletionItem(value, help=f"{definition} {task['lastStatus']}"))
    return found


def families(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Families of task definitions."""
    body = {"familyPrefix": incomplete} if incomplete else {}
    found: list[str] = _Asking(ctx)("ListTaskDefinitionFamilies", **body).get("families", [])
    return [family for family in found if family.startswith(incomplete)]


def definitions(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Families, and behind a family's colon its revisions, the newest first."""
    family, colon, _ = incomplete.partition(":")
    if not colon:
        return families(ctx, param, incomplete)
    arns = _Asking(ctx)("ListTaskDefinitions", familyPrefix=family, sort="DESC").get("taskDefinitionArns", [])
    names = [arn.rpartition("/")[2] for arn in arns]
    return [name for name in names if name.startswith(incomplete)]


Suggest = Callable[[click.Context, click.Parameter, str], Any]

OF_MEMBERS: dict[str, Suggest] = {
    "task": tasks,
    "tasks": tasks,
    "taskDefinition": definitions,
    "taskDefinitions": definitions,
    "family": families,
    "familyPrefix": families,
}
"""By the member of an operation's input; an option of another member has no suggestions, or its type's."""
