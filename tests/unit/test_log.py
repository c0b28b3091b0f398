from __future__ import annotations

import contextlib
import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from supervisor import log


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


@pytest.fixture(autouse=True)
def _unconfigured() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_time_level_event_and_facts() -> None:
    stream = io.StringIO()
    log.configure(stream)
    before = datetime.now(UTC)
    log.get_logger("engine").info("task_stopped", task_id="abc", exit_code=137)
    (line,) = lines(stream)
    stamp = datetime.fromisoformat(line.pop("timestamp"))
    assert before <= stamp <= datetime.now(UTC)
    assert line == {
        "level": "info",
        "logger": "engine",
        "event": "task_stopped",
        "task_id": "abc",
        "exit_code": 137,
    }


def test_a_logger_made_before_configure_obeys_it() -> None:
    logger = log.get_logger("early")
    first, second = io.StringIO(), io.StringIO()
    log.configure(first)
    logger.info("one_said")
    log.configure(second)
    logger.info("two_said")
    assert [line["event"] for line in lines(first)] == ["one_said"]
    assert [line["event"] for line in lines(second)] == ["two_said"]


def test_debug_is_not_shown() -> None:
    stream = io.StringIO()
    log.configure(stream)
    log.get_logger("x").debug("detail_seen")
    assert stream.getvalue() == ""


def test_an_exception_is_data_and_tells_no_secrets() -> None:
    stream = io.StringIO()
    log.configure(stream)
    password = "hunter2"  # noqa: F841  a local variable of the frame that raises
    try:
        raise ValueError("no such thing")
    except ValueError:
        log.get_logger("x").exception("request_failed")
    (line,) = lines(stream)
    assert line["exception"][0]["exc_type"] == "ValueError"
    assert line["exception"][0]["exc_value"] == "no such thing"
    assert line["exception"][0]["frames"][-1]["name"] == "test_an_exception_is_data_and_tells_no_secrets"
    assert "hunter2" not in stream.getvalue()


def test_libraries_speak_through_it_from_warning_on() -> None:
    stream = io.StringIO()
    log.configure(stream)
    logging.getLogger("uvicorn.error").info("Started server process")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    (line,) = lines(stream)
    assert (line["level"], line["logger"], line["event"]) == (
        "warning",
        "uvicorn.error",
        "Invalid HTTP request received.",
    )


def test_an_exception_of_a_library_is_data_too() -> None:
    stream = io.StringIO()
    log.configure(stream)
    try:
        raise OSError(5, "Input/output error")
    except OSError:
        logging.getLogger("asyncio").exception("Task exception was never retrieved")
    (line,) = lines(stream)
    assert line["exception"][0]["exc_type"] == "OSError"


def test_configuring_twice_does_not_say_things_twice() -> None:
    stream = io.StringIO()
    log.configure(stream)
    log.configure(stream)
    logging.getLogger("uvicorn").error("once")
    assert len(lines(stream)) == 1


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_a_terminal_gets_text(monkeypatch: pytest.MonkeyPatch, no_color: str, coloured: bool) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    stream = Terminal()
    log.configure(stream)
    log.get_logger("engine").warning("stop_requested", task_id="abc")
    text = stream.getvalue()
    assert "stop_requested" in text
    assert ("\x1b[" in text) is coloured
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)


@pytest.mark.parametrize("closed", [False, True])
def test_a_line_that_cannot_be_written_is_lost_and_nothing_else(closed: bool) -> None:
    stream = Broken()
    log.configure(stream)
    if closed:
        stream.close()
    with contextlib.redirect_stderr(io.StringIO()) as complaints:
        log.get_logger("x").info("task_stopped")
        logging.getLogger("uvicorn").error("failed")
    assert complaints.getvalue() == ""
