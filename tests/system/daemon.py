"""A whole daemon under test, as a user runs it: ``supervisor agent``, the command line, and ECS requests to its socket.

The test is its service manager (``NOTIFY_SOCKET``: when it is ready is told, not guessed) and, by ``conftest``, a child
subreaper, so that whatever a daemon left behind would become the test's own child, and be seen. Facts come from the
agent's own stream (``watch``), from the words that workloads write into a FIFO, from pidfds of the test's own, and from
the log.
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
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from hashlib import blake2s
from pathlib import Path
from typing import Any, Self, TypeVar

from supervisor.cli.client import Client
from supervisor.posix import cgroup, proc
from tests.conftest import PATIENCE
from tests.machine import REPOSITORY, WORKLOADS
from tests.process import observed
from tests.process.observed import Process
from tests.system.words import Words

FACTOR = PATIENCE / 10.0
SOON = 1.5 * FACTOR
"""Seconds within which what is due at once must have happened, also on a loaded machine."""
AMPLE = 60
"""A stop timeout, seconds, for those that must not use it up: who comes near it hangs, and the test fails."""
MS = 0.001
"""Stamps are rounded to it, so that the distance of two can be so much too short."""

SUPERVISOR = [sys.executable, "-m", "supervisor"]

Json = dict[str, Any]
E = TypeVar("E")


class Daemon:
    """``with Daemon(...) as daemon``: ready, and at the end drained, with nothing left."""

    def __init__(
        self,
        tracking: str = "auto",
        *,
        environ: dict[str, str] | None = None,
        command: list[str] = SUPERVISOR,
        **tables: Json,
    ) -> None:
        """``tables``: of the configuration file, beside what every test needs; ``command``: ``supervisor``."""
        self._command = command
        self.prefix: list[str] = []
        """What comes before the command line that starts it."""
        self.directory = tempfile.mkdtemp(prefix="supervisor-system-")
        os.chmod(self.directory, 0o711)  # workloads that run as somebody else must reach the FIFO
        self.state_dir = f"{self.directory}/state"
        self.socket = f"{self.directory}/s.sock"
        self._words = Words(f"{self.directory}/ready")
        self._watched: list[Process] = []
        self.account = f"{secrets.randbelow(10**12):012}"
        """It is in every ARN, and so in the environment of every process that this daemon starts."""
        self.config = f"{self.directory}/agent.toml"
        defaults: dict[str, Json] = {
            "agent": {"account": self.account, "shutdown_timeout": 20},
            "tasks": {"tracking": tracking},
        }
        Path(self.config).write_text(_toml(defaults, tables))
        self._environ = environ or {}
        self.options: list[str] = []
        """Of the command line, beside what every test needs."""
        self.client = Client(self.socket)
        self.popen: subprocess.Popen[bytes] | None = None
        self._strangers: set[int] | None = None
        self._lives = 0
        self._lost = False

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.abort()
            raise

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(failed=kind is not None)

    def close(self, *, failed: bool) -> None:
        """See that it ends well, if it has not ended yet; after a failure only clean up, and show what it said."""
        try:
            if failed:
                print(self.log_text())
            elif self.popen is not None:
                self.end()
        finally:
            self.abort()

    # its life

    def start(self, **popen: Any) -> Self:
        """Start it, and wait until it says that it is ready."""
        if self._strangers is None:
            self._strangers = set(proc.children_of(os.getpid()))
        self._lives += 1
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
            notified.bind("")  # an abstract address that the kernel chooses
            address = "@" + notified.getsockname()[1:].decode()
            self.spawn({"NOTIFY_SOCKET": address}, **popen)
            either: list[Any] = [notified, self.keeper]
            said = b""
            while said != b"READY=1":  # before, it may speak of the descriptors that the one before it had given
                select.select(either, [], [], PATIENCE)
                assert select.select([notified], [], [], 0)[0], f"it never became ready:\n{self.log_text()}"
                said = notified.recv(4096)
        return self

    def spawn(self, environ: dict[str, str] | None = None, **popen: Any) -> subprocess.Popen[bytes]:
        """Start it, and wait for nothing."""
        environ = {**os.environ, **self._environ, **(environ or {})}
        argv = [
            *self.prefix,
            *popen.pop("prefix", []),
            *self._command,
            "agent",
            "--config",
            self.config,
            "--state-dir",
            self.state_dir,
            "--socket",
            self.socket,
            *self.options,
        ]
        with open(self.log, "ab") as log:
            keywords = {"stdin": subprocess.DEVNULL, "stderr": log, "env": environ, "cwd": REPOSITORY, **popen}
            self.popen = subprocess.Popen(argv, **keywords)
        self.keeper = self.hold(self.popen.pid)
        return self.popen

    @property
    def log(self) -> str:
        """The file with the standard error of the present life."""
        return f"{self.directory}/{self._lives}.log"

    def terminate(self, signum: int = signal.SIGTERM) -> None:
        """Tell it to end."""
        assert self.popen is not None
        self.popen.send_signal(signum)

    def kill(self) -> None:
        """Kill -9 the keeper, with which the agent goes."""
        assert self.popen is not None
        self.popen.kill()
        self.popen.wait()
        self.popen = None

    def end(self) -> None:
        """Tell it to end, unless that was done, and see that it ends well and leaves nothing."""
        assert self.popen is not None
        if self.keeper.alive and not self.logged("drain_started"):
            self.terminate()
        self.has_ended()

    def has_ended(self, status: int = 0) -> None:
        """See that it ends with that status, and leaves no process, no cgroup and no socket."""
        assert self.popen is not None
        self.keeper.death()
        assert self.popen.wait() == status, self.log_text()
        if self._lost:
            self.reap_orphans()
        assert not self.left(), [observed.describe(pid) for pid in self.left()]
        assert not os.path.exists(self.socket)
        assert not self.group or not os.path.exists(self.group)
        self.popen = None

    @property
    def group(self) -> str:
        """The cgroup below which those of its tasks are, where it tracks by cgroup; empty without cgroups."""
        own = cgroup.own()
        name = "supervisor-" + blake2s(self.state_dir.encode(), digest_size=4).hexdigest()
        return f"{own}/{name}" if own is not None else ""

    def left(self) -> list[int]:
        """What it left behind: our own children by now, or whatever says in its environment that it is of a task."""
        mark = f":{self.account}:task/".encode()
        marked = [pid for pid in proc.snapshot() if mark in proc.read_environ(pid).get(b"SUPERVISOR_TASK_ARN", b"")]
        inherited = (
            set(proc.children_of(os.getpid())) - (self._strangers or set()) - {self.popen.pid if self.popen else 0}
        )
        return sorted({*marked, *inherited})

    def abort(self) -> None:
        """End everything that was started, by pid, whatever state it is in. Does nothing after a good end."""
        if self.popen is not None and self.popen.returncode is None:
            self.popen.kill()
            self.popen.wait()
        while left := self.left():
            observed.end_all(left)
        for one in self._watched:
            one.close()
        self._words.close()
        if self.group and os.path.exists(self.group):
            observed.until(lambda: not cgroup.pids(self.group), "empty cgroups")
            cgroup.remove(self.group)
        shutil.rmtree(self.directory, ignore_errors=True)
        for ledger in Path("/dev/shm").glob(f"supervisor-*/{os.path.basename(self.group)}.ledger"):
            ledger.unlink()

    # processes

    def hold(self, pid: int) -> Process:
        """A process by a pidfd, which is let go at the end."""
        held = Process(pid)
        self._watched.append(held)
        return held

    def find_agent(self) -> int | None:
        """The pid of the agent, None while there is none."""
        newest_first = reversed(proc.children_of(self.keeper.pid))
        return next((pid for pid in newest_first if b"supervisor.daemon" in _argv(pid)), None)

    def agent(self) -> Process:
        """The agent; waits until there is one."""
        return self.hold(self.until(self.find_agent, "an agent"))

    def kill_agent(self) -> None:
        """Kill -9 the agent, and wait until it is gone."""
        agent = self.agent()
        agent.signal(signal.SIGKILL)
        agent.death()

    def lose_keeper(self) -> None:
        """Kill -9 the keeper, which takes its agent with it. Its tasks run on, as our children now."""
        assert self.popen is not None
        agent = self.agent()
        self._lost = True
        self.popen.kill()
        self.popen.wait()
        self.keeper.death()
        agent.death()
        self.popen = None

    def reap_orphans(self) -> None:
        """Collect those of a lost keeper's children that are over, as PID 1 would."""
        for pid in (
            set(proc.children_of(os.getpid())) - (self._strangers or set()) - {self.popen.pid if self.popen else 0}
        ):
            if observed.state(pid) == "Z":
                os.waitpid(pid, 0)

    def hear(self, word: str, count: int = 1) -> list[Process]:
        """Wait until workloads have said the word so many times; the processes that did."""
        heard = self._words.take(word, count)
        assert len(heard) == count, f"{word!r} was said by {len(heard)} of {count}\n{self.log_text()}"
        return [self.hold(pid) for pid in heard]

    # requests

    def call(self, operation: str, **body: Any) -> Json:
        """One ECS operation."""
        return self.client.call(operation, body)

    def cli(self, *args: str, status: int = 0, **options: Any) -> subprocess.CompletedProcess[str]:
        """One command line, which must exit with that status."""
        done = subprocess.run(
            [*SUPERVISOR, *args],
            env={**os.environ, "SUPERVISOR_SOCKET": self.socket, **options.pop("environ", {})},
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=6 * PATIENCE,
            check=False,
            **options,
        )
        assert done.returncode == status, f"{args}: {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.log_text()}"
        return done

    def cli_under_way(self, *args: str) -> subprocess.Popen[str]:
        """One command line, not waited for."""
        return subprocess.Popen(
            [*SUPERVISOR, *args],
            env={**os.environ, "SUPERVISOR_SOCKET": self.socket},
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def define(self, *containers: Json, **members: Any) -> str:
        """Register a task definition; its ``family:revision``."""
        family = members.pop("family", f"test-{secrets.token_hex(4)}")
        reply = self.call("RegisterTaskDefinition", family=family, containerDefinitions=list(containers), **members)
        return f"{family}:{reply['taskDefinition']['revision']}"

    def run(self, *containers: Json, **members: Any) -> str:
        """Run one task of these containers; its ARN."""
        self._words.forget()
        reply = self.call("RunTask", taskDefinition=self.define(*containers), **members)
        return str(reply["tasks"][0]["taskArn"])

    def container(self, *argv: str, name: str = "main", **members: Any) -> Json:
        """The definition of a container that runs a workload of ``tests/workloads``, or a program given by its path."""
        program = [sys.executable, "-S", str(WORKLOADS / argv[0])] if argv[0].endswith(".py") else [argv[0]]
        environment = [{"name": "READY", "value": self._words.path}, *members.pop("environment", [])]
        definition = {"name": name, "command": [*program, *argv[1:]], "environment": environment, "stopTimeout": AMPLE}
        return definition | members

    def begin(self, *argv: str, **members: Any) -> tuple[str, Process]:
        """Run a task of one container, and wait until its main process says that it is ready."""
        arn = self.run(self.container(*argv, **members))
        return arn, self.hear("main")[0]

    def stop(self, arn: str, **members: Any) -> Json:
        """Ask for the stop of a task; the reply's record."""
        task: Json = self.call("StopTask", task=arn, **members)["task"]
        return task

    def task(self, arn: str) -> Json:
        """The record of a task, as it is now."""
        reply = self.call("DescribeTasks", tasks=[arn])
        assert not reply["failures"], reply
        task: Json = reply["tasks"][0]
        return task

    def wait(self, arn: str, status: str = "STOPPED", timeout: float = PATIENCE) -> Json:
        """Wait until the task is in that status; its record. The agent tells of every change."""
        seen: Json = {}
        try:
            for reply in self.client.watch(None, [arn], timeout):
                seen = reply["tasks"][0]
                if seen["lastStatus"] == status:
                    return seen
                assert seen["lastStatus"] != "STOPPED", seen
        except TimeoutError:
            pass
        raise AssertionError(f"never {status}: {seen}\n{self.log_text()}")

    # what it said

    def log_text(self) -> str:
        """Its standard error."""
        with contextlib.suppress(FileNotFoundError):
            return Path(self.log).read_text(errors="replace")
        return ""

    def logged(self, event: str, **facts: Any) -> list[Json]:
        """The lines of that event with these facts."""
        lines = [json.loads(line) for line in self.log_text().splitlines() if line.startswith("{")]
        return [line for line in lines if {"event": event, **facts}.items() <= line.items()]

    def until(self, fact: Callable[[], E | None], what: str) -> E:
        """Look until ``fact`` gives something; only for what no descriptor tells of."""
        patient_until = time.monotonic() + PATIENCE
        while (found := fact()) is None:
            assert time.monotonic() < patient_until, f"never came: {what}\n{self.log_text()}"
            time.sleep(observed.POLL)
        return found


def _argv(pid: int) -> bytes:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()
    return b""


def _toml(defaults: dict[str, Json], tables: dict[str, Json]) -> str:
    """A configuration file. JSON's texts, numbers and lists of them are TOML's too."""
    lines = []
    for name in sorted({*defaults, *tables}):
        lines.append(f"[{name}]")
        values = {**defaults.get(name, {}), **tables.get(name, {})}
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"
