"""A reply as text in each of the formats of ``aws``. ``json`` and ``text`` are its bytes; ``table`` is drawn by rich.

What a format needs is imported when it is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rich.console import RenderableType

UNBOUNDED = 10_000
"""Columns of a table that is not drawn on a terminal: nothing is wrapped there."""


class Page(NamedTuple):
    """What is known about where the text goes."""

    title: str
    """The operation."""
    ascii_only: bool
    width: int | None
    """Columns of the terminal; None where there is none."""


def as_json(value: Any, page: Page) -> str:
    """Indented by four and not escaped; nothing at all for a reply without members."""
    return "" if value == {} else json.dumps(value, indent=4, ensure_ascii=page.ascii_only) + "\n"


def as_text(value: Any, page: Page) -> str:
    """Lines of fields between tabs, for ``cut`` and ``awk``; structures inside begin with their name in upper case."""
    return "".join(f"{line}\n" for line in _lines(value, None, None))


def as_yaml(value: Any, page: Page) -> str:
    """YAML in block style, in the order of the reply."""
    import yaml

    if not isinstance(value, dict | list):
        return as_json(value, page)
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=not page.ascii_only, width=UNBOUNDED)


def as_table(value: Any, page: Page) -> str:
    """Boxes for people: a list of flat structures has a row for each, a structure alone one for each member."""
    from rich.console import Console, Group

    if not value:
        return ""
    width = page.width or UNBOUNDED
    console = Console(width=width, force_terminal=page.width is not None, highlight=False, soft_wrap=False)
    with console.capture() as capture:
        console.print(Group(*_sections(page.title, value, 0, page)))
    return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines() if line.strip())


FORMATS: dict[str, Callable[[Any, Page], str]] = {"json": as_json, "yaml": as_yaml, "text": as_text, "table": as_table}


def one_line(text: str) -> str:
    """The text with every line break and control character made a space: it stays one line."""
    return "".join(char if char.isprintable() else " " for char in text).strip()


def _scalar(value: Any) -> bool:
    return not isinstance(value, dict | list)


def _lines(value: Any, name: str | None, columns: list[str] | None) -> Iterator[str]:
    """The lines of a value; ``columns``: the members of which every structure of a list has a field, if empty."""
    match value:
        case dict():
            yield from _lines_of_structure(value, name, columns)
        case list() if any(isinstance(item, dict) for item in value):
            columns = _columns(value)
            for item in value:
                yield from _lines(item, name, columns)
        case list():
            fields = [str(item) for item in value if _scalar(item)]
            if name is not None:
                yield from (f"{name.upper()}\t{field}" for field in fields)
            elif fields:
                yield "\t".join(fields)
            for item in value:
                if isinstance(item, list):
                    yield from _lines(item, name, None)
        case _:
            yield str(value)


def _lines_of_structure(value: dict[str, Any], name: str | None, columns: list[str] | None) -> Iterator[str]:
    if columns is None:
        columns = _columns([value])
    if columns:
        yield "\t".join(([] if name is None else [name.upper()]) + [str(value.get(key, "")) for key in columns])
    for key in sorted(value.keys() - set(columns)):
        yield from _lines(value[key], key, None)


def _columns(items: list[Any]) -> list[str]:
    """The members that are a plain value in one of the structures at least, in alphabetical order."""
    return sorted({key for item in items if isinstance(item, dict) for key, part in item.items() if _scalar(part)})


def _sections(title: str, value: Any, depth: int, page: Page) -> Iterator[RenderableType]:
    """The boxes of a value, each further to the right than what it is a part of."""
    match value:
        case dict():
            plain = [[key, value[key]] for key in value if _scalar(value[key])]
            if plain:
                yield _box(title, [], plain, depth, page)
            for key, part in value.items():
                if not _scalar(part) and part:
                    yield from _sections(key, part, depth + bool(plain), page)
        case list() if value and all(isinstance(item, dict) for item in value):
            if len(value) == 1 or any(part and not _scalar(part) for item in value for part in item.values()):
                for item in value:
                    yield from _sections(title, item, depth, page)
            else:
                columns = list(dict.fromkeys(key for item in value for key, part in item.items() if _scalar(part)))
                yield _box(title, columns, [[item.get(key, "") for key in columns] for item in value], depth, page)
        case list():
            rows = [item if isinstance(item, list) else [item] for item in value]
            if all(_scalar(field) for row in rows for field in row):
                yield _box(title, [], rows, depth, page)
            else:
                for row in rows:
                    for item in row:
                        yield from _sections(title, item, depth, page)
        case _:
            yield _box(title, [], [[value]], depth, page)


def _box(title: str, columns: list[str], rows: list[list[Any]], depth: int, page: Page) -> RenderableType:
    from rich import box
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.ASCII if page.ascii_only else box.SQUARE, show_header=bool(columns))
    for index in range(max(map(len, rows), default=0)):
        table.add_column(Text(columns[index]) if columns else "", overflow="fold")
    for row in rows:
        table.add_row(*(Text(one_line(str(field))) for field in row))
    return Padding(Group(Text(title, style="bold"), table), (0, 0, 0, 2 * depth), expand=False)
