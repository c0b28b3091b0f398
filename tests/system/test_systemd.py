"""Under a real systemd as PID 1, with the package and the units of ``systemd/`` installed: one machine for all."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from supervisor.cli.client import Client
from tests.conftest import PATIENCE
from tests.machine import REPOSITORY
from tests.system.booted import SUPERVISOR, UID, UNIT, Machine
from tests.system.daemon import MS, SOON

SOCKET_UNIT = "graceful-supervisor.socket"
SOCKET = "/run/supervisor/supervisor.sock"
GROUP = f"/sys/fs/cgroup/system.slice/{UNIT}"

ENDS = "trap 'exit 7' TERM; echo $$; while :; do sleep 0.05; done"
IGNORES = "trap '' TERM; echo $$; while :; do sleep 0.05; done"
WAITS = "echo $$; while [ ! -e /run/go ]; do sleep 0.05; done; exit 23"
"""Each says its pid when it is ready."""

WINDOW = 1
AWAY = 2
"""Seconds without a keeper."""
HANGS_AFTER = 2
"""Seconds of ``WatchdogSec=`` in tests."""

Json = dict[str, Any]
Override = Callable[[str], None]


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with Machine() as booted:
        yield booted


@pytest.fixture
def override(machine: Machine) -> Iterator[Override]:
    """Changes the unit for one test."""
    path = machine.path(f"/run/systemd/system/{UNIT}.d/test.conf")

    def write(text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"[Service]\n{text}\n")
        machine.systemctl("daemon-reload")

    yield write
    if path.exists():
        path.unlink()
        machine.systemctl("daemon-reload")


@pytest.fixture
def service(machine: Machine, override: Override) -> Iterator[Machine]:
    """The machine, in which the test starts the service; stopped at the end, with nothing left of it."""
    yield machine
    machine.path("/run/go").unlink(missing_ok=True)
    machine.systemctl("stop", SOCKET_UNIT, UNIT)
    assert_nothing_left(machine)


def assert_nothing_left(machine: Machine) -> None:
    """Neither a cgroup nor a process of a task."""
    assert not machine.path(GROUP).exists()
    environs = machine.run("sh", "-c", "cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'")
    assert "SUPERVISOR_CONTAINER_ID" not in environs


def begin(machine: Machine, script: str, client: Client | None = None, **members: Any) -> tuple[str, str]:
    """Run a task of that script, and wait until it is ready; the task's id, and the pid of its shell in the machine."""
    family, client = f"test-{secrets.token_hex(4)}", client or machine.client
    container = {"name": "main", "command": ["/bin/sh", "-c", script], "stopTimeout": 30, **members}
    client.call("RegisterTaskDefinition", {"family": family, "containerDefinitions": [container]})
    task = client.call("RunTask", {"taskDefinition": family})["tasks"][0]["taskArn"].rpartition("/")[2]
    lines = client.logs([("task", task)], follow=True)
    return task, next(line["line"] for line in lines if "line" in line)


def main_pid(machine: Machine, but: str = "", **options: Any) -> str:
    """The pid of the keeper that is ready; waits for one, and for another than ``but``."""

    def ready() -> str | None:
        pid = machine.show("MainPID", **options)
        return pid if pid != but and machine.show("ActiveState", **options) == "active" else None

    return machine.until(ready, "a keeper")


def stopped(machine: Machine, task: str) -> Json:
    """The record of the task when it has stopped."""
    for reply in machine.client.watch(None, [task], 3 * PATIENCE):
        record: Json = reply["tasks"][0]
        if record["lastStatus"] == "STOPPED":
            return record
    raise AssertionError("a stream without an end has ended")


def exit_code(machine: Machine, task: str) -> int | None:
    code: int | None = stopped(machine, task)["containers"][0].get("exitCode")
    return code


def group_of(machine: Machine, pid: str) -> str:
    """The cgroup of a process, as the machine sees it; others than version 2 are this host's."""
    (line,) = [line for line in machine.run("cat", f"/proc/{pid}/cgroup").splitlines() if line.startswith("0::")]
    return line.removeprefix("0::")


def stored_fds(machine: Machine) -> int:
    return int(machine.show("NFileDescriptorStore"))


def events(machine: Machine, event: str, *match: str) -> list[Json]:
    return machine.entries(f"SUPERVISOR_EVENT={event}", *match)


# the service


def test_it_is_started_when_it_is_ready(service: Machine) -> None:
    service.systemctl("start", UNIT)
    assert service.show("ActiveState") == "active"
    assert "supervisor.keeper" in service.path(f"/proc/{service.show('MainPID')}/cmdline").read_text()
    assert service.client.call("ListTasks", {}) == {"taskArns": []}
    made = service.run("stat", "--format=%a %U %G", SOCKET, "/var/lib/supervisor", "/run/supervisor")
    assert made.splitlines() == ["660 root supervisor", "700 root root", "755 root root"]
    assert service.run("id", "--name", "--groups", "supervisor").strip() == "supervisor"


def test_a_member_of_the_group_may_use_it(service: Machine) -> None:
    service.systemctl("start", UNIT)
    list_tasks = ["setpriv", f"--reuid={UID}", f"--regid={UID}"]
    service.run(*list_tasks, "--groups=supervisor", SUPERVISOR, "list-tasks")
    service.run(*list_tasks, "--clear-groups", SUPERVISOR, "list-tasks", status=3)


def test_a_stop_gives_every_task_its_window_and_leaves_none(service: Machine) -> None:
    service.systemctl("start", UNIT)
    ends, _ = begin(service, ENDS)
    ignores, pid = begin(service, IGNORES, stopTimeout=WINDOW)
    assert re.fullmatch(rf"/system\.slice/{UNIT}/supervisor-\w+/.+", group_of(service, pid))
    service.systemctl("stop", UNIT)
    assert service.show("Result") == "success"
    assert_nothing_left(service)
    service.systemctl("start", UNIT)
    assert exit_code(service, ends) == 7
    late = stopped(service, ignores)
    assert late["containers"][0]["exitCode"] == 128 + 9
    assert WINDOW - MS <= late["stoppedAt"] - late["stoppingAt"] < WINDOW + SOON


def test_the_journal_has_what_it_says_as_fields(service: Machine) -> None:
    service.systemctl("start", UNIT)
    task, pid = begin(service, ENDS)
    service.client.call("StopTask", {"task": task, "reason": "one line\nSUPERVISOR_TASK=another"})
    assert exit_code(service, task) == 7
    by_task = service.entries(f"SUPERVISOR_TASK={task}")
    assert {"task_created", "container_started", "stop_requested", "task_stopped"} <= {
        entry["SUPERVISOR_EVENT"] for entry in by_task
    }
    (started,) = events(service, "container_started", f"SUPERVISOR_TASK={task}")
    assert (started["SUPERVISOR_CONTAINER"], started["SUPERVISOR_PID"]) == ("main", pid)
    assert (started["PRIORITY"], started["_SYSTEMD_UNIT"], started["SYSLOG_IDENTIFIER"]) == ("6", UNIT, "supervisor")
    assert started["MESSAGE"].startswith(f"container_started task={task} ")
    (asked,) = events(service, "stop_requested", f"SUPERVISOR_TASK={task}")
    assert asked["SUPERVISOR_REASON"] == "one line\nSUPERVISOR_TASK=another"
    assert "\n" not in asked["MESSAGE"]
    keepers = events(service, "keeper_started", f"_PID={service.show('MainPID')}")
    assert [entry["SUPERVISOR_TRACKING"] for entry in keepers] == ["cgroup"]


# the keeper is killed


def test_a_killed_keepers_tasks_are_adopted(service: Machine) -> None:
    service.systemctl("start", UNIT)
    keeper = service.show("MainPID")
    task, pid = begin(service, ENDS)
    assert stored_fds(service) == 1
    service.run("kill", "-KILL", keeper)
    main_pid(service, but=keeper)
    assert int(service.show("NRestarts")) >= 1
    assert service.run("pgrep", "--full", "exit 7' TERM").split() == [pid], "the same process, and no second copy"
    service.client.call("StopTask", {"task": task})
    assert exit_code(service, task) == 7
    assert stored_fds(service) == 0


def test_systemd_keeps_the_exit_code_of_who_ends_while_no_keeper_lives(service: Machine, override: Override) -> None:
    override(f"RestartSec={AWAY}")
    service.systemctl("start", UNIT)
    keeper = service.show("MainPID")
    task, pid = begin(service, WAITS)
    service.run("kill", "-KILL", keeper)
    service.until(lambda: service.show("SubState") == "auto-restart", "the wait for the restart")
    service.path("/run/go").touch()
    service.until(lambda: not service.path(f"/proc/{pid}").exists(), "its end, and somebody else to reap it")
    assert service.show("SubState") == "auto-restart"
    main_pid(service, but=keeper)
    assert exit_code(service, task) == 23
    assert stored_fds(service) == 0


# an upgrade


def test_a_reload_is_an_upgrade_that_no_task_notices(service: Machine) -> None:
    service.systemctl("start", UNIT)
    keeper = service.show("MainPID")
    task, pid = begin(service, ENDS)
    package = next(service.path("/opt/graceful-supervisor/lib").glob("python3*/site-packages/supervisor"))
    init = package / "__init__.py"
    before = init.read_text()
    init.write_text(re.sub(r'__version__ = ".*"', '__version__ = "99.9"', before))
    try:
        service.systemctl("reload", UNIT)
    finally:
        init.write_text(before)
    assert (service.show("ActiveState"), service.show("MainPID"), service.show("NRestarts")) == ("active", keeper, "0")
    assert service.client.look("health", "/v1/health")["version"] == "99.9"
    assert stored_fds(service) == 1
    assert service.path(f"/proc/{pid}").exists()
    service.client.call("StopTask", {"task": task})
    assert exit_code(service, task) == 7
    assert stored_fds(service) == 0, "what the version before had given is taken back by this one"


# signs of life


def test_an_agent_that_hangs_is_replaced(service: Machine, override: Override) -> None:
    override(f"WatchdogSec={HANGS_AFTER}")
    service.systemctl("start", UNIT)
    keeper = service.show("MainPID")
    task, _ = begin(service, ENDS)
    agent = service.run("pgrep", "--parent", keeper, "--full", "supervisor.daemon").strip()
    service.run("kill", "-STOP", agent)
    service.until(lambda: not service.path(f"/proc/{agent}").exists(), "the end of the agent that hangs")
    (told,) = events(service, "agent_hangs", f"SUPERVISOR_PID={agent}")
    assert (told["PRIORITY"], told["SUPERVISOR_WHY"]) == ("4", "it did not answer")
    service.client.call("StopTask", {"task": task})
    assert exit_code(service, task) == 7
    assert (service.show("MainPID"), service.show("ActiveState")) == (keeper, "active")


def test_a_keeper_that_hangs_is_replaced(service: Machine, override: Override) -> None:
    override(f"WatchdogSec={HANGS_AFTER}")
    service.systemctl("start", UNIT)
    keeper = service.show("MainPID")
    task, _ = begin(service, ENDS)
    service.run("kill", "-STOP", keeper)
    main_pid(service, but=keeper)
    assert service.entries("_PID=1", f"UNIT={UNIT}", "UNIT_RESULT=watchdog")
    service.client.call("StopTask", {"task": task})
    assert exit_code(service, task) == 7


# other ways to have it


def test_the_first_request_starts_it(service: Machine) -> None:
    service.systemctl("start", SOCKET_UNIT)
    assert service.show("ActiveState") == "inactive"
    assert service.run("stat", "--format=%a %U %G", SOCKET).strip() == "660 root supervisor"
    assert service.run(SUPERVISOR, "list-tasks", "--output", "json")
    keeper = main_pid(service)
    task, _ = begin(service, ENDS)
    service.run("kill", "-KILL", keeper)
    service.client.call("StopTask", {"task": task})  # the socket is systemd's: the request waits for the next keeper
    assert exit_code(service, task) == 7
    service.systemctl("stop", UNIT, SOCKET_UNIT)
    service.systemctl("start", SOCKET_UNIT)
    assert service.client.call("ListTasks", {}), "what was the service's to remove, and what the socket unit's"


def test_a_user_without_rights_has_one_with_cgroups(machine: Machine) -> None:
    machine.systemctl("start", f"user@{UID}.service")
    machine.systemctl("start", UNIT, user=True)
    client = Client(str(machine.path(f"/run/user/{UID}/supervisor/supervisor.sock")))
    ends, pid = begin(machine, ENDS, client)
    place = group_of(machine, pid)
    assert re.fullmatch(rf"/user\.slice/.*/user@{UID}\.service/.*/{UNIT}/supervisor-\w+/.+", place)
    assert machine.path(f"/proc/{pid}").stat().st_uid == UID
    assert machine.show("NFileDescriptorStore", user=True) == "1"
    keeper = machine.show("MainPID", user=True)
    machine.run("kill", "-KILL", keeper)
    main_pid(machine, but=keeper, user=True)
    machine.systemctl("stop", UNIT, user=True)
    assert not machine.path(f"/proc/{pid}").exists()
    assert not machine.path(f"/sys/fs/cgroup{place}").exists()
    machine.systemctl("start", UNIT, user=True)
    assert client.call("DescribeTasks", {"tasks": [ends]})["tasks"][0]["containers"][0]["exitCode"] == 7
    machine.systemctl("stop", f"user@{UID}.service")


# what the units say


def test_the_units_are_sound_and_their_exposure_is_what_the_documentation_says(service: Machine) -> None:
    said = service.run("sh", "-c", f"systemd-analyze verify {UNIT} {SOCKET_UNIT} 2>&1", status=None)
    assert [line for line in said.splitlines() if "DelegateSubgroup" not in line] == [], "252 does not know that one"
    told = (REPOSITORY / "docs/systemd.md").read_text()
    assert f"{exposure(service)} as it is" in told
    drop_in = service.path(f"/run/systemd/system/{UNIT}.d/hardening.conf")
    drop_in.parent.mkdir(exist_ok=True)
    drop_in.write_text((REPOSITORY / f"systemd/{UNIT}.d/hardening.conf").read_text())
    service.systemctl("daemon-reload")
    try:
        assert f"{exposure(service)} with the drop-in" in told
        service.systemctl("start", UNIT)
        task, pid = begin(service, ENDS, user=str(UID))
        assert service.path(f"/proc/{pid}").stat().st_uid == UID
        service.client.call("StopTask", {"task": task})
        assert exit_code(service, task) == 7
        service.systemctl("stop", UNIT)
    finally:
        drop_in.unlink()
        service.systemctl("daemon-reload")


def exposure(machine: Machine) -> str:
    """The figure at the end of what ``systemd-analyze security`` says."""
    said = machine.run("systemd-analyze", "security", "--no-pager", UNIT)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert found is not None, said
    return found[1]
