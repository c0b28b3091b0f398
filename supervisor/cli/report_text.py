"""A stop report as a person reads it: the verdicts, what to do, and then what they were found by."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from .formats import one_line
from .report_drawing import INDENT, deadline_of, draw_bar, draw_tree
from .sheet import Line, Page, folded, wrapped

LONGEST = 5
"""Lines that one line of a log may take."""
NOTABLE = 0.1
"""Seconds by which one thing must follow on another for that to be told."""

STYLES = {"graceful": "bold green", "killed": "bold red", "left-killed": "bold red", "unknown": "bold yellow"}
"""Of verdicts."""

Json = dict[str, Any]


def write_report(report: Json, page: Page) -> list[Line]:
    """The whole text."""
    containers = report["containers"]
    lines: list[Line] = []
    for container in containers:
        style = STYLES.get(container["outcome"], "bold")
        lines += wrapped(f"{container['name']}: {verdict(container)}", page, "", INDENT, style)
    lines += _advice(containers, page)
    lines.append(Line(""))
    lines += _facts(report, page)
    for container in containers:
        if container["timeline"] or container["processes"] or container["log"]:
            lines += _section(container, page, report.get("stoppingAt"))
    return lines


def verdict(container: Json) -> str:
    """How a container ended and why, in a line: ``killed 30.0 s after SIGTERM: 4711 (python3) ignores SIGTERM``."""
    match container["outcome"]:
        case "killed":
            return _because(f"killed{_kill_time(container)}", container)
        case "left-killed":
            return _because(f"{_ended(container)}, what it left was killed{_kill_time(container)}", container)
        case "graceful" | "signalled":
            return f"{_ended(container)}{_exit_time(container)}"
        case "exited":
            ended, reason = _ended(container), container.get("reason") or ""
            if reason.lower().startswith(ended.lower()):
                return ended + reason[len(ended) :]
            by = "unasked" if _entry(container, "exited").get("signal") else "by itself"
            return _because(f"{ended} {by}", container)
        case "never-started":
            return _because("never started", container)
        case "running":
            return _under_way(container)
    return _because("nobody knows how it ended", container)


def utc(at: float) -> str:
    """An instant, as ``supervisor events --since`` takes it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _advice(containers: list[Json], page: Page) -> Iterator[Line]:
    advice = [(container["name"], text) for container in containers for text in container["advice"]]
    if not advice:
        return
    yield Line("")
    yield Line("What to do:", "bold")
    for name, text in advice:
        yield from wrapped(text if len(containers) == 1 else f"{name}: {text}", page, "- ", INDENT)


def _facts(report: Json, page: Page) -> Iterator[Line]:
    definition = report["taskDefinitionArn"].rpartition("/")[2]
    yield from wrapped(f"task {report['taskArn'].rpartition('/')[2]} of {definition}, {report['lastStatus']}", page)
    if "stoppingAt" in report:
        why = ": ".join(report[name] for name in ("stopCode", "stoppedReason") if name in report)
        took = f", took {report['seconds']:.1f} s" if "seconds" in report else ""
        yield from wrapped(f"stop begun {utc(report['stoppingAt'])}{took}: {why}", page)


def _section(container: Json, page: Page, stopping_at: float | None) -> Iterator[Line]:
    title = f"{page.glyphs.rule * 2} {one_line(container['name'])} "
    yield Line("")
    yield Line(title + page.glyphs.rule * max(page.width - len(title), 0), "bold cyan")
    bar = draw_bar(container, page)
    yield from bar
    yield from _delay(container, page, stopping_at)
    if bar:
        yield Line("")
    offsets = [f"{entry['after']:+.3f} s" for entry in container["timeline"]]
    widest = max(map(len, offsets), default=0)
    for offset, entry in zip(offsets, container["timeline"], strict=True):
        first = f"{INDENT}{offset.rjust(widest)}  "
        style = "red" if entry["what"] == "killed" else ""
        yield from wrapped(entry["text"], page, first, " " * len(first), style)
    if container["processes"]:
        yield Line("")
        yield from wrapped(f"What was left{_seen(container)}:", page, style="bold")
        yield from draw_tree(container["processes"], page)
    if container["log"]:
        yield Line("")
        yield Line("Last lines of its log:", "bold")
        for line in container["log"]:
            yield from folded(line, page, INDENT, LONGEST)


def _delay(container: Json, page: Page, stopping_at: float | None) -> Iterator[Line]:
    """How long after the task's stop its signal came: in the order of a stop, or after a pre-stop hook."""
    signalled = _entry(container, "signalled").get("at")
    if signalled is not None and stopping_at is not None and signalled - stopping_at >= NOTABLE:
        hook = ", after its pre-stop hook" if _entry(container, "hook-ended") else ""
        text = f"+0.0 s is {signalled - stopping_at:.1f} s after the begin of the task's stop{hook}"
        yield from wrapped(text, page, INDENT, style="dim")


def _entry(container: Json, what: str) -> Json:
    """The first of that kind; empty where there is none."""
    return next((entry for entry in container["timeline"] if entry["what"] == what), {})


def _seen(container: Json) -> str:
    """When the last look was taken."""
    looks = [entry for entry in container["timeline"] if entry["what"] == "looked"]
    deadline = deadline_of(container)
    if not looks or deadline is None:
        return ""
    early = deadline - looks[-1]["after"]
    return f", seen {early:.2f} s before the deadline" if early > 0 else ""


def _ended(container: Json) -> str:
    """Of the main process: ``exited 0``, ``ended by SIGTERM``."""
    signal = _entry(container, "exited").get("signal")
    return f"ended by {signal}" if signal else f"exited {container.get('exitCode', 'with a code not known')}"


def _exit_time(container: Json) -> str:
    after = _entry(container, "exited").get("after", container.get("seconds"))
    if after is None:
        return ""
    over = container.get("seconds", after)
    rest = f", the last of what it left after {over:.1f} s" if over - after >= NOTABLE else ""
    return f" after {after:.1f} s{rest}"


def _kill_time(container: Json) -> str:
    signal = _entry(container, "signalled").get("signal")
    after = _entry(container, "killed").get("after", container.get("seconds"))
    if after is None or (container["timeline"] and signal is None):
        return ""
    return f" {after:.1f} s after {signal or 'the stop signal'}"


def _because(what: str, container: Json) -> str:
    """With why: the finding, else what the record says."""
    why = container.get("finding") or container.get("reason") or ""
    if why.startswith("Killed ") and "killed" in what:
        why = why.partition(": ")[2]  # that it was killed, and when, is told already
    return f"{what}: {why}" if why else what


def _under_way(container: Json) -> str:
    signal, deadline = _entry(container, "signalled").get("signal"), deadline_of(container)
    if signal is None:
        return str(container["lastStatus"]).lower()
    if _entry(container, "killed"):
        return _because("still there after SIGKILL", container)
    window = "" if deadline is None else f", SIGKILL {deadline:.1f} s after it"
    return f"stopping: {signal} was sent{window}"
