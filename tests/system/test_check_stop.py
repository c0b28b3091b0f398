"""``supervisor check-stop`` on real commands: the verdicts, the exit statuses, and that nothing is left of it all."""

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
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

import pytest

from supervisor.posix import proc
from tests.conftest import PATIENCE
from tests.machine import cannot_test
from tests.process import observed
from tests.process.observed import Process
from tests.system.test_servers import program
from tests.system.words import Words

pytestmark = pytest.mark.system

SERVER = """
import http.server, signal, sys
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.BaseHTTPRequestHandler)
server.RequestHandlerClass.do_GET = lambda self: (self.send_response(200), self.end_headers())
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("listening", file=sys.stderr, flush=True)
server.serve_forever()
"""
STUBBORN = "trap '' TERM; echo up; while :; do sleep 0.1; done"
LEAVES = "trap 'exit 0' TERM; ({} echo up; exec sleep 1000) & while :; do sleep 0.05; done"
"""A main process that exits at once and leaves a child; to be filled in: what that does first.

It is the child that says when it is ready: a shell that has just forked may lose a signal.
"""


class Done(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


Check = Callable[..., Done]


@pytest.fixture
def place() -> Iterator[str]:
    """The directory for temporary files of a test; in the end it is empty, and no process is left."""
    before = observed.children()
    directory = tempfile.mkdtemp(prefix="check-")  # short enough for the path of a socket in it
    os.chmod(directory, 0o777)
    yield directory
    left = os.listdir(directory), observed.children() - before
    shutil.rmtree(directory)
    assert left == ([], set())


@pytest.fixture
def check(place: str, tmp_path: Path) -> Check:
    """Runs the command to its end."""

    def run(*words: str, **options: Any) -> Done:
        argv = [*options.pop("prefix", []), sys.executable, "-I", "-m", "supervisor", "check-stop", *words]
        environ = {**os.environ, "TMPDIR": place, **options.pop("environ", {})}
        settings = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "cwd": tmp_path, **options}
        done = subprocess.run(argv, env=environ, timeout=6 * PATIENCE, check=False, **settings)
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def port() -> int:
    """One that is free, and below those that the kernel gives to connections."""
    while True:
        free: int = 20000 + secrets.randbelow(10000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", free)):
            return free


# verdicts


@pytest.mark.parametrize(
    ("ready", "runs"),
    [(["--ready-tcp", "{}"], 2), (["--ready-http", "http://localhost:{}/health"], 1)],
    ids=["tcp", "http"],
)
def test_a_graceful_server(check: Check, port: int, tmp_path: Path, ready: list[str], runs: int) -> None:
    option, target = ready[0], ready[1].format(port)
    junit = tmp_path / "stop.xml"
    wanted = ["--timeout", "20", "--runs", str(runs), "--output", "json", "--junit", str(junit), option, target]
    done = check(*wanted, "--", sys.executable, "-S", "-c", SERVER, str(port))
    assert (done.status, done.err) == (0, "")
    assert done.document["verdict"] == "graceful"
    assert done.document["readiness"] == {"by": option.removeprefix("--ready-"), "target": target}
    assert [run["number"] for run in done.document["runs"]] == [1, 2][:runs]
    for run in done.document["runs"]:
        assert (run["verdict"], run["exitCode"], run["window"]) == ("graceful", 0, 20)
        assert run["log"][0] == "listening"
        assert 0 <= run["stopSeconds"] < 20
    assert ET.parse(junit).getroot().get("failures") == "0"


def test_a_command_that_ignores_the_signal(check: Check, tmp_path: Path) -> None:
    junit = tmp_path / "stop.xml"
    done = check("--timeout", "0.5", "--ready-log", "up", "--junit", str(junit), "--", "sh", "-c", STUBBORN)
    assert done.status == 1, done.err
    first, *_ = lines = done.out.splitlines()
    assert first.startswith("run 1: NOT GRACEFUL: still running 0.5 s after SIGTERM, and killed (ready after")
    assert any(line.startswith("  why: ") for line in lines)
    assert "    | up" in lines
    assert lines[-1].startswith("NOT GRACEFUL: 1 of 1 run; stopped after ")
    failure = ET.parse(junit).getroot().find(".//failure")
    assert failure is not None
    assert failure.get("message") == "still running 0.5 s after SIGTERM, and killed"


def test_a_child_that_is_left_and_has_to_be_killed(check: Check) -> None:
    command = LEAVES.format("trap '' TERM;")
    done = check("--timeout", "0.5", "--ready-log", "up", "--", "sh", "-c", command)
    assert done.status == 1, done.err
    said = "run 1: NOT GRACEFUL: exited with code 0, and what it left behind was killed 0.5 s after SIGTERM"
    assert done.out.startswith(said)


def test_a_child_that_is_left_and_ends_on_the_signal(check: Check) -> None:
    done = check("--ready-log", "up", "--", "sh", "-c", LEAVES.format(""))
    assert done.status == 0, done.err
    first, warning, *_ = done.out.splitlines()
    assert first.startswith("run 1: graceful: exited with code 0")
    assert warning.startswith("  warning: the main process left others behind: SIGTERM to 1 process")


def test_a_command_without_a_handler(check: Check, place: str) -> None:
    """Where the path of a socket in the directory for temporary files would be too long: it is made elsewhere."""
    long = f"{place}/{'x' * 100}"
    os.mkdir(long)
    done = check("--ready-after", "0.05", "--", "sleep", "1000", environ={"TMPDIR": long})
    os.rmdir(long)
    assert done.status == 0, done.err
    assert done.out.startswith("run 1: graceful: ended by SIGTERM")
    assert "warning: it does not handle SIGTERM" in done.out
    assert done.out.splitlines()[-1].startswith("note: it was taken to be ready 0.05 s after its start")


def test_an_exit_code_that_is_not_0(check: Check) -> None:
    command = ["--", "sh", "-c", "trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done"]
    done = check("--ready-log", "up", "--exit-code", "3", *command)
    assert done.status == 0, done.err
    assert done.out.startswith("run 1: graceful: exited with code 3")


# what could not be tried


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["./no such program"], "'./no such program' was not started: .*No such file or directory"),
        (["sh", "-c", "echo cannot go on >&2; exit 4"], "exited with code 4 before it was ready"),
    ],
    ids=["missing", "exits early"],
)
def test_a_command_that_is_not_there_to_be_stopped(check: Check, command: list[str], said: str) -> None:
    done = check("--runs", "3", "--ready-log", "never", "--", *command)
    assert (done.status, done.err) == (3, "")
    first, *details, last = done.out.splitlines()
    assert first.startswith("run 1: NOT TRIED: ")
    assert re.search(said, first)
    assert last == "NOT TRIED: 1 of 3 runs"
    if command[0] == "sh":
        assert details == ["  the last lines of its output:", "    | cannot go on"]


def test_a_command_that_is_never_ready(check: Check) -> None:
    done = check("--ready-timeout", "0.3", "--ready-log", "ready", "--", "sleep", "1000")
    assert done.status == 3
    assert done.out.startswith("run 1: NOT TRIED: not ready within 0.3 s: it wrote nothing at all")


def test_somebody_elses_listener_is_not_taken_for_the_command(check: Check) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        done = check("--ready-tcp", str(taken), "--", "sleep", "1000")
    assert done.status == 3
    assert "already; stop it, or choose another port" in done.out


# who calls it, and from where


def test_the_command_has_what_the_caller_has(check: Check, tmp_path: Path) -> None:
    """And what lies about in the caller's directory, or where PYTHONPATH points to, is not the agent's."""
    (tmp_path / "supervisor.py").write_text("raise SystemExit('not this one')")
    command = 'echo "in $PWD of $COLOUR with $HOME as $(id -u), $ECS_CONTAINER_METADATA_URI_V4$NOTIFY_SOCKET"; sleep 9'
    environ = {
        "COLOUR": "bläulich",
        "HOME": "/nonexistent",
        "PYTHONPATH": str(tmp_path),
        "SUPERVISOR_SOCKET": "/x",
    }
    done = check("--ready-log", "in ", "--output", "json", "--", "sh", "-c", command, environ=environ)
    assert done.status == 0, done.err
    assert done.document["runs"][0]["log"] == [
        f"in {tmp_path} of bläulich with /nonexistent as {os.geteuid()},",
    ]


def test_an_ordinary_user_whom_nobody_knows(check: Check, place: str) -> None:
    """With no right but to read: the interpreter of these tests may be where only root may look."""
    if os.geteuid() != 0:
        cannot_test("only root can become somebody else")
    who = ["--reuid", "64999", "--regid", "64999", "--clear-groups"]
    rights = [
        "--inh-caps=-all,+dac_read_search",
        "--ambient-caps=+dac_read_search",
        "--bounding-set=-all,+dac_read_search",
    ]
    prefix = ["setpriv", *who, *rights]
    done = check("--ready-log", "64999", "--", "sh", "-c", "id -u; exec sleep 1000", prefix=prefix, cwd=place)
    assert done.status == 0, done.out + done.err


# interruptions


@pytest.fixture
def begun(place: str, tmp_path: Path) -> Iterator[Callable[[str], tuple[subprocess.Popen[bytes], Process]]]:
    """Starts a check that would take for ever; it, and the command's process."""
    words = Words(str(tmp_path / "words"))
    started: list[subprocess.Popen[bytes]] = []

    def begin(shell: str) -> tuple[subprocess.Popen[bytes], Process]:
        command = ["sh", "-c", f"{shell} echo up $$ >'{words.path}'; while :; do sleep 0.1; done"]
        argv = [sys.executable, "-I", "-m", "supervisor", "check-stop", "--ready-log", "never", "--", *command]
        with open(tmp_path / "stderr", "wb") as err:
            started.append(subprocess.Popen(argv, env={**os.environ, "TMPDIR": place}, stderr=err))
        (pid,) = words.take("up", 1)
        return started[-1], Process(pid)

    yield begin
    words.close()
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_stops_the_command_and_ends_the_agent(begun: Any, tmp_path: Path, signum: int) -> None:
    checking, command = begun("trap 'exit 0' TERM;")
    checking.send_signal(signum)
    assert checking.wait(PATIENCE) == 128 + signum
    assert not command.alive
    assert (
        (tmp_path / "stderr").read_text().startswith("supervisor: interrupted: what was started is stopped within 5 s")
    )


def test_a_second_interruption_does_not_wait(begun: Any, tmp_path: Path) -> None:
    checking, command = begun("trap '' TERM;")
    checking.send_signal(signal.SIGINT)
    observed.until(lambda: bool((tmp_path / "stderr").read_bytes()), "the interruption is told")
    checking.send_signal(signal.SIGINT)
    assert checking.wait(PATIENCE) == 130
    assert not command.alive


def test_a_killed_check_leaves_no_process(begun: Any, place: str) -> None:
    """Its agent is told by the kernel; only the directory cannot be removed by anybody."""
    checking, command = begun("trap 'exit 0' TERM;")
    stat = proc.read_stat(command.pid)
    assert stat is not None
    keeper = Process(stat.ppid)
    checking.kill()
    command.death()
    keeper.death()
    os.waitpid(keeper.pid, 0)  # it has become ours
    (left,) = os.listdir(place)
    shutil.rmtree(f"{place}/{left}")


# real servers


def test_redis(check: Check, port: int, tmp_path: Path) -> None:
    server = program("redis-server", "redis-server")
    done = check("--ready-tcp", str(port), "--runs", "2", "--", server, "--port", str(port), "--save", "3600 1")
    assert done.status == 0, done.out + done.err
    assert done.out.splitlines()[-1].startswith("graceful: 2 of 2 runs; stopped after ")


def test_nginx_under_sigquit(check: Check, port: int, tmp_path: Path) -> None:
    server = program("nginx", "nginx-light")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; {user} pid {tmp_path}/nginx.pid; error_log stderr notice; worker_processes 1;"
        f"events {{}} http {{ access_log off; {temporary} server {{ listen 127.0.0.1:{port}; return 204; }} }}"
    )
    command = [server, "-p", str(tmp_path), "-e", "stderr", "-c", str(tmp_path / "nginx.conf")]
    done = check("--signal", "SIGQUIT", "--ready-http", f"http://127.0.0.1:{port}/", "--output", "json", "--", *command)
    assert done.status == 0, done.out + done.err
    (run,) = done.document["runs"]
    assert (run["reason"], run["warnings"]) == ("exited with code 0", [])
    assert any("gracefully shutting down" in line for line in run["log"])
