"""Text for people: lines with a style each, made for a width, printed plainly or, on a terminal, in colour."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import NamedTuple

from .formats import one_line
from .output import print_text

NARROWEST = 20
"""Columns that every text gets, however narrow the terminal is."""


class Line(NamedTuple):
    """A line of text. ``style``: rich's name for how it looks on a terminal that has colours."""

    text: str
    style: str = ""


class Glyphs(NamedTuple):
    """The characters that are drawn with."""

    last: str
    branch: str
    through: str
    bar: str
    rest: str
    rule: str


DRAWN = Glyphs("└─ ", "├─ ", "│  ", "━", "╌", "─")
ASCII = Glyphs("`- ", "|- ", "|  ", "=", ".", "-")


class Page(NamedTuple):
    """What is drawn on."""

    width: int
    glyphs: Glyphs = DRAWN


def page_of_stdout() -> Page:
    """As wide as the terminal, else as ``COLUMNS`` says, else 80; drawn with what its encoding has."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        "".join(DRAWN).encode(encoding)
        glyphs = DRAWN
    except UnicodeEncodeError:
        glyphs = ASCII
    return Page(max(shutil.get_terminal_size().columns, NARROWEST), glyphs)


def wrapped(text: str, page: Page, first: str = "", rest: str | None = None, style: str = "") -> list[Line]:
    """The text on as many lines as it needs, without control characters; ``first`` and ``rest`` are put before them."""
    rest = first if rest is None else rest
    room = page.width - max(len(first), len(rest))
    if room < NARROWEST // 2:  # deep in a tree on a narrow terminal: the text is worth more than the drawing
        room = NARROWEST
    parts = textwrap.wrap(one_line(text), room, break_on_hyphens=False) or [""]
    return [Line((rest if number else first) + part, style) for number, part in enumerate(parts)]


def folded(text: str, page: Page, indent: str, most: int) -> list[Line]:
    """Somebody else's line, its spaces kept: cut wherever the line is full, and after so many lines for good."""
    text = "".join(char if char.isprintable() else " " for char in text.expandtabs(4)).rstrip()
    room = max(page.width - len(indent), NARROWEST)
    parts = [text[start : start + room] for start in range(0, len(text), room)] or [""]
    if len(parts) > most:
        parts = [*parts[: most - 1], parts[most - 1][: room - 4] + " ..."]
    return [Line(indent + part) for part in parts]


def print_lines(lines: list[Line]) -> None:
    """On stdout: in colour on a terminal (unless NO_COLOR is set), plainly elsewhere."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    lines = [Line(text.encode(encoding, "backslashreplace").decode(encoding), style) for text, style in lines]
    if not sys.stdout.isatty():
        print_text("".join(f"{line.text}\n" for line in lines))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    with console.capture() as capture:
        for line in lines:
            console.print(Text(line.text, style=line.style))
    print_text(capture.get())
