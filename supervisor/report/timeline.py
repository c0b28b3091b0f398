"""The stop of one run as a timeline: what the keeper told of it, in order, relative to its first stop signal."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Any, NamedTuple

from supervisor.diagnosis import signal_name
from supervisor.model import Container, ExitStatus, Moment

from .words import end_of, seconds, told

FAR_APART = 10.0
"""Seconds between two SIGKILLs from which on they are told apart: the keeper repeats them every 5 s at least."""
MOST_TOLD = 32
"""Pids in what the keeper tells of a signal; there may have been more."""
AT_ONCE = 0.00005
"""Seconds after a deadline that no person wants to hear of."""

Entry = dict[str, Any]


class Life(NamedTuple):
    """What was told of one run, each kind in the order in which it happened."""

    moments: tuple[Moment, ...] = ()
    signals: tuple[Moment, ...] = ()
    """Stop signals, not SIGKILL."""
    kills: tuple[Moment, ...] = ()
    exited: Moment | None = None
    emptied: Moment | None = None
    looked: Moment | None = None
    """The last look that was taken; None also where there was no time for one."""

    @property
    def base(self) -> float:
        """The instant that the timeline counts from: the first stop signal, else the exit, else what came first."""
        begin = self.signals[:1] or [self.exited or next(iter(self.moments), None)]
        return 0.0 if begin[0] is None else begin[0].clock

    def outlived(self, moment: Moment) -> bool:
        """Whether the main process was not over when that was told of; told at the same instant, the order says it."""
        return self.exited is None or self.moments.index(moment) < self.moments.index(self.exited)

    def exited_before(self, clock: float) -> bool:
        """Whether the main process was over at that instant."""
        return self.exited is not None and self.exited.clock <= clock


def life_of(container: Container, moments: Sequence[Moment]) -> Life:
    """Of the container's present run. What was told twice is taken once."""
    of_run = [one for one in moments if one.run_id == container.run_id and one.container == container.name]
    # Not by comparing each with each: of what does not die a kill is told every few seconds, for days.
    mine = sorted({(one.kind, one.clock, repr(one.facts)): one for one in of_run}.values(), key=_instant)

    def last(kind: str) -> Moment | None:
        return next((moment for moment in reversed(mine) if moment.kind == kind), None)

    signalled = [moment for moment in mine if moment.kind == "Signalled"]
    looks = [moment for moment in mine if moment.kind == "Looked" and moment.facts.get("facts")]
    return Life(
        tuple(mine),
        tuple(moment for moment in signalled if not _is_kill(moment)),
        tuple(moment for moment in signalled if _is_kill(moment)),
        last("Exited"),
        last("Emptied"),
        looks[-1] if looks else None,
    )


def draw(life: Life) -> list[Entry]:
    """The entries, in the order in which things happened."""
    entries: list[Entry] = []
    for moment in life.moments:
        if _is_kill(moment):
            if not _joined(entries, moment, life):
                entries.append(_entry("killed", moment, life, **_killed(moment)))
            continue
        tell = _TELL.get(moment.kind)
        if tell is not None:
            what, say = tell
            entries.append(_entry(what, moment, life, **say(moment, life)))
    for entry in entries:
        if entry["what"] == "killed" and "count" in entry:
            entry["text"] += f", {entry['count']} times until {entry['until']:+.1f} s"
    return entries


def exit_of(moment: Moment) -> ExitStatus:
    """How something ended, as an Exited or HookEnded tells it."""
    return ExitStatus(code=moment.facts.get("code"), signal=moment.facts.get("signal"))


def pids_in_words(pids: list[int]) -> str:
    """``1 process: 4711``, ``2 processes: 4711, 4712``; with the bound where there may have been more."""
    count = f"{len(pids)}{' or more' if len(pids) >= MOST_TOLD else ''} process{'' if len(pids) == 1 else 'es'}"
    return f"{count}: {', '.join(map(str, pids))}" if pids else "what was left"


def _instant(moment: Moment) -> float:
    """When it happened: a look is told of after the kill, and was taken before it."""
    return float(moment.facts.get("seen_at") or moment.clock) if moment.kind == "Looked" else moment.clock


def _is_kill(moment: Moment) -> bool:
    return moment.kind == "Signalled" and moment.facts.get("signum") == signal.SIGKILL


def _entry(what: str, moment: Moment, life: Life, text: str, **members: Any) -> Entry:
    instant = _instant(moment)
    at = seconds(moment.at - (moment.clock - instant))
    return {"after": seconds(instant - life.base), "at": at, "what": what, "text": text} | told(**members)


def _signalled(moment: Moment, life: Life) -> Entry:
    name, pids = signal_name(moment.facts.get("signum", 0)), moment.facts.get("pids", [])
    if moment.facts.get("whom") == "main":
        whom = ", ".join(["the main process", *map(str, pids[:1])])
    else:
        count, colon, which = pids_in_words(pids).partition(":")
        left = " that were left" if len(pids) > 1 else " that was left"
        whom = f"{count}{left if pids and not life.outlived(moment) else ''}{colon}{which}"
    return {"text": f"{name} to {whom}", "signal": name, "pids": pids, "deadline": _deadline(moment, life)}


def _hastened(moment: Moment, life: Life) -> Entry:
    deadline = _deadline(moment, life)
    to = "" if deadline is None else f" to {deadline:.1f} s after the signal"
    return {"text": f"deadline brought forward{to}", "deadline": deadline}


def _hook_started(moment: Moment, life: Life) -> Entry:
    return {"text": "pre-stop hook started", "deadline": _deadline(moment, life)}


def _hook_ended(moment: Moment, _: Life) -> Entry:
    ended, detail = exit_of(moment), moment.facts.get("detail") or ""
    text = "could not be started" if ended.exit_code is None else end_of(ended)
    return {"text": f"pre-stop hook {text}{': ' if detail else ''}{detail}"} | _ended(ended)


def _exited(moment: Moment, _: Life) -> Entry:
    ended, starved = exit_of(moment), moment.facts.get("oom_kills", 0)
    why = "" if not starved else f" (for want of memory the kernel has killed {pids_count(starved)})"
    return {"text": f"main process {end_of(ended)}{why}"} | _ended(ended)


def _looked(moment: Moment, _: Life) -> Entry:
    seen = moment.facts.get("facts") or []
    return {"text": f"looked at {pids_count(len(seen))}" if seen else "no time to look at what was left"}


def _emptied(_: Moment, __: Life) -> Entry:
    return {"text": "nothing is left"}


_TELL = {
    "Signalled": ("signalled", _signalled),
    "Hastened": ("hastened", _hastened),
    "HookStarted": ("hook-started", _hook_started),
    "HookEnded": ("hook-ended", _hook_ended),
    "Exited": ("exited", _exited),
    "Looked": ("looked", _looked),
    "Emptied": ("emptied", _emptied),
}


def pids_count(count: int) -> str:
    """``1 process``, ``2 processes``."""
    return f"{count} process{'' if count == 1 else 'es'}"


def _killed(moment: Moment) -> Entry:
    name, pids = signal_name(signal.SIGKILL), moment.facts.get("pids", [])
    deadline = moment.facts.get("deadline")
    entry: Entry = {"text": f"{name} to {pids_in_words(pids)}", "signal": name, "pids": pids}
    if deadline is not None:
        late = moment.clock - deadline
        entry["late"] = round(late, 6) + 0.0
        entry["text"] += f" ({_lateness(late)})"
    return entry


def _joined(entries: list[Entry], kill: Moment, life: Life) -> bool:
    """Whether it was made a part of the kill before it."""
    after = seconds(kill.clock - life.base)
    before = next((entry for entry in reversed(entries) if entry["what"] == "killed"), None)
    if before is None or after - before["until" if "until" in before else "after"] >= FAR_APART:
        return False
    before["count"] = before.get("count", 1) + 1
    before["until"] = after
    return True


def _deadline(moment: Moment, life: Life) -> float | None:
    deadline = moment.facts.get("deadline")
    return None if deadline is None else seconds(deadline - life.base)


def _ended(ended: ExitStatus) -> Entry:
    return {"exitCode": ended.exit_code, "signal": None if ended.signal is None else signal_name(ended.signal)}


def _lateness(late: float) -> str:
    if abs(late) < AT_ONCE:
        return "at the deadline"
    amount = f"{abs(late) * 1000:.1f} ms" if abs(late) < 1 else f"{abs(late):.1f} s"
    return f"{amount} {'after' if late > 0 else 'before'} the deadline"
