"""A private agent: started for one command in a directory of its own, ended with it, and nothing of it is left.

It reads no configuration but its own, so that it is the same on every host and for every user. Should the command be
killed, the agent is told to end by the kernel, and stops what it had started.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from types import FrameType
from typing import NamedTuple

import click

from supervisor.config import MAX_SOCKET_PATH
from supervisor.posix import process

from .client import Client
from .failures import AgentNotStarted
from .output import say

READY_TIMEOUT = 30.0
SHUTDOWN_TIMEOUT = 5.0
"""Seconds for what still runs when the agent is told to end."""
END_TIMEOUT = 2 * SHUTDOWN_TIMEOUT
"""Seconds after which an agent that has not ended is told once more, which cuts everything short."""

OTHER_PLACES = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108  mkdtemp makes a directory that is ours alone
"""Where the directory is made if the one for temporary files will not do."""
LONGEST_NAME = "/supervisor-xxxxxxxx/supervisor.sock"
LOG_LINES = 3

OURS = "SUPERVISOR_"
"""Variables of this prefix speak of another agent."""


class PrivateAgent(NamedTuple):
    """One that runs, and is ready."""

    pid: int
    client: Client
    directory: str

    def log_file(self, task_arn: str, container: str) -> str:
        """What that container writes to its standard output and error."""
        return f"{self.directory}/state/logs/{task_arn.rpartition('/')[2]}/{container}.log"


@contextlib.contextmanager
def private_agent(stop_timeout: float = 30.0) -> Iterator[PrivateAgent]:
    """An agent for as long as the block runs. ``stop_timeout``: for containers that do not say one themselves.

    SIGTERM and SIGHUP end the block as Ctrl-C does; what runs is stopped first. Raises ``AgentNotStarted``.
    """
    with _signals_raise():
        directory = _make_directory()
        try:
            with open(f"{directory}/agent.toml", "w") as file:
                file.write(f"[agent]\nshutdown_timeout = {SHUTDOWN_TIMEOUT}\n[stop]\ntimeout = {stop_timeout!r}\n")
                file.write("[tasks]\nmetadata = false\n")  # who asks ECS about itself would be told of a task of ours
            with _started(directory) as agent:
                yield PrivateAgent(agent.pid, Client(f"{directory}/supervisor.sock"), directory)
        finally:
            shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def _signals_raise() -> Iterator[None]:
    """SIGTERM and SIGHUP raise, so that no ``finally`` is left out; the exit status is a shell's, 128 + signal."""

    def leave(number: int, _: FrameType | None) -> None:
        raise click.exceptions.Exit(128 + number)

    told = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, leave) for number in told}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _make_directory() -> str:
    """Ours alone, and short enough for the path of a socket in it."""
    why = ""
    try:
        usual = tempfile.gettempdir()
    except OSError as exc:
        usual, why = OTHER_PLACES[0], exc.strerror or str(exc)
    for place in (usual, *OTHER_PLACES):
        if len(os.fsencode(place + LONGEST_NAME)) > MAX_SOCKET_PATH:
            why = f"{place} is too long for the path of a unix socket"
            continue
        try:
            return tempfile.mkdtemp(prefix="supervisor-", dir=place)
        except OSError as exc:
            why = f"{place}: {exc.strerror}"
    most = MAX_SOCKET_PATH - len(LONGEST_NAME)
    raise AgentNotStarted(
        f"cannot make a directory for a private agent: {why}; set TMPDIR to a directory that can be written to, with a"
        f" path of up to {most} bytes"
    )


@contextlib.contextmanager
def _started(directory: str) -> Iterator[subprocess.Popen[bytes]]:
    """The agent's process, ready; on the way out it is told to end, and waited for."""
    log_file = f"{directory}/agent.log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, open(log_file, "wb") as log:
        ready.bind(f"{directory}/notify")
        agent = _start(directory, log.fileno())
        try:
            _await_ready(ready, agent, log_file)
            yield agent
        except (KeyboardInterrupt, click.exceptions.Exit):
            say(f"supervisor: interrupted: what was started is stopped within {SHUTDOWN_TIMEOUT:g} s (again: at once)")
            raise
        finally:
            _end(agent)


def _start(directory: str, log: int) -> subprocess.Popen[bytes]:
    options = {"config": "agent.toml", "state-dir": "state", "socket": "supervisor.sock"}
    # Isolated: neither the directory we are called in nor PYTHONPATH has anything to say.
    argv = [sys.executable, "-I", "-m", "supervisor", "agent"]
    for option, name in options.items():
        argv += [f"--{option}", f"{directory}/{name}"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith((OURS, "LISTEN_"))}
    return subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=log,
        cwd="/",
        env={**environ, "NOTIFY_SOCKET": f"{directory}/notify"},
        # A session of its own: a Ctrl-C here is answered here, and the agent told in so many words.
        start_new_session=True,
        preexec_fn=functools.partial(process.die_with_parent, os.getpid(), signal.SIGTERM),  # noqa: PLW1509  no threads
    )


def _await_ready(ready: socket.socket, agent: subprocess.Popen[bytes], log_file: str) -> None:
    ready.settimeout(0.1)
    until = time.monotonic() + READY_TIMEOUT
    while time.monotonic() < until and agent.poll() is None:
        with contextlib.suppress(TimeoutError):
            if b"READY=1" in ready.recv(1024):
                return
    with open(log_file, errors="replace") as file:
        said = [line.strip() for line in file if line.strip()][-LOG_LINES:]
    why = f"not ready within {READY_TIMEOUT:g} s" if agent.poll() is None else f"it ended with status {agent.poll()}"
    raise AgentNotStarted(f"cannot start a private agent: {why}: {' '.join(said) or 'it said nothing'}")


def _end(agent: subprocess.Popen[bytes]) -> None:
    """SIGTERM stops what still runs within its windows; each further one, or a Ctrl-C here, cuts them short."""
    while agent.poll() is None:
        with contextlib.suppress(KeyboardInterrupt, click.exceptions.Exit, subprocess.TimeoutExpired):
            agent.send_signal(signal.SIGTERM)
            agent.wait(END_TIMEOUT)
