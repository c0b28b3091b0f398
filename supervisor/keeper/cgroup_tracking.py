"""Which processes belong to a run, by its cgroup; and which way of tracking is used."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Collection

from supervisor.keeper import limits
from supervisor.keeper.descent_tracking import DescentTracking
from supervisor.keeper.tracking import Tracked, Tracking
from supervisor.posix import cgroup, process
from supervisor.wire import Spawn

_ROUNDS = 32
"""Looks at a group until no new process turns up."""


def choose(wanted: str, name: str, own_pids: Callable[[], Collection[int]]) -> tuple[Tracking, str]:
    """The tracking to use and why. ``OSError`` where ``cgroup`` is wanted and cannot be had."""
    if wanted == "descent":
        return DescentTracking(own_pids), "configured"
    own = cgroup.own()
    why_not = "no cgroup v2 is mounted" if own is None else cgroup.why_unusable(own)
    if own is not None and why_not is None:
        place = limits.find(own, service="INVOCATION_ID" in os.environ)
        return CgroupTracking(place, name, own_pids), f"cgroup v2 below {place.directory}"
    if wanted == "cgroup":
        raise OSError(None, why_not)
    return DescentTracking(own_pids), why_not or ""


class CgroupTracking:
    """One cgroup for each run, below one for each task.

    A process of root can leave its cgroup. So the keeper's own children are looked at as well: descent finds it.
    """

    name = "cgroup"

    def __init__(self, place: limits.Place, name: str, own_pids: Callable[[], Collection[int]]) -> None:
        self._place = place
        self._root = f"{place.directory}/{name}"
        self._descent = DescentTracking(own_pids)
        self._events: dict[str, int] = {}
        self._foreseen: dict[str, list[int]] = {}
        self.limits = place.why

    def _path(self, run: str, task: str) -> str:
        return f"{self._root}/{task}/{run}"

    def prepare(self, run: str, task: str) -> None:
        cgroup.make(self._path(run, task))

    def limit(self, spec: Spawn) -> None:
        path, task, has = self._path(spec.run, spec.task), f"{self._root}/{spec.task}", self._place.controllers
        for directory in (self._root, task) if has else ():
            cgroup.hand_on(directory, has)
        if "memory" in has:
            # A reservation counts only as far as every group above has one; above our own, it is the host's to say.
            cgroup.limit(self._root, "memory.low", "max")
        wanted = (
            ("memory", task, "memory.max", spec.task_memory_max),
            ("memory", task, "memory.low", spec.task_memory_low),
            ("cpu", task, "cpu.weight", spec.task_cpu_weight),
            ("memory", path, "memory.max", spec.memory_max),
            ("memory", path, "memory.low", spec.memory_low),
            ("cpu", path, "cpu.weight", spec.cpu_weight),
        )
        for controller, directory, file, value in wanted:
            if controller in has and value is not None:
                cgroup.limit(directory, file, value)

    def oom_kills(self, run: Tracked) -> int:
        return cgroup.read_table(self._path(run.id, run.task), "memory.events").get("oom_kill", 0)

    def birth_group(self, run: str, task: str) -> str | None:
        return self._path(run, task)

    def births_tag(self, run: str) -> int | None:
        return self._descent.births_tag(run)

    def find(self, run: str, task: str) -> list[int]:
        listed = cgroup.pids(self._path(run, task))
        return list(dict.fromkeys(listed + self._descent.find(run, task)))

    def bears(self, pid: int, run: str, task: str) -> bool:
        return cgroup.contains(self._path(run, task), pid) or self._descent.bears(pid, run, task)

    def adopt(self, runs: Collection[Tracked]) -> None:
        # They are in their groups already, unless the keeper before was in another one than we, or tracked by descent.
        for run in runs:
            path = self._path(run.id, run.task)
            if cgroup.contains(path, run.pid) or (run.pidfd is None and os.path.exists(path)):
                continue
            cgroup.make(path)
            for _ in range(_ROUNDS):
                new = [pid for pid in self._descent.find(run.id, run.task) if not cgroup.contains(path, pid)]
                for pid in new:
                    with contextlib.suppress(OSError):  # it has ended
                        cgroup.move(path, pid)
                if not new:
                    break

    def watch(self, run: Tracked) -> int | None:
        self._descent.watch(run)
        fd = self._events[run.id] = cgroup.open_events(self._path(run.id, run.task))
        return fd

    def thaw(self, run: Tracked) -> None:
        if cgroup.read_events(self._events[run.id])[1]:
            cgroup.thaw(self._path(run.id, run.task))

    def empty(self, runs: Collection[Tracked]) -> list[Tracked]:
        unpopulated = [run for run in runs if not cgroup.read_events(self._events[run.id])[0]]
        return self._descent.empty(unpopulated) if unpopulated else []

    def signal(self, run: Tracked, signum: int) -> list[int]:
        path = self._path(run.id, run.task)
        self.thaw(run)
        reached: dict[int, None] = {}
        for _ in range(_ROUNDS):  # those born while we went through the list are in the next one
            new = [pid for pid in cgroup.pids(path) if pid not in reached]
            if not new:
                break
            for pid in new:
                reached[pid] = None
                self._signal_member(path, pid, signum)
        return list(reached) + self._descent.signal(run, signum, but=reached)

    def _signal_member(self, path: str, pid: int, signum: int) -> None:
        pidfd = process.open_if(pid, lambda: cgroup.contains(path, pid))
        if pidfd is None:
            return
        try:
            process.send(pidfd, signum)
            process.send(pidfd, signal.SIGCONT)
        finally:
            os.close(pidfd)

    def members(self, runs: Collection[Tracked]) -> dict[str, list[int]]:
        found = {run.id: self._listed(run) for run in runs}
        strays = self._descent.with_orphans(runs)
        for run, pids in (self._descent.members(strays) if strays else {}).items():
            found[run] = list(dict.fromkeys(found[run] + pids))
        return found

    def foresee(self, run: Tracked) -> None:
        self._foreseen[run.id] = self._listed(run)

    def _listed(self, run: Tracked) -> list[int]:
        pids = cgroup.pids(self._path(run.id, run.task))
        return list(dict.fromkeys(([] if run.over else [run.pid]) + pids))

    def kill(self, runs: Collection[Tracked]) -> None:
        # First those that were listed before: with 200 due at once, a listing each would make the last one late.
        listed = [run for run in runs if run.id in self._foreseen]
        unlisted = [run for run in runs if run.id not in self._foreseen]
        self._kill_listed(listed)
        for run in unlisted:
            # A moment later nobody could tell whom it was that had to be killed; a zombie is not in the list.
            self.foresee(run)
        self._kill_listed(unlisted)

    def _kill_listed(self, runs: Collection[Tracked]) -> None:
        for run in runs:
            run.send(signal.SIGKILL)  # it may not have entered the group yet
        for run in runs:
            with contextlib.suppress(OSError):  # the group was removed by its own processes, say
                cgroup.kill(self._path(run.id, run.task))

    def kill_rest(self, runs: Collection[Tracked], between: Callable[[], None]) -> dict[str, list[int]]:
        reached = {run.id: self._foreseen.pop(run.id, []) for run in runs}
        # One by one as well: cgroup.kill signals leader threads, and one that has ended while others of its process
        # live takes no notice.
        for run in runs:
            path = self._path(run.id, run.task)
            for pid in cgroup.pids(path):
                self._signal_member(path, pid, signal.SIGKILL)
            between()
        strays = self._descent.with_orphans(runs)
        self._descent.kill(strays)
        for run_id, pids in (self._descent.kill_rest(strays, between) if strays else {}).items():
            reached[run_id] = list(dict.fromkeys(reached[run_id] + pids))
        return reached

    def release(self, run: str, task: str) -> None:
        self._descent.release(run, task)
        self._foreseen.pop(run, None)
        if (fd := self._events.pop(run, None)) is not None:
            os.close(fd)
        cgroup.remove(self._path(run, task))
        cgroup.remove_if_empty(f"{self._root}/{task}")

    def close(self) -> None:
        cgroup.remove(self._root)  # also what an earlier keeper could not remove
        limits.leave(self._place)
