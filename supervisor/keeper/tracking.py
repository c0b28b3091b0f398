"""Which processes belong to a run, and how to reach all of them: what the two ways of it have in common.

``cgroup_tracking``: each run has a cgroup; the kernel keeps the list, and ``cgroup.kill`` has no race.
``descent_tracking``, where no cgroup v2 is writable: by descent from the keeper, and the marks of a run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from supervisor.wire import Spawn


class Tracked(Protocol):
    """What tracking needs to know of a run.

    ``over``: its main process has ended (and is kept as a zombie). ``adopted``: its processes are not below us.
    """

    id: str
    task: str
    pid: int
    start_time: int
    pidfd: int | None
    over: bool
    adopted: bool

    def send(self, signum: int) -> bool:
        """Signal the main process. False: it is gone."""


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

    def find(self, run: str, task: str) -> list[int]:
        """The processes of a run that is not held, by its marks, wherever on the host they are; oldest first."""

    def bears(self, pid: int, run: str, task: str) -> bool:
        """Whether the process has a mark of the run."""

    def adopt(self, runs: Collection[Tracked]) -> None:
        """Before ``watch``: these were started by an earlier keeper, which may have tracked in the other way."""

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
