"""Writes ``docs/states.md`` from the table of transitions: ``make docs``. A test says when the page is stale."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

from supervisor.lifecycle import TRANSITIONS, Event
from supervisor.model import LastStatus

PAGE = Path(__file__).with_suffix(".md")

HEAD = """# The states of a container

Made from the table of transitions (`supervisor/lifecycle/step.py`) by `make docs`; a test says when it is stale.

`lastStatus` has three values, and moves to the right only. A container that is restarted stays RUNNING between two of
its runs. A task's `lastStatus` is the least of its containers': PENDING before RUNNING before STOPPED. What is asked
is told apart, by `desiredStatus`: a stop under way is `lastStatus` RUNNING, `desiredStatus` STOPPED, `stoppingAt` set.

"""


def moves() -> Iterator[tuple[LastStatus, LastStatus, list[str]]]:
    """Each pair of different statuses of which the second can follow, and the events that lead there."""
    for before, events in TRANSITIONS.items():
        for after in LastStatus:
            names = [event.__name__ for event, allowed in events.items() if after in allowed]
            if after is not before and names:
                yield before, after, names


def diagram() -> str:
    """The moves from one status to another, in Mermaid's language."""
    lines = ["stateDiagram-v2", "    [*] --> PENDING"]
    lines += [f"    {before} --> {after}: {'<br>'.join(names)}" for before, after, names in moves()]
    return "```mermaid\n" + "\n".join([*lines, "    STOPPED --> [*]"]) + "\n```\n"


def table() -> str:
    """Every event with what it can lead to from each status; empty where it cannot happen."""
    events = sorted({event for row in TRANSITIONS.values() for event in row}, key=lambda event: event.__name__)
    lines = [f"| event | {' | '.join(LastStatus)} | what it is |", f"|---|{'---|' * len(LastStatus)}---|"]
    for event in events:
        cells = [", ".join(status for status in LastStatus if status in row.get(event, ())) for row in rows()]
        lines.append(f"| {event.__name__} | {' | '.join(cells)} | {meaning(event)} |")
    return "\n".join(lines) + "\n"


def rows() -> Iterator[dict[type[Event], frozenset[LastStatus]]]:
    """The table's rows in the order of the statuses."""
    return (TRANSITIONS[status] for status in LastStatus)


def meaning(event: type[Event]) -> str:
    """The first paragraph of what its docstring says, on one line."""
    return " ".join((inspect.getdoc(event) or "").split("\n\n")[0].split()).replace("``", "`")


def page() -> str:
    """The whole page."""
    told = "Every event has an answer in every status; a pair that is empty here is refused."
    return f"{HEAD}{diagram()}\n{told}\n\n{table()}"


if __name__ == "__main__":
    PAGE.write_text(page())
