"""From the text of an option to a value: plain text, JSON, ``file://``, and the shorthand of ``aws``."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any, Never

import click
from msgspec import inspect

from .group import nearest
from .members import Member, bare, item_type
from .suggestions import FILE, files

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

PAIR = re.compile(r"""(?P<key>[^=,\s]+)=(?P<value>"[^"]*"|'[^']*'|[^,"'\[{][^,]*|)(?:,|$)""")
"""One ``key=value`` of the shorthand; a value with a comma is quoted, one with parts inside does not match."""


def param_type(member: Member) -> click.ParamType[Any]:
    """How the text of the member's option is read. For a list, each text gives some of its items."""
    item = item_type(member.type)
    if item is not None:
        return Items(item)
    match member.type:
        case inspect.IntType():
            return click.INT
        case inspect.StructType() | inspect.DictType():
            return Structure(member.type)
    return Text()


def read_text(text: str) -> tuple[str, str]:
    """What a text or ``file://PATH`` holds, and where that is: the file's path, or nothing.

    Raises ``ValueError`` with the path and the reason.
    """
    if not text.startswith(FILE):
        return text, ""
    path = os.path.expanduser(text.removeprefix(FILE))
    try:
        with open(path, encoding="utf-8") as file:
            return file.read(), path
    except OSError as exc:
        raise ValueError(f"cannot read {path}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise ValueError(f"cannot read {path}: byte {exc.start + 1} is not UTF-8") from exc


def read_json(text: str) -> Any:
    """The JSON in a text or ``file://PATH``; ``ValueError`` with path, line and column."""
    text, path = read_text(text)
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as exc:
        place = f"{path}, line {exc.lineno}" if path else f"line {exc.lineno}"
        reason = exc.msg[:1].lower() + exc.msg[1:]
        raise ValueError(f"cannot read it as JSON: {place}, column {exc.colno}: {reason}") from exc
    except RecursionError as exc:
        raise ValueError("cannot read it as JSON: it is nested too deeply") from exc
    except ValueError as exc:
        raise ValueError(f"cannot read it as JSON: {exc}") from exc


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"{name} is no JSON number")


def is_json(text: str) -> bool:
    """Whether the text means JSON and not shorthand."""
    return text.lstrip()[:1] in ("{", "[") or text.startswith(FILE)


class Text(click.ParamType[str]):
    """Text that can be sent."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuses bytes that are not UTF-8, which the shell can pass and JSON cannot."""
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            self.fail("it is not UTF-8", param, ctx)
        return str(value)


class FromFile(click.ParamType[Any]):
    """What can be given as ``file://PATH``."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The paths."""
        return files(incomplete)


class JsonObject(FromFile):
    """A JSON object, given as text or ``file://PATH``."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        """Fails with the path and the place of what is wrong."""
        try:
            document = read_json(value)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)
        if not isinstance(document, dict):
            self.fail(f"it must be a JSON object such as {{…}}, not {json.dumps(document)[:40]}", param, ctx)
        return document


class Structure(JsonObject):
    """A JSON object, or its shorthand."""

    name = "structure"

    def __init__(self, shape: inspect.Type) -> None:
        self.shape = shape

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        """JSON where it looks like it, else shorthand."""
        if is_json(value):
            return super().convert(value, param, ctx)
        try:
            return shorthand(value, self.shape)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)


class Items(FromFile):
    """Some items of a list: one, or a JSON array of them."""

    name = "items"

    def __init__(self, item: inspect.Type) -> None:
        self.item = item

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[Any]:
        """Text items as they are; structures as JSON or shorthand."""
        structured = isinstance(self.item, inspect.StructType | inspect.DictType)
        try:
            if value.startswith((FILE, "[")) or (structured and is_json(value)):
                document = read_json(value)
                return document if isinstance(document, list) else [document]
            if structured:
                return [shorthand(value, self.item)]
        except ValueError as exc:
            self.fail(str(exc), param, ctx)
        return [Text().convert(value, param, ctx)]


def shorthand(text: str, shape: inspect.Type) -> dict[str, Any]:
    """``key=value,key=value``; ``ValueError`` for what only JSON can say."""
    types = {field.encode_name: bare(field.type) for field in getattr(shape, "fields", ())}
    result: dict[str, Any] = {}
    place = 0
    while place < len(text):
        pair = PAIR.match(text, place)
        if pair is None:
            raise ValueError(f"cannot read {text[place:][:40]!r}: it must be key=value,key=value, or JSON")
        key, value, place = pair["key"], pair["value"], pair.end()
        if types and key not in types:
            raise ValueError(f"unknown member '{key}'{nearest(key, list(types))}")
        if key in result:
            raise ValueError(f"'{key}' is given twice")
        result[key] = _scalar(key, value, types.get(key))
    return result


def _scalar(key: str, text: str, type_: inspect.Type | None) -> Any:
    if text[:1] in ("'", '"'):
        text = text[1:-1]
    match type_:
        case inspect.IntType():
            try:
                return int(text)
            except ValueError:
                raise ValueError(f"'{key}' must be an integer, not {text!r}") from None
        case inspect.BoolType():
            if text not in ("true", "false"):
                raise ValueError(f"'{key}' must be true or false, not {text!r}")
            return text == "true"
        case inspect.StrType() | None:
            return text
    raise ValueError(f"'{key}' has parts inside, which only JSON can say")
