"""What a command prints: a reply on stdout, in the format asked for, and single lines on stderr."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from typing import Any

import click

from .failures import CommandError
from .formats import FORMATS, Page, one_line


def say(text: str) -> None:
    """Write one line to stderr."""
    click.echo(one_line(text), err=True)


def print_value(value: Any, output: str = "json", title: str = "") -> None:
    """Print as ``aws`` does. What stdout cannot encode is escaped.

    Raises ``CommandError`` where stdout cannot be written; ``BrokenPipeError`` passes.
    """
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    text = FORMATS[output](value, Page(title, ascii_only=False, width=width))
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = FORMATS[output](value, Page(title, ascii_only=True, width=width))
        text = text.encode(encoding, "backslashreplace").decode(encoding)
    print_text(text)


def print_line(text: str) -> None:
    """Print a line that stdout can encode, and at once. Raises as ``print_value`` does."""
    print_text(text + "\n")


def print_bytes(data: bytes) -> None:
    """Print them as they are, and at once. Raises as ``print_value`` does."""
    _print(data)


def print_text(text: str) -> None:
    """Print a text that stdout can encode, as it is. Raises as ``print_value`` does."""
    _print(text)


def _print(text: str | bytes) -> None:
    try:
        click.echo(text, nl=False)
    except BrokenPipeError:
        raise
    except OSError as exc:
        abandon_stdout()
        raise CommandError(f"cannot write to standard output: {exc.strerror}") from exc


def abandon_stdout() -> None:
    """Drop what is still buffered for stdout: the interpreter would complain about it when it exits."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
