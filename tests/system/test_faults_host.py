"""What a host can do to a supervisor: want of descriptors, processes and memory, stray signals, clocks that step."""

from __future__ import annotations

import contextlib
import os
import resource
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.posix import proc
from tests.conftest import PATIENCE
from tests.machine import WORKLOADS, cannot_test
from tests.process import observed
from tests.process.observed import Process
from tests.system.conftest import StartDaemon
from tests.system.daemon import SOON, Daemon, Json

pytestmark = pytest.mark.system

WINDOW = 1
CGROUPS = Path("/sys/fs/cgroup")
HOUR = 3600 * 10**9
STRAY = ("SIGHUP", "SIGPIPE", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM")


@contextlib.contextmanager
def old_group(controller: str) -> Iterator[Path]:
    """A group of our own of a controller of cgroup v1; a test's daemon enters it as it starts."""
    if not os.access(CGROUPS / controller / "tasks", os.W_OK):
        cannot_test(f"cgroup v1 has no {controller} controller here that we may use")
    group = CGROUPS / controller / f"supervisor-test-{secrets.token_hex(4)}"
    group.mkdir()
    try:
        yield group
    finally:
        observed.until(lambda: not (group / "cgroup.procs").read_text(), "an empty group")
        group.rmdir()


def enter(group: Path) -> None:
    (group / "cgroup.procs").write_text("0")


def adj(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


# descriptors and processes


def begun_or_refused(daemon: Daemon, arn: str) -> Json:
    """The task's record as soon as it runs or is over."""
    seen: Json = {}
    with contextlib.suppress(TimeoutError):
        for reply in daemon.client.watch(None, [arn], PATIENCE):
            seen = reply["tasks"][0]
            if seen["lastStatus"] != "PENDING":
                return seen
    raise AssertionError(f"still PENDING: {seen}\n{daemon.log_text()}")


def test_without_descriptors_clients_are_answered_and_stops_are_on_time(start_daemon: StartDaemon) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (160, 160))

    daemon = start_daemon(popen={"preexec_fn": limit})
    arn, main = daemon.begin("ignores.py", stopTimeout=WINDOW)
    daemon.wait(arn, "RUNNING")
    many = daemon.define(*({"name": f"c{n}", "command": ["/bin/sleep", "1000"]} for n in range(10)))
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            sock.connect(daemon.socket)
        tasks = [daemon.call("RunTask", taskDefinition=many)["tasks"][0]["taskArn"] for _ in range(8)]
        asked_at = time.monotonic()
        daemon.stop(arn)
        assert time.monotonic() < asked_at + SOON
        assert asked_at + WINDOW <= main.death() < asked_at + WINDOW + 2 * SOON
        settled = [begun_or_refused(daemon, task) for task in tasks]
    # Which are refused is luck: a start holds more descriptors until its exec, so one asked for later may fit again.
    refused = [task for task in settled if task["lastStatus"] == "STOPPED"]
    assert refused
    assert all("EMFILE" in str([one.get("reason") for one in task["containers"]]) for task in refused), refused
    assert not daemon.logged("accept_failed")
    assert not daemon.logged("agent_died")
    assert daemon.task(tasks[0])["lastStatus"] == "RUNNING"


def test_without_processes_to_be_had_stops_are_on_time_and_starts_say_so(start_daemon: StartDaemon) -> None:
    with old_group("pids") as group:
        daemon = start_daemon(popen={"preexec_fn": lambda: enter(group)})
        arn, main = daemon.begin("ignores.py", stopTimeout=WINDOW)
        daemon.wait(arn, "RUNNING")
        definition = daemon.define(daemon.container("exits.py"))
        (group / "pids.max").write_text((group / "pids.current").read_text())
        refused = daemon.wait(daemon.call("RunTask", taskDefinition=definition)["tasks"][0]["taskArn"])
        assert refused["stopCode"] == "TaskFailedToStart"
        assert "EAGAIN" in refused["containers"][0]["reason"]
        asked_at = time.monotonic()
        daemon.stop(arn)
        daemon.kill_agent()
        assert asked_at + WINDOW <= main.death() < asked_at + WINDOW + SOON
        (group / "pids.max").write_text("max")
        assert daemon.wait(arn)["containers"][0]["exitCode"] == 137
        daemon.end()


# memory


def test_keeper_and_agent_are_taken_after_the_tasks(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(popen={"preexec_fn": lambda: Path("/proc/self/oom_score_adj").write_text("500")})
    _, main = daemon.begin("graceful.py")
    assert adj(main.pid) == 500, "as whoever started the supervisor had it"
    assert adj(daemon.keeper.pid) in (-900, 0), "0 is what needs no privilege"
    assert adj(daemon.agent().pid) == adj(daemon.keeper.pid)
    daemon.kill_agent()
    assert adj(daemon.agent().pid) == adj(daemon.keeper.pid)


def test_out_of_memory_the_kernel_takes_the_task(start_daemon: StartDaemon) -> None:
    def begin() -> None:
        enter(group)
        Path("/proc/self/oom_score_adj").write_text("500")

    with old_group("memory") as group:
        daemon = start_daemon(popen={"preexec_fn": begin})
        quiet, main = daemon.begin("graceful.py", "7")
        agent = daemon.agent()
        used = int((group / "memory.usage_in_bytes").read_text())
        (group / "memory.limit_in_bytes").write_text(str(used + (64 << 20)))
        eats = "x = []\nwhile True: x.append(bytearray(b'x') * (1 << 20))"
        arn = daemon.run({"name": "main", "command": [os.path.realpath("/proc/self/exe"), "-S", "-c", eats]})
        assert daemon.wait(arn)["containers"][0]["exitCode"] == 137
        assert agent.alive
        assert main.alive
        (group / "memory.limit_in_bytes").write_text("-1")
        daemon.stop(quiet)
        assert daemon.wait(quiet)["containers"][0]["exitCode"] == 7
        daemon.end()


# signals


def test_storms_of_signals_make_nothing_late_and_lose_nothing(daemon: Daemon) -> None:
    begun = [daemon.begin("ignores.py", stopTimeout=WINDOW) for _ in range(4)]
    for arn, _ in begun:
        daemon.wait(arn, "RUNNING")
    agent = daemon.agent()
    asked_at = time.monotonic()
    for arn, _ in begun:
        daemon.stop(arn)
    asked_by = time.monotonic()
    sent = 0
    while any(main.alive for _, main in begun) and time.monotonic() < asked_by + WINDOW + SOON:
        for name in STRAY:
            daemon.keeper.signal(getattr(signal, name))
            agent.signal(getattr(signal, name))
            sent += 2
    for _, main in begun:
        assert asked_at + WINDOW <= main.death() < asked_by + WINDOW + SOON
    assert sent > 2000
    assert [daemon.wait(arn)["containers"][0]["exitCode"] for arn, _ in begun] == [137] * 4
    assert agent.alive
    assert not daemon.logged("agent_died")


# the socket's file


def test_a_socket_file_that_is_deleted_comes_back() -> None:
    daemon = Daemon()
    daemon.socket = daemon.client.socket_path = f"{daemon.directory}/run/s.sock"
    with daemon:
        arn, main = daemon.begin("ignores.py", stopTimeout=WINDOW)
        daemon.wait(arn, "RUNNING")
        before = os.stat(daemon.socket)
        asked_at = time.monotonic()
        daemon.stop(arn)
        os.unlink(daemon.socket)
        observed.until(lambda: os.path.exists(daemon.socket), "the socket file")
        assert daemon.task(arn)["desiredStatus"] == "STOPPED"
        assert asked_at + WINDOW <= main.death() < asked_at + WINDOW + SOON
        after = os.stat(daemon.socket)
        assert (after.st_mode, after.st_gid) == (before.st_mode, before.st_gid)
        shutil.rmtree(os.path.dirname(daemon.socket))
        observed.until(lambda: os.path.exists(daemon.socket), "the directory, too")
        assert daemon.wait(arn)["containers"][0]["exitCode"] == 137
        assert len(daemon.logged("socket_restored")) == 2


def test_what_somebody_else_puts_in_the_sockets_place_is_left_alone(daemon: Daemon) -> None:
    other = f"{daemon.socket}.other"
    Path(other).write_text("mine")
    agent = daemon.agent()
    os.rename(other, daemon.socket)
    daemon.terminate()
    daemon.keeper.death()
    assert Path(daemon.socket).read_text() == "mine"
    assert not agent.alive
    os.unlink(daemon.socket)


# clocks


@pytest.fixture(scope="module")
def clocks(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The library that steps clocks."""
    library = tmp_path_factory.mktemp("clocks") / "clocks.so"
    command = ["gcc", "-O1", "-Wall", "-shared", "-fPIC", "-o", str(library), str(WORKLOADS / "clocks.c")]
    try:
        subprocess.run(command, check=True)
    except FileNotFoundError:
        cannot_test("gcc is missing: apt-get install gcc libc6-dev")
    return str(library)


class Steps:
    """The clocks of one daemon."""

    def __init__(self, path: Path, library: str) -> None:
        self._path = path
        self.environ = {"LD_PRELOAD": library, "CLOCKS": str(path)}
        path.write_bytes(bytes(16))

    def step(self, wall: int, monotonic: int = 0) -> None:
        """Nanoseconds from the host's clocks; seen at once."""
        with self._path.open("r+b") as file:
            file.write(struct.pack("qq", wall, monotonic))


@pytest.fixture
def steps(tmp_path: Path, clocks: str) -> Steps:
    return Steps(tmp_path / "steps", clocks)


def test_a_step_of_the_wall_clock_moves_no_deadline(start_daemon: StartDaemon, steps: Steps) -> None:
    daemon = start_daemon(environ=steps.environ)
    for by in (HOUR, -HOUR):
        arn, main = daemon.begin("ignores.py", stopTimeout=WINDOW)
        daemon.wait(arn, "RUNNING")
        asked_at = time.monotonic()
        daemon.stop(arn)
        steps.step(by)
        assert asked_at + WINDOW <= main.death() < asked_at + WINDOW + SOON
        record = daemon.wait(arn)
        stamps = [record[name] for name in ("createdAt", "startedAt", "stoppingAt", "stoppedAt")]
        assert stamps == sorted(stamps)
        assert (stamps[-1] - stamps[-2] > 3000) == (by > 0), "it has stepped"
        assert record["containers"][0]["reason"].startswith("Killed 1."), "the window is told as it was"


def test_a_suspended_host_uses_up_no_window(start_daemon: StartDaemon, steps: Steps) -> None:
    """The monotonic clock stands still meanwhile: after it a stop has the time that it had left."""
    daemon = start_daemon(environ=steps.environ)
    arn, main = daemon.begin("ignores.py", stopTimeout=WINDOW)
    daemon.wait(arn, "RUNNING")
    agent = daemon.agent()
    asked_at = time.monotonic()
    daemon.stop(arn)
    for one in (daemon.keeper, agent, main):
        one.signal(signal.SIGSTOP)
    observed.until(lambda: {observed.state(one.pid) for one in (daemon.keeper, agent, main)} == {"T"}, "sleep")
    slept_at = time.monotonic()
    assert not main.wait(2 * WINDOW), "the host sleeps for so long"
    steps.step(HOUR, int((slept_at - time.monotonic()) * 1e9))
    awake_at = time.monotonic()
    for one in (main, agent, daemon.keeper):
        one.signal(signal.SIGCONT)
    slept = awake_at - slept_at
    assert asked_at + WINDOW + slept <= main.death() < asked_at + WINDOW + slept + SOON
    assert daemon.wait(arn)["containers"][0]["exitCode"] == 137


def test_a_keeper_that_was_stopped_beyond_a_deadline_kills_at_once(daemon: Daemon) -> None:
    arn, main = daemon.begin("ignores.py", stopTimeout=WINDOW)
    daemon.wait(arn, "RUNNING")
    daemon.stop(arn)
    daemon.keeper.signal(signal.SIGSTOP)
    assert not main.wait(2 * WINDOW)
    daemon.keeper.signal(signal.SIGCONT)
    continued_at = time.monotonic()
    assert main.death() < continued_at + SOON
    daemon.wait(arn)


# many at once


def test_a_thousand_exits_in_one_moment(daemon: Daemon) -> None:
    arn, main = daemon.begin("ignores.py", stopTimeout=WINDOW)
    many = daemon.define(*({"name": f"c{n}", "command": ["/bin/sleep", "1000"]} for n in range(10)))
    tasks: list[str] = []
    while len(tasks) < 100:
        reply = daemon.call("RunTask", taskDefinition=many, count=10)
        tasks += [task["taskArn"] for task in reply["tasks"]]
    for each in (*tasks, arn):
        daemon.wait(each, "RUNNING", timeout=6 * PATIENCE)
    strangers = {main.pid, daemon.agent().pid}
    mains = [Process(pid) for pid in proc.children_of(daemon.keeper.pid) if pid not in strangers]
    assert len(mains) == 1000
    asked_at = time.monotonic()
    daemon.stop(arn)
    assert not main.wait(max(asked_at + WINDOW - 0.05 - time.monotonic(), 0))
    for one in mains:
        one.signal(signal.SIGKILL)
    assert asked_at + WINDOW <= main.death() < asked_at + WINDOW + SOON
    records = [daemon.wait(each, timeout=6 * PATIENCE) for each in tasks]
    codes = [one.get("exitCode") for record in records for one in record["containers"]]
    assert codes == [137] * 1000
    assert {record["stopCode"] for record in records} == {"EssentialContainerExited"}
    for one in mains:
        one.close()
