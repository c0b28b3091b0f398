"""Files of the tasks that the configuration asks for. What is wrong with one is told with file, member and reason."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import msgspec

from supervisor import config, shapes
from supervisor.errors import ClientError, ConfigError
from supervisor.log import get_logger
from supervisor.shapes import requests

KEPT = "tasks_dir/"
ESSENTIAL = "task/"
"""What ``startedBy`` begins with."""

ENDINGS = (".json", ".toml")

_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")

_log = get_logger("agent")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What every agent of one life of the supervisor is told."""

    life: str
    """The same for all of them, and for no others."""
    task_files: tuple[str, ...] = ()
    """Of ``--task``."""


def essential_files(paths: tuple[str, ...]) -> dict[str, str]:
    """By ``startedBy``; ``ConfigError`` for two of one name."""
    files: dict[str, str] = {}
    for path in paths:
        started_by = ESSENTIAL + _name_of(path)
        if started_by in files:
            raise ConfigError(f"cannot use {path} beside {files[started_by]}: rename one, their tasks are told by it")
        files[started_by] = path
    return files


def files_of(tasks_dir: str) -> Iterator[tuple[str, str]]:
    """Of that directory, by ``startedBy``; hidden ones and those of other endings are none."""
    try:
        names = sorted(os.listdir(tasks_dir))
    except FileNotFoundError:
        return
    except OSError as exc:
        _log.error("tasks_dir_not_read", tasks_dir=tasks_dir, error=exc.strerror)
        return
    seen: dict[str, str] = {}
    for name in names:
        if not name.endswith(ENDINGS) or name.startswith("."):
            continue
        path = f"{tasks_dir}/{name}"
        started_by = KEPT + _name_of(name)
        if started_by in seen:
            _log.error("task_file_refused", file=path, error=f"cannot use {path}: {seen[started_by]} has its name")
            continue
        seen[started_by] = path
        yield started_by, path


def read_definition(started_by: str, path: str) -> requests.RegisterTaskDefinition:
    """What the file asks to register. ``ConfigError`` names the file, the member and the reason."""
    if not _NAME.fullmatch(started_by.partition("/")[2]):
        raise ConfigError(f"cannot use {path}: name it with letters, digits, - and _ alone, and up to 100 of them")
    try:
        body = msgspec.json.encode(config.read_toml(path)) if path.endswith(".toml") else _read(path)
        request = shapes.parse_request("RegisterTaskDefinition", body)
    except ClientError as exc:
        raise ConfigError(f"cannot use {path}: {exc}") from None
    assert isinstance(request, requests.RegisterTaskDefinition)
    return request


def _name_of(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as exc:
        raise ConfigError(f"cannot read {path}: {exc.strerror}") from None
