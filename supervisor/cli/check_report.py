"""What ``check-stop`` has found out: as text for people, as JSON, and as JUnit XML for whatever shows tests."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

from .formats import one_line
from .verdict import EXIT_STATUS, CheckedRun, Json, Verdict, summarize

VERSION = 1
"""Of the JSON document. Members are added to it; none is renamed, removed or given another meaning."""

SHOWN = {Verdict.GRACEFUL: "graceful", Verdict.NOT_GRACEFUL: "NOT GRACEFUL", Verdict.NOT_TRIED: "NOT TRIED"}

OPTIONS = {"`stopTimeout`": "--timeout", "`supervisor.stop-signal`": "--signal"}
"""What in a task definition is what on this command line."""

_ESCAPE_SEQUENCE = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?)")
_NOT_XML = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")


class Checked(NamedTuple):
    """What was asked for, and every run of it."""

    command: Sequence[str]
    signals: str
    timeout: float
    ready: tuple[str, str]
    """How readiness was seen: the kind of probe and its target; ``time`` and seconds where it was only guessed."""
    asked: int
    """How many runs were asked for; after one that could not be tried no further one is begun."""
    runs: Sequence[CheckedRun]


def clean(line: str) -> str:
    """A line of somebody's output without colours and other control sequences."""
    return one_line(_ESCAPE_SEQUENCE.sub("", line))


# text


def text_of_run(run: CheckedRun) -> Iterator[str]:
    """The run in one line; where there is more to be said, more of them below."""
    took = "" if run.seconds is None else f", stopped after {_time(run.seconds)}{_of_window(run)}"
    ready = "" if run.ready_after is None else f"ready after {_time(run.ready_after)}"
    facts = f" ({(ready + took).removeprefix(', ')})" if ready or took else ""
    yield f"run {run.number}: {SHOWN[run.verdict]}: {run.reason}{facts}"
    for warning in run.warnings:
        yield f"  warning: {warning}"
    if run.verdict is Verdict.GRACEFUL:
        return
    yield from (f"  {line}" for line in details(run))


def details(run: CheckedRun) -> Iterator[str]:
    """Why it did not stop, what would help, what happened when, and what it wrote last."""
    if run.finding:
        yield f"why: {run.finding}"
    for process in run.processes if len(run.processes) > 1 or not run.finding else ():
        name = process.get("name") or "process"
        yield f"  {process.get('pid')} ({name}): {process.get('finding') or process.get('command') or ''}".rstrip()
    yield from (f"advice: {_here(one)}" for one in run.advice)
    if run.timeline:
        yield "timeline:"
        yield from (f"  {moment['after']:+9.3f} s  {moment['text']}" for moment in run.timeline)
    if run.log:
        yield "the last lines of its output:"
        yield from (f"  | {line}" for line in run.log)


def _here(advice: str) -> str:
    """Advice for a task definition, with the option that does the same here."""
    for name, option in OPTIONS.items():
        advice = advice.replace(name, f"{name} (here: {option})", 1)
    return advice


def text_of_end(checked: Checked) -> Iterator[str]:
    """The last line: the verdict, and how long the stops took."""
    summary = summarize(checked.runs)
    count = summary.counts[summary.verdict]
    line = f"{SHOWN[summary.verdict]}: {count} of {checked.asked} {'run' if checked.asked == 1 else 'runs'}"
    if summary.fastest is not None and summary.median is not None and summary.slowest is not None:
        times = [_time(summary.slowest)]
        if len(checked.runs) > 1:
            times = [
                f"{_time(summary.fastest)} (fastest)",
                f"{_time(summary.median)} (median)",
                f"{times[0]} (slowest)",
            ]
        line += f"; stopped after {', '.join(times)}"
        if summary.share is not None:
            line += f", {_percent(summary.share)} of the window"
    yield line
    yield from (f"warning: {warning}" for warning in summary.warnings)
    kind, target = checked.ready
    if kind == "time" and summary.verdict is not Verdict.NOT_TRIED:
        sees = "--ready-tcp, --ready-http or --ready-log see it"
        yield f"note: it was taken to be ready {target} s after its start; {sees}"


def _of_window(run: CheckedRun) -> str:
    return "" if run.window is None else f" of {run.window:g} s"


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s"


def _percent(share: float) -> str:
    return "less than 1 %" if 0 < share < 0.01 else f"{share * 100:.0f} %"


# JSON


def as_json(checked: Checked) -> Json:
    """The whole of it; what is not known is absent."""
    summary = summarize(checked.runs)
    kind, target = checked.ready
    return {
        "version": VERSION,
        "verdict": summary.verdict.value,
        "exitStatus": EXIT_STATUS[summary.verdict],
        "command": list(checked.command),
        "stopSignal": checked.signals,
        "stopTimeout": checked.timeout,
        "readiness": {"by": kind, "target": target},
        "summary": _known(
            {
                "asked": checked.asked,
                "graceful": summary.counts[Verdict.GRACEFUL],
                "notGraceful": summary.counts[Verdict.NOT_GRACEFUL],
                "notTried": summary.counts[Verdict.NOT_TRIED],
                "fastest": summary.fastest,
                "median": summary.median,
                "slowest": summary.slowest,
                "shareOfWindow": None if summary.share is None else round(summary.share, 4),
                "warnings": summary.warnings,
            }
        ),
        "runs": [_json_run(run) for run in checked.runs],
    }


def _json_run(run: CheckedRun) -> Json:
    return _known(
        {
            "number": run.number,
            "verdict": run.verdict.value,
            "reason": run.reason,
            "readyAfter": run.ready_after,
            "stopSeconds": run.seconds,
            "window": run.window,
            "exitCode": run.exit_code,
            "finding": run.finding or None,
            "warnings": list(run.warnings),
            "advice": list(run.advice),
            "timeline": list(run.timeline),
            "processes": list(run.processes),
            "log": list(run.log),
        }
    )


def _known(members: dict[str, Any]) -> Json:
    return {name: value for name, value in members.items() if value is not None}


# JUnit


def as_junit(checked: Checked) -> bytes:
    """A test case for each run: a failure where it was not graceful, an error where it could not be tried."""
    counts = summarize(checked.runs).counts
    numbers = {
        "tests": str(checked.asked),
        "failures": str(counts[Verdict.NOT_GRACEFUL]),
        "errors": str(counts[Verdict.NOT_TRIED]),
        "skipped": str(checked.asked - len(checked.runs)),
        "time": f"{sum(map(_duration, checked.runs)):.3f}",
    }
    name = _xml(shlex.join(checked.command))
    suites = ET.Element("testsuites", {"name": "supervisor check-stop", **numbers})
    suite = ET.SubElement(suites, "testsuite", {"name": name, **numbers})
    for run in checked.runs:
        _junit_run(_case(suite, run.number, _duration(run)), run)
    for number in range(len(checked.runs) + 1, checked.asked + 1):
        ET.SubElement(_case(suite, number, 0.0), "skipped", {"message": "a run before it could not be tried"})
    ET.indent(suites)
    text: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _case(suite: ET.Element, number: int, duration: float) -> ET.Element:
    members = {"classname": "supervisor.check-stop", "name": f"stop, run {number}", "time": f"{duration:.3f}"}
    return ET.SubElement(suite, "testcase", members)


def _junit_run(case: ET.Element, run: CheckedRun) -> None:
    if run.verdict is not Verdict.GRACEFUL:
        kind = "failure" if run.verdict is Verdict.NOT_GRACEFUL else "error"
        found = ET.SubElement(case, kind, {"message": _xml(run.reason), "type": run.verdict.value})
        found.text = _xml("\n".join([run.reason, *details(run)]))
    if run.log:
        ET.SubElement(case, "system-out").text = _xml("\n".join(run.log))
    if run.warnings:
        ET.SubElement(case, "system-err").text = _xml("\n".join(run.warnings))


def _duration(run: CheckedRun) -> float:
    return (run.ready_after or 0.0) + (run.seconds or 0.0)


def _xml(text: str) -> str:
    """The text without the characters that XML cannot carry, also not as references."""
    return _NOT_XML.sub("\ufffd", text)
