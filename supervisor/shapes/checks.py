"""Checks of values that several requests carry: arguments, environments, tags, sizes.

Each takes the member's path, for the text, and the class of error that its operation answers with
(``ClientError`` at registration, ``InvalidParameterError`` elsewhere).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from supervisor.errors import ClientError
from supervisor.model import KeyValuePair, Tag

from . import parts
from .arns import shown

RESERVED_VARIABLES = "SUPERVISOR_"
"""Environment variables of this prefix are set by the agent: they mark whose process it is."""

MAX_TAGS = 50
CPU = re.compile(r"\d{1,9}|\d{1,5}(\.\d{1,3})? ?vCPU", re.IGNORECASE | re.ASCII)
"""``cpu`` of a task: CPU units, or vCPUs."""

MEMORY = re.compile(r"\d{1,9}|\d{1,5}(\.\d{1,3})? ?GB", re.IGNORECASE | re.ASCII)
"""``memory`` of a task: MiB, or GB."""


def says_something(value: Any) -> bool:
    """Whether a member asks for anything: absent, false and empty ones do not. Zero does: it can be a limit."""
    return value is not None and value is not False and value not in ("", [], {})


def check_text(text: str, path: str, error: type[ClientError]) -> None:
    """No NUL: the kernel would take it for the end of the text."""
    if "\0" in text:
        raise error(f"{path}: contains a NUL character, which cannot be given to a process; remove it")


def check_arguments(arguments: list[str] | None, path: str, error: type[ClientError]) -> tuple[str, ...]:
    """Of ``entryPoint`` or ``command``: arguments without NUL; absent is empty."""
    for index, argument in enumerate(arguments or ()):
        check_text(argument, f"{path}[{index}]", error)
    return tuple(arguments or ())


def check_environment(
    variables: list[parts.KeyValuePair] | None, path: str, error: type[ClientError]
) -> tuple[KeyValuePair, ...]:
    """Names that can be set, without NUL, and none that is the agent's own; an absent value is empty."""
    pairs = []
    for index, variable in enumerate(variables or ()):
        here = f"{path}[{index}]"
        name, value = variable.name or "", variable.value or ""
        check_variable_name(name, f"{here}.name", error)
        check_text(value, f"{here}.value", error)
        pairs.append(KeyValuePair(name=name, value=value))
    return tuple(pairs)


def check_variable_name(name: str, path: str, error: type[ClientError]) -> None:
    """A name that can be set, and is not the agent's own."""
    if not name:
        raise error(f"{path}: a variable must have a name")
    if "=" in name:
        raise error(f"{path}: {shown(name)} contains '=', which ends the name of a variable; remove it")
    if name.startswith(RESERVED_VARIABLES):
        raise error(f"{path}: {RESERVED_VARIABLES}* is set by the agent; rename {shown(name)}")
    check_text(name, path, error)


def check_tags(tags: list[parts.Tag] | None, error: type[ClientError]) -> tuple[Tag, ...]:
    """Up to 50, keys of 1 to 128 characters, each once, values of up to 256, no ``aws:`` keys (the ECS model)."""
    if len(tags or ()) > MAX_TAGS:
        raise error(f"tags: expected up to {MAX_TAGS}, got {len(tags or ())}")
    found: dict[str, str] = {}
    for index, tag in enumerate(tags or ()):
        key, value = tag.key or "", tag.value or ""
        if not 1 <= len(key) <= 128:
            raise error(f"tags[{index}].key: expected 1 to 128 characters, got {len(key)}")
        if key in found:
            raise error(f"tags[{index}].key: {shown(key)} is there twice; remove one")
        if key.lower().startswith("aws:"):
            raise error(f"tags[{index}].key: {shown(key)} begins with 'aws:', which is reserved; rename it")
        if len(value) > 256:
            raise error(f"tags[{index}].value: expected up to 256 characters, got {len(value)}")
        _check_tag_characters(key, f"tags[{index}].key", error)
        _check_tag_characters(value, f"tags[{index}].value", error)
        found[key] = value
    return tuple(Tag(key=key, value=value) for key, value in found.items())


def _check_tag_characters(text: str, path: str, error: type[ClientError]) -> None:
    for character in text:
        if unicodedata.category(character)[0] not in "LZN" and character not in "_.:/=+-@":
            raise error(f"{path}: {shown(character)} is not allowed; use letters, digits, spaces and _.:/=+-@")


def check_task_size(cpu: str | None, memory: str | None, prefix: str, error: type[ClientError]) -> None:
    """``cpu`` and ``memory`` of a whole task, which ECS writes as strings."""
    if cpu is not None and not (CPU.fullmatch(cpu) and cpu_units(cpu)):
        raise error(f"{prefix}cpu: expected CPU units ('512') or vCPUs ('0.5 vCPU'), got {shown(cpu)}")
    if memory is not None and not (MEMORY.fullmatch(memory) and mebibytes(memory)):
        raise error(f"{prefix}memory: expected MiB ('1024') or GB ('1 GB'), got {shown(memory)}")


def cpu_units(text: str) -> int:
    """CPU units, 1024 a core, of a ``cpu`` that `check_task_size` has passed."""
    number, vcpu, _ = text.lower().partition("vcpu")
    return round(float(number) * 1024) if vcpu else int(number)


def mebibytes(text: str) -> int:
    """MiB of a ``memory`` that `check_task_size` has passed."""
    number, gigabytes, _ = text.lower().partition("gb")
    return round(float(number) * 1024) if gigabytes else int(number)


def check_container_size(
    cpu: int | None, memory: int | None, reservation: int | None, path: str, error: type[ClientError]
) -> None:
    """``cpu``, ``memory`` and ``memoryReservation`` of a container or its override."""
    if cpu is not None and cpu < 0:
        raise error(f"{path}.cpu: expected 0 or more, got {cpu}")
    for member, value in (("memory", memory), ("memoryReservation", reservation)):
        if value is not None and value < 1:
            raise error(f"{path}.{member}: expected 1 or more MiB, got {value}")
    if memory is not None and reservation is not None and reservation > memory:
        raise error(f"{path}.memoryReservation: {reservation} MiB are more than memory, {memory} MiB; lower it")
