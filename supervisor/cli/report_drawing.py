"""The two drawings of a stop report: the window as a bar with what happened in it, and the tree of processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .formats import one_line
from .sheet import Line, Page, wrapped

MARKS = {
    "signalled": ("S", "signal"),
    "hook-started": ("P", "pre-stop hook"),
    "hook-ended": ("H", "hook ended"),
    "exited": ("E", "exit"),
    "looked": ("L", "look"),
    "deadline": ("D", "deadline"),
    "killed": ("K", "SIGKILL"),
    "emptied": ("O", "over"),
}
"""What is marked on the bar: its letter, and what that means. In the order in which they stand at the same instant."""

INDENT = "  "

Mark = tuple[float, str]
"""When, in seconds after the signal, and what."""


def deadline_of(container: dict[str, Any]) -> float | None:
    """Seconds from the first signal to the deadline as it was in the end."""
    told = [entry["deadline"] for entry in container["timeline"] if "deadline" in entry]
    return told[-1] if told else None


def draw_bar(container: dict[str, Any], page: Page) -> list[Line]:
    """The window, to scale, with a mark for each event; nothing where there was no stop signal."""
    marks = _marks(container)
    if all(what != "signalled" for _, what in marks):
        return []
    room = page.width - 2 * len(INDENT)
    begin, end = min(0.0, marks[0][0]), max(marks[-1][0], 0.0)
    scale = (room - 1) / (end - begin) if end > begin else 0.0
    over = max((at for at, what in marks if what != "deadline"), default=end)
    used = round((over - begin) * scale)
    unused = round((0.0 - begin) * scale)
    cells = [page.glyphs.bar if unused <= cell <= used else page.glyphs.rest for cell in range(room)]
    for cell, what in _places(marks, begin, scale, room):
        cells[cell] = MARKS[what][0]
    left, right = f"{begin:+.1f} s", f"{end:+.1f} s"
    legend = "  ".join(f"{MARKS[what][0]} {MARKS[what][1]}" for what in MARKS if any(what == one for _, one in marks))
    return [
        Line(INDENT + "".join(cells), "bold"),
        Line(INDENT + left + right.rjust(room - len(left)), "dim"),
        *wrapped(legend, page, INDENT, style="dim"),
    ]


def draw_tree(processes: list[dict[str, Any]], page: Page) -> Iterator[Line]:
    """Each process below its parent, with what was seen of it."""
    below: dict[int, str] = {}
    """What stands before the children of a process."""
    last = {process.get("parent"): process["pid"] for process in processes}
    parents = {process.get("parent") for process in processes}
    for process in processes:
        pid, parent = process["pid"], process.get("parent")
        first = rest = INDENT
        if parent in below:
            is_last = last[parent] == pid
            first = below[parent] + (page.glyphs.last if is_last else page.glyphs.branch)
            rest = below[parent] + (" " * len(page.glyphs.last) if is_last else page.glyphs.through)
        below[pid] = rest
        inside = rest + (page.glyphs.through if pid in parents else " " * len(page.glyphs.through))
        yield from wrapped(_title(process), page, first, inside, "bold")
        for text in describe(process):
            yield from wrapped(text, page, inside)


def describe(process: dict[str, Any]) -> Iterator[str]:
    """What was seen of one process, a text for each kind of thing."""
    command = process.get("command", "")
    if command and command != process["name"]:
        yield f"command: {command}"
    signals = process["signals"]
    if signals:
        yield "signals: " + "; ".join(f"{how} {', '.join(names)}" for how, names in signals.items())
    if "waiting" in process:
        yield f"waiting in: {process['waiting']}"
    if "stack" in process:
        yield f"kernel stack: {' < '.join(process['stack'])}"
    if "tracer" in process:
        yield f"traced by: {process['tracer']['pid']} ({process['tracer']['name']})"
    if "connections" in process:
        yield f"connections: {', '.join(process['connections'])}"
    threads = process["threads"]
    rates = [f"{process['cpuRate']:.2f} CPUs"] if "cpuRate" in process else []
    rates += [f"{size(process['ioRate'])}/s"] if "ioRate" in process else []
    yield (
        f"used: {process['cpuSeconds']:.1f} s of CPU, {size(process['memory'])}, "
        f"{threads} thread{'' if threads == 1 else 's'}, in {process['age']:.0f} s"
        + (f"; when seen {', '.join(rates)}" if rates else "")
    )


def size(count: float) -> str:
    """Bytes as people say them: ``12.3 MiB``."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def _title(process: dict[str, Any]) -> str:
    who = f"{process['pid']} {one_line(process['name'])}{' (main)' if process['main'] else ''}, {process['state']}"
    return f"{who}: {process['finding']}" if "finding" in process else who


def _marks(container: dict[str, Any]) -> list[Mark]:
    """In the order of time; where that is the same, in the order of the table."""
    marks = [(entry["after"], entry["what"]) for entry in container["timeline"] if entry["what"] in MARKS]
    deadline = deadline_of(container)
    if deadline is not None:
        marks.append((deadline, "deadline"))
    rank = list(MARKS)
    return sorted(marks, key=lambda mark: (mark[0], rank.index(mark[1])))


def _places(marks: list[Mark], begin: float, scale: float, room: int) -> Iterator[tuple[int, str]]:
    """A cell for each mark: its own, or the nearest that keeps the order and is free. Like marks in a cell are one."""
    placed = list(dict.fromkeys((round((at - begin) * scale), what) for at, what in marks))[:room]
    after = -1
    for number, (cell, what) in enumerate(placed):
        after = min(max(cell, after + 1), room - (len(placed) - number))
        yield after, what
