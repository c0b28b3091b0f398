"""Of several processes the one most to blame, and the sentence for a container's ``reason``."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from . import causes
from .advice import advise
from .records import Finding, Kind, Sight

MOST = 200
"""Characters of a summary."""

MOST_SEEN = 32
"""Processes that the keeper looks at; there may have been more."""

_FAST = frozenset((Kind.UNINTERRUPTIBLE, Kind.FROZEN, Kind.TRACED, Kind.STOPPED))
_DEAF = _FAST | {Kind.IGNORES, Kind.BLOCKS, Kind.INIT, Kind.NO_EFFECT, Kind.FORKS}
_IDLE = frozenset((Kind.CHILD, Kind.PIPE, Kind.EVENTS, Kind.SIGNAL, Kind.TIME))
_ASLEEP = _IDLE | {Kind.LOCK, Kind.NETWORK, Kind.CONNECTIONS, Kind.INPUT, Kind.UNKNOWN}
_FOLLOWERS = {Kind.NOT_TOLD: 3, Kind.LATE: 3, Kind.OWED: 4, Kind.GONE: 5}


def diagnose(sights: Sequence[Sight], signums: Sequence[int], main_pid: int, *, main_over: bool) -> list[Finding]:
    """A finding for each process, the one most to blame first. ``signums``: the stop signals sent so far."""
    by_pid = {sight.pid: sight for sight in sights}
    children: dict[int, list[Sight]] = {}
    for sight in sights:
        if sight.ppid != sight.pid and sight.state not in ("Z", "X", "x"):
            children.setdefault(sight.ppid, []).append(sight)
    findings = []
    for sight in sights:
        case = causes.Case(
            sight=sight,
            signums=tuple(signums),
            is_main=sight.pid == main_pid,
            main_over=main_over,
            children=tuple(children.get(sight.pid, ())),
            parent=by_pid.get(sight.ppid),
        )
        findings.append(_find(case))
    kinds = {finding.pid: finding.kind for finding in findings}
    below = {sight.pid: {kinds[pid] for pid in _below(sight.pid, children)} for sight in sights}
    ranks = {one.pid: _rank(one.kind, below[one.pid]) for one in findings}
    # What would help who only waits for others is theirs to do.
    findings = [
        msgspec.structs.replace(one, advice="") if one.kind in _IDLE and ranks[one.pid] > 1 else one for one in findings
    ]
    return sorted(findings, key=lambda one: (ranks[one.pid], one.pid != main_pid))


def _find(case: causes.Case) -> Finding:
    cause = causes.judge(case)
    left = case.main_over and not case.is_main and cause.kind not in (Kind.OWED, Kind.GONE)
    text = f"{cause.text}, and was left behind by the main process" if left else cause.text
    shell = causes.is_shell(case.sight)
    silent = cause.kind in _ASLEEP and _below_a_shell(case)
    return Finding(
        pid=case.sight.pid,
        name=case.sight.name,
        kind=cause.kind,
        text=text,
        # Below a shell it has perhaps not been told: then what would help is the shell's to do.
        advice="" if silent else advise(cause.kind, case.sight, case.signums, shell=shell),
    )


def _below_a_shell(case: causes.Case) -> bool:
    """Whether its parent is a shell that is still there, and waits for it."""
    parent = case.parent
    return not case.is_main and not case.main_over and parent is not None and causes.is_shell(parent)


def _below(pid: int, children: dict[int, list[Sight]]) -> set[int]:
    """The pids of its children, of theirs, and so on; it is not among them, whatever the sights say."""
    found: set[int] = set()
    left = [pid]
    while left:
        new = [one.pid for one in children.get(left.pop(), ()) if one.pid not in found and one.pid != pid]
        found.update(new)
        left += new
    return found


def _rank(kind: Kind, below: set[Kind]) -> int:
    """Less is more to blame. Who waits only for those below it is less so than they."""
    if kind in _FOLLOWERS:
        return _FOLLOWERS[kind]
    if kind in _FAST:
        return 0
    late = {one for one in below if one not in _FOLLOWERS}
    if kind in (Kind.SHELL, Kind.NOT_FORWARDED, Kind.VFORK):
        late &= _DEAF
    elif kind is Kind.TIME:
        late -= _IDLE
    elif kind not in _IDLE:
        late = set()
    return 2 if late else 1


def summarize(findings: Sequence[Finding]) -> str:
    """Of all of them one sentence, for a container's ``reason``: at most 200 characters; empty for none."""
    if not findings:
        return ""
    first, more = findings[0], len(findings) - 1
    at_least = "at least " if len(findings) >= MOST_SEEN else ""
    rest = f", and {at_least}{more} more" if more else ""
    text = f"{first.pid} ({first.name}) {first.text}"
    if len(text) > MOST - len(rest):
        text = text[: max(MOST - len(rest) - 1, 0)] + "…"
    return (text + rest)[:MOST]
