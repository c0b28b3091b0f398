"""What a container definition says is what the container gets; and nothing of the daemon's own surroundings."""

from __future__ import annotations

import os
import pwd
import resource
import signal
from pathlib import Path

import pytest

from tests.machine import cannot_test
from tests.system.conftest import StartDaemon
from tests.system.daemon import Daemon, Json

pytestmark = pytest.mark.system

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CAT_ENVIRON = ["/bin/cat", "/proc/self/environ"]
CAT_STATUS = ["/bin/cat", "/proc/self/status"]


def log_of(daemon: Daemon, arn: str, name: str = "main") -> str:
    """What the container wrote to its standard output and error."""
    return Path(f"{daemon.state_dir}/logs/{arn.rpartition('/')[2]}/{name}.log").read_text()


def output(daemon: Daemon, definition: Json, **members: object) -> str:
    """What one container says that runs to its end."""
    arn = daemon.run({"name": "main", **definition}, **members)
    (container,) = daemon.wait(arn)["containers"]
    assert container.get("exitCode") == 0, (container, log_of(daemon, arn))
    return log_of(daemon, arn)


def environ_of(daemon: Daemon, definition: Json, **members: object) -> dict[str, str]:
    """The environment that such a container has."""
    text = output(daemon, {"command": CAT_ENVIRON, **definition}, **members)
    return dict(pair.split("=", 1) for pair in text.rstrip("\0").split("\0"))


def status_of(daemon: Daemon, definition: Json) -> dict[str, str]:
    """Its ``/proc/self/status``."""
    text = output(daemon, {"command": CAT_STATUS, **definition})
    return {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}


def test_the_command_follows_the_entry_point(shared: Daemon) -> None:
    assert output(shared, {"entryPoint": ["/bin/echo", "a b"], "command": ["c", "", "$HOME"]}) == "a b c  $HOME\n"
    assert output(shared, {"entryPoint": ["/bin/echo", "only"]}) == "only\n"


def test_a_program_is_looked_up_in_the_path_of_its_own_environment(shared: Daemon, tmp_path: Path) -> None:
    os.symlink("/bin/echo", f"{tmp_path}/an-echo-of-mine")
    path = [{"name": "PATH", "value": str(tmp_path)}]
    assert output(shared, {"command": ["an-echo-of-mine", "found"], "environment": path}) == "found\n"
    arn = shared.run({"name": "main", "command": ["an-echo-of-mine"]})
    assert "No such file" in shared.wait(arn)["containers"][0]["reason"]


def test_an_override_replaces_the_command_and_not_the_entry_point(shared: Daemon) -> None:
    command = {"containerOverrides": [{"name": "main", "command": ["over", "ridden"]}]}
    definition = {"entryPoint": ["/bin/echo", "entry"], "command": ["defined"]}
    assert output(shared, definition, overrides=command) == "entry over ridden\n"
    assert output(shared, definition) == "entry defined\n"


def test_an_override_adds_to_the_environment_and_replaces_in_it_and_is_recorded(shared: Daemon) -> None:
    defined = [{"name": "KEPT", "value": "k"}, {"name": "REPLACED", "value": "old"}, {"name": "EMPTY", "value": ""}]
    given = [{"name": "REPLACED", "value": "new=ü\n"}, {"name": "ADDED", "value": "a"}]
    overrides = {"containerOverrides": [{"name": "main", "environment": given}]}
    definition = {"name": "main", "command": CAT_ENVIRON, "environment": defined}
    arn = shared.run(definition, overrides=overrides)
    assert shared.wait(arn)["overrides"] == overrides
    environ = dict(pair.split("=", 1) for pair in log_of(shared, arn).rstrip("\0").split("\0"))
    expected = {"KEPT": "k", "REPLACED": "new=ü\n", "EMPTY": "", "ADDED": "a"}
    assert {name: environ.get(name) for name in expected} == expected


def test_a_working_directory(shared: Daemon, tmp_path: Path) -> None:
    assert output(shared, {"command": ["/bin/pwd", "-P"], "workingDirectory": str(tmp_path)}) == f"{tmp_path}\n"
    assert output(shared, {"command": ["/bin/pwd", "-P"]}) == "/\n"


def test_a_user_with_its_groups_and_its_environment(shared: Daemon) -> None:
    if os.geteuid() != 0:
        cannot_test("only root can run tasks as somebody else")
    nobody = pwd.getpwnam("nobody")
    status = status_of(shared, {"user": "nobody"})
    assert status["Uid"].split() == [str(nobody.pw_uid)] * 4
    assert status["Gid"].split() == [str(nobody.pw_gid)] * 4
    assert set(map(int, status["Groups"].split())) == set(os.getgrouplist("nobody", nobody.pw_gid))
    assert int(status["CapEff"], 16) == 0
    environ = environ_of(shared, {"user": "nobody"})
    assert (environ["USER"], environ["HOME"], environ["SHELL"]) == ("nobody", nobody.pw_dir, nobody.pw_shell)
    assert status_of(shared, {"user": "65534:0"})["Gid"].split() == ["0"] * 4


def test_limits(shared: Daemon) -> None:
    given = [
        {"name": "nofile", "softLimit": 100, "hardLimit": 200},
        {"name": "core", "softLimit": 0, "hardLimit": -1},
        {"name": "nproc", "softLimit": 1000, "hardLimit": 1000},
    ]
    text = output(shared, {"command": ["/bin/cat", "/proc/self/limits"], "ulimits": given})
    limits = {line[:26].strip(): line[26:].split()[:2] for line in text.splitlines()[1:]}
    assert limits["Max open files"] == ["100", "200"]
    assert limits["Max core file size"] == ["0", "unlimited"]
    assert limits["Max processes"] == ["1000", "1000"]


def test_the_limits_of_descriptors_are_those_that_the_daemon_was_started_with(shared: Daemon) -> None:
    text = output(shared, {"command": ["/bin/cat", "/proc/self/limits"]})
    (line,) = [line for line in text.splitlines() if line.startswith("Max open files")]
    mine = ["unlimited" if one == resource.RLIM_INFINITY else str(one) for one in resource.getrlimit(7)]
    assert line.split()[3:5] == mine


def test_the_stop_signal_is_the_one_of_the_label(shared: Daemon) -> None:
    arn, _ = shared.begin("unhandled.py", dockerLabels={"supervisor.stop-signal": "SIGUSR1"})
    shared.stop(arn)
    assert shared.wait(arn)["containers"][0]["exitCode"] == 128 + signal.SIGUSR1


@pytest.mark.parametrize(("scope", "hears"), [("main", False), ("group", True)])
def test_the_scope_of_the_label_says_who_gets_the_signal_first(shared: Daemon, scope: str, hears: bool) -> None:
    """A main process that ignores the signal, with a child that heeds it: it hears it at once, or at the very end."""
    script = (
        'trap "" TERM; (trap "echo heard; exit" TERM; echo "child $$" >"$READY"; while :; do sleep 0.02; done) & wait'
    )
    labels = {"supervisor.stop-scope": scope}
    arn = shared.run(shared.container("/bin/sh", "-c", script, dockerLabels=labels, stopTimeout=1))
    shared.hear("child")
    shared.wait(arn, "RUNNING")
    shared.stop(arn)
    shared.wait(arn)
    assert ("heard" in log_of(shared, arn)) == hears


def test_output_goes_where_the_definition_says(start_daemon: StartDaemon, tmp_path: Path) -> None:
    inherited = tmp_path / "stdout"
    with inherited.open("wb") as stdout:
        daemon = start_daemon(popen={"stdout": stdout})
    for driver in ("json-file", "file", None):
        configured: Json = {"logConfiguration": {"logDriver": driver}} if driver else {}
        arn = daemon.run(daemon.container("says.py", **configured))
        daemon.wait(arn)
        assert sorted(log_of(daemon, arn).splitlines()) == ["to standard error", "to standard output"]
    none = daemon.run(daemon.container("says.py", logConfiguration={"logDriver": "none"}))
    daemon.wait(none)
    assert not os.path.exists(f"{daemon.state_dir}/logs/{none.rpartition('/')[2]}")
    assert inherited.read_text() == ""
    assert "to standard error" not in daemon.log_text()
    daemon.wait(daemon.run(daemon.container("says.py", logConfiguration={"logDriver": "inherit"})))
    assert inherited.read_text() == "to standard output\n"
    assert "to standard error\n" in daemon.log_text()


def test_a_log_is_appended_to_and_is_not_everybodys(shared: Daemon) -> None:
    arn = shared.run(shared.container("/bin/sh", "-c", "echo first; exec /bin/echo second"))
    shared.wait(arn)
    assert log_of(shared, arn) == "first\nsecond\n"
    path = f"{shared.state_dir}/logs/{arn.rpartition('/')[2]}"
    assert (os.stat(path).st_mode & 0o7777, os.stat(f"{path}/main.log").st_mode & 0o7777) == (0o750, 0o640)


def test_a_container_starts_after_those_that_it_depends_on(shared: Daemon) -> None:
    def after(*names: str) -> Json:
        return {"dependsOn": [{"containerName": name, "condition": "START"} for name in names]}

    arn = shared.run(
        shared.container("graceful.py", name="last", **after("first", "middle")),
        shared.container("graceful.py", name="middle", **after("first")),
        shared.container("graceful.py", name="first"),
    )
    shared.wait(arn, "RUNNING")
    started = [line["container"] for line in shared.logged("container_started", task=arn.rpartition("/")[2])]
    assert started == ["first", "middle", "last"]


def test_a_stop_timeout_that_is_absent_or_zero_is_the_configured_one(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(stop={"timeout": 0.4})
    for given in ({"stopTimeout": 0}, {}):
        container = daemon.container("ignores.py")
        del container["stopTimeout"]
        arn = daemon.run({**container, **given})
        daemon.hear("main")
        daemon.stop(arn)
        (stopped,) = daemon.wait(arn)["containers"]
        assert stopped["reason"].startswith("Killed 0.4 s after")
    assert environ_of(daemon, {})["SUPERVISOR_STOP_TIMEOUT"] == "0.4"


def test_the_environment_is_the_containers_own_and_nothing_else(shared: Daemon) -> None:
    definition = shared.define({"name": "main", "command": CAT_ENVIRON, "environment": [{"name": "A", "value": "1"}]})
    (task,) = shared.call("RunTask", taskDefinition=definition)["tasks"]
    arn = task["taskArn"]
    record = shared.wait(arn)
    me = pwd.getpwuid(os.geteuid())
    environ = dict(pair.split("=", 1) for pair in log_of(shared, arn).rstrip("\0").split("\0"))
    assert environ.pop("ECS_CONTAINER_METADATA_URI_V4").startswith("http://127.0.0.1:")
    assert environ.pop("ECS_AGENT_URI").startswith("http://127.0.0.1:")
    assert environ == {
        "PATH": DEFAULT_PATH,
        "HOME": me.pw_dir,
        "USER": me.pw_name,
        "SHELL": me.pw_shell,
        "LANG": "C.UTF-8",
        "A": "1",
        "SUPERVISOR_CLUSTER": "default",
        "SUPERVISOR_TASK_ARN": arn,
        "SUPERVISOR_TASK_DEFINITION": definition,
        "SUPERVISOR_CONTAINER_NAME": "main",
        "SUPERVISOR_CONTAINER_ID": record["containers"][0]["runtimeId"],
        "SUPERVISOR_STOP_TIMEOUT": "30",
    }


def odd_surroundings() -> None:
    """What a careless parent leaves to its child."""
    for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE, signal.SIGRTMIN + 3):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD, signal.SIGUSR2, signal.SIGRTMAX})
    os.umask(0o077)


def test_nothing_of_the_daemons_surroundings_is_inherited(tracking: str, start_daemon: StartDaemon) -> None:
    surplus, other = os.pipe()
    popen = {"pass_fds": [surplus], "preexec_fn": odd_surroundings, "stdin": other}
    environ = {"SECRET": "s", "LC_ALL": "C", "LISTEN_FDS": "7", "PYTHONPATH": "/nonexistent"}
    try:
        daemon = start_daemon(tracking, environ=environ, popen=popen)
    finally:
        os.close(surplus)
        os.close(other)
    own = {"PATH", "HOME", "USER", "SHELL", "LANG", "ECS_CONTAINER_METADATA_URI_V4", "ECS_AGENT_URI"}
    assert {name for name in environ_of(daemon, {}) if not name.startswith("SUPERVISOR_")} == own
    status = status_of(daemon, {})
    assert status["Umask"] == "0022"
    assert {status[name].strip("0") for name in ("SigBlk", "SigIgn", "SigPnd", "ShdPnd")} == {""}
    listing = output(daemon, {"command": ["/bin/ls", "-l", "/proc/self/fd"]}).splitlines()[1:]
    fds = {line.split()[8]: line.partition(" -> ")[2] for line in listing}
    assert fds.pop("3").startswith("/proc/"), "the listing itself"
    assert fds.pop("0") == "/dev/null"
    assert sorted(fds) == ["1", "2"]
    assert {path.rpartition("/")[2] for path in fds.values()} == {"main.log"}


def test_a_main_process_leads_its_own_session(shared: Daemon) -> None:
    arn, main = shared.begin("unhandled.py")
    assert (os.getsid(main.pid), os.getpgid(main.pid)) == (main.pid, main.pid)
    shared.stop(arn)
