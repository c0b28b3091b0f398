"""Signals, durations, commands and pauses as people write them."""

from __future__ import annotations

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.model import Backoff
from supervisor.shapes.label_values import (
    Step,
    read_backoff,
    read_command,
    read_duration,
    read_signal,
    read_signals,
)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("SIGTERM", 15),
        ("TERM", 15),
        ("term", 15),
        ("sigquit", 3),
        ("15", 15),
        ("1", 1),
        ("64", 64),
        ("SIGRTMIN", signal.SIGRTMIN),
        ("SIGRTMIN+3", signal.SIGRTMIN + 3),
        ("rtmin+30", signal.SIGRTMAX),
    ],
)
def test_a_signal(text: str, number: int) -> None:
    assert read_signal(text) == number


@pytest.mark.parametrize("text", ["KILL", "SIGKILL", "9", "09", "STOP", "19"])
def test_a_signal_that_nothing_can_handle(text: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be handled"):
        read_signal(text)


@pytest.mark.parametrize(
    "text", ["", "0", "65", "-1", "100", "1.5", "SIG", "FOO", "SIGSIGTERM", "SIG_IGN", "１５", "15 "]
)
def test_what_is_no_signal(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no signal"):
        read_signal(text)


def test_signals_in_their_order() -> None:
    assert read_signals("TERM") == (Step(15, None),)
    assert read_signals("SIGTERM:20,SIGINT:5") == (Step(15, 20.0), Step(2, 5.0))
    assert read_signals("TERM:1m, TERM:1m, QUIT") == (Step(15, 60.0), Step(15, 60.0), Step(3, None))


@given(st.text(st.sampled_from("SIGTERMINT:,0123456789. smh-٣"), max_size=40))
def test_any_text_is_signals_or_a_value_error(text: str) -> None:
    try:
        steps = read_signals(text)
    except ValueError:
        return
    assert 1 <= len(steps) <= 8
    assert all(1 <= step.signal <= 64 and step.signal not in (9, 19) for step in steps)
    assert all(step.seconds is not None and step.seconds > 0 for step in steps[:-1])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5", 1.5), ("90s", 90), ("5m", 300), ("0.5m", 30), ("2h", 7200), ("2147483647", 2147483647)],
)
def test_a_duration(text: str, seconds: float) -> None:
    assert read_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "0", "0.0", "-1", "+1", "1e3", "nan", "inf", "1d", "m", "1 m", "1.", ".5", "٣", "2147483648", "9" * 40]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected seconds such as"):
        read_duration(text)


@pytest.mark.parametrize(
    ("text", "argv"),
    [
        ("nginx -s quit; sleep 1", ("/bin/sh", "-c", "nginx -s quit; sleep 1")),
        (' ["x"]', ("/bin/sh", "-c", ' ["x"]')),
        ('["/bin/x", "", "ä b"]', ("/bin/x", "", "ä b")),
    ],
)
def test_a_command(text: str, argv: tuple[str, ...]) -> None:
    assert read_command(text) == argv


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "there is nothing to run"),
        (" \n", "there is nothing to run"),
        ("a\0", "contains a NUL"),
        ('["a", "\\u0000"]', "contains a NUL"),
        ("[]", "the program's name is missing"),
        ('[""]', "the program's name is missing"),
        ("[ -f /x ] && y", "no JSON array of strings"),
        ('["a", 1]', "no JSON array of strings"),
        ('["a"] x', "no JSON array of strings"),
    ],
)
def test_what_is_no_command(text: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        read_command(text)


@pytest.mark.parametrize(
    ("text", "backoff"),
    [("1:60", Backoff(1, 60)), ("1", Backoff(1, 300)), ("0.1s:1h", Backoff(0.1, 3600)), ("5:5", Backoff(5, 5))],
)
def test_pauses(text: str, backoff: Backoff) -> None:
    assert read_backoff(text) == backoff


@pytest.mark.parametrize("text", ["2:1", "1:3601", "301", "1:", ":1", "0:1", "1:2:3", "x"])
def test_what_are_no_pauses(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected"):
        read_backoff(text)
