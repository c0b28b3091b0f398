"""Could the installed version take over? A child becomes it, as far as to say so.

It imports everything, reads the settings and the ledger, and then becomes the agent's own proof, which says what the
agent needs. That takes its time, and has a limit; the loop waits for none of it.
"""

from __future__ import annotations

import functools
import os
import select
import sys
import time
from collections.abc import Callable
from typing import NoReturn

from supervisor import wire
from supervisor.errors import SupervisorError
from supervisor.keeper import ledger
from supervisor.keeper.held import Run
from supervisor.keeper.poller import Poller, Priority
from supervisor.keeper.settings import Settings, from_environ, to_environ
from supervisor.posix import process, rights

PROOF_TAKES = 10.0
"""Seconds after which a version that has not answered cannot take over."""
_NICENESS = 10
_CHUNK = 65536
_TAIL = 4096
"""Bytes of what the child has said that are kept: the end tells why."""

ARGV = [sys.executable, "-I", "-m", "supervisor.keeper"]
"""Always the version that is installed: of the environment that this one runs in, and of no other."""
PROVE = "--prove"


class Proof:
    """The child that tries the installed version; at most one at a time. ``told`` gets the version, or why not."""

    def __init__(self, poller: Poller, settings: Settings, told: Callable[[str | None, str], None]) -> None:
        self._poller = poller
        self._settings = settings
        self._told = told
        self._asked = False
        self._put_off = False
        self._pidfd = -1
        self._pipe = -1
        self._said = b""
        self._give_up_at: float | None = None
        self.pid = 0
        """Of the child, until it is reaped; 0 for none."""

    def ask(self) -> None:
        """Begin, as soon as there is time for a fork."""
        self._asked = True

    def next_at(self) -> float | None:
        """When there is something to do. None also where it was put off: what that waits for wakes the loop."""
        return time.monotonic() if self._asked and not self._put_off else self._give_up_at

    def serve(self, is_quiet: Callable[[float], bool]) -> None:
        """Fork if that was asked for, and nothing is due so soon that it would be late; end what takes too long."""
        if self._asked and not self.pid:
            self._put_off = not is_quiet(process.FORK_TAKES)
            if not self._put_off:
                self._asked = False
                self._begin()
        if self._give_up_at is not None and time.monotonic() >= self._give_up_at:
            self._give_up_at = None
            process.kill_child(self.pid)

    def _begin(self) -> None:
        try:
            ours, theirs = os.pipe2(os.O_CLOEXEC)
        except OSError as exc:
            self._told(None, f"the installed version could not be tried: {exc.strerror}")
            return
        try:
            os.set_blocking(ours, False)
            self.pid = process.fork(functools.partial(self._become, os.getpid(), theirs))
            self._pidfd = process.open_child(self.pid)
        except OSError as exc:
            os.close(ours)
            if self.pid:
                process.kill_child(self.pid)  # reaped with the orphans
            self.pid = 0
            self._told(None, f"the installed version could not be tried: {exc.strerror}")
            return
        finally:
            os.close(theirs)
        self._pipe, self._said = ours, b""
        self._give_up_at = time.monotonic() + PROOF_TAKES
        self._poller.watch(ours, select.EPOLLIN, Priority.REQUEST, self._take_in)
        self._poller.watch(self._pidfd, select.EPOLLIN, Priority.REQUEST, self._over)

    def _become(self, keeper: int, pipe: int) -> NoReturn:
        process.die_with_parent(keeper)
        os.nice(_NICENESS)
        os.dup2(pipe, 1)
        os.dup2(pipe, 2)
        process.close_from(3)
        process.reset_signals()
        try:
            process.execute([*ARGV, PROVE], os.environ | to_environ(self._settings))
        except OSError as exc:
            os.write(1, f"cannot run {ARGV[0]}: {exc.strerror}\n".encode())
        os._exit(127)

    def _take_in(self) -> None:
        """What it has said: as much as a pipe holds."""
        try:
            data = os.read(self._pipe, _CHUNK)
        except BlockingIOError:
            return
        self._said = (self._said + data)[-_TAIL:]
        if not data:
            self._poller.forget(self._pipe)  # its end comes by the pidfd

    def _over(self) -> None:
        wait = process.peek(self._pidfd)
        if wait is None:
            return
        self._take_in()
        for fd in (self._pipe, self._pidfd):
            self._poller.forget(fd)
            os.close(fd)
        process.reap(self.pid)
        timed_out, self._give_up_at, self.pid = self._give_up_at is None, None, 0
        lines = self._said.decode(errors="replace").split("\n")
        said = next((line.strip() for line in reversed(lines) if line.strip()), "")
        if wait.code == 0 and said:
            self._told(said, "")
        elif timed_out:
            self._told(None, f"the installed version has not said within {PROOF_TAKES:.0f} s whether it could start")
        else:
            how = f"signal {wait.signal}" if wait.code is None else f"status {wait.code}"
            self._told(None, f"the installed version does not start: {said or how}")


def prove() -> NoReturn:
    """The child, as the installed version: whoever is here has imported all that a keeper needs."""
    try:
        settings = from_environ()
        _read(ledger.read(settings.ledger))
        if (ids := settings.agent_ids) is not None:
            rights.become(ids)
        # The rest is for the agent to say, in its turn; its last word is the version.
        process.execute([*settings.agent_argv, PROVE], os.environ | settings.agent_environ)
    except (OSError, LookupError, TypeError, ValueError, SupervisorError) as exc:
        sys.exit(f"cannot take over: {exc}")


def _read(records: ledger.Records) -> None:
    """See that what an older release has noted is understood."""
    for key, value in records.items():
        kind, _, name = key.partition(" ")
        if kind == "spec":
            run = Run(wire.revive(wire.Spawn, value), 0, None, None, 0)
            if (members := records.get(f"plan {name}")) is not None:
                run.take_members(members)
        elif kind == "event":
            wire.revive(wire.kind_of(value[0]), value[1])
