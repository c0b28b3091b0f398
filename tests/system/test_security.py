"""Security through the whole stack: an agent with a user of its own, secrets, what is planted before the start."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.cli.failures import AgentRefused
from supervisor.posix import process
from tests import separate
from tests.conftest import PATIENCE
from tests.process import observed
from tests.separate import AGENT, OTHER
from tests.system.daemon import Daemon, Json

pytestmark = pytest.mark.system

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run the agent as another user")


def _separate(**tables: Any) -> Daemon:
    """A daemon whose agent is another user. Not started."""
    daemon = Daemon("auto", agent={"user": AGENT}, **tables)
    daemon.prefix = separate.prefix()
    return daemon


@AS_ROOT
def test_the_agent_serves_as_a_user_of_its_own_and_ends_with_the_keeper() -> None:
    user = process.find_user(AGENT)
    with _separate() as daemon:
        for path, mode in ((daemon.state_dir, 0o700), (f"{daemon.state_dir}/supervisor.db", 0o600)):
            found = os.stat(path)
            assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (user.uid, mode)
        found = os.stat(daemon.socket)
        assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (user.uid, 0o660)
        bounded = {"logDriver": "json-file", "options": {"max-size": "64k"}}
        says = 'i=0; while [ $i -lt 3000 ]; do echo "$i is a line, so that they become too many"; i=$((i+1)); done'
        talker = daemon.run(
            daemon.container("/bin/sh", "-c", says + "; exec sleep 1000", user=OTHER, logConfiguration=bounded)
        )
        log = Path(daemon.state_dir, "logs", talker.rpartition("/")[2], "main.log")
        daemon.until(
            lambda: (log.exists() and log.stat().st_size > 120_000 and log.stat().st_blocks * 512 < 100_000) or None,
            "holes",
        )
        assert "2999 is a line" in daemon.cli("logs", talker).stdout
        arn, main = daemon.begin("graceful.py", "7", user=OTHER)
        assert observed.status(main.pid)["Uid"].split()[0] == str(process.find_user(OTHER).uid)
        daemon.kill_agent()
        assert daemon.until(daemon.find_agent, "an agent")
        assert daemon.stop(arn)
        assert daemon.wait(arn)["containers"][0]["exitCode"] == 7
        for refused in ({}, {"user": "root"}, {"user": AGENT}, {"user": f"{OTHER}:0"}):
            with pytest.raises(AgentRefused, match=r"tasks\.allowed_users"):
                daemon.define(daemon.container("graceful.py", **refused))
        agent = daemon.agent()
        assert observed.status(agent.pid)["Uid"].split() == [str(user.uid)] * 4
        agent.signal(signal.SIGSTOP)  # so that it cannot end by itself
        daemon.lose_keeper()
        agent.death()  # the kernel forgets whom to tell of a parent's death when the user changes
        daemon.start()  # what belongs to the agent is taken up by the next
        assert daemon.task(talker)["lastStatus"] == "RUNNING"


@AS_ROOT
def test_what_root_has_kept_is_handed_over_to_the_agents_user() -> None:
    daemon = _separate()
    config = Path(daemon.config).read_text()
    Path(daemon.config).write_text(re.sub(r"user = .*\n", "", config))
    with daemon:
        arn, _ = daemon.begin("graceful.py", "7")
        daemon.stop(arn)
        daemon.wait(arn)
        daemon.end()
        Path(daemon.config).write_text(config)
        daemon.start()
        assert daemon.task(arn)["lastStatus"] == "STOPPED"
        uids = {path.lstat().st_uid for path in [Path(daemon.state_dir), *Path(daemon.state_dir).rglob("*")]}
        assert uids == {process.find_user(AGENT).uid}


def _refusal(daemon: Daemon, status: int, unharmed: Callable[[], bool] = lambda: True) -> str:
    """Start it, and see that it does not begin; what it said."""
    try:
        assert daemon.spawn().wait(PATIENCE) == status, daemon.log_text()
        daemon.popen = None
        assert "keeper_started" not in daemon.log_text()
        assert unharmed()
        return daemon.log_text()
    finally:
        daemon.abort()


def _foreign(daemon: Daemon) -> None:
    Path(daemon.state_dir).mkdir(mode=0o700)
    Path(daemon.state_dir, "supervisor.db").touch()
    os.chown(daemon.state_dir, process.find_user(OTHER).uid, -1)


def _wide_open(daemon: Daemon) -> None:
    Path(daemon.state_dir).mkdir()
    Path(daemon.state_dir).chmod(0o777)


def _linked_by_another(daemon: Daemon) -> None:
    (Path(daemon.directory) / "real").mkdir(mode=0o700)
    os.symlink(f"{daemon.directory}/real", daemon.state_dir)
    os.lchown(daemon.state_dir, process.find_user(OTHER).uid, -1)


def _something_else(daemon: Daemon) -> None:
    Path(daemon.state_dir).mkdir(mode=0o755)
    Path(daemon.state_dir, "passwd").touch()


def _below_another(daemon: Daemon) -> None:
    os.chown(daemon.directory, process.find_user(OTHER).uid, -1)


REFUSED_STARTS: dict[str, tuple[Callable[[Daemon], None], int, str]] = {
    "a state directory of somebody else": (_foreign, 1, r"it belongs to user \d+; chown -R \d+:\d+ /"),
    "a state directory that others write to": (_wide_open, 1, r"others may write there \(mode 0777\); chmod 700 /"),
    "a link of somebody else": (_linked_by_another, 1, "it is a symbolic link that user"),
    "a directory of root's with other things in it": (_something_else, 1, "it belongs to user 0"),
    "a directory above that is somebody else's": (_below_another, 2, "others than root may write to"),
}


@AS_ROOT
@pytest.mark.parametrize("name", REFUSED_STARTS)
def test_a_start_that_would_not_be_safe_is_refused_and_says_why(name: str) -> None:
    prepare, status, words = REFUSED_STARTS[name]
    daemon = _separate()
    prepare(daemon)
    before = os.stat(daemon.state_dir).st_mode if os.path.exists(daemon.state_dir) else None
    directory = Path(daemon.state_dir)
    said = _refusal(daemon, status, lambda: before is None or directory.stat().st_mode == before)
    assert re.search(words, said)


def test_an_unknown_user_is_refused_with_the_key() -> None:
    daemon = Daemon(agent={"user": "no-such-user"})
    assert 'agent.user is "no-such-user", and this host has no such user' in _refusal(daemon, 2)


@AS_ROOT
def test_credentials_that_the_agent_may_not_read_are_refused_at_the_start() -> None:
    daemon = _separate(api={}, **{"api.tcp": {"listen": "127.0.0.1:51999", "credentials_file": "/nonexistent"}})
    file = Path(daemon.directory, "credentials")
    file.write_text("[a]\naws_access_key_id = A\naws_secret_access_key = B\n")
    file.chmod(0o600)
    Path(daemon.config).write_text(Path(daemon.config).read_text().replace("/nonexistent", str(file)))
    assert f"cannot read the credentials {file}: Permission denied" in _refusal(daemon, 2)


# what is planted in the state directory


PLANTED = [("symbolic", "lock"), ("hard", "lock"), ("symbolic", "supervisor.db")]
PLANTED += [(kind, "metadata-port metadata-port.new") for kind in ("symbolic", "hard")]


@pytest.mark.parametrize(("kind", "names"), PLANTED)
def test_what_is_planted_in_the_state_directory_is_not_written_to(kind: str, names: str) -> None:
    daemon = Daemon()
    victim = Path(daemon.directory, "victim")
    victim.write_text("precious")
    state = Path(daemon.state_dir)
    state.mkdir(mode=0o700)
    for name in names.split():
        (state / name).symlink_to(victim) if kind == "symbolic" else (state / name).hardlink_to(victim)
    popen = daemon.spawn({"NOTIFY_SOCKET": ""})
    try:
        if "port" in names:  # it is replaced
            daemon.until(lambda: daemon.logged("door_opened", purpose="api") or None, "the API")
            popen.terminate()
        assert popen.wait(PATIENCE) == int("port" not in names)
    finally:
        assert victim.read_text() == "precious"
        daemon.abort()


# secrets and the environment

SECRET, QUIET = secrets.token_hex(14), f"environment-{secrets.token_hex(14)}"
"""A value of ``secrets``, and one of ``environment``."""


@pytest.fixture(scope="module")
def told() -> Iterator[dict[str, str]]:
    """All that was said, logged and stored of tasks with these values, of their failures and of agents that died."""
    secrets_dir = ""
    daemon = Daemon(tasks={"tracking": "auto", "secrets_dir": "SECRETS"})
    secrets_dir = f"{daemon.directory}/secrets"
    os.mkdir(secrets_dir, 0o700)
    Path(secrets_dir, "password").write_text(SECRET + "\n")
    Path(daemon.config).write_text(Path(daemon.config).read_text().replace("SECRETS", secrets_dir))
    with daemon:
        yield _live_with_secrets(daemon)


def _live_with_secrets(daemon: Daemon) -> dict[str, str]:
    def container(*argv: str, **members: Any) -> Json:
        values = [{"name": "QUIET", "value": QUIET}]
        given = [{"name": "PASSWORD", "valueFrom": "file:password"}]
        return daemon.container(*argv, environment=values, **{"secrets": given, **members})

    has_it = f"test ${{#PASSWORD}} -eq {len(SECRET)}"
    check = {"command": ["CMD-SHELL", has_it], "interval": 5, "retries": 1}
    hook = {"supervisor.pre-stop": f"{has_it} && echo the pre-stop command has it"}
    stubborn = container("ignores.py", healthCheck=check, dockerLabels=hook, stopTimeout=1)
    arn = daemon.run(stubborn)
    daemon.hear("main")
    failing = [
        daemon.run(container("/bin/true", workingDirectory="/nonexistent")),
        daemon.run(container("/nonexistent/program")),
        daemon.run(container("/bin/true", secrets=[{"name": "PASSWORD", "valueFrom": "file:missing"}])),
        daemon.run(container("/bin/sh", "-c", "exit 3")),
    ]
    reasons = [str(daemon.wait(one)["containers"][0].get("reason")) for one in failing]
    daemon.kill_agent()
    while daemon.task(arn)["healthStatus"] != "HEALTHY":
        daemon.wait(arn, "RUNNING")
    daemon.kill_agent()
    daemon.stop(arn)
    daemon.wait(arn)
    definition = daemon.task(arn)["taskDefinitionArn"]
    told = {
        "reasons": "\n".join(reasons),
        "definition": repr(daemon.call("DescribeTaskDefinition", taskDefinition=definition)),
        "tasks": repr([daemon.call("DescribeTasks", tasks=[arn, *failing]), daemon.call("ListTasks")]),
        "log": daemon.log_text(),
        "task log": daemon.cli("logs", arn).stdout,
    }
    for what in ("stop-report", "history"):
        told[what] = daemon.cli(what, arn).stdout + daemon.cli(what, arn, "--output", "json").stdout
    told["events"] = daemon.cli("events").stdout
    told["files"] = "".join(
        path.read_bytes().decode("latin-1") for path in Path(daemon.state_dir).rglob("*") if path.is_file()
    )
    return told


def test_the_value_of_a_secret_is_nowhere(told: dict[str, str]) -> None:
    assert [name for name, text in told.items() if SECRET in text] == []
    assert "'valueFrom': 'file:password'" in told["definition"]
    assert "the pre-stop command has it" in told["task log"]
    assert "(ENOENT)" in told["reasons"]
    assert (
        "ResourceInitializationError: unable to pull secrets: PASSWORD from 'missing': No such file" in told["reasons"]
    )


def test_the_values_of_an_environment_are_in_the_definition_and_not_in_logs(told: dict[str, str]) -> None:
    assert QUIET in told["definition"], "as in ECS"
    assert [
        name for name in ("log", "reasons", "tasks", "stop-report", "history", "events") if QUIET in told[name]
    ] == []
    assert "agent_died" in told["log"]


# what a process finds


def test_a_process_finds_nothing_of_the_supervisors(start_daemon: Callable[..., Daemon]) -> None:
    polluted = {"LD_BIND_NOW": "1", "AWS_SECRET_ACCESS_KEY": "of-the-parent", "PYTHONWARNINGS": "ignore", "IFS": "x"}
    daemon = start_daemon(environ=polluted)
    with _connections(daemon):
        arns = [daemon.run(daemon.container("/bin/sleep", "1000", stopTimeout=1)) for _ in range(2)]
        many = daemon.define(*(daemon.container("/bin/sleep", "1000", name=f"c{n}", stopTimeout=1) for n in range(10)))
        for _ in range(5):
            arns += [one["taskArn"] for one in daemon.call("RunTask", taskDefinition=many)["tasks"]]
        for arn in arns:
            daemon.wait(arn, "RUNNING")
        show = "env; echo; ls /proc/self/fd | tr '\\n' ' '; echo; grep -E '^Sig(Blk|Ign)' /proc/self/status"
        arn = daemon.run(daemon.container("/bin/sh", "-c", show))
        daemon.wait(arn)
    shown = daemon.cli("logs", arn).stdout
    names = set(re.findall(r"^(\w+)=", shown, re.MULTILINE))
    ours = {name for name in names if name.startswith(("SUPERVISOR_", "ECS_"))}
    assert names - ours == {"PATH", "HOME", "USER", "SHELL", "LANG", "READY", "PWD"}
    assert not names & {"SUPERVISOR_AGENT", "SUPERVISOR_KEEPER", "SUPERVISOR_LISTENERS"}
    assert "of-the-parent" not in shown
    assert "\n0 1 2 3 \n" in shown, "the fourth is the one that ls lists by"
    assert set(re.findall(r"Sig\w+:\s+(\w+)", shown)) == {"0" * 16}


@contextlib.contextmanager
def _connections(daemon: Daemon) -> Iterator[None]:
    """Many clients of the daemon."""
    with contextlib.ExitStack() as held:
        for _ in range(30):
            held.enter_context(socket.socket(socket.AF_UNIX)).connect(daemon.socket)
        yield
