"""How the progress of a stop is shown: a line per change, or drawn on a terminal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from .output import say
from .progress import ContainerStop, StopProgress

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

BAR_WIDTH = 24
FRAMES_PER_SECOND = 10


class View(Protocol):
    """Is told whenever the progress has changed."""

    def refresh(self) -> None:
        """Show what is new."""


class PlainView:
    """One line on stderr for each change of a container."""

    def __init__(self, progress: StopProgress, clock: Callable[[], float]) -> None:
        self._progress = progress
        self._clock = clock
        self._shown: dict[str, str] = {}

    def refresh(self) -> None:
        """Say what has changed since the last time."""
        for stop in self._progress.containers:
            if self._shown.get(stop.name) != stop.phase:
                self._shown[stop.name] = stop.phase
                say(f"{stop.name}: {stop.describe(self._clock())}")


class Drawing:
    """A row for each container, drawn anew several times a second: name, state, the window or the end."""

    def __init__(self, progress: StopProgress, clock: Callable[[], float]) -> None:
        self._progress = progress
        self._clock = clock

    def refresh(self) -> None:
        """Nothing to do: the next frame shows it."""

    def __rich__(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        for stop in self._progress.containers:
            bar, text = self._window(stop)
            table.add_row(Text(stop.name, style="bold"), Text(stop.state), bar, Text(text))
        return table

    def _window(self, stop: ContainerStop) -> tuple[RenderableType, str]:
        """What is left of the window as a bar and in words; how it ended when it has."""
        from rich.progress_bar import ProgressBar

        if stop.ended is not None or stop.deadline is None:
            return "", stop.ended or (stop.phase if stop.waits_for is not None else "")
        left = stop.remaining(self._clock())
        note = "" if stop.exit_code is None else f", main process exited {stop.exit_code}"
        return ProgressBar(stop.stop_timeout, left, width=BAR_WIDTH), f"{left:.1f} s left{note}"


@contextmanager
def shown(progress: StopProgress, clock: Callable[[], float] = time.monotonic) -> Iterator[View]:
    """The view that suits stderr, for as long as the block runs."""
    if not can_draw():
        yield PlainView(progress, clock)
        return
    from rich.console import Console

    with drawn(progress, clock, Console(stderr=True)) as view:
        yield view


@contextmanager
def drawn(progress: StopProgress, clock: Callable[[], float], console: Console) -> Iterator[View]:
    """The drawing on that console; its last frame stays."""
    from rich.live import Live

    view = Drawing(progress, clock)
    with Live(
        view,
        console=console,
        refresh_per_second=FRAMES_PER_SECOND,
        redirect_stdout=False,
        redirect_stderr=False,
    ):
        yield view


def can_draw() -> bool:
    """Whether stderr is a terminal that can move its cursor."""
    return sys.stderr.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
