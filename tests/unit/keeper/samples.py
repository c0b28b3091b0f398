"""Stand-ins for what the keeper's parts are handed."""

from __future__ import annotations

from typing import Any


class FakeRun:
    """``tracking.Tracked``."""

    pid = 0
    start_time = 0
    pidfd: int | None = None
    over = True
    adopted = False

    def __init__(self, run: str, task: str) -> None:
        self.id = run
        self.task = task

    def send(self, signum: int) -> bool:
        """Nobody is there."""
        return False


class FakeRuns:
    """``run.Runs``, as far as the verbs go: takes anything that has come through the door."""

    def __init__(self) -> None:
        self.refused: list[str] = []

    def spawn(self, spec: Any) -> None: ...

    def refuse(self, spec: Any, stage: str, number: int, detail: str) -> None:
        self.refused.append(stage)


class FakeHost:
    """``verbs.Host``."""

    draining = False
    owed = 0

    def __init__(self) -> None:
        self.runs: Any = FakeRuns()

    def answer_hello(self) -> None: ...

    def answer_describe(self, run_id: str) -> None:
        """Not asked for."""

    def answer_list(self) -> None: ...

    def answer_forget(self, through: int) -> None: ...

    def answer_pong(self, number: int) -> None: ...
    def answer_end(self, status: int) -> None: ...

    def answer_prove(self) -> None:
        """Not asked for."""

    def answer_reexec(self) -> None:
        """Not asked for."""
