"""A keeper under test. The test is its agent: what an agent would send, the test sends, and every event comes here.

The keeper is a real process, started as ``supervisor agent`` starts it, with ``stand_in.py`` as its agent. Facts come
on three ways: the keeper's events, the lines that workloads write into a FIFO (``READY`` in their environment), and
the deaths of processes, which are seen by pidfds of the test's own.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from supervisor import wire
from supervisor.keeper.settings import Settings, to_environ
from supervisor.posix import cgroup, proc
from tests.conftest import PATIENCE
from tests.machine import REPOSITORY, WORKLOADS
from tests.process import observed
from tests.process.observed import POLL, Process, Words

FACTOR = PATIENCE / 10.0
SOON = 1.0 * FACTOR
"""Seconds within which what is due at once must have happened, also on a loaded machine."""
WINDOW = 0.3
"""A stop timeout, seconds, for those that will use it up."""
AMPLE = 60.0
"""A stop timeout, seconds, for those that must not: who comes near it hangs, and the test fails."""

KEEPER = ["-P", "-m", "supervisor.keeper"]

E = TypeVar("E")


class Keeper:
    """A running keeper, driven by the test in its agent's place."""

    def __init__(
        self,
        tracking: str,
        *,
        command: list[str] | None = None,
        environ: dict[str, str] | None = None,
        stdout: int | None = None,
        expected_status: int = 0,
        **settings: Any,
    ) -> None:
        self.directory = tempfile.mkdtemp(prefix="supervisor-test-")
        os.chmod(self.directory, 0o711)  # workloads that run as somebody else must reach the FIFO
        self.words = Words(f"{self.directory}/ready")
        self._watched: list[Process] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind("")  # an abstract address that the kernel chooses
        self._listener.listen()
        self.settings = Settings(
            **{
                "agent_argv": [sys.executable, "-S", str(WORKLOADS.parent / "process/stand_in.py")],
                "agent_environ": {},
                "log_dir": f"{self.directory}/logs",
                "ledger": f"{self.directory}/ledger",
                "tracking": tracking,
                "cgroup": f"supervisor-test-{secrets.token_hex(4)}",
                "allowed_users": ["*"],
                "shutdown_timeout": 30.0,
                "listen_fds": [self._listener.fileno()],
                **settings,
            }
        )
        self.runs: list[str] = []
        self.asked: list[wire.Spawn] = []
        self.events: list[Any] = []
        """What came over the present link, in order."""
        self.link: socket.socket | None = None
        self.control: socket.socket | None = None
        self.answers = True
        """Whether pings are answered."""
        self.pings = 0
        self._expected_status = expected_status
        self._asked_to_end = False
        self._ended = False
        self._lost = False
        self._strangers = observed.children()
        self._command = command or [sys.executable, *KEEPER]
        self._environ = environ or {}
        self._stdout = stdout
        self.begin_anew()

    def begin_anew(self, **settings: Any) -> None:
        """Start a keeper, and after ``lose_keeper`` the one that follows it."""
        self.settings = self.settings._replace(**settings)
        self._asked_to_end = False
        passed = [*self.settings.listen_fds, *self.settings.kept_fds.values()]
        with open(f"{self.directory}/keeper.log", "ab") as log:
            self.popen = subprocess.Popen(
                self._command,
                env={**os.environ, **to_environ(self.settings), "PYTHONPATH": str(REPOSITORY), **self._environ},
                pass_fds=passed,
                stdin=subprocess.DEVNULL,
                stdout=self._stdout,
                stderr=log,
            )
        self.process = self.watch(self.popen.pid)

    def lose_keeper(self) -> None:
        """Kill -9 the keeper, which takes its agent with it; wait until both are gone. Its orphans are ours then."""
        self._lost = True
        self.popen.kill()
        self.popen.wait()
        self.process.death()
        self.agent.death()
        self.hang_up()

    def give_up(self) -> None:
        """Wait until the keeper, which was told to end, does so without us; what it leaves is ours then."""
        self.until(lambda: self.process.died_at, "the end of the keeper's patience")
        assert self.popen.wait() == 1
        self._lost = True
        self.hang_up()

    def reap(self, pid: int) -> int:
        """Wait for an orphan's end, as the process does that inherits it; its wait status."""
        return os.waitpid(pid, 0)[1]

    # facts

    def watch(self, pid: int) -> Process:
        """See the process's death from now on, at the instant that it happens."""
        watched = Process(pid)
        self._watched.append(watched)
        return watched

    def turn(self, timeout: float) -> bool:
        """Take in what there is to know, waiting for something at most ``timeout`` seconds. False: nothing came."""
        living = [one for one in self._watched if one.fileno() >= 0]
        sources: list[Any] = [*living, self.words, *([self.link] if self.link else [])]
        ready, _, _ = select.select(sources, [], [], max(timeout, 0.0))
        for one in living:
            if one in ready:
                one.saw_death()
        if self.words in ready:
            self._watched += self.words.read()
        if self.link is not None and self.link in ready:
            self._receive()
        return bool(ready)

    def until(self, fact: Callable[[], E | None], what: str) -> E:
        """Wait until ``fact`` gives something other than None or False."""
        patient_until = time.monotonic() + PATIENCE
        while True:
            found = fact()
            if found is not None and found is not False:
                return found
            left = patient_until - time.monotonic()
            assert left > 0, f"never came: {what}\nevents: {self.events}\nkeeper said:\n{self.log_text()}"
            self.turn(left)

    def is_idle_for(self, seconds: float) -> bool:
        """Whether the keeper does next to nothing for so long: no other way to see that something does not happen."""
        before, began_at = observed.cpu_seconds(self.popen.pid), time.monotonic()
        while (left := began_at + seconds - time.monotonic()) > 0:
            self.turn(left)
        return observed.cpu_seconds(self.popen.pid) - before < (time.monotonic() - began_at) / 4

    def _receive(self) -> None:
        assert self.link is not None
        try:
            data = self.link.recv(1 << 20)
        except ConnectionResetError:
            data = b""
        if not data:
            self.hang_up()
            return
        self._decoder.feed(data)
        for message in self._decoder.messages():
            if not isinstance(message, wire.Ping):
                self.events.append(message)
                continue
            self.pings += 1
            if self.answers:
                self.send(wire.Pong(message.number))

    def hear(self, word: str) -> Process:
        """Wait for a workload to say ``word``; the process that said it."""
        return self.until(lambda: self.heard(word), f"the word {word!r}")

    def heard(self, word: str) -> Process | None:
        """The next process that has said ``word``, if one has."""
        return self.words.take(word)

    def find(self, kind: type[E], run: str | None = None, **members: Any) -> list[E]:
        """The events of that kind so far."""
        wanted = members if run is None else {"run": run, **members}
        return [
            event
            for event in self.events
            if isinstance(event, kind) and all(getattr(event, key) == value for key, value in wanted.items())
        ]

    def wait(self, kind: type[E], run: str | None = None, **members: Any) -> E:
        """Wait for an event; it may have come before."""
        return self.until(
            lambda: next(iter(self.find(kind, run, **members)), None), f"{kind.__name__} {run or ''} {members}"
        )

    def signals(self, run: str) -> list[tuple[int, str]]:
        """What was sent to whom, as the keeper told."""
        return [(event.signum, event.whom) for event in self.find(wire.Signalled, run)]

    def log_text(self) -> str:
        """What the keeper wrote to its standard error."""
        return Path(f"{self.directory}/keeper.log").read_text(errors="replace")

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The keeper's own log lines of that event."""
        lines = [json.loads(line) for line in self.log_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    # the agent's part

    def take_link(self) -> Process:
        """Wait for an agent to be started, and take its place; the agent's process."""
        assert self.link is None
        self._listener.settimeout(PATIENCE)
        self.control, _ = self._listener.accept()
        _, fds, _, _ = socket.recv_fds(self.control, 16, 1)
        self.link = socket.socket(fileno=fds[0])
        self._decoder = wire.Decoder.at_agent()
        self.events = []
        pid, _, _ = struct.unpack("3i", self.control.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        self.agent = self.watch(pid)
        return self.agent

    def greet(self) -> None:
        """Take an agent's place, and ask for events."""
        self.take_link()
        self.send(wire.Hello(wire.VERSION))

    def send(self, *messages: wire.Message) -> None:
        """All in one write."""
        self.send_bytes(b"".join(map(wire.encode, messages)))

    def send_bytes(self, data: bytes) -> None:
        """Whatever an agent could write."""
        assert self.link is not None
        self.link.sendall(data)

    def hang_up(self) -> None:
        """Let go of the link; the agent still has it."""
        for sock in (self.link, self.control):
            if sock is not None:
                sock.close()
        self.link = self.control = None

    def lose_agent(self) -> None:
        """Kill -9 the agent, and wait until it is gone."""
        link, self.link = self.link, None
        if link is not None:
            link.close()
        self.agent.signal(signal.SIGKILL)
        self.agent.death()
        self.hang_up()

    def listed(self) -> wire.Listed:
        """Ask what the keeper holds."""
        seen = len(self.find(wire.Listed))
        self.send(wire.List())
        self.until(lambda: len(self.find(wire.Listed)) > seen, "Listed")
        return self.find(wire.Listed)[-1]

    def forget_all(self) -> None:
        """Say that everything so far is stored."""
        seqs = [event.seq for event in self.events if isinstance(event, wire.Event)]
        if seqs:
            self.send(wire.Forget(max(seqs)))

    def spec(self, *argv: str, **members: Any) -> wire.Spawn:
        """A request to run a workload of ``tests/workloads``, or a program given by its path."""
        program = [sys.executable, "-S", str(WORKLOADS / argv[0])] if argv[0].endswith(".py") else [argv[0]]
        spec = wire.Spawn(
            run=secrets.token_hex(16),
            task=secrets.token_hex(16),
            container="main",
            argv=[*program, *argv[1:]],
            environ={"READY": self.words.path},
            cwd="/",
            user=None,
            ulimits=[],
            log_driver="file",
            log_tag="",
            stop_signals=[(signal.SIGTERM, 0.0)],
            stop_scope="main",
            stop_timeout=AMPLE,
        )._replace(**members)
        self.runs.append(spec.run)
        self.asked.append(spec)
        return spec

    def start(self, *argv: str, timeout: float = AMPLE, **members: Any) -> str:
        """Ask for a run of a workload; its id."""
        spec = self.spec(*argv, stop_timeout=timeout, **members)
        self.send(spec)
        return spec.run

    def begin(self, *argv: str, **members: Any) -> tuple[str, Process]:
        """Start a workload and wait until its main process says that it is ready; its id and main process."""
        run = self.start(*argv, **members)
        return run, self.hear_main(run)

    def hear_main(self, run: str) -> Process:
        """Wait until the main process of the run is ready."""
        pid = self.wait(wire.Spawned, run).pid
        return self.until(lambda: self.words.take("main", pid), f"'main' of {run}")

    def stop(self, run: str, timeout: float | None = None) -> float:
        """Ask for the stop of a run; the instant just before."""
        at = time.monotonic()
        self.send(wire.Stop(run, timeout))
        return at

    # the end

    def terminate(self, signum: int = signal.SIGTERM) -> None:
        """Tell the keeper to end."""
        self._asked_to_end = True
        self.popen.send_signal(signum)

    def end(self) -> None:
        """Drain as a good agent does, and see that the keeper ends well and leaves nothing."""
        if self._ended:
            return
        try:
            if self.process.alive:
                self._drain()
            assert self.popen.wait(PATIENCE) == self._expected_status, self.log_text()
            if self._lost:
                self._reap_orphans()
            assert not self.left(), [observed.describe(pid) for pid in self.left()]
            assert not self._group() or not os.path.exists(self._group())
        finally:
            self.abort()

    def _drain(self) -> None:
        if not self._asked_to_end:
            self.terminate()
        while self.process.alive:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                if self.link is None:
                    self.greet()
                self.until(lambda: self.logged("drain_started"), "the drain")
                while True:
                    runs = self.listed().runs  # after everything that has happened so far
                    self.forget_all()
                    if not runs:
                        break
                    self.send(*(wire.Stop(run, 0.0) for run in runs))
                    self.turn(POLL)
            self._end_agent()
            # An event that came after the last forgetting has a new agent started for it.
            sources = [one for one in (self.process.fileno(), self._listener.fileno()) if one >= 0]
            select.select(sources, [], [], PATIENCE)

    def _end_agent(self) -> None:
        if self.control is not None:
            with contextlib.suppress(BrokenPipeError):
                self.control.sendall(b"\0")
            self.agent.death()
        self.hang_up()

    def _reap_orphans(self) -> None:
        """What a killed keeper left to us and the next one has ended."""
        for pid in observed.children() - self._strangers:
            if observed.state(pid) == "Z":
                os.waitpid(pid, 0)

    def left(self) -> list[int]:
        """What the keeper left behind: our own children by now, or whatever carries a mark of its runs."""
        marks = {run.encode() for run in self.runs}
        marked = [pid for pid in proc.snapshot() if proc.read_environ(pid).get(b"SUPERVISOR_CONTAINER_ID") in marks]
        inherited = observed.children() - self._strangers - {self.popen.pid}
        return sorted({*marked, *inherited})

    def _group(self) -> str:
        own = cgroup.own()
        return f"{own}/{self.settings.cgroup}" if own is not None else ""

    def abort(self) -> None:
        """End everything that was started, by pid, whatever state it is in."""
        if self._ended:
            return
        self._ended = True
        self.hang_up()
        self._listener.close()
        if self.popen.returncode is None:
            self.popen.kill()
            self.popen.wait()
        while left := self.left():
            observed.end_all(left)
        for one in self._watched:
            one.close()
        self.words.close()
        if self._group() and os.path.exists(self._group()):
            observed.until(lambda: not cgroup.pids(self._group()), "empty cgroups")
            cgroup.remove(self._group())
        shutil.rmtree(self.directory)
