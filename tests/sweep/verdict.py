"""The records against what really happened. Each violation is a line for people; none is what is wanted."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator

from supervisor.model import LastStatus, PastRun, Task
from supervisor.store import Store
from tests.sweep.observer import Observer, Said, Watched
from tests.sweep.story import Ran, Stop
from tests.system.daemon import FACTOR

EARLY = 0.02
"""Seconds by which the hundredths of processes and our own clock may differ."""
LATE = 0.5 * FACTOR
"""Seconds after its deadline by which a process must be gone, on a machine that is doing all this."""
AT_START = 1.0 * FACTOR
"""The same after the start of a keeper that finds the deadline passed."""
KILLED = 128 + signal.SIGKILL


class Verdict:
    """``violations`` finds them, when everything is over."""

    def __init__(self, observer: Observer, ran: list[Ran], victim: str) -> None:
        self._observer = observer
        self._ran = ran
        self._keeper_killed = victim != "agent"
        store = Store(f"{observer.daemon.state_dir}/supervisor.db")
        self._tasks = {one.token: store.tasks_of_token(one.token) for one in ran}
        self._runs = {task.task_arn: store.runs(task.task_id) for tasks in self._tasks.values() for task in tasks}
        store.close()

    def violations(self) -> Iterator[str]:
        """All that is not as it was promised."""
        yield from self._observer.doubles
        yield from self._unaccounted()
        for ran in self._ran:
            yield from self._unkept(ran)
            for task in self._tasks[ran.token]:
                for run in self._runs[task.task_arn]:
                    yield from self._untrue(ran, run)
                yield from self._untimely(ran, task)

    def _unaccounted(self) -> Iterator[str]:
        for said in self._observer.said:
            if said.arn not in self._runs:
                yield f"a process of a task that nobody knows: {said}"
        runs = {run.run_id for runs in self._runs.values() for run in runs}
        for said in self._observer.said:
            if said.word == "main" and said.run not in runs:
                yield f"a run that nobody knows: {said}"

    def _unkept(self, ran: Ran) -> Iterator[str]:
        tasks = self._tasks[ran.token]
        if ran.acknowledged and {task.task_arn for task in tasks} != set(ran.arns):
            yield f"{ran.kind}: acknowledged {ran.arns}, and recorded {[task.task_arn for task in tasks]}"
        for task in tasks:
            if task.last_status is not LastStatus.STOPPED:
                yield f"{ran.kind}: everything is over, and the record says {task.last_status}: {task}"
            mains = self._observer.words("main", task.task_arn)
            if ran.kind != "restarted" and len(mains) != 1:
                yield f"{ran.kind}: {len(mains)} main processes: {mains}: {task}"

    # exit codes

    def _untrue(self, ran: Ran, run: PastRun) -> Iterator[str]:
        main = next((said for said in self._observer.said if (said.word, said.run) == ("main", run.run_id)), None)
        if main is None:
            return
        true = self._true_code(main)
        told = None if run.exit is None else run.exit.exit_code
        if told is None:
            if not run.reason:
                yield f"{ran.kind}: no exit code, and no reason ({true} is true): {run}"
            elif not self._may_be_unknown(self._observer.watched[main.pid]):
                yield f"{ran.kind}: no exit code, which a keeper could have seen ({true} is true): {run}"
        elif true is not None and told != true:
            yield f"{ran.kind}: exit code {told} is recorded, {true} is true: {run}"

    def _true_code(self, main: Said) -> int | None:
        known = self._observer.watched[main.pid].exit_code()
        if known is not None:
            return known
        said = (said.code for said in self._observer.said if (said.word, said.pid) == ("exit", main.pid))
        return next(said, None)

    def _may_be_unknown(self, main: Watched) -> bool:
        """Whether it died while there was no keeper; a death of the last moment before may not have been told."""
        died_at = main.died_at
        if died_at is None or not self._keeper_killed:
            return False
        lives = self._observer.lives
        return any(
            (one.ended_at or died_at) - LATE <= died_at <= (other.ready_at or died_at)
            for one, other in itertools.pairwise(lives)
        )

    # deadlines

    def _untimely(self, ran: Ran, task: Task) -> Iterator[str]:
        word = {"stubborn": "main", "hastened": "main", "parent": "child"}.get(ran.kind)
        if word is None or not ran.stops:
            return
        for said in self._observer.words(word, task.task_arn):
            one = self._observer.watched[said.pid]
            if one.died_at is None:
                yield f"{ran.kind}: {said} never died"
                continue
            if one.exit_code() not in (None, KILLED):
                yield f"{ran.kind}: {said} ended with {one.exit_code()}, not by SIGKILL"
            yield from self._early_or_late(ran, task, one.died_at)

    def _early_or_late(self, ran: Ran, task: Task, died_at: float) -> Iterator[str]:
        told_at = next((said.at for said in self._observer.words("term", task.task_arn)), None)
        earliest = min(self._window(stop) + stop.asked_at for stop in ran.stops)
        if died_at < earliest - EARLY:
            yield f"{ran.kind}: killed {earliest - died_at:.3f} s before its deadline"
        if told_at is None:
            yield f"{ran.kind}: killed, and never told to stop"
            return
        last = ran.stops[-1]
        due = told_at + self._window(last) if len(ran.stops) == 1 else last.acknowledged_at + self._window(last)
        latest = due + LATE
        for life in self._observer.lives[1:] if self._keeper_killed else ():
            if life.ready_at is not None:
                latest = max(latest, life.ready_at + AT_START)
        latest += self._observer.waited(min(told_at, ran.stops[0].asked_at), died_at)
        if died_at > latest:
            yield f"{ran.kind}: killed {died_at - due:.3f} s after its deadline"

    def _window(self, stop: Stop) -> float:
        assert stop.window is not None
        return stop.window
