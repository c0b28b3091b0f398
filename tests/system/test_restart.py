"""A second life on the same state directory, and what keeps a daemon from starting at all."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from tests.conftest import PATIENCE
from tests.machine import REPOSITORY
from tests.system.conftest import StartDaemon
from tests.system.daemon import SUPERVISOR, Daemon

pytestmark = pytest.mark.system


def refused(*args: str, status: int) -> str:
    """The one line on stderr of an agent that does not start."""
    done = subprocess.run(
        [*SUPERVISOR, "agent", *args],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (status, ""), done
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.rstrip("\n")


def test_a_second_life_knows_all_of_the_first(daemon: Daemon) -> None:
    arns = [daemon.begin("graceful.py", "7")[0], daemon.begin("exits.py", "3")[0]]
    daemon.stop(arns[0], reason="enough")
    before = [daemon.wait(arn) for arn in arns]
    family, _, revision = before[0]["taskDefinitionArn"].rpartition("/")[2].partition(":")
    definition = daemon.call("DescribeTaskDefinition", taskDefinition=family)
    listed = daemon.call("ListTasks", desiredStatus="STOPPED")
    daemon.end()
    daemon.start()
    assert [daemon.task(arn) for arn in arns] == before
    assert daemon.call("DescribeTaskDefinition", taskDefinition=family) == definition
    assert daemon.call("ListTasks", desiredStatus="STOPPED") == listed
    assert daemon.define(daemon.container("exits.py"), family=family) == f"{family}:{int(revision) + 1}"
    arn = daemon.run(daemon.container("exits.py", "4"))
    record = daemon.wait(arn)
    assert record["containers"][0]["exitCode"] == 4
    assert record["containerInstanceArn"] == before[0]["containerInstanceArn"]
    assert daemon.stop(arns[1]) == before[1], "an end is final"


def test_a_token_of_a_former_life_starts_nothing_twice(daemon: Daemon) -> None:
    definition = daemon.define(daemon.container("exits.py"))
    request = {"taskDefinition": definition, "clientToken": "the-same", "count": 2}
    first = [task["taskArn"] for task in daemon.call("RunTask", **request)["tasks"]]
    assert len(set(first)) == 2
    daemon.end()
    daemon.start()
    assert [task["taskArn"] for task in daemon.call("RunTask", **request)["tasks"]] == first
    assert set(daemon.call("ListTasks", desiredStatus="STOPPED")["taskArns"]) == set(first)


@pytest.mark.parametrize(("keep_days", "kept"), [(0, False), (0.01, True)])
def test_old_records_go_with_their_logs(start_daemon: StartDaemon, keep_days: float, kept: bool) -> None:
    daemon = start_daemon(history={"keep_days": keep_days})
    arn = daemon.run(daemon.container("says.py"))
    daemon.wait(arn)
    logs = f"{daemon.state_dir}/logs/{arn.rpartition('/')[2]}"
    assert "main.log" in os.listdir(logs)
    daemon.end()
    daemon.start()
    if kept:
        assert daemon.task(arn)["lastStatus"] == "STOPPED"
        assert "main.log" in os.listdir(logs)
    else:
        daemon.until(lambda: daemon.logged("history_pruned", tasks=1) or None, "the pruning")
        assert daemon.call("DescribeTasks", tasks=[arn])["failures"] == [{"arn": arn, "reason": "MISSING"}]
        assert not os.path.exists(logs)


def test_a_state_directory_has_one_owner(shared: Daemon) -> None:
    line = refused("--state-dir", shared.state_dir, "--socket", f"{shared.directory}/other.sock", status=1)
    assert line == f"supervisor: cannot use {shared.state_dir}: the supervisor with pid {shared.keeper.pid} owns it"
    assert shared.call("ListTasks")["taskArns"] == []


def test_a_socket_has_one_owner(shared: Daemon, tmp_path: Path) -> None:
    line = refused("--state-dir", str(tmp_path), "--socket", shared.socket, status=1)
    assert line == f"supervisor: cannot listen on {shared.socket}: another agent listens there; see --socket"
    assert shared.call("ListTasks")["taskArns"] == []


def test_a_file_is_not_taken_for_a_socket(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("of the user's")
    line = refused("--state-dir", f"{tmp_path}/state", "--socket", f"{tmp_path}/mine", status=1)
    assert line == f"supervisor: cannot listen on {tmp_path}/mine: is not a socket; see --socket"
    assert (tmp_path / "mine").read_text() == "of the user's"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[stop]\ntimeuot = 3\n", "there is no stop.timeuot; did you mean stop.timeout?"),
        ('[stop]\ntimeout = "3"\n', 'stop.timeout is "3", and must be a number of seconds'),
        ("[stop\n", ":1:6: "),
        ('[tasks]\ntracking = "guess"\n', 'tasks.tracking is "guess", and must be "auto"'),
    ],
)
def test_a_wrong_configuration_is_one_line_and_status_2(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(text)
    line = refused("--config", str(file), "--state-dir", f"{tmp_path}/state", "--socket", f"{tmp_path}/s", status=2)
    assert str(file) in line
    assert says in line
    assert not os.path.exists(f"{tmp_path}/state")


def test_a_configuration_that_is_not_there_is_one_line_and_status_2(tmp_path: Path) -> None:
    line = refused("--config", f"{tmp_path}/none.toml", status=2)
    assert line == f"supervisor: cannot read {tmp_path}/none.toml: No such file or directory"


def test_a_socket_that_nobody_listens_on_is_replaced(daemon: Daemon) -> None:
    """As after a power cut: the file is there, and its owner is not."""
    daemon.end()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(daemon.socket)
    daemon.start()
    assert daemon.call("ListTasks")["taskArns"] == []
