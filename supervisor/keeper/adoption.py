"""Runs that this keeper did not start itself: as the keeper before it has noted them, or as the agent's records say.

After an upgrade they are our children as before. After the death of a keeper they are adopted: who has the pid and the
start time, and is in the ledger, is the main process; who it was that an unfinished fork made is told by its marks.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping

from supervisor import wire
from supervisor.keeper import ledger
from supervisor.keeper.child import MARKER
from supervisor.keeper.held import Run
from supervisor.keeper.ledger import Records
from supervisor.keeper.tracking import Tracking
from supervisor.posix import proc, process

GONE = "Exit code unknown: it ended while no keeper lived, and nobody has kept its status"
UNTOLD = (
    "Exit code unknown: the keeper that had started it ended before it, and this kernel does not tell others "
    "(Linux 6.15 and later do)"
)


class Adoption:
    """Finds the processes of runs that were started before."""

    def __init__(self, tracking: Tracking, kept_fds: Mapping[str, int]) -> None:
        self._tracking = tracking
        self._kept_fds = dict(kept_fds)
        for fd in self._kept_fds.values():
            os.set_inheritable(fd, False)  # it had to come through the exec; nobody else is to have it

    def of_ledger(self, records: Records) -> list[Run]:
        """Every run that the ledger has and that was begun, with its state; each helper after what it is beside."""
        specs: dict[str, wire.Spawn] = {}
        for key in [key for key in records if key.startswith("spec ")]:
            with contextlib.suppress(*ledger.SENSELESS):
                specs[key.partition(" ")[2]] = wire.revive(wire.Spawn, records[key])
        found: dict[str, Run] = {}
        for spec in sorted(specs.values(), key=lambda spec: spec.beside is not None):
            with contextlib.suppress(*ledger.SENSELESS):
                if (run := self._of_ledger(spec, records)) is not None:
                    found[spec.run] = run
        for run in found.values():
            beside = specs[run.id].beside
            if beside is not None and beside in found:
                run.beside = found[beside]
                run.is_hook = run.id == wire.hook_run(beside)
                run.beside.helpers.append(run)
        self._let_go()
        return list(found.values())

    def _of_ledger(self, spec: wire.Spawn, records: Records) -> Run | None:
        pid, start_time = records.get(f"born {spec.run}") or self._look_for(spec)
        run = self._take_up(spec, pid, start_time)
        if (members := records.get(f"plan {spec.run}")) is not None:
            run.take_members(members)
        if run.plan.starting and f"exec {spec.run}" not in records and not _has_begun(run):
            self._end_unbegun(run)
            return None
        return run

    def of_records(self, spec: wire.Spawn) -> Run | None:
        """A run that the agent's records have and no ledger; None if it was perhaps never begun, and is not there."""
        assert spec.living is not None
        pid, start_time = spec.living
        if not pid:
            run = self._take_up(spec, *self._look_for(spec))
            if not _has_begun(run):
                self._end_unbegun(run)
                return None
            return run
        if not self._tracking.bears(pid, spec.run, spec.task):
            start_time = -1  # whoever has the pid now is a stranger
        run = self._take_up(spec, pid, start_time)
        run.plan = run.plan._replace(starting=False)
        return run

    def _look_for(self, spec: wire.Spawn) -> tuple[int, int]:
        """Pid and start time of the main process by the marks of the run; zeros where there is none."""
        stats = (proc.read_stat(pid) for pid in self._tracking.find(spec.run, spec.task))
        leaders = [stat for stat in stats if stat is not None and stat.session == stat.pid]
        return (leaders[0].pid, leaders[0].start_time) if leaders else (0, 0)

    def _take_up(self, spec: wire.Spawn, pid: int, start_time: int) -> Run:
        kept = self._kept_fds.pop(spec.run, None)
        pidfd = kept if kept is not None else process.open_identified(pid, start_time)
        run = Run(spec, pid, pidfd, None, start_time)
        stat = proc.read_stat(pid) if pidfd is not None else None
        run.adopted = stat is None or stat.ppid != os.getpid() or stat.start_time != start_time
        return run

    def _end_unbegun(self, run: Run) -> None:
        """Whoever had been forked and not come to the exec ends by itself when it sees its keeper gone; or here."""
        run.send(signal.SIGKILL)
        if run.pidfd is not None:
            os.close(run.pidfd)
        self._tracking.release(run.id, run.task)

    def _let_go(self) -> None:
        while self._kept_fds:
            os.close(self._kept_fds.popitem()[1])


def _has_begun(run: Run) -> bool:
    """Whether the main process has come to its exec: its environment is that of the run then, and not the keeper's."""
    return run.pidfd is not None and proc.read_environ(run.pid).get(MARKER.encode()) == run.id.encode()


def why_unknown(pidfd: int | None) -> str:
    """Of an adopted run whose main process has ended and nobody can tell how; with its pidfd, if there was one."""
    return GONE if pidfd is None else UNTOLD
