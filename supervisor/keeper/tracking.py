"""Which processes belong to a run, and how to reach all of them.

``CgroupTracking``: each run has a cgroup; the kernel keeps the list, and ``cgroup.kill`` has no race.

``DescentTracking``, without a writable cgroup v2: the keeper is a child subreaper, so every process of a run is at
all times below one of the keeper's own children: the main process, or an orphan that the keeper inherited. An
orphan is told by three marks that it had from its main process: an RLIMIT_LOCKS with the run's number (kept over
fork, setsid and exec, meaningless to the kernel), ``SUPERVISOR_CONTAINER_ID`` in its environment, its session.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection, Iterable
from typing import Protocol

from supervisor.keeper.child import MARKER
from supervisor.posix import cgroup, proc, process

Process = tuple[int, int]
"""pid and start time."""

_ROUNDS = 32
"""Looks at the processes until no new one turns up; a fork storm faster than that meets the next pass."""


class Tracked(Protocol):
    """What tracking needs to know of a run. ``over``: its main process has ended (and is kept as a zombie)."""

    id: str
    task: str
    pid: int
    start_time: int
    pidfd: int
    over: bool


class Tracking(Protocol):
    """The two ways have these in common."""

    name: str

    def prepare(self, run: str, task: str) -> None:
        """Before the fork."""

    def birth_group(self, run: str, task: str) -> str | None:
        """The cgroup that the child enters by itself."""

    def births_tag(self, run: str) -> int | None:
        """The RLIMIT_LOCKS that the child gives itself."""

    def watch(self, run: Tracked) -> int | None:
        """A descriptor that epoll tells EPOLLPRI of when the run may have become empty; owned by tracking."""

    def thaw(self, run: Tracked) -> None:
        """Let a frozen run run again, so that it can act on a signal."""

    def empty(self, runs: Collection[Tracked]) -> list[Tracked]:
        """Of runs whose main process is over, those of which no process is left."""

    def signal(self, run: Tracked, signum: int) -> list[int]:
        """Signal, then continue, every process of the run; the pids it reached."""

    def kill(self, runs: Collection[Tracked]) -> dict[str, list[int]]:
        """SIGKILL everything of these runs; the pids by run id."""

    def release(self, run: str, task: str) -> None:
        """The run is over."""

    def close(self) -> None:
        """The keeper ends."""


def choose(wanted: str, name: str, reap: Callable[[], bool], agent_pid: Callable[[], int]) -> tuple[Tracking, str]:
    """The tracking to use and why. ``OSError`` where ``cgroup`` is wanted and cannot be had."""
    if wanted == "descent":
        return DescentTracking(reap, agent_pid), "configured"
    own = cgroup.own()
    why_not = "no cgroup v2 is mounted" if own is None else cgroup.why_unusable(own)
    if own is not None and why_not is None:
        return CgroupTracking(f"{own}/{name}"), f"cgroup v2 below {own}"
    if wanted == "cgroup":
        raise OSError(None, why_not)
    return DescentTracking(reap, agent_pid), why_not or ""


class CgroupTracking:
    """One cgroup for each run, below one for each task."""

    name = "cgroup"

    def __init__(self, root: str) -> None:
        self._root = root
        self._events: dict[str, int] = {}

    def _path(self, run: str, task: str) -> str:
        return f"{self._root}/{task}/{run}"

    def prepare(self, run: str, task: str) -> None:
        cgroup.make(self._path(run, task))

    def birth_group(self, run: str, task: str) -> str | None:
        return self._path(run, task)

    def births_tag(self, run: str) -> int | None:
        return None

    def watch(self, run: Tracked) -> int | None:
        fd = self._events[run.id] = cgroup.open_events(self._path(run.id, run.task))
        return fd

    def thaw(self, run: Tracked) -> None:
        if cgroup.read_events(self._events[run.id])[1]:
            cgroup.thaw(self._path(run.id, run.task))

    def empty(self, runs: Collection[Tracked]) -> list[Tracked]:
        return [run for run in runs if not cgroup.read_events(self._events[run.id])[0]]

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
        return list(reached)

    def _signal_member(self, path: str, pid: int, signum: int) -> None:
        pidfd = process.open_if(pid, lambda: cgroup.contains(path, pid))
        if pidfd is None:
            return
        try:
            process.send(pidfd, signum)
            process.send(pidfd, signal.SIGCONT)
        finally:
            os.close(pidfd)

    def kill(self, runs: Collection[Tracked]) -> dict[str, list[int]]:
        for run in runs:
            process.send(run.pidfd, signal.SIGKILL)  # it may not have entered the group yet
            cgroup.kill(self._path(run.id, run.task))
        return {run.id: cgroup.pids(self._path(run.id, run.task)) for run in runs}

    def release(self, run: str, task: str) -> None:
        if (fd := self._events.pop(run, None)) is not None:
            os.close(fd)
        cgroup.remove(self._path(run, task))
        cgroup.remove_if_empty(f"{self._root}/{task}")

    def close(self) -> None:
        cgroup.remove_if_empty(self._root)


class DescentTracking:
    """Runs by descent from the keeper, orphans by their marks."""

    name = "descent"

    def __init__(self, reap: Callable[[], bool], agent_pid: Callable[[], int]) -> None:
        self._reap = reap
        self._agent_pid = agent_pid
        self._runs: dict[str, Tracked] = {}
        self._tags: dict[int, str] = {}
        self._orphans: dict[Process, str | None] = {}

    def prepare(self, run: str, task: str) -> None:
        return

    def birth_group(self, run: str, task: str) -> str | None:
        return None

    def births_tag(self, run: str) -> int | None:
        return _tag(run)

    def watch(self, run: Tracked) -> int | None:
        self._runs[run.id] = run
        self._tags[_tag(run.id)] = run.id
        return None  # the top of what is left is always our own child: SIGCHLD tells

    def release(self, run: str, task: str) -> None:
        self._runs.pop(run, None)
        self._tags.pop(_tag(run), None)

    def close(self) -> None:
        return

    def thaw(self, run: Tracked) -> None:
        return

    def empty(self, runs: Collection[Tracked]) -> list[Tracked]:
        # A look at /proc is not atomic: a process that forks and exits can be missed. But one that was there when
        # the look began and was not found has died meanwhile, and its last living ancestor's death, or its own,
        # was of a child of ours. So a look during which no child of ours died has missed nobody.
        for _ in range(_ROUNDS):
            left = self._members()
            if not self._reap():
                return [run for run in runs if not left[run.id]]
        return []

    def signal(self, run: Tracked, signum: int) -> list[int]:
        reached = self._until_no_new([run], (signum, signal.SIGCONT))
        return [pid for pid, _ in reached[run.id]]

    def kill(self, runs: Collection[Tracked]) -> dict[str, list[int]]:
        stopped = self._until_no_new(runs, (signal.SIGSTOP,))
        for members in stopped.values():
            for pid, start_time in members:
                process.send_identified(pid, start_time, signal.SIGKILL)
        return {run: [pid for pid, _ in members] for run, members in stopped.items()}

    def _until_no_new(self, runs: Collection[Tracked], signums: Iterable[int]) -> dict[str, set[Process]]:
        reached: dict[str, set[Process]] = {run.id: set() for run in runs}
        for _ in range(_ROUNDS):
            members = self._members()
            new = {run: members[run] - seen for run, seen in reached.items()}
            if not any(new.values()):
                break
            for run, some in new.items():
                reached[run] |= some
                for pid, start_time in some:
                    process.send_identified(pid, start_time, *signums)
        return reached

    def _members(self) -> dict[str, set[Process]]:
        """The living processes of every run, as one look at /proc shows them."""
        stats = proc.snapshot()
        below: dict[int, list[int]] = {}
        for stat in stats.values():
            below.setdefault(stat.ppid, []).append(stat.pid)
        mains = {run.pid: run for run in self._runs.values()}
        members: dict[str, set[Process]] = {run: set() for run in self._runs}
        orphans: dict[Process, str | None] = {}
        for pid in below.get(os.getpid(), ()):
            stat = stats[pid]
            if pid in mains:
                run: str | None = mains[pid].id
            elif pid == self._agent_pid():
                continue
            else:
                key = (pid, stat.start_time)
                run = orphans[key] = self._orphans.get(key) or self._owner(stat, mains)
            if run is None or run not in members:
                continue
            tree = [pid]
            while tree:
                one = tree.pop()
                tree += below.get(one, ())
                if not (one in mains and mains[one].over):
                    members[run].add((one, stats[one].start_time))
        self._orphans = orphans
        return members

    def _owner(self, orphan: proc.Stat, mains: dict[int, Tracked]) -> str | None:
        """The run that an orphan comes from. A session is safe to go by: the zombie of the main process pins it."""
        tag = proc.read_file_locks_limit(orphan.pid)
        if tag in self._tags:
            return self._tags[tag]
        if orphan.session in mains:
            return mains[orphan.session].id
        return proc.read_environ(orphan.pid).get(MARKER.encode(), b"").decode(errors="replace") or None


def _tag(run: str) -> int:
    return int(2**48 + int(run[:12], 16))
