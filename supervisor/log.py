"""Log lines on one stream: an event named ``noun_verbed`` with its facts as keys.

For a terminal they are coloured text (``NO_COLOR`` obeyed), for anything else one JSON object a line with
``timestamp`` (ISO 8601, UTC), ``level``, ``logger``, ``event`` and the facts. What libraries say through `logging`
(uvicorn, asyncio) comes out in the same form from WARNING on.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO, cast

import structlog
from structlog.tracebacks import ExceptionDictTransformer

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger, Processor

MAX_FRAMES = 30
"""Of a traceback in JSON: enough for the deepest stack of ours, and a recursion does not fill the disk."""


class _Unfailing:
    """A stream whose reader may be gone or whose disk may be full: a line is lost, and nothing else is."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):  # ValueError: the stream was closed
            return self._stream.write(text)
        return 0

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


class _NamedLogger(structlog.WriteLogger):
    """One write a line, so that lines of two threads do not mix; ``name`` is what ``add_logger_name`` asks for."""

    def __init__(self, out: TextIO, name: str = "") -> None:
        super().__init__(out)
        self.name = name


def configure(stream: TextIO | None = None) -> None:
    """Sends every log line of this process to ``stream`` (stderr). May be called again; the last call counts."""
    stream = sys.stderr if stream is None else stream
    pretty = stream.isatty()
    out = cast("TextIO", _Unfailing(stream))
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering = _text() if pretty else _json()
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *args: _NamedLogger(out, *args),
        cache_logger_on_first_use=False,  # a logger made at import obeys a later `configure`
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    for old in [each for each in root.handlers if isinstance(each.formatter, structlog.stdlib.ProcessorFormatter)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)


def get_logger(name: str) -> FilteringBoundLogger:
    """A logger whose lines carry ``logger=name``. It may be made before `configure` is called."""
    return cast("FilteringBoundLogger", structlog.get_logger(name))


def _text() -> list[Any]:
    return [
        structlog.dev.ConsoleRenderer(
            colors=not os.environ.get("NO_COLOR"),
            exception_formatter=structlog.dev.plain_traceback,
        )
    ]


def _json() -> list[Any]:
    # Without local variables: they hold the environment of tasks, and with it their secrets.
    transformer = ExceptionDictTransformer(show_locals=False, max_frames=MAX_FRAMES)
    return [
        structlog.processors.ExceptionRenderer(transformer),
        structlog.processors.JSONRenderer(),
    ]
