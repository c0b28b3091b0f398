"""Real processes that do not stop, as they are seen in ``/proc``: each is diagnosed as what it is."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from supervisor.diagnosis import Finding, Kind, Sight, diagnose
from supervisor.posix import cgroup, proc, sight
from tests.conftest import PATIENCE
from tests.machine import WORKLOADS, cannot_test, usable
from tests.process import observed
from tests.process.observed import Process, Words
from tests.process.tracer import traced

pytestmark = pytest.mark.process

GAP = 0.02
"""Seconds between the two samples that rates are made of."""
NOBODY = 65534
CODE = [sys.executable, "-S"]


class Container:
    """Processes as one container has them, without a keeper; the test is their subreaper."""

    def __init__(self, directory: Path) -> None:
        self._words = Words(f"{directory}/ready")
        self._held: list[Process] = []
        self._strangers = observed.children()
        self._started: list[subprocess.Popen[bytes]] = []
        self.main = 0

    def begin(self, *argv: str) -> int:
        """Start a workload, and wait until it says that it is ready; its pid."""
        program = [*CODE, str(WORKLOADS / argv[0]), *argv[1:]] if argv[0].endswith(".py") else list(argv)
        environ = {**os.environ, "READY": self._words.path}
        self.start(*program, env=environ)
        self.hear("main")
        return self.main

    def start(self, *argv: str, **popen: Any) -> subprocess.Popen[bytes]:
        """Start any program."""
        self._started.append(subprocess.Popen(argv, start_new_session=True, **popen))
        self.main = self._started[-1].pid
        return self._started[-1]

    def hear(self, word: str) -> int:
        """Wait until a workload says the word; the pid of the one that did."""
        patient_until = time.monotonic() + PATIENCE
        while (said := self._words.take(word)) is None:
            assert time.monotonic() < patient_until, f"{word!r} was never said"
            with contextlib.suppress(BlockingIOError):
                self._held += self._words.read()
        return said.pid

    def below(self) -> list[int]:
        """The main process and all that is below it or was orphaned, in their order."""
        orphans = sorted(observed.children() - self._strangers - {self.main})
        main = [] if proc.read_stat(self.main) is None else [self.main]
        pids = main + [pid for pid in orphans if os.waitpid(pid, os.WNOHANG) == (0, 0)]
        for pid in pids:
            pids += [one for one in proc.children_of(pid) if one not in pids]
        return pids

    def look(self) -> tuple[list[Sight], list[Finding]]:
        """What is seen of all of them at this moment, and what that means."""
        before = {pid: sight.sample(pid) for pid in self.below()}
        time.sleep(GAP)
        raw = [sight.see(pid, before.get(pid)) for pid in self.below()]
        told = json.loads(json.dumps([one for one in raw if one is not None]))
        sights = msgspec.convert(told, list[Sight])
        alive = self.main in {one.pid for one in sights}
        return sights, diagnose(sights, [signal.SIGTERM], self.main, main_over=not alive)

    def until(self, kind: Kind, pattern: str = "") -> tuple[Sight, Finding]:
        """Look until the first finding is that; it takes a moment until a process that is told to has gone to sleep."""
        patient_until = time.monotonic() + PATIENCE
        while True:
            sights, findings = self.look()
            if findings and findings[0].kind is kind and re.fullmatch(pattern or ".*", findings[0].text):
                return next(one for one in sights if one.pid == findings[0].pid), findings[0]
            assert time.monotonic() < patient_until, (findings, sights)

    def close(self) -> None:
        """End all of them."""
        while left := observed.children() - self._strangers:
            observed.end_all(sorted(left))
        for one in self._started:
            one.wait()
        for held in self._held:
            held.close()
        self._words.close()


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    tmp_path.chmod(0o755)
    with observed.subreaper():
        made = Container(tmp_path)
        yield made
        made.close()


HANDLED = "handles SIGTERM, and waits for "
LATE = {
    "lock": (Kind.LOCK, HANDLED + r"a lock \(futex\)"),
    "file-lock": (Kind.LOCK, HANDLED + r"a lock on \S+/late\.py"),
    "child": (Kind.IGNORES, "ignores SIGTERM"),
    "untold-child": (Kind.NOT_FORWARDED, r"waits for its child \d+ \(python\S*\), to which it did not forward SIGTERM"),
    "network": (Kind.NETWORK, HANDLED + r"the network \(recvfrom on tcp 127\.0\.0\.1:\d+\)"),
    "caller": (Kind.NETWORK, HANDLED + r"a caller \(accept4?, tcp listening on :\d+\)"),
    "connections": (Kind.CONNECTIONS, HANDLED + r"2 open connections: tcp 127\.0\.0\.1:\d+, tcp 127\.0\.0\.1:\d+"),
    "pipe": (Kind.PIPE, HANDLED + "a writer to a pipe"),
    "time": (Kind.TIME, HANDLED + r"time to pass \(it sleeps\)"),
    "signal": (Kind.SIGNAL, HANDLED + "another signal"),
    "stopped": (Kind.STOPPED, r"is stopped \(SIGSTOP, or a signal like it\)"),
    "computes": (Kind.WORKING, r"was still working \(CPU \d\.\d\d\) after SIGTERM"),
    "writes": (Kind.WORKING, r"was still working \(CPU \d\.\d\d, \d+ MB/s\) after SIGTERM"),
}


@pytest.mark.parametrize("what", LATE)
def test_who_has_the_signal_and_is_late(container: Container, what: str) -> None:
    main = container.begin("late.py", what)
    os.kill(main, signal.SIGTERM)
    container.hear("late")
    if what.endswith("child"):
        child = container.hear("child")
        seen, _ = container.until(*LATE[what])
        assert seen.pid == (main if what == "untold-child" else child)
        return
    seen, _ = container.until(*LATE[what])
    assert seen.pid == main
    assert seen.state in ("R", "T") or seen.syscall


def test_who_ignores_it(container: Container) -> None:
    main = container.begin("ignores.py")
    os.kill(main, signal.SIGTERM)
    seen, _ = container.until(Kind.IGNORES, "ignores SIGTERM")
    assert (seen.pid, seen.ppid, seen.session, seen.threads) == (main, os.getpid(), main, 1)
    stat = proc.read_stat(main)
    assert stat is not None
    assert seen.start_time == stat.start_time
    assert seen.command.endswith(" -S " + str(WORKLOADS / "ignores.py"))
    assert seen.name == Path(f"/proc/{main}/comm").read_text().strip()
    assert 0 < seen.memory < 1 << 30
    assert 0 < seen.cpu_seconds < PATIENCE
    assert 0 < seen.age < PATIENCE
    assert seen.syscall == "pause"


def test_who_blocks_it(container: Container) -> None:
    os.kill(container.begin("blocks.py"), signal.SIGTERM)
    container.until(Kind.BLOCKS, "blocks SIGTERM, sent and still pending")


def test_who_is_stopped(container: Container) -> None:
    container.begin("stopped.py")
    container.until(Kind.STOPPED)


def test_who_is_held_by_a_tracer(container: Container) -> None:
    main = container.begin("graceful.py")
    with traced(main) as tracee:
        os.kill(main, signal.SIGTERM)
        container.until(Kind.TRACED, rf"is held by its tracer {os.getpid()} \(.+\)")
        os.kill(main, signal.SIGKILL)
        container.until(Kind.OWED, rf"is over, and its tracer {os.getpid()} \(.+\) has not taken notice")
        tracee.let_go()


def test_who_is_frozen(container: Container) -> None:
    usable("cgroup")
    group = f"{cgroup.own()}/supervisor-test-{secrets.token_hex(4)}"
    main = container.begin("graceful.py")
    cgroup.make(group)
    try:
        cgroup.limit(group, "cgroup.procs", main)
        cgroup.limit(group, "cgroup.freeze", 1)
        os.kill(main, signal.SIGTERM)
        container.until(Kind.FROZEN)
        os.kill(main, signal.SIGKILL)
        observed.until(lambda: observed.state(main) in ("Z", None), "its end")
    finally:
        cgroup.kill(group)
        observed.until(lambda: not cgroup.read_table(group, "cgroup.events").get("populated"), "an empty group")
        observed.end_all([main])
        cgroup.remove(group)


def test_who_is_in_vfork_is_not_asked_for_its_command_line(
    container: Container, compiled: Callable[[str], str]
) -> None:
    os.kill(container.begin(compiled("vfork_blocked")), signal.SIGTERM)
    seen, _ = container.until(
        Kind.VFORK, r"has called vfork, and no handler runs before child \d+ \(vfork_blocked\) .*"
    )
    assert (seen.state, seen.command) == ("D", ""), "that is in memory which a hung call may have locked"


@pytest.mark.parametrize(
    ("manner", "kind", "call"), [("stubborn", Kind.BLOCKS, "pause"), ("graceful", Kind.SIGNAL, "rt_sigtimedwait")]
)
def test_of_a_zombie_leader_the_living_thread_is_seen(
    container: Container, compiled: Callable[[str], str], manner: str, kind: Kind, call: str
) -> None:
    main = container.begin(compiled("zombie_leader"), manner)
    observed.until(lambda: observed.state(main) == "Z", "the end of the leader")
    if manner == "stubborn":
        os.kill(main, signal.SIGTERM)
    seen, _ = container.until(kind)
    assert (seen.state, seen.syscall, seen.threads) == ("S", call, 2)


def test_a_shell_that_runs_its_server_in_the_foreground(container: Container) -> None:
    script, server = str(WORKLOADS / "foreground.sh"), str(WORKLOADS / "unhandled.py")
    os.kill(container.begin("/bin/sh", script, *CODE, server), signal.SIGTERM)
    _, finding = container.until(Kind.SHELL, r"is a shell that waits for its child \d+ \(.+\), to which it forwards .*")
    assert finding.pid == container.main
    assert "exec" in finding.advice
    assert [one.kind for one in container.look()[1]] == [Kind.SHELL, Kind.NOT_TOLD]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a PID namespace here")
def test_pid_1_of_a_namespace(container: Container) -> None:
    if shutil.which("unshare") is None:
        cannot_test("unshare is missing: apt-get install util-linux")
    outer = container.begin("unshare", "--fork", "--pid", "--kill-child", *CODE, str(WORKLOADS / "unhandled.py"))
    (container.main,) = proc.children_of(outer)
    os.kill(container.main, signal.SIGTERM)
    container.until(Kind.INIT)


def test_who_was_left_behind(container: Container) -> None:
    main = container.begin("daemon.py", "stubborn")
    os.kill(main, signal.SIGTERM)
    os.waitpid(main, 0)
    container.until(Kind.IGNORES, "ignores SIGTERM, and was left behind by the main process")


def test_who_forks_and_exits_again_and_again(container: Container) -> None:
    main = container.begin("hopper.py")
    container.hear("hop")
    os.kill(main, signal.SIGTERM)
    os.waitpid(main, 0)
    looks = [container.look()[1] for _ in range(10)]
    assert {findings[0].kind for findings in looks if findings} <= {Kind.FORKS, Kind.GONE}
    assert any(looks)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can look as somebody else")
@pytest.mark.parametrize(("what", "kind"), [("pipe", Kind.PIPE), ("lock", Kind.LOCK), ("time", Kind.TIME)])
def test_what_is_hidden_from_another_user_is_left_out(container: Container, what: str, kind: Kind) -> None:
    """State and the kernel's function are for everybody to see, where the kernel shows the latter at all."""
    main = container.begin("late.py", what)
    os.kill(main, signal.SIGTERM)
    container.until(*LATE[what])
    told = _as_nobody(lambda: sight.see(main, sight.sample(main)))
    seen = msgspec.convert(told, Sight)
    assert (seen.syscall, seen.target, seen.stack, seen.connections, seen.io_rate) == ("", "", (), (), None)
    assert seen.cpu_rate is not None
    assert (seen.state, seen.caught >> signal.SIGTERM - 1 & 1) == ("S", 1)
    (finding,) = diagnose([seen], [signal.SIGTERM], main, main_over=False)
    assert finding.kind is (kind if seen.wchan else Kind.UNKNOWN)


def _as_nobody(look: Callable[[], Any]) -> Any:
    """What ``look`` gives in a process of another user, without rights of its own."""
    heard, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            os.write(told, json.dumps(look()).encode())
        os._exit(0)
    os.close(told)
    with open(heard, "rb") as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    return json.loads(text)


def test_who_is_gone_is_not_seen() -> None:
    popen = subprocess.Popen(["/bin/true"])
    before = sight.sample(popen.pid)
    os.waitid(os.P_PID, popen.pid, os.WEXITED | os.WNOWAIT)
    zombie = sight.see(popen.pid, sight.sample(popen.pid))
    assert zombie is not None
    assert msgspec.convert(zombie, Sight).state == "Z"
    popen.wait()
    assert sight.sample(popen.pid) is None
    assert sight.see(popen.pid, before) is None
    newcomer = msgspec.convert(sight.see(popen.pid, None), Sight)
    assert (newcomer.pid, newcomer.state) == (popen.pid, "X")


def test_names_are_printable(container: Container) -> None:
    code = "import ctypes, signal; ctypes.CDLL(None).prctl(15, b'a\\nb\\xff\\x1b[1m'); signal.pause()"
    container.start(*CODE, "-c", code)
    observed.until(lambda: _named(container, "a"), "the new name")


def _named(container: Container, beginning: str) -> bool:
    sights, _ = container.look()
    return all(one.name.isprintable() and one.name.startswith(beginning) for one in sights)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_sockets_are_told_by_their_remote_ends(container: Container, host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        server = socket.create_server((host, 0), family=family, dualstack_ipv6=family is socket.AF_INET6)
    except OSError:
        pytest.skip("there is no IPv6 loopback")
    with server:
        port = server.getsockname()[1]
        code = f"import socket; s = socket.create_connection(({host!r}, {port})); s.recv(1)"
        container.start(*CODE, "-c", code)
        served, _ = server.accept()
        with served:
            host = host.removeprefix("::ffff:")  # an IPv4 address on an IPv6 socket
            shown = f"tcp {f'[{host}]' if ':' in host else host}:{port}"
            observed.until(lambda: _first(container).target == shown, shown)
            assert _first(container).connections == (shown,)


def _first(container: Container) -> Sight:
    return container.look()[0][0]


def test_many_are_looked_at_in_little_time(container: Container) -> None:
    """A bound far above what it takes, so that reading a table of sockets once for each process would be seen."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sleepers = [subprocess.Popen(["/bin/sleep", "1000"], stdin=server.fileno()) for _ in range(100)]
        try:
            before = [(one.pid, sight.sample(one.pid)) for one in sleepers]
            began_at = time.process_time()
            assert all(sight.see(pid, sample) is not None for pid, sample in before)
            assert time.process_time() - began_at < 0.15 * PATIENCE / 10
        finally:
            for one in sleepers:
                one.kill()
                one.wait()
