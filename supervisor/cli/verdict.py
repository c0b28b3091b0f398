"""Whether a stop was graceful, from its stop report. Pure.

``graceful``: the process ended on the stop signal, within its window, nothing had to be killed, and its exit code says
that all was well. ``not-graceful``: it did not. ``not-tried``: it was not there to be stopped, or never ready.
"""

from __future__ import annotations

import enum
import signal
import statistics
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

Json = dict[str, Any]

NEARLY_ALL = 0.8
"""Of the window: who needs more of it will need all of it on a bad day."""


class Verdict(enum.StrEnum):
    """Of one run, or of all."""

    GRACEFUL = "graceful"
    NOT_GRACEFUL = "not-graceful"
    NOT_TRIED = "not-tried"


EXIT_STATUS = {Verdict.GRACEFUL: 0, Verdict.NOT_GRACEFUL: 1, Verdict.NOT_TRIED: 3}


class CheckedRun(NamedTuple):
    """One run of the command, and what is to be said of it."""

    number: int
    """1 for the first."""
    verdict: Verdict
    reason: str
    """How it ended, as one clause."""
    ready_after: float | None = None
    seconds: float | None = None
    """From the stop signal until nothing was left."""
    window: float | None = None
    exit_code: int | None = None
    finding: str = ""
    """Why it did not stop, as the task's record says it."""
    warnings: Sequence[str] = ()
    advice: Sequence[str] = ()
    timeline: Sequence[Json] = ()
    processes: Sequence[Json] = ()
    log: Sequence[str] = ()
    """Its last lines."""

    @property
    def share(self) -> float | None:
        """The part of the window that was used."""
        return self.seconds / self.window if self.seconds is not None and self.window else None


def judge(number: int, ready_after: float, told: Json, signals: str, accepted: Collection[int]) -> CheckedRun:
    """The run that ended as its container's stop report tells.

    ``signals``: the stop signal or the sequence of them as it was given; ``accepted``: exit codes as good as 0.
    """
    code, timeline = told.get("exitCode"), told.get("timeline", [])
    verdict, reason = _weigh(told, signals, accepted)
    warnings = _left_behind(timeline)
    if told.get("outcome") == "signalled":
        name = _entry(timeline, "exited").get("signal") or _first(told, signals)
        text = f"it does not handle {name}: it was ended by it where it stood (or raises it again when it is done)"
        warnings = [text, *warnings]
    advice = list(told.get("advice", []))
    if verdict is Verdict.NOT_GRACEFUL and told["outcome"] == "graceful":
        advice.append(f"if {code} is how it says that it was told to stop: --exit-code {code}")
    return CheckedRun(
        number,
        verdict,
        reason,
        ready_after,
        round(told["seconds"], 3) if "seconds" in told else None,
        told.get("window"),
        code,
        finding=told.get("finding") or told.get("reason") or "",
        warnings=warnings,
        advice=advice,
        timeline=timeline,
        processes=told.get("processes", []),
    )


def _weigh(told: Json, signals: str, accepted: Collection[int]) -> tuple[Verdict, str]:
    """The verdict, and how it ended as one clause."""
    code, window, timeline = told.get("exitCode"), told.get("window"), told.get("timeline", [])
    first, ended = _first(told, signals), _ended(timeline, code)
    late = f"{'the whole window' if window is None else f'{window:g} s'} after {first}"
    match told.get("outcome"):
        case "graceful" if code not in {0, *accepted, *(128 + number for number in numbers(signals))}:
            return Verdict.NOT_GRACEFUL, f"{ended} on {first}"
        case "graceful":
            return Verdict.GRACEFUL, ended
        case "signalled":
            return Verdict.GRACEFUL, f"ended by {_entry(timeline, 'exited').get('signal') or first}"
        case "killed":
            return Verdict.NOT_GRACEFUL, f"still running {late}, and killed"
        case "left-killed":
            return Verdict.NOT_GRACEFUL, f"{ended}, and what it left behind was killed {late}"
        case "running":
            return Verdict.NOT_GRACEFUL, "not even SIGKILL has ended it so far"
        case "exited":
            return Verdict.NOT_TRIED, f"{ended} by itself, before it was told to stop"
    return Verdict.NOT_TRIED, "how it ended is not known"


def _first(told: Json, signals: str) -> str:
    """The first stop signal by its name."""
    sent = _entry(told.get("timeline", []), "signalled").get("signal")
    return str(sent or signals.partition(",")[0].partition(":")[0])


def _ended(timeline: Sequence[Json], code: int | None) -> str:
    """Of the main process."""
    name = _entry(timeline, "exited").get("signal")
    return f"ended by {name}" if name else f"exited with code {code}"


def _left_behind(timeline: Sequence[Json]) -> list[str]:
    """A warning where others had to be told to stop when the main process was over."""
    exit_ = _entry(timeline, "exited")
    later = _entry(timeline[timeline.index(exit_) :] if exit_ else [], "signalled")
    return [f"the main process left others behind: {later['text']}"] if later else []


def _entry(timeline: Sequence[Json], what: str) -> Json:
    """The first of that kind; empty where there is none."""
    return next((moment for moment in timeline if moment["what"] == what), {})


def numbers(signals: str) -> set[int]:
    """The signals of ``SIGTERM``, ``15`` or ``SIGTERM:20,INT:5``; what is none is not among them."""
    found = set()
    for part in signals.split(","):
        name = part.partition(":")[0].strip().upper()
        if name.isascii() and name.isdigit():
            found.add(int(name))
        elif number := signal.Signals.__members__.get("SIG" + name.removeprefix("SIG")):
            found.add(int(number))
    return found


class Summary(NamedTuple):
    """Of all runs together."""

    verdict: Verdict
    counts: dict[Verdict, int]
    fastest: float | None
    median: float | None
    slowest: float | None
    share: float | None
    """The part of its window that the slowest stop used."""
    warnings: list[str]


def summarize(runs: Sequence[CheckedRun]) -> Summary:
    """One run that was not graceful decides; one that could not be tried decides over those that were graceful."""
    counts = {verdict: sum(run.verdict is verdict for run in runs) for verdict in Verdict}
    verdicts = (Verdict.NOT_GRACEFUL, Verdict.NOT_TRIED, Verdict.GRACEFUL)
    verdict = next(verdict for verdict in verdicts if counts[verdict])
    times = [run.seconds for run in runs if run.seconds is not None and run.verdict is not Verdict.NOT_TRIED]
    shares = [run.share for run in runs if run.share is not None and run.verdict is not Verdict.NOT_TRIED]
    share = max(shares, default=None)
    warnings = []
    if verdict is Verdict.GRACEFUL and share is not None and share > NEARLY_ALL:
        warnings.append(f"the slowest stop used {share * 100:.0f} % of its window: give it more time, or less to do")
    return Summary(
        verdict,
        counts,
        min(times, default=None),
        statistics.median(times) if times else None,
        max(times, default=None),
        share,
        warnings,
    )
