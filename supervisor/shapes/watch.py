"""``restartPolicy`` and ``healthCheck``: ECS's bounds of what happens to a container while it runs.

The defaults are those of the records.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from supervisor import model
from supervisor.errors import ClientError

from .arns import shown
from .checks import check_text
from .containers import HealthCheck, RestartPolicy

MAX_IGNORED = 50
Bounds = dict[str, tuple[int, int]]
RESTART_BOUNDS: Bounds = {"restartAttemptPeriod": (60, 1800)}
HEALTH_BOUNDS: Bounds = {"interval": (5, 300), "timeout": (2, 60), "retries": (1, 10), "startPeriod": (0, 300)}
"""The least and the most of each number."""

_Record = TypeVar("_Record", model.RestartPolicy, model.HealthCheck)


def restart_policy(given: RestartPolicy | None, path: str) -> model.RestartPolicy | None:
    """The record; ``ClientError`` with the path for what is out of ECS's bounds."""
    if given is None:
        return None
    ignored = given.ignored_exit_codes or []
    if len(ignored) > MAX_IGNORED:
        raise ClientError(f"{path}.ignoredExitCodes: expected up to {MAX_IGNORED}, got {len(ignored)}")
    return _bounded(given, RESTART_BOUNDS, model.RestartPolicy, path)


def health_check(given: HealthCheck | None, path: str) -> model.HealthCheck | None:
    """The record, None if nothing is to be checked; ``ClientError`` with the path for what is no check."""
    if given is None or given.command == ["NONE"]:
        return None
    _check_command(given.command, f"{path}.command")
    return _bounded(given, HEALTH_BOUNDS, model.HealthCheck, path)


def _check_command(command: list[str], path: str) -> None:
    kind, arguments = (command[0], command[1:]) if command else ("", [])
    if kind == "NONE":
        raise ClientError(f"{path}: NONE stands alone; remove what follows it")
    if kind not in ("CMD", "CMD-SHELL"):
        raise ClientError(f"{path}[0]: expected CMD, CMD-SHELL or NONE, got {shown(kind)}")
    for index, argument in enumerate(arguments, 1):
        check_text(argument, f"{path}[{index}]", ClientError)
    if kind == "CMD-SHELL":
        if len(arguments) != 1:
            raise ClientError(f"{path}: expected one text for the shell after CMD-SHELL, got {len(arguments)}")
        if not arguments[0].strip():
            raise ClientError(f"{path}[1]: there is nothing to run; give the text for the shell")
    elif not arguments or not arguments[0]:
        raise ClientError(f"{path}[1]: the program's name is missing; put its path or name after CMD")


def _bounded(given: RestartPolicy | HealthCheck, bounds: Bounds, record: type[_Record], path: str) -> _Record:
    members: dict[str, Any] = msgspec.to_builtins(given)
    for name, (least, most) in bounds.items():
        if name in members and not least <= members[name] <= most:
            raise ClientError(f"{path}.{name}: expected {least} to {most}, got {members[name]}")
    return msgspec.convert(members, record)
