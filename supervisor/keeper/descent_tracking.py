"""Which processes belong to a run, without cgroups.

The keeper is a child subreaper, so every process of a run is at all times below one of the keeper's own children: the
main process, or an orphan that the keeper inherited. An orphan is told by three marks that it had from its main
process: an RLIMIT_LOCKS with the run's number (kept over fork, setsid and exec, meaningless to the kernel),
``SUPERVISOR_CONTAINER_ID`` in its environment, its session.

Of an adopted run, which an earlier keeper had started, nobody is below us. Its processes are looked for on the whole
host, by the first two marks and below those that have one: its main process pins no session.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection, Iterable, Iterator

from supervisor.keeper.child import MARKER
from supervisor.keeper.tracking import Tracked
from supervisor.posix import proc, process, strangers
from supervisor.wire import Spawn

Process = tuple[int, int]
"""pid and start time."""

_ROUNDS = 32
"""Looks at the processes until no new one turns up; a fork storm faster than that meets the next pass."""

_LOOKS = 3
"""At the whole host, none of which meets anybody of an adopted run, until that is over."""

_NOT_TOLD = "?"
"""In the place of a run's id: the orphan may be anybody's."""


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

    def find(self, run: str, task: str) -> list[int]:
        found = [stat for stat in proc.snapshot().values() if self.bears(stat.pid, run, task) and not _is_dead(stat)]
        return [stat.pid for stat in sorted(found, key=lambda stat: stat.start_time)]

    def bears(self, pid: int, run: str, task: str) -> bool:
        tag = proc.read_file_locks_limit(pid)
        return tag == _tag(run) or proc.read_environ(pid).get(MARKER.encode()) == run.encode()

    def adopt(self, runs: Collection[Tracked]) -> None:
        return

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
        adopted = [run for run in runs if run.adopted]
        # Nobody holds still for a look at the whole host, and one that forks in the right moment is not met.
        for _ in range(_LOOKS if adopted else 0):
            owners |= {owner for _, owner in self._strays(adopted)}
        return [run for run in runs if run.id not in owners and (run.adopted or _NOT_TOLD not in owners)]

    def _strays(self, runs: Collection[Tracked]) -> Iterator[tuple[Process, str]]:
        """The living processes with a mark of an adopted one of these runs, each with that run, as they are met.

        The newest are asked first: they are those that may be gone in a moment.
        """
        wanted = {run.id: run for run in runs if run.adopted}
        for pid in reversed(proc.pids()) if wanted else ():
            owner = self._marked_as(pid)
            if owner not in wanted or pid == wanted[owner].pid:
                continue
            stat = proc.read_stat(pid)
            if stat is not None and not _is_dead(stat):
                yield (pid, stat.start_time), owner

    def _marked_as(self, pid: int) -> str:
        tag = proc.read_file_locks_limit(pid)
        if tag in self._tags:
            return self._tags[tag]
        return proc.read_environ(pid).get(MARKER.encode(), b"").decode(errors="replace")

    def _orphans_now(self) -> dict[Process, str | None]:
        """The keeper's children beside main processes and its own, each with the run that it comes from."""
        mains = {run.pid: run for run in self._runs.values() if not run.adopted}
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
        owners = set(self._orphans_now().values()) | {owner for _, owner in self._strays(runs)}
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
        for run in runs:  # also a chain of forks too short-lived to be met one by one
            if not run.adopted:
                process.kill_group(run.pid)
            elif run.pidfd is None or not strangers.kill_group(run.pidfd):
                run.send(signal.SIGKILL)

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
        is_new = True
        for _ in range(_ROUNDS):
            if not is_new:
                break
            is_new = False
            for one, run in self._each_member():
                if run in reached and one not in reached[run] and one[0] not in but:
                    is_new = True
                    reached[run].add(one)
                    process.send_identified(*one, *signums)
        return reached

    def _members(self) -> dict[str, set[Process]]:
        members: dict[str, set[Process]] = {run: set() for run in self._runs}
        for one, run in self._each_member():
            members[run].add(one)
        return members

    def _each_member(self) -> Iterator[tuple[Process, str]]:
        """The living processes of every run, as they are met: our children and what is below them, and strays."""
        met: set[Process] = set()
        for stray, owner in self._strays(self._runs.values()):
            yield from self._tree(stray, owner, met)
        for run in self._runs.values():
            if not run.over:
                yield from self._tree((run.pid, run.start_time), run.id, met)
        for orphan, whose in self._orphans_now().items():
            if whose in self._runs:
                yield from self._tree(orphan, whose, met)

    @staticmethod
    def _tree(root: Process, owner: str, met: set[Process]) -> Iterator[tuple[Process, str]]:
        tree = [root]
        while tree:
            one = tree.pop()
            if one in met:
                continue
            met.add(one)
            yield one, owner
            below = map(proc.read_stat, proc.children_of(one[0]))
            tree += [(stat.pid, stat.start_time) for stat in below if stat is not None]

    def _owner(self, orphan: proc.Stat, mains: dict[int, Tracked]) -> str | None:
        """The run that an orphan comes from. A session is safe to go by: the zombie of the main process pins it."""
        tag = proc.read_file_locks_limit(orphan.pid)
        if tag in self._tags:
            return self._tags[tag]
        return mains[orphan.session].id if orphan.session in mains else self._marked_as(orphan.pid) or None


def _tag(run: str) -> int:
    return int(2**48 + int(run[:12], 16))


def _is_dead(stat: proc.Stat) -> bool:
    """Whether it is a zombie to its last thread: another process has to reap it."""
    return stat.state in "ZX" and proc.threads(stat.pid) <= 1
