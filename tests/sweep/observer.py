"""What really happens: who lives, who died when and how. Nothing here believes the supervisor.

The observer is init to the supervisor: it starts it, starts it again at once when it was killed (``Restart=``),
inherits what it leaves, and reaps that at once. Every process of a task says itself through a FIFO that it is there,
and is held by a pidfd from then on.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import select
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from supervisor.posix import process
from tests.conftest import PATIENCE
from tests.sweep import start
from tests.sweep.points import REACHED
from tests.system.daemon import Daemon

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where the runtime directory is, that a service manager would give."""

STARTS_MOST = 6
"""More lives than any plan asks for: whatever starts so often fails at each start."""

HEARTBEAT = 0.05
"""Seconds after which the observer wakes up at the latest: when it does so too late, the machine stood still."""

_GET_INFO = 0xC040FF0B
"""``PIDFD_GET_INFO`` (Linux 6.13) with ``struct pidfd_info`` of 64 bytes; how it ended since Linux 6.15."""
_INFO_EXIT = 1 << 3
_INFO = struct.Struct("=Q52xi")
_BOOT_LESS_MONOTONIC = time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()


class Said(NamedTuple):
    """A line of a process: what, of which run of which task; when, to a hundredth of a second."""

    word: str
    pid: int
    run: str
    arn: str
    at: float
    code: int | None


class Life:
    """One life of the supervisor. Monotonic instants."""

    def __init__(self) -> None:
        self.ready_at: float | None = None
        self.ended_at: float | None = None
        self.status: int | None = None


class Watched:
    """A process that has said something, held by a pidfd until the end of the sweep's point."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.died_at: float | None = None
        self.reaped: int | None = None
        """Its exit code, or 128 + signal, where it was ours to reap."""
        try:
            self.pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            self.pidfd = -1
            self.died_at = time.monotonic()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.pidfd >= 0 and not select.select([self.pidfd], [], [], 0)[0]

    def exit_code(self) -> int | None:
        """As it really was, 128 + signal for a signal; None where this kernel does not tell."""
        if self.reaped is not None or self.pidfd < 0:
            return self.reaped
        info = bytearray(64)
        _INFO.pack_into(info, 0, _INFO_EXIT, 0)
        try:
            fcntl.ioctl(self.pidfd, _GET_INFO, info)
        except OSError:
            return None
        mask, status = _INFO.unpack_from(info)
        return _code_of(status) if mask & _INFO_EXIT else None


def _code_of(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


class SweptDaemon(Daemon):
    """A daemon whose keeper and agent have points."""

    def __init__(self, tracking: str) -> None:
        self.runtime = tempfile.mkdtemp(prefix="supervisor-sweep-", dir=MEMORY)
        super().__init__(tracking, environ={"RUNTIME_DIRECTORY": self.runtime})

    def spawn(self, environ: dict[str, str] | None = None, **popen: Any) -> subprocess.Popen[bytes]:
        """Start it: a fork of ours has all imports done, and so a new life follows at once on the one before."""
        full = {**os.environ, **self._environ, **(environ or {})}
        command = ["agent", "--config", self.config, "--state-dir", self.state_dir, "--socket", self.socket]
        become = functools.partial(start.become, self.directory, full, command)
        return super().spawn(preexec_fn=become, **popen)


class Observer:
    """``serve`` goes on in one thread; all that another one may read changes under ``changed``."""

    def __init__(self, daemon: SweptDaemon) -> None:
        self.daemon = daemon
        self.path = f"{daemon.directory}/said"
        self.changed = threading.Condition()
        self.said: list[Said] = []
        self.watched: dict[int, Watched] = {}
        self.lives: list[Life] = []
        self.doubles: list[str] = []
        self._waits: list[tuple[float, float]] = []
        self._waited: dict[int, float] = {}
        self._stood_still = 0.0
        os.mkfifo(self.path)
        self._fifo = os.open(self.path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._partial = b""
        self._reaped: dict[int, int] = {}
        self._ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._ready.bind("")
        self._woken, theirs = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        process.become_subreaper()

    # for the other thread, under ``changed``

    @property
    def ready(self) -> bool:
        """Whether the present life serves."""
        return bool(self.lives) and self.lives[-1].ready_at is not None and self.lives[-1].ended_at is None

    def words(self, word: str, arn: str) -> list[Said]:
        """What processes of that task have said."""
        return [said for said in self.said if (said.word, said.arn) == (word, arn)]

    def living(self, arn: str) -> list[int]:
        """The processes of the task that live, of those that have said a word."""
        pids = {said.pid for said in self.said if said.arn == arn}
        return [pid for pid in pids if self.watched[pid].alive]

    # its own thread

    def start(self) -> None:
        """Start the supervisor, for the first time or again."""
        daemon = self.daemon
        daemon._lives += 1
        life = Life()
        address = "@" + self._ready.getsockname()[1:].decode()
        assert len(self.lives) < STARTS_MOST, f"it ends again and again:\n{daemon.log_text()}"
        daemon.spawn({"NOTIFY_SOCKET": address})
        with self.changed:
            self.lives.append(life)

    def serve(self, until: Callable[[], bool], patience: float = 3 * PATIENCE) -> None:
        """Take in what happens, and start the supervisor again whenever it ends before ``until``."""
        deadline = time.monotonic() + patience
        while not until():
            left = deadline - time.monotonic()
            assert left > 0, f"never came to its end\n{self.daemon.log_text()}"
            pidfds = [one.pidfd for one in self.watched.values() if one.died_at is None]
            readable: list[Any] = [self._fifo, self._ready, self._woken, *pidfds]
            slept_at = time.monotonic()
            select.select(readable, [], [], HEARTBEAT)
            self._stood_still += max(time.monotonic() - slept_at - HEARTBEAT, 0.0)
            with self.changed:
                self._look_at_waits()
                self._look_at_deaths()
                self._hear()
                self._look_at_children()
                self._look_whether_ready()
                self.changed.notify_all()
            if self.lives[-1].ended_at is not None and not until():
                self.start()

    def _look_at_deaths(self) -> None:
        for one in self.watched.values():
            if one.died_at is None and not one.alive:
                one.died_at = time.monotonic()

    def _look_at_waits(self) -> None:
        """A machine that stood still, or had no CPU for the keeper (``/proc/PID/schedstat``), is not the keeper's."""
        assert self.daemon.popen is not None
        with contextlib.suppress(OSError), open(f"/proc/{self.daemon.popen.pid}/schedstat") as file:
            self._waited[self.daemon.popen.pid] = int(file.read().split()[1]) / 1e9
        self._waits.append((time.monotonic(), self._stood_still + sum(self._waited.values())))

    def waited(self, since: float, until: float) -> float:
        """Seconds between the two in which the machine stood still, or had no CPU for the keeper."""
        before = [waited for at, waited in self._waits if at <= since]
        after = [waited for at, waited in self._waits if at >= until]
        return (after or [self._waits[-1][1]])[0] - (before or [0.0])[-1]

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._partial += os.read(self._fifo, 65536)
        *lines, self._partial = self._partial.split(b"\n")
        for line in lines:
            word, pid, run, arn, at, *code = line.decode().split()
            instant = float(at) - _BOOT_LESS_MONOTONIC
            said = Said(word, int(pid), run, arn, instant, int(code[0]) if code else None)
            if word == "main":
                self._look_for_double(said)
            if said.pid not in self.watched:
                one = self.watched[said.pid] = Watched(said.pid)
                one.reaped = self._reaped.get(said.pid)
            self.said.append(said)

    def _look_for_double(self, new: Said) -> None:
        for other in self.said:
            same_task = other.word == "main" and other.arn == new.arn
            if same_task and (other.run == new.run or self.watched[other.pid].alive):
                self.doubles.append(f"two main processes of one container: {other} and {new}")

    def _look_at_children(self) -> None:
        """Reap as init does. The supervisor itself is ``Popen``'s."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 65536)
        popen = self.daemon.popen
        assert popen is not None
        while True:
            try:
                info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if info is None:
                return
            if info.si_pid == popen.pid:
                self._end_of_life(popen)
                continue
            pid, status = os.waitpid(info.si_pid, 0)
            self._reaped[pid] = _code_of(status)
            if pid in self.watched:
                self.watched[pid].reaped = self._reaped[pid]

    def _end_of_life(self, popen: subprocess.Popen[bytes]) -> None:
        life = self.lives[-1]
        life.status = popen.wait()
        life.ended_at = time.monotonic()
        self._look_whether_ready()  # what it said before

    def _look_whether_ready(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                told = self._ready.recv(4096)
                if told == b"READY=1":
                    self.lives[-1].ready_at = time.monotonic()

    def killed(self) -> list[str]:
        """The points at which something was killed, a line for each life."""
        path = Path(self.daemon.directory, REACHED)
        return path.read_text().splitlines() if path.exists() else []

    def close(self) -> None:
        """Let go of everything."""
        signal.set_wakeup_fd(-1)
        for fd in (self._fifo, self._woken, *(one.pidfd for one in self.watched.values() if one.pidfd >= 0)):
            os.close(fd)
        self._ready.close()
