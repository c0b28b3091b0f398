"""The processes that were left shortly before a deadline, as a tree, with what was found of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from supervisor import diagnosis
from supervisor.diagnosis import Finding, Sight
from supervisor.model import Container, Moment

from .timeline import Life
from .words import seconds, signal_names, told

STATES = {
    "R": "running",
    "S": "sleeping",
    "D": "in uninterruptible sleep",
    "T": "stopped",
    "t": "stopped by its tracer",
    "Z": "zombie",
    "X": "dead",
    "I": "idle",
    "P": "parked",
}


class Scene(NamedTuple):
    """What a look showed, and what follows from it."""

    processes: list[dict[str, Any]]
    """In the order of the tree: each after its parent."""
    findings: list[Finding]
    """The one most to blame first."""

    @property
    def advice(self) -> list[str]:
        """What would help, each once."""
        return list(dict.fromkeys(finding.advice for finding in self.findings if finding.advice))


def set_scene(container: Container, life: Life) -> Scene:
    """Of the last look at the container's present run; empty where none was taken."""
    look = life.looked
    sights = {} if look is None else _sights(look)
    if look is None or not sights:
        return Scene([], [])
    main_pid = 0 if container.identity is None else container.identity.pid
    main_over = life.exited_before(look.facts.get("seen_at", look.clock))
    findings = diagnosis.diagnose(list(sights.values()), look.facts.get("signums", []), main_pid, main_over=main_over)
    by_pid: dict[int, Finding] = {}
    for finding in findings:
        by_pid.setdefault(finding.pid, finding)
    processes: list[dict[str, Any]] = []
    before: set[int] = set()
    for sight in _in_tree(sights, main_pid):
        processes.append(_told(sight, by_pid.get(sight.pid), main_pid, has_parent=sight.ppid in before))
        before.add(sight.pid)
    return Scene(processes, findings)


def _sights(look: Moment) -> dict[int, Sight]:
    """By pid. What does not fit, such as a look of another version, is left out."""
    sights: dict[int, Sight] = {}
    facts = look.facts.get("facts")
    for fact in facts if isinstance(facts, list) else []:
        try:
            sight = msgspec.convert(fact, Sight)
        except msgspec.ValidationError:
            continue
        sights.setdefault(sight.pid, sight)
    return sights


def _in_tree(sights: Mapping[int, Sight], main_pid: int) -> Iterator[Sight]:
    """Each process after its parent; the main process first. A parent that is not there makes a root."""
    order = sorted(sights.values(), key=lambda sight: (sight.pid != main_pid, sight.start_time, sight.pid))
    rest = {sight.pid: sight for sight in order}
    for root in [*(sight for sight in order if sight.ppid not in sights), *order]:  # then what a loop of parents hid
        stack = [root]
        while stack:
            sight = stack.pop()
            if rest.pop(sight.pid, None) is not None:
                yield sight
                stack += [child for child in reversed(order) if child.ppid == sight.pid]


def _told(sight: Sight, finding: Finding | None, main_pid: int, *, has_parent: bool) -> dict[str, Any]:
    masks = {
        "ignored": sight.ignored,
        "handled": sight.caught,
        "blocked": sight.blocked,
        "pending": sight.pending,
    }
    return told(
        pid=sight.pid,
        parent=sight.ppid if has_parent else None,
        name=sight.name,
        command=sight.command,
        state="frozen" if sight.frozen else STATES.get(sight.state, sight.state),
        main=sight.pid == main_pid,
        finding=None if finding is None else finding.text,
        kind=None if finding is None else str(finding.kind),
        advice=None if finding is None else finding.advice or None,
        signals={name: names for name, mask in masks.items() if (names := signal_names(mask))},
        waiting=_waiting(sight),
        stack=list(sight.stack) or None,
        tracer={"pid": sight.tracer, "name": sight.tracer_name} if sight.tracer else None,
        cpuSeconds=seconds(sight.cpu_seconds),
        cpuRate=None if sight.cpu_rate is None else seconds(sight.cpu_rate),
        ioRate=None if sight.io_rate is None else seconds(sight.io_rate),
        memory=sight.memory,
        threads=sight.threads,
        connections=list(sight.connections) or None,
        age=seconds(sight.age),
    )


def _waiting(sight: Sight) -> str | None:
    """``read on pipe (pipe_read in the kernel)``; None where nothing is known."""
    kernel = "" if sight.wchan in ("", "0") else f"{sight.wchan} in the kernel"
    call = " on ".join(part for part in (sight.syscall, sight.target) if part)
    return (f"{call} ({kernel})" if call and kernel else call or kernel) or None
