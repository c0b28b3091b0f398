"""What is due when: one instant for each key, the earliest first."""

from __future__ import annotations

import heapq


class Agenda:
    """A heap of (instant, key). An entry whose key has another instant by now is stale, and skipped."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, str]] = []
        self._at: dict[str, float] = {}

    def set(self, key: str, at: float | None) -> None:
        """The key is due at that instant, and at no other; None for never."""
        if at is None:
            self._at.pop(key, None)
        elif self._at.get(key) != at:
            self._at[key] = at
            heapq.heappush(self._heap, (at, key))

    def next_at(self) -> float | None:
        """The earliest instant that something is due at."""
        while self._heap:
            at, key = self._heap[0]
            if self._at.get(key) == at:
                return at
            heapq.heappop(self._heap)
        return None

    def take(self, now: float) -> list[str]:
        """The keys that are due by ``now``, in the order of their instants; each is told once."""
        due = []
        while (at := self.next_at()) is not None and at <= now:
            key = heapq.heappop(self._heap)[1]
            del self._at[key]
            due.append(key)
        return due
