"""What a command prints: JSON on stdout as ``aws`` does it, single lines on stderr."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any

import click

from .failures import CommandError


def one_line(text: str) -> str:
    """The text with every line break and control character made a space: it stays one line."""
    return "".join(char if char.isprintable() else " " for char in text).strip()


def say(text: str) -> None:
    """Write one line to stderr."""
    click.echo(one_line(text), err=True)


def print_json(value: Any) -> None:
    """Print as ``aws`` does: indented by four, not escaped, unless stdout cannot encode it.

    Raises ``CommandError`` where stdout cannot be written; ``BrokenPipeError`` passes.
    """
    text = json.dumps(value, indent=4, ensure_ascii=False)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=4)
    print_line(text)


def print_line(text: str) -> None:
    """Print text that stdout can encode, and at once. Raises as ``print_json`` does."""
    try:
        click.echo(text)
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
