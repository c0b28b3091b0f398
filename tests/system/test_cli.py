"""The command line as a person and as a script use it: what it prints where, and its exit status."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PATIENCE
from tests.machine import REPOSITORY
from tests.system.daemon import SUPERVISOR, Daemon

pytestmark = pytest.mark.system

UNKNOWN_ID = "0" * 32


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    """The one line on stderr of a command that failed, and printed nothing."""
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.rstrip("\n")


def test_what_the_agent_refuses_is_one_line_and_status_1(shared: Daemon) -> None:
    done = shared.cli("stop-task", "--task", UNKNOWN_ID, status=1)
    assert error_of(done) == (
        "supervisor: An error occurred (InvalidParameterException) when calling the StopTask operation: "
        "The referenced task was not found."
    )


def test_a_reason_of_256_characters_is_refused_and_255_pass(shared: Daemon) -> None:
    arn, _ = shared.begin("graceful.py", "7")
    error = error_of(shared.cli("stop-task", "--task", arn, "--reason", "x" * 256, status=1))
    assert "reason: expected up to 255 characters, got 256" in error
    assert shared.task(arn)["desiredStatus"] == "RUNNING"
    task = json.loads(shared.cli("stop-task", "--task", arn, "--reason", "x" * 255).stdout)["task"]
    assert task["stoppedReason"] == "x" * 255


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["stop-task"], "missing option '--task'"),
        (["stop-task", "--tsak", "x"], "no such option '--tsak' (did you mean '--task'?)"),
        (["stop-tsak"], "no such command 'stop-tsak' (did you mean 'stop-task'?)"),
        (["stop-task", "--cli-input-json", "{"], "cannot read it as JSON: line 1, column 2"),
        (["stop-task", "--cli-input-json", "file:///nonexistent"], "cannot read /nonexistent: No such file"),
        (["run-task", "--task-definition", "x", "--count", "two"], "'two' is not a valid integer"),
        (["describe-tasks", "--tasks"], "option '--tasks' requires at least one value"),
        (["wait"], "missing command"),
        ([], "missing command"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2_and_asks_no_agent(shared: Daemon, args: list[str], says: str) -> None:
    done = shared.cli(*args, status=2, environ={"SUPERVISOR_SOCKET": "/nonexistent/s.sock"})
    assert says in error_of(done)


@pytest.mark.parametrize(
    "args",
    [
        ["stop-task", "--task", UNKNOWN_ID],
        ["list-tasks"],
        ["wait", "tasks-stopped", "--tasks", UNKNOWN_ID],
        ["stop-task", "--task", UNKNOWN_ID, "--wait"],
    ],
)
def test_an_agent_that_cannot_be_reached_is_one_line_with_the_path_and_status_3(
    shared: Daemon, tmp_path: Path, args: list[str]
) -> None:
    missing, deaf = f"{tmp_path}/missing.sock", f"{tmp_path}/file"
    Path(deaf).touch()
    for path, why in ((missing, "no such file or directory"), (deaf, "connection refused")):
        error = error_of(shared.cli(*args, "--socket", path, status=3))
        assert error.startswith(f"supervisor: cannot reach the agent at {path}: {why}; start it with")


def test_a_missing_task_ends_a_wait_at_once(shared: Daemon) -> None:
    for waiter, name in (("tasks-stopped", "TasksStopped"), ("tasks-running", "TasksRunning")):
        error = error_of(shared.cli("wait", waiter, "--tasks", UNKNOWN_ID, status=1))
        assert re.fullmatch(rf"supervisor: Waiter {name} failed: task .*{UNKNOWN_ID} is MISSING", error)


def test_a_wait_for_a_task_that_stopped_fails_with_its_reason(shared: Daemon) -> None:
    arn = shared.run(shared.container("exits.py", "3"))
    shared.wait(arn)
    error = error_of(shared.cli("wait", "tasks-running", "--tasks", arn, status=1))
    assert "is STOPPED: Essential container in task exited" in error


def test_a_wait_ends_when_its_time_is_up(shared: Daemon) -> None:
    arn, _ = shared.begin("graceful.py")
    error = error_of(shared.cli("wait", "tasks-stopped", "--tasks", arn, "--timeout", "0.2", status=1))
    assert error == f"supervisor: Waiter TasksStopped failed: after 0.2 s not yet STOPPED: {arn}"
    shared.stop(arn)


def test_a_wait_waits_for_all_of_its_tasks(shared: Daemon) -> None:
    arns = [shared.begin("graceful.py")[0] for _ in range(2)]
    waiter = [*SUPERVISOR, "wait", "tasks-stopped", "--socket", shared.socket, "--tasks", *arns]
    with subprocess.Popen(waiter, cwd=REPOSITORY, stdin=subprocess.DEVNULL) as waiting:
        shared.stop(arns[0])
        shared.wait(arns[0])
        assert waiting.poll() is None
        shared.stop(arns[1])
        assert waiting.wait(PATIENCE) == 0
    assert shared.task(arns[1])["lastStatus"] == "STOPPED"


def test_input_comes_as_text_or_from_a_file_and_the_line_wins(shared: Daemon, tmp_path: Path) -> None:
    first, second = (shared.begin("unhandled.py")[0] for _ in range(2))
    document = json.dumps({"task": first, "reason": "of the file", "cluster": "default"})
    file = tmp_path / "stop.json"
    file.write_text(document)
    args = ["stop-task", "--cli-input-json", f"file://{file}", "--task", second, "--reason", "of the line"]
    task = json.loads(shared.cli(*args).stdout)["task"]
    assert (task["taskArn"], task["stoppedReason"]) == (second, "of the line")
    assert shared.task(first)["desiredStatus"] == "RUNNING"
    task = json.loads(shared.cli("stop-task", "--cli-input-json", document).stdout)["task"]
    assert (task["taskArn"], task["stoppedReason"]) == (first, "of the file")


def test_a_member_that_there_is_not_is_refused_here_or_by_the_agent(shared: Daemon) -> None:
    wrong = json.dumps({"task": UNKNOWN_ID, "raeson": "y"})
    error = error_of(shared.cli("stop-task", "--cli-input-json", wrong, status=2))
    assert "unknown member 'raeson' in '--cli-input-json' (did you mean 'reason'?)" in error
    inside = json.dumps({"family": "f", "containerDefinitions": [{"name": "a", "comand": ["true"]}]})
    error = error_of(shared.cli("register-task-definition", "--cli-input-json", inside, status=1))
    assert "containerDefinitions[0].comand: unknown member; did you mean 'command'?" in error


def test_a_skeleton_needs_no_agent_and_is_taken_back_as_input(shared: Daemon) -> None:
    nowhere = {"SUPERVISOR_SOCKET": "/nonexistent/s.sock"}
    done = shared.cli("stop-task", "--generate-cli-skeleton", environ=nowhere)
    assert json.loads(done.stdout) == {"cluster": "", "task": "", "reason": ""}
    for command in ("register-task-definition", "run-task", "describe-tasks", "list-tasks"):
        assert isinstance(json.loads(shared.cli(command, "--generate-cli-skeleton", environ=nowhere).stdout), dict)
    arn, _ = shared.begin("graceful.py")
    shared.cli("stop-task", "--task", arn, "--generate-cli-skeleton")
    assert shared.task(arn)["desiredStatus"] == "RUNNING", "it performs nothing"
    shared.stop(arn)


def test_a_stop_seen_through_without_a_terminal(shared: Daemon) -> None:
    arn = shared.run(
        shared.container("graceful.py", "7", name="quick"),
        shared.container("ignores.py", name="slow", essential=False, stopTimeout=1),
    )
    shared.hear("main", 2)
    done = shared.cli("stop-task", "--task", arn, "--reason", "enough", "--wait")
    task = json.loads(done.stdout)["task"]
    assert (task["lastStatus"], task["stoppedReason"]) == ("STOPPED", "enough")
    assert [one["exitCode"] for one in task["containers"]] == [7, 137]
    lines = done.stderr.splitlines()
    assert [line for line in lines if re.fullmatch(r"quick: exited 7 after \d\.\d s", line)], lines
    assert [line for line in lines if re.match(r"slow: stopping, SIGKILL in [01]\.\d s", line)], lines
    assert [line for line in lines if line.startswith("slow: killed after 1.")], lines


def test_a_stop_seen_through_on_a_terminal(shared: Daemon) -> None:
    arn, _ = shared.begin("ignores.py", stopTimeout=1)
    shown, output = on_a_terminal(shared, "stop-task", "--task", arn, "--wait")
    task = json.loads(output)["task"]
    assert (task["lastStatus"], task["containers"][0]["exitCode"]) == ("STOPPED", 137)
    assert "\x1b[" in shown, "it is drawn"
    left = [float(number) for number in re.findall(r"(\d\.\d) s left", shown)]
    assert len(set(left)) > 3
    assert left == sorted(left, reverse=True), "the window runs down"
    assert "killed after 1." in shown


def on_a_terminal(daemon: Daemon, *args: str) -> tuple[str, str]:
    """Run a command whose stderr is a terminal: what was shown there, and what came on stdout."""
    ours, theirs = pty.openpty()
    environ: dict[str, Any] = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "SUPERVISOR_SOCKET": daemon.socket}
    with subprocess.Popen(
        [*SUPERVISOR, *args],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=environ,
        cwd=REPOSITORY,
        text=True,
    ) as command:
        os.close(theirs)
        shown, patient_until = b"", time.monotonic() + 2 * PATIENCE
        try:
            while select.select([ours], [], [], patient_until - time.monotonic())[0]:
                shown += os.read(ours, 65536)
        except OSError:  # EIO: nobody has the other end any more
            pass
        finally:
            os.close(ours)
        output, _ = command.communicate(timeout=PATIENCE)
    assert command.returncode == 0, shown
    return shown.decode(), output


def test_a_stop_of_a_stopped_task_is_seen_through_at_once(shared: Daemon) -> None:
    arn = shared.run(shared.container("exits.py", "3"))
    shared.wait(arn)
    task = json.loads(shared.cli("stop-task", "--task", arn, "--wait").stdout)["task"]
    assert (task["stopCode"], task["containers"][0]["exitCode"]) == ("EssentialContainerExited", 3)


def test_the_socket_comes_from_the_line_before_the_environment(shared: Daemon) -> None:
    nowhere = {"SUPERVISOR_SOCKET": "/nonexistent/s.sock"}
    shared.cli("list-tasks", "--socket", shared.socket, environ=nowhere)
    shared.cli("list-tasks", status=3, environ=nowhere)


def test_help_and_version_need_nothing(shared: Daemon) -> None:
    for args in (["--help"], ["stop-task", "--help"], ["wait", "tasks-stopped", "--help"], ["--version"]):
        done = shared.cli(*args, environ={"SUPERVISOR_SOCKET": "/nonexistent/s.sock"})
        assert done.stdout
        assert done.stderr == ""
