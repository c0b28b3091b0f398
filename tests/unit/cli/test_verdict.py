"""Verdicts by a table of stop reports."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.cli.verdict import CheckedRun, Verdict, judge, numbers, summarize

GRACEFUL, NOT_GRACEFUL, NOT_TRIED = Verdict


def signalled(after: float = 0.0, text: str = "SIGTERM to the main process, 4711", **members: Any) -> dict[str, Any]:
    return {"after": after, "at": 1.0, "what": "signalled", "text": text, "signal": "SIGTERM", **members}


def exited(after: float = 0.2, **members: Any) -> dict[str, Any]:
    return {"after": after, "at": 1.2, "what": "exited", "text": "main process exited", **members}


def told(outcome: str, code: int | None, *timeline: dict[str, Any], **members: Any) -> dict[str, Any]:
    facts = {"outcome": outcome, "window": 30.0, "seconds": 0.2, "timeline": list(timeline), **members}
    return facts if code is None else {**facts, "exitCode": code}


@pytest.mark.parametrize(
    ("report", "verdict", "reason"),
    [
        (told("graceful", 0), GRACEFUL, "exited with code 0"),
        (told("graceful", 143), GRACEFUL, "exited with code 143"),
        (told("graceful", 7), GRACEFUL, "exited with code 7"),
        (told("graceful", 1), NOT_GRACEFUL, "exited with code 1 on SIGTERM"),
        (told("graceful", 130), NOT_GRACEFUL, "exited with code 130 on SIGTERM"),
        (told("signalled", 143, signalled(), exited(signal="SIGTERM")), GRACEFUL, "ended by SIGTERM"),
        (told("killed", 137, signalled()), NOT_GRACEFUL, "still running 30 s after SIGTERM, and killed"),
        (told("killed", 137, window=0.5), NOT_GRACEFUL, "still running 0.5 s after SIGTERM, and killed"),
        (
            told("left-killed", 0, signalled(), exited()),
            NOT_GRACEFUL,
            "exited with code 0, and what it left behind was killed 30 s after SIGTERM",
        ),
        (
            told("left-killed", 143, signalled(), exited(signal="SIGTERM")),
            NOT_GRACEFUL,
            "ended by SIGTERM, and what it left behind was killed 30 s after SIGTERM",
        ),
        (told("running", None), NOT_GRACEFUL, "not even SIGKILL has ended it so far"),
        (told("exited", 0), NOT_TRIED, "exited with code 0 by itself, before it was told to stop"),
        (
            told("exited", 139, exited(signal="SIGSEGV")),
            NOT_TRIED,
            "ended by SIGSEGV by itself, before it was told to stop",
        ),
        (told("unknown", None), NOT_TRIED, "how it ended is not known"),
        (told("never-started", None), NOT_TRIED, "how it ended is not known"),
        (told("of a later version", 0), NOT_TRIED, "how it ended is not known"),
    ],
)
def test_verdict_of_a_run(report: dict[str, Any], verdict: Verdict, reason: str) -> None:
    run = judge(1, 0.1, report, "SIGTERM", {7})
    assert (run.verdict, run.reason) == (verdict, reason)


def test_a_code_of_each_signal_of_a_sequence_is_as_good_as_0() -> None:
    assert judge(1, 0.1, told("graceful", 130), "TERM:20,2", ()).verdict is GRACEFUL
    assert judge(1, 0.1, told("graceful", 131), "TERM:20,2", ()).verdict is NOT_GRACEFUL


@pytest.mark.parametrize(
    ("text", "found"),
    [("SIGTERM", {15}), ("term", {15}), ("SIGTERM:20,SIGINT:5", {15, 2}), ("3", {3}), ("TERM:1, 2", {15, 2})],
)
def test_the_numbers_of_signals(text: str, found: set[int]) -> None:
    assert numbers(text) == found


def test_what_has_no_handler_is_warned_of() -> None:
    run = judge(1, 0.1, told("signalled", 143, signalled(), exited(signal="SIGTERM")), "SIGTERM", ())
    (warning,) = run.warnings
    assert warning.startswith("it does not handle SIGTERM: it was ended by it where it stood")


def test_others_that_ended_on_a_signal_of_their_own_are_warned_of() -> None:
    late = signalled(0.2, "SIGTERM to 1 process that was left: 4712")
    run = judge(1, 0.1, told("graceful", 0, signalled(), exited(0.2), late), "SIGTERM", ())
    assert run.verdict is GRACEFUL
    assert run.warnings == ["the main process left others behind: SIGTERM to 1 process that was left: 4712"]
    second = signalled(0.1, "SIGINT to the main process, 4711")
    assert judge(1, 0.1, told("graceful", 0, signalled(), second, exited(0.2)), "SIGTERM", ()).warnings == []


def test_facts_are_passed_on() -> None:
    report = told("killed", 137, signalled(), processes=[{"pid": 4711}], advice=["exec"], finding="it is", reason="no")
    run = judge(3, 0.25, {**report, "seconds": 30.00123}, "SIGTERM", ())
    assert (run.number, run.ready_after, run.seconds, run.window, run.exit_code) == (3, 0.25, 30.001, 30.0, 137)
    assert (run.finding, run.advice, run.processes) == ("it is", ["exec"], [{"pid": 4711}])
    assert run.share == pytest.approx(1.0, abs=0.001)


def test_an_exit_code_of_its_own_can_be_accepted() -> None:
    run = judge(1, 0.1, told("graceful", 3, advice=["first"]), "SIGTERM", ())
    assert run.advice == ["first", "if 3 is how it says that it was told to stop: --exit-code 3"]


# of all runs


def run_of(verdict: Verdict, seconds: float | None = 0.2) -> CheckedRun:
    return CheckedRun(1, verdict, "because", seconds=seconds, window=10.0)


@pytest.mark.parametrize(
    ("verdicts", "verdict"),
    [
        ([GRACEFUL, GRACEFUL], GRACEFUL),
        ([GRACEFUL, NOT_GRACEFUL], NOT_GRACEFUL),
        ([NOT_GRACEFUL, NOT_TRIED], NOT_GRACEFUL),
        ([GRACEFUL, NOT_TRIED], NOT_TRIED),
    ],
)
def test_verdict_of_all(verdicts: list[Verdict], verdict: Verdict) -> None:
    assert summarize([run_of(one) for one in verdicts]).verdict is verdict


def test_times_of_all() -> None:
    runs = [run_of(GRACEFUL, seconds) for seconds in (4.0, 1.0, 2.0)]
    summary = summarize([*runs, run_of(NOT_TRIED, 9.0), run_of(NOT_TRIED, None)])
    assert (summary.fastest, summary.median, summary.slowest, summary.share) == (1.0, 2.0, 4.0, 0.4)
    nothing = summarize([run_of(NOT_TRIED, None)])
    assert (nothing.fastest, nothing.median, nothing.slowest, nothing.share) == (None, None, None, None)


def test_who_needs_nearly_all_of_the_window_is_warned() -> None:
    assert summarize([run_of(GRACEFUL, 8.0)]).warnings == []
    (warning,) = summarize([run_of(GRACEFUL, 8.1), run_of(GRACEFUL, 1.0)]).warnings
    assert warning == "the slowest stop used 81 % of its window: give it more time, or less to do"
    assert summarize([run_of(NOT_GRACEFUL, 10.0)]).warnings == [], "that it is killed says enough"
