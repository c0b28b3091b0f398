"""The options of ``check-stop``, and what of their values can be told to be wrong before anything is started."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import click

from .readiness import HttpProbe, LogProbe, Probe, TcpProbe

DEFAULT_TIMEOUT = 30.0
MOST_SECONDS = 86400.0
DEFAULT_SIGNAL = "SIGTERM"
DEFAULT_READY_AFTER = 1.0
MOST_RUNS = 1000


class Seconds(click.ParamType[float]):
    """More than 0, at most a day."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not 0 < number <= MOST_SECONDS:
            self.fail(f"{value!r} is no number of seconds above 0 and up to {MOST_SECONDS:.0f}", param, ctx)
        return number


class Parsed(click.ParamType[Probe]):
    """Text that ``parse`` reads, or raises ``ValueError`` for."""

    name = "text"

    def __init__(self, parse: Callable[[str], Probe]) -> None:
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Probe:
        """What it means."""
        try:
            return self._parse(value)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)


def params() -> list[click.Parameter]:
    """All of them, and the words of the command."""
    words = click.Argument(["words"], nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
    return [*_stop_options(), *_ready_options(), *_output_options(), words]


def _stop_options() -> list[click.Option]:
    return [
        click.Option(
            ["--timeout"],
            type=Seconds(),
            metavar="SECONDS",
            help=f"The time between the stop signal and SIGKILL. [default: {DEFAULT_TIMEOUT:g}]",
        ),
        click.Option(
            ["--signal"],
            metavar="SIGNAL",
            default=DEFAULT_SIGNAL,
            show_default=True,
            help="The stop signal, or a sequence of them such as SIGTERM:20,SIGINT.",
        ),
        click.Option(
            ["--exit-code"],
            type=click.IntRange(0, 255),
            multiple=True,
            metavar="CODE",
            help="An exit code that is as good as 0; can be given several times.",
        ),
        click.Option(
            ["--runs"],
            type=click.IntRange(1, MOST_RUNS),
            default=1,
            show_default=True,
            metavar="N",
            help="How often it is started and stopped, one after the other.",
        ),
    ]


def _ready_options() -> list[click.Option]:
    return [
        click.Option(
            ["--ready-tcp"],
            type=Parsed(TcpProbe.parse),
            metavar="[HOST:]PORT",
            help="It is ready when it takes connections there; without a host: on a loopback address.",
        ),
        click.Option(
            ["--ready-http"],
            type=Parsed(HttpProbe.parse),
            metavar="URL",
            help="It is ready when a GET is answered with a status of 2xx or 3xx; certificates are not verified.",
        ),
        click.Option(
            ["--ready-log"],
            type=Parsed(LogProbe.parse),
            metavar="REGEX",
            help="It is ready when a line that it writes matches.",
        ),
        click.Option(
            ["--ready-after"],
            type=Seconds(),
            metavar="SECONDS",
            help=f"It is taken to be ready when it has run for so long. [default: {DEFAULT_READY_AFTER:g}]",
        ),
        click.Option(
            ["--ready-timeout"],
            type=Seconds(),
            default=30.0,
            show_default=True,
            metavar="SECONDS",
            help="How long to wait until it is ready.",
        ),
    ]


def _output_options() -> list[click.Option]:
    return [
        click.Option(
            ["--output"],
            type=click.Choice(["text", "json"]),
            default="text",
            show_default=True,
            help="How to print what was found out.",
        ),
        click.Option(["--junit"], metavar="FILE", help="Write JUnit XML to this file too."),
    ]
