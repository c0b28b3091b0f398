"""How much was tried: what the properties and the fuzzers count, and pytest tells at its end."""

from __future__ import annotations

from collections import Counter, defaultdict

COUNTS: defaultdict[str, Counter[str]] = defaultdict(Counter)
"""By what was tried, how often what was done."""


def count(what: str, **numbers: int) -> None:
    COUNTS[what].update(numbers)


def lines() -> list[str]:
    return [
        f"{what}: " + ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in numbers.items())
        for what, numbers in sorted(COUNTS.items())
    ]
