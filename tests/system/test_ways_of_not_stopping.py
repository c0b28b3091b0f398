"""The ways in which programs do not stop, and some in which they do, all at once: exit code, time, and the reason why.

Each is a task of its own in one daemon, in each way of tracking. They are started together and stopped together, so
that the whole takes hardly longer than a single one; each is then judged by itself.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from supervisor.posix import cgroup, proc
from tests.machine import WORKLOADS, cannot_test
from tests.process import observed
from tests.system.conftest import StartDaemon
from tests.system.daemon import AMPLE, MS, SOON, Daemon, Json

pytestmark = pytest.mark.system

WINDOW = 2
"""Seconds."""
GROUP = "GROUP"
"""In a command: a cgroup that the test makes for it."""
NOT_SEEN = "did not exit in time"
"""In a reason: there was no time to look. No kill waits for a look, and the machine may have had too much to do."""
TRIES = 2
"""How often those are begun anew."""
PYTHON = r"\d+ \(python\S*\) "
HANDLES = PYTHON + "handles SIGTERM, and waits for "
LEFT = ", and was left behind by the main process"
CODE = (sys.executable, "-S")


class Way(NamedTuple):
    """A program, the words by which its processes say that they are there, and what must be recorded of its stop."""

    argv: tuple[str, ...]
    exit_code: int | None
    reason: str | None = None
    """A pattern for what follows on ``Killed 2.0 s after …: ``. Whoever has none stops by itself, within the window."""
    words: tuple[str, ...] = ("main",)


def late(what: str, reason: str) -> Way:
    """Of the program that is late in many ways."""
    return Way(("late.py", what), 128 + signal.SIGKILL, reason)


ASKED = {
    # that do stop
    "heeds the signal": Way(("graceful.py", "7"), 7),
    "knows no signals": Way(("unhandled.py",), 143),
    "exits with a code of its own": Way(("works_on.py", "/dev/null"), 42),
    "is stopped, and continued": Way(("stopped.py",), 9),
    "has a child that heeds": Way(("leaves_child.py", "graceful", "asked"), 3, None, ("child", "main")),
    "has a daemon that heeds": Way(("daemon.py", "graceful"), 0, None, ("daemon", "main")),
    "has a zombie leader that heeds": Way(("zombie_leader", "graceful"), 6),
    # that do not
    "ignores": Way(("ignores.py",), 137, PYTHON + "ignores SIGTERM"),
    "blocks": Way(("blocks.py",), 137, PYTHON + "blocks SIGTERM, sent and still pending"),
    "waits for a lock": late("lock", HANDLES + r"a lock \(futex\)"),
    "waits for a lock on a file": late("file-lock", HANDLES + r"a lock on \S+late\.py"),
    "waits for a child": late("child", PYTHON + "ignores SIGTERM, and 1 more"),
    "waits for a child that is not told": late(
        "untold-child",
        PYTHON + r"waits for its child \d+ \(python\S*\), to which it did not forward SIGTERM, and 1 more",
    ),
    "waits for the network": late("network", HANDLES + r"the network \(recvfrom on tcp 127\.0\.0\.1:\d+\)"),
    "waits for a caller": late("caller", HANDLES + r"a caller \(accept4?, tcp listening on :\d+\)"),
    "waits for its clients": late("connections", HANDLES + r"2 open connections: tcp 127\.0\.0\.1:\d+, tcp 127.*"),
    "waits on a pipe": late("pipe", HANDLES + "a writer to a pipe"),
    "sleeps": late("time", HANDLES + r"time to pass \(it sleeps\)"),
    "waits for another signal": late("signal", HANDLES + "another signal"),
    "stops itself": late("stopped", PYTHON + r"is stopped \(SIGSTOP, or a signal like it\)"),
    "works": late("computes", PYTHON + r"was still working \(CPU \d\.\d\d\) after SIGTERM"),
    "writes": late("writes", PYTHON + r"was still working \(.*\d+ [kM]B/s\) after SIGTERM"),
    "is a shell that waits": Way(
        ("/bin/sh", str(WORKLOADS / "foreground.sh"), *CODE, str(WORKLOADS / "unhandled.py")),
        137,
        r"\d+ \(\w*sh\) is a shell that waits for its child \d+ \(python\S*\), to which it forwards no signal, .*",
    ),
    "is in vfork": Way(
        ("vfork_blocked",),
        137,
        r"\d+ \(vfork_blocked\) has called vfork, and no handler runs before child \d+ \(vfork_blocked\) .*",
        ("main", "vforked"),
    ),
    "has a zombie leader": Way(("zombie_leader", "stubborn"), 137, r"\d+ \(zombie_leader\) blocks SIGTERM, .*"),
    "is traced": Way(
        ("traced.py",), 137, PYTHON + r"is held by its tracer \d+ \(python\S*\), and 1 more", ("tracer", "main")
    ),
    "is frozen": Way(("frozen.py", GROUP), 137, PYTHON + "is frozen by its cgroup, and cannot act on SIGTERM"),
    "leaves a child": Way(
        ("leaves_child.py", "stubborn", "asked"), 3, PYTHON + "ignores SIGTERM" + LEFT, ("child", "main")
    ),
    "leaves a daemon": Way(("daemon.py", "stubborn"), 0, PYTHON + "ignores SIGTERM" + LEFT, ("daemon", "main")),
    "leaves an orphan": Way(("cleared.py", "asked"), 4, PYTHON + "ignores SIGTERM" + LEFT, ("orphan", "main")),
}
"""Tasks that the user stops."""

STORMS = {
    "grows": Way(("grows.py",), 137, PYTHON + r"ignores SIGTERM, and (at least )?\d+ more"),
    "leaves a chain of forks": Way(
        ("hopper.py",),
        0,
        r"\d+ \(\S+\) (came and went|was started) .*: processes fork and exit again and again.*",
        ("hop", "main"),
    ),
}
"""Stopped by the user as well, one after the other: who has to list their processes has much to do."""

UNASKED = {
    "exits": Way(("exits.py", "11"), 11),
    "exits before a child that heeds": Way(("leaves_child.py", "graceful", "unasked"), 3, None, ("child", "main")),
    "exits before its child": Way(
        ("leaves_child.py", "stubborn", "unasked"), 3, PYTHON + "ignores SIGTERM" + LEFT, ("child", "main")
    ),
    "leaves the output open": Way(("pipe_holder.py",), 5, PYTHON + "ignores SIGTERM" + LEFT, ("grandchild", "main")),
    "exits before an orphan": Way(("cleared.py", "unasked"), 4, PYTHON + "ignores SIGTERM" + LEFT, ("orphan", "main")),
}
"""Tasks that end by themselves: their time runs from the main process's exit."""

FAILED = {
    "cannot be executed": Way(("/nonexistent/program",), None, r".*exec.*\(ENOENT\)", ()),
}
"""Tasks that do not begin."""

WAYS = ASKED | STORMS | UNASKED | FAILED


class Corpus:
    """All of them in one daemon, over and done with."""

    def __init__(self, daemon: Daemon, program: Callable[[str], str], group: str) -> None:
        self._daemon = daemon
        self._program = program
        self._group = group
        self.processes: dict[int, observed.Process] = {}
        self.records: dict[str, Json] = {}
        together = ASKED | UNASKED | FAILED
        self._live({name: way for name, way in together.items() if group or GROUP not in way.argv})
        for name, way in STORMS.items():
            self._live({name: way})
        for _ in range(TRIES):
            self._live({name: WAYS[name] for name in self.records if NOT_SEEN in self._reason(name)})

    def _reason(self, name: str) -> str:
        return str(self.records[name]["containers"][0].get("reason"))

    def _live(self, ways: dict[str, Way]) -> None:
        """All of these, from the start to the end."""
        daemon, stopped = self._daemon, [name for name in ways if name in ASKED | STORMS]
        arns = {name: self._begin(way) for name, way in ways.items()}
        for word, count in Counter(word for way in ways.values() for word in way.words).items():
            self.processes |= {one.pid: one for one in daemon.hear(word, count)}
        for name in stopped:
            self._be_ready(arns[name], ways[name])
        for name in stopped:
            daemon.stop(arns[name])
        self.records |= {name: daemon.wait(arn, timeout=20 * SOON) for name, arn in arns.items()}

    def _begin(self, way: Way) -> str:
        first, *rest = way.argv
        program = first if first.endswith(".py") or "/" in first else self._program(first)
        argv = [program, *(self._group if one == GROUP else one for one in rest)]
        timeout = AMPLE if way.reason is None else WINDOW
        definition = self._daemon.define(self._daemon.container(*argv, stopTimeout=timeout))
        (task,) = self._daemon.call("RunTask", taskDefinition=definition)["tasks"]
        return str(task["taskArn"])

    def _be_ready(self, arn: str, way: Way) -> None:
        self._daemon.wait(arn, "RUNNING")
        if way.argv == ("stopped.py",):
            observed.until(lambda: bool(self._states("stopped.py") & {"T"}), "SIGSTOP")
        if way.argv[0] == "zombie_leader":
            observed.until(lambda: self._states("zombie_leader") == {"Z"}, "the end of the leaders")

    def _states(self, name: str) -> set[str | None]:
        """Of those that have said something and run, or ran, that program."""
        return {
            stat.state
            for pid in self.processes
            if (stat := proc.read_stat(pid)) is not None and (name in observed.describe(pid) or name == _comm(pid))
        }


def _comm(pid: int) -> str:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/comm") as file:
        return file.read().strip()
    return ""


@pytest.fixture(scope="module")
def group() -> Iterator[str | None]:
    """A cgroup for a process that goes there by itself; None where none can be had."""
    own = cgroup.own()
    if own is None or os.geteuid() != 0 or cgroup.why_unusable(own) is not None:
        yield None
        return
    directory = f"{own}/supervisor-test-{secrets.token_hex(4)}"
    cgroup.make(directory)
    yield directory
    cgroup.remove(directory)
    assert not os.path.exists(directory), "nothing is left in it"


@pytest.fixture(scope="module")
def corpus(tracked: Daemon, compiled: Callable[[str], str], group: str | None) -> Corpus:
    return Corpus(tracked, compiled, group or "")


@pytest.mark.parametrize("name", WAYS)
def test_a_way_of_stopping_or_not(corpus: Corpus, name: str) -> None:
    if name not in corpus.records:
        cannot_test("there is no cgroup v2 in which groups can be made")
    way, task = WAYS[name], corpus.records[name]
    unasked = "EssentialContainerExited" if name in UNASKED else "TaskFailedToStart"
    assert task["stopCode"] == ("UserInitiated" if name in ASKED | STORMS else unasked)
    (container,) = task["containers"]
    assert container.get("exitCode") == way.exit_code
    if name in FAILED:
        assert re.fullmatch(way.reason or "", container["reason"])
    else:
        assert_told(way, task, container, "executionStoppedAt" if name in UNASKED else "stoppingAt")


def assert_told(way: Way, task: Json, container: Json, begun: str) -> None:
    """Killed after the window, not before and not much later, and for this reason; or neither killed nor waited for."""
    took = task["stoppedAt"] - task[begun]
    if way.reason is None:
        assert "reason" not in container
        assert took < SOON
        return
    assert WINDOW - MS <= took < WINDOW + SOON
    assert len(container["reason"]) <= 255
    told = re.fullmatch(r"Killed (\d+\.\d) s after [^:]+: (.*)", container["reason"])
    assert told is not None, container["reason"]
    assert WINDOW - 0.05 <= float(told[1]) < WINDOW + SOON
    assert re.fullmatch(way.reason, told[2]), told[2]


def test_of_none_of_them_anything_is_left(corpus: Corpus, tracked: Daemon) -> None:
    alive = [observed.describe(one.pid) for one in corpus.processes.values() if one.alive]
    assert alive == []
    assert proc.children_of(tracked.keeper.pid) == [tracked.agent().pid]


def test_a_stop_ends_on_time_and_with_its_reason_when_the_agent_is_killed_meanwhile(
    start_daemon: StartDaemon, tracking: str
) -> None:
    daemon = start_daemon(tracking)
    arn, main = daemon.begin("ignores.py", stopTimeout=WINDOW)
    daemon.wait(arn, "RUNNING")
    asked_at = time.monotonic()
    daemon.stop(arn, reason="before it died")
    daemon.kill_agent()
    assert asked_at + WINDOW <= main.death() < asked_at + WINDOW + SOON
    task = daemon.wait(arn)
    assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "before it died")
    (container,) = task["containers"]
    assert container["exitCode"] == 137
    assert_told(ASKED["ignores"], task, container, "stoppingAt")
