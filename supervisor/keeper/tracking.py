"""Which processes belong to a run, and how to reach all of them.

``CgroupTracking``: each run has a cgroup; the kernel keeps the list, and ``cgroup.kill`` has no race.

``DescentTracking``, without a writable cgroup v2: the keeper is a child subreaper, so every process of a run is at
all times below one of the keeper's own children: the main process, or an orphan that the keeper inherited. An
orphan is told by three marks that it had from its main process: an RLIMIT_LOCKS with the run's number (kept over
fork, setsid and exec, meaningless to the kernel), ``SUPERVISOR_CONTAINER_ID`` in its environment, its session.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Collection, Iterable
from typing import Protocol

from supervisor.keeper import limits
from supervisor.keeper.child import MARKER
from supervisor.posix import cgroup, proc, process
from supervisor.wire import Spawn

Process = tuple[int, int]
"""pid and start time."""

_ROUNDS = 32
"""Looks at the processes until no new one turns up; a fork storm faster than that meets the next pass."""

_NOT_TOLD = "?"
"""In the place of a run's id: the orphan may be anybody's."""


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
    limits: str
    """For the log: the controllers that limit, or why limits are recorded only."""

    def prepare(self, run: str, task: str) -> None:
        """Before the fork."""

    def limit(self, spec: Spawn) -> None:
        """After ``prepare``: what the run and its task may use, where that can be enforced."""

    def oom_kills(self, run: Tracked) -> int:
        """How many processes of the run the kernel has killed for want of memory, as far as it tells."""

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

    def members(self, runs: Collection[Tracked]) -> dict[str, list[int]]:
        """The processes of these runs by run id, the main process first. Also from a child of the keeper's."""

    def foresee(self, run: Tracked) -> None:
        """Shortly before a kill: note whom it will meet, so that it need not ask then."""

    def kill(self, runs: Collection[Tracked]) -> None:
        """SIGKILL for these runs, as many of their processes as can be reached without looking for them."""

    def kill_rest(self, runs: Collection[Tracked], between: Callable[[], None]) -> dict[str, list[int]]:
        """SIGKILL for whoever ``kill`` may not have reached; all pids by run id. Calls ``between`` again and again."""

    def release(self, run: str, task: str) -> None:
        """The run is over."""

    def close(self) -> None:
        """The keeper ends."""


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
            process.send(run.pidfd, signal.SIGKILL)  # it may not have entered the group yet
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
        cgroup.remove_if_empty(self._root)
        limits.leave(self._place)


class DescentTracking:
    """Runs by descent from the keeper, orphans by their marks."""

    name = "descent"
    limits = "recorded only: without cgroups nothing can be limited"

    def __init__(self, own_pids: Callable[[], Collection[int]]) -> None:
        self._own_pids = own_pids
        self._keeper = os.getpid()
        self._runs: dict[str, Tracked] = {}
        self._tags: dict[int, str] = {}
        self._orphans: dict[Process, str | None] = {}

    def prepare(self, run: str, task: str) -> None:
        return

    def limit(self, spec: Spawn) -> None:
        return

    def oom_kills(self, run: Tracked) -> int:
        return 0

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
        # Whatever lives of a run whose main process is over lives below a child of ours, and a dead child has nobody
        # below it: our own children are all that must be looked at. Only we take from their list, and who is given to
        # us meanwhile comes at its end; a zombie counts until it is reaped, and its SIGCHLD brings the next look.
        owners = set(self._orphans_now().values())
        return [] if _NOT_TOLD in owners else [run for run in runs if run.id not in owners]

    def _orphans_now(self) -> dict[Process, str | None]:
        """The keeper's children beside main processes and its own, each with the run that it comes from."""
        mains = {run.pid: run for run in self._runs.values()}
        orphans: dict[Process, str | None] = {}
        own = {*self._own_pids(), os.getpid()}  # our own pid, where it is a child of ours that asks
        for pid in proc.children_of(self._keeper):
            if pid in mains or pid in own or (stat := proc.read_stat(pid)) is None:
                continue
            key = (pid, stat.start_time)
            owner = self._orphans.get(key) or self._owner(stat, mains)
            # Of a process that has just died its environment does not tell any more whose it was.
            orphans[key] = _NOT_TOLD if owner is None and stat.state == "Z" else owner
        self._orphans = orphans
        return orphans

    def with_orphans(self, runs: Collection[Tracked]) -> list[Tracked]:
        """Of these runs, those that processes among our own children come from."""
        owners = set(self._orphans_now().values())
        return [run for run in runs if run.id in owners]

    def signal(self, run: Tracked, signum: int, but: Collection[int] = ()) -> list[int]:
        reached = self._until_no_new([run], (signum, signal.SIGCONT), but)
        return [pid for pid, _ in reached[run.id]]

    def members(self, runs: Collection[Tracked]) -> dict[str, list[int]]:
        members = self._members()
        pids = {run.id: sorted(pid for pid, _ in members[run.id]) for run in runs}
        return {run.id: sorted(pids[run.id], key=lambda pid, main=run.pid: pid != main) for run in runs}  # type: ignore[misc]

    def foresee(self, run: Tracked) -> None:
        return  # who is told is whom it finds, and has to find, at the kill itself

    def kill(self, runs: Collection[Tracked]) -> None:
        for run in runs:
            process.kill_group(run.pid)  # also a chain of forks too short-lived to be met one by one

    def kill_rest(self, runs: Collection[Tracked], between: Callable[[], None]) -> dict[str, list[int]]:
        stopped = self._until_no_new(runs, (signal.SIGSTOP,))
        for members in stopped.values():
            for pid, start_time in members:
                process.send_identified(pid, start_time, signal.SIGKILL)
            between()
        return {run: [pid for pid, _ in members] for run, members in stopped.items()}

    def _until_no_new(
        self, runs: Collection[Tracked], signums: Iterable[int], but: Collection[int] = ()
    ) -> dict[str, set[Process]]:
        reached: dict[str, set[Process]] = {run.id: set() for run in runs}
        for _ in range(_ROUNDS):
            members = self._members()
            new = {run: {one for one in members[run] - seen if one[0] not in but} for run, seen in reached.items()}
            if not any(new.values()):
                break
            for run, some in new.items():
                reached[run] |= some
                for pid, start_time in some:
                    process.send_identified(pid, start_time, *signums)
        return reached

    def _members(self) -> dict[str, set[Process]]:
        """The living processes of every run: our children and what is below them, whatever else the host runs."""
        members: dict[str, set[Process]] = {run: set() for run in self._runs}
        orphans = self._orphans_now()
        roots = [((run.pid, run.start_time), run.id, run.over) for run in self._runs.values()]
        roots += [(key, owner, False) for key, owner in orphans.items() if owner in members]
        for root, owner, over in roots:
            if over:
                continue
            tree = [root]
            while tree:
                one = tree.pop()
                if one in members[owner]:
                    continue
                members[owner].add(one)
                below = map(proc.read_stat, proc.children_of(one[0]))
                tree += [(stat.pid, stat.start_time) for stat in below if stat is not None]
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
