"""What containers have written, as ``supervisor logs`` shows it, and how their files are kept."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from supervisor.agent import log_marks
from tests.machine import REPOSITORY
from tests.process import observed
from tests.system.conftest import StartDaemon
from tests.system.daemon import SUPERVISOR, Daemon

pytestmark = pytest.mark.system

Follow = Callable[..., "subprocess.Popen[str]"]


class Writer:
    """A container that writes what it is told."""

    def __init__(self, daemon: Daemon, name: str = "main") -> None:
        self.fifo = f"{daemon.directory}/{name}.fifo"
        os.mkfifo(self.fifo)
        self.definition = daemon.container("repeats.py", self.fifo, name=name)
        self._daemon = daemon
        self._name = name

    def begin(self) -> str:
        arn = self._daemon.run(self.definition)
        self._daemon.hear("main")
        self.log = log_of(self._daemon, arn, self._name)
        return arn

    def write(self, *lines: str) -> None:
        with open(self.fifo, "w") as fifo:
            fifo.write("".join(f"{line}\n" for line in lines))

    def marked(self, size: int) -> None:
        """Wait until there is a mark for that size of the file."""
        self._daemon.until(lambda: log_marks.load(self.log).size == size or None, "the mark")


def log_of(daemon: Daemon, arn: str, container: str = "main") -> str:
    return f"{daemon.state_dir}/logs/{arn.rpartition('/')[2]}/{container}.log"


@pytest.fixture
def follow(daemon: Daemon) -> Iterator[Follow]:
    """Starts ``logs --follow`` in the background."""
    followers: list[subprocess.Popen[str]] = []

    def start(*args: str) -> subprocess.Popen[str]:
        argv = [*SUPERVISOR, "logs", "--follow", "--socket", daemon.socket, *args]
        followers.append(subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY))
        return followers[-1]

    yield start
    for follower in followers:
        with follower:
            follower.kill()


def test_a_follower_sees_each_line_once_although_the_agent_dies_and_ends_with_the_task(
    daemon: Daemon, follow: Follow
) -> None:
    writer = Writer(daemon)
    arn = writer.begin()
    writer.write("one")
    follower = follow(arn)
    assert follower.stdout is not None
    assert follower.stdout.readline() == "one\n"
    writer.write("two", "three")
    assert [follower.stdout.readline(), follower.stdout.readline()] == ["two\n", "three\n"]
    daemon.kill_agent()
    writer.write("four")
    assert follower.stdout.readline() == "four\n"
    writer.write("five")
    daemon.stop(arn)
    rest, _ = follower.communicate()
    assert follower.returncode == 0
    assert rest in ("five\n", "")  # it may have been stopped before it had read that
    assert daemon.cli("logs", arn).stdout == "one\ntwo\nthree\nfour\n" + rest


def test_a_follower_of_what_writes_nothing_ends_with_the_task_too(daemon: Daemon, follow: Follow) -> None:
    arn, _ = daemon.begin("graceful.py")
    follower = follow(arn, "--tail", "0")
    daemon.stop(arn)
    assert follower.communicate()[0] == ""
    assert follower.returncode == 0


def test_a_busy_log_stays_within_its_bound_and_its_writer_notices_nothing(daemon: Daemon) -> None:
    bound, chunk, chunks = 256 * 1024, 64 * 1024, 200
    log = {"logDriver": "json-file", "options": {"max-size": "128k", "max-file": "2"}}
    arn, main = daemon.begin("writes.py", str(chunks), str(chunk), "0.01", logConfiguration=log)
    path, most = log_of(daemon, arn), 0
    while main.alive:
        most = max(most, allocated(path))
        time.sleep(observed.POLL)
    assert daemon.wait(arn)["containers"][0]["exitCode"] == 0
    assert os.stat(path).st_size == chunk * chunks == 50 * bound
    assert most < 25 * bound  # half of it; not that much, unless the agent gets no time for a second
    daemon.until(lambda: allocated(path) <= bound or None, "a file within its bound")
    numbers = [int(line) for line in daemon.cli("logs", arn).stdout.splitlines()]
    last = chunk * chunks // 64 - 1
    assert numbers == list(range(numbers[0], last + 1))
    assert len(numbers) * 64 >= bound // 2
    assert daemon.cli("logs", arn, "--tail", "2").stdout.split() == [str(last - 1), str(last)]


def allocated(path: str) -> int:
    return os.stat(path).st_blocks * 512


def test_what_was_written_since_a_time_and_the_last_lines_are_known_after_a_restart(daemon: Daemon) -> None:
    writer = Writer(daemon)
    arn = writer.begin()
    writer.write("before")
    writer.marked(7)
    since = os.stat(writer.log).st_mtime + 0.05  # further apart than ticks of the kernel's clock
    daemon.until(lambda: time.time() > since + 0.05 or None, "a later time")
    writer.write("after", "that")
    writer.marked(18)
    daemon.kill_agent()
    assert daemon.cli("logs", arn, "--since", f"{since:.3f}").stdout == "after\nthat\n"
    assert daemon.cli("logs", arn, "--since", "1h").stdout == "before\nafter\nthat\n"
    assert daemon.cli("logs", arn, "--since", f"{time.time() + 60:.3f}").stdout == ""
    assert daemon.cli("logs", arn, "--tail", "1").stdout == "that\n"
    writer.write("more")
    writer.marked(23)  # the new agent has taken it up
    daemon.stop(arn)


def test_lines_of_several_containers_have_their_names(daemon: Daemon, follow: Follow) -> None:
    writers = [Writer(daemon, "web"), Writer(daemon, "proxy")]
    quiet = daemon.container("graceful.py", name="quiet", logConfiguration={"logDriver": "none"})
    arn = daemon.run(writers[0].definition, writers[1].definition, quiet)
    daemon.hear("main", 3)
    follower = follow(arn)
    assert follower.stdout is not None
    for writer, line in ((writers[0], "a"), (writers[1], "b"), (writers[0], "c")):
        writer.write(line)
        assert follower.stdout.readline() == f"{writer._name} | {line}\n"
    assert daemon.cli("logs", arn, "--container", "web").stdout == "a\nc\n"
    assert set(daemon.cli("logs", arn, "--tail", "1").stdout.splitlines()) == {"web | c", "proxy | b"}
    wrong = daemon.cli("logs", arn, "--container", "wbe", status=1)
    assert wrong.stderr == (
        "supervisor: An error occurred (InvalidParameterException) when calling the ReadLogs operation: "
        "container: the task has no container 'wbe'; it has web, proxy, quiet\n"
    )
    hidden = daemon.cli("logs", arn, "--container", "quiet", status=1)
    assert "(ClientException)" in hidden.stderr
    assert "cannot show the output of quiet: it is dropped, since its log driver is none" in hidden.stderr
    daemon.stop(arn)
    assert follower.wait() == 0


def test_a_reader_that_has_seen_enough(shared: Daemon) -> None:
    arn, _ = shared.begin("writes.py", "4", "65536", "0")
    shared.wait(arn)
    argv = [*SUPERVISOR, "logs", arn, "--socket", shared.socket]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline().strip() == "0"
        reader.stdout.close()
        assert reader.wait() == 141


def test_there_is_no_such_task(shared: Daemon) -> None:
    done = shared.cli("logs", "0" * 32, status=1)
    assert "(InvalidParameterException) when calling the ReadLogs operation: The referenced task" in done.stderr


def test_output_in_the_journal_is_read_with_journalctl(start_daemon: StartDaemon, tmp_path: Path) -> None:
    journalctl, entries, asked = tmp_path / "journalctl", tmp_path / "entries", tmp_path / "asked"
    journalctl.write_text(f'#!/bin/sh\necho "$@" >> {asked}\ncat {entries}\n')
    journalctl.chmod(0o755)
    daemon = start_daemon(environ={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    log = {"logDriver": "journald", "options": {"tag": "web/main"}}
    arn = daemon.run(daemon.container("says.py", logConfiguration=log))
    task = daemon.wait(arn)  # where there is no journald it could not be started
    run = task["containers"][0]["runtimeId"]
    ours = {"_SYSTEMD_CGROUP": f"/a/b/{run}", "_STREAM_ID": "1", "_PID": "1", "__REALTIME_TIMESTAMP": "1500000"}
    texts: list[tuple[dict[str, str], object]] = [
        (ours, "from the main process"),
        ({"_STREAM_ID": "2", "_PID": "2"}, "of another container with the same tag"),
        (ours | {"_SYSTEMD_CGROUP": "/elsewhere"}, list(b"over the same stream \xff")),
    ]
    entries.write_text(
        "".join(json.dumps(fields | {"MESSAGE": text, "__CURSOR": "c"}) + "\n" for fields, text in texts)
    )
    assert daemon.cli("logs", arn).stdout == "from the main process\nover the same stream \N{REPLACEMENT CHARACTER}\n"
    since = round(task["createdAt"])
    assert daemon.cli("logs", arn, "--tail", "1", "--since", str(since)).stdout.startswith("over")
    begin, end = task["createdAt"] - 3600, task["stoppedAt"] + 3600
    spans = re.findall(r"--since=@(\S+) --until=@(\S+) SYSLOG_IDENTIFIER=web/main\n", asked.read_text())
    assert [float(at) for span in spans for at in span] == pytest.approx([begin, end, since, end], abs=0.01)
