"""Processes as the test itself sees them: by pidfds of its own, and in ``/proc``. Nothing here believes the keeper."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Iterator

from supervisor.posix import proc, process
from tests.conftest import PATIENCE

POLL = 0.005
"""Seconds between two looks at a fact that no descriptor tells of."""

CPU_CLOCK = 2
"""Low bits of a process's CPU-time clock id, below its complemented pid (clock_getcpuclockid(3))."""


class Process:
    """One process, held by a pidfd. Monotonic instants: ``died_at``, as seen; ``said_at``, by its own account."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.died_at: float | None = None
        self.said_at: float | None = None
        self._pidfd: int | None = None
        try:
            self._pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            self.died_at = time.monotonic()

    @property
    def alive(self) -> bool:
        """Whether anything of it still runs. A zombie whose threads run is alive."""
        return not self.wait(0.0)

    def fileno(self) -> int:
        """For ``select``; -1 once its death has been seen."""
        return -1 if self._pidfd is None else self._pidfd

    def wait(self, timeout: float) -> bool:
        """Whether it is dead, at the latest after ``timeout`` seconds."""
        if self._pidfd is not None and select.select([self._pidfd], [], [], timeout)[0]:
            self.saw_death()
        return self._pidfd is None

    def saw_death(self) -> float:
        """Note the death that ``select`` told of."""
        self.close()
        if self.died_at is None:
            self.died_at = time.monotonic()
        return self.died_at

    def death(self) -> float:
        """Wait for its death; the instant."""
        assert self.wait(PATIENCE), f"{describe(self.pid)} is still alive"
        assert self.died_at is not None
        return self.died_at

    def signal(self, signum: int) -> None:
        """Send it a signal, if it is still there."""
        if self._pidfd is not None:
            process.send(self._pidfd, signum)

    def close(self) -> None:
        """Let go of the pidfd."""
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None


class Words:
    """A FIFO that workloads write their words into (``tests/workloads/ready.py``), and who has said what."""

    def __init__(self, path: str) -> None:
        self.path = path
        os.mkfifo(path)
        os.chmod(path, 0o622)  # a workload may run as somebody else
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._rest = b""
        self._said: list[tuple[str, Process]] = []

    def fileno(self) -> int:
        """For ``select``."""
        return self._fd

    def read(self) -> list[Process]:
        """Take in what was said; who said it."""
        self._rest += os.read(self._fd, 65536)
        *lines, self._rest = self._rest.split(b"\n")
        speakers = []
        for line in lines:
            word, pid, *instant = line.decode().split()
            speaker = Process(int(pid))
            speaker.said_at = float(instant[0]) if instant else None
            self._said.append((word, speaker))
            speakers.append(speaker)
        return speakers

    def take(self, word: str, pid: int | None = None) -> Process | None:
        """The next process that has said ``word``, if one has: any, or the one with that pid."""
        for index, (said, speaker) in enumerate(self._said):
            if said == word and pid in (None, speaker.pid):
                del self._said[index]
                return speaker
        return None

    def close(self) -> None:
        """Nobody listens any more."""
        os.close(self._fd)


def state(pid: int) -> str | None:
    """The letter in ``/proc/PID/stat``: R, S, D, T, t, Z; None if there is no such process."""
    stat = proc.read_stat(pid)
    return None if stat is None else stat.state


def status(pid: int) -> dict[str, str]:
    """``/proc/PID/status``."""
    with open(f"/proc/{pid}/status") as file:
        return {key: value.strip() for key, _, value in (line.partition(":") for line in file)}


def children() -> set[int]:
    """Our own children, zombies among them, and orphans that we inherited."""
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return set(map(int, file.read().split()))


def describe(pid: int) -> str:
    """The process for an assertion's text."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            argv = file.read().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        argv = "?"
    return f"pid {pid} ({state(pid)}) {argv}"


def descriptors(pid: int) -> dict[int, str]:
    """The open descriptors of a process and what each is."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one of this very listing
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
    return found


def cpu_seconds(pid: int) -> float:
    """CPU time that the process has used so far."""
    return time.clock_gettime(~pid << 3 | CPU_CLOCK)


def until(fact: Callable[[], bool], what: str) -> None:
    """Look until the fact holds; only for what no descriptor tells of."""
    patient_until = time.monotonic() + PATIENCE
    while not fact():
        assert time.monotonic() < patient_until, f"never came true: {what}"
        time.sleep(POLL)


@contextlib.contextmanager
def subreaper() -> Iterator[None]:
    """Inherit whatever is orphaned below us meanwhile, so that nothing can get lost unseen."""
    process.become_subreaper()
    try:
        yield
    finally:
        process._prctl(process._PR_SET_CHILD_SUBREAPER, 0)


def end_all(pids: list[int]) -> None:
    """Kill and reap these children of ours."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
