"""A real docker engine: the supervisor as PID 1 of a container, and beside another one. Every command of
``docs/in-containers.md`` is here.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.posix import proc
from tests.machine import FAILED, cannot_test
from tests.process import observed
from tests.process.observed import Process
from tests.system.docker import IMAGE_OF_USER, Container, Engine, build_images

pytestmark = pytest.mark.system

WINDOW = 8
"""What ``docker stop`` waits for, seconds: more than any of these containers may need."""

GRACEFUL = "trap 'sleep 0.5; echo finished; exit 3' TERM; echo ready; while :; do sleep 0.1; done"
STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
LEAVES = "setsid sh -c 'trap \"\" HUP; sleep 4001 & sleep 4002' & echo ready; while :; do sleep 0.1; done"

StartContainer = Callable[..., Container]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    if os.geteuid() != 0:
        cannot_test("only root can run dockerd")
    with Engine() as engine:
        build_images(engine)
        yield engine


@pytest.fixture
def start(engine: Engine, request: pytest.FixtureRequest) -> Iterator[StartContainer]:
    """Starts containers, as ``Engine.start``; what they said is shown if the test fails."""
    started: list[Container] = []

    def start(*args: str, **kwargs: Any) -> Container:
        started.append(engine.start(*args, **kwargs))
        return started[-1]

    yield start
    for container in started:
        if request.node.stash.get(FAILED, True):
            print(container.logs())
        engine.docker("rm", "--force", container.id)


@pytest.fixture
def volume(engine: Engine) -> str:
    """A new volume; it is gone with the engine."""
    return engine.docker("volume", "create").strip()


def write(directory: Path, name: str, script: str, **members: Any) -> str:
    """The definition of a task that runs a shell script, in a file below that directory."""
    container = {"name": "main", "command": ["sh", "-c", script], "logConfiguration": {"logDriver": "inherit"}}
    definition = {"family": name, "containerDefinitions": [container | members]}
    directory.mkdir(exist_ok=True)
    directory.joinpath(f"{name}.json").write_text(json.dumps(definition))
    return name


def as_main(path: Path, script: str = GRACEFUL) -> tuple[str, ...]:
    """Options with which that script can be the essential task, ``/app/app.json``."""
    write(path / "app", "app", script)
    return ("--volume", f"{path}/app:/app:ro")


def beside(path: Path, name: str, script: str, **members: Any) -> tuple[str, ...]:
    """Options with which that script is kept running beside it."""
    write(path / "tasks", name, script, **members)
    return ("--volume", f"{path}/tasks:/etc/supervisor/tasks:ro")


APP = ("--task", "/app/app.json")


def records(container: Container, started_by: str, status: str = "RUNNING") -> list[Any]:
    """The tasks that were started for that file."""
    asked = ("list-tasks", "--started-by", started_by, "--desired-status", status)
    arns = container.supervisor(*asked)["taskArns"]
    return container.supervisor("describe-tasks", "--tasks", *arns)["tasks"] if arns else []


def children(container: Container, *command: str) -> list[int]:
    """The children of its PID 1 that run that command, zombies not among them; pids of this host."""
    wanted = b"".join(word.encode() + b"\0" for word in command)
    return [pid for pid in proc.children_of(container.pid) if Path(f"/proc/{pid}/cmdline").read_bytes() == wanted]


def test_a_stop_gives_the_tasks_their_windows_and_the_status_is_the_essential_tasks(
    start: StartContainer, tmp_path: Path
) -> None:
    options = (*as_main(tmp_path), *beside(tmp_path, "stubborn", STUBBORN))
    windows = ("--env", "SUPERVISOR_SHUTDOWN_TIMEOUT=2", "--stop-timeout", str(WINDOW))
    container = start(*options, *windows, command=APP)
    container.hear("ready", 2)
    status, took = container.stop()
    said = container.logs()
    assert (status, "finished" in said.splitlines()) == (3, True)
    assert 1.5 < took < WINDOW, "the stubborn one has what the supervisor has, not what docker has"
    (finished,) = container.logged("drain_finished")
    (killed,) = finished["killed"]
    assert "ignores SIGTERM" in killed["reason"]
    assert container.logged("keeper_ended")[0]["status"] == 3


def test_when_the_essential_task_is_over_so_is_the_container(start: StartContainer, tmp_path: Path) -> None:
    options = (*as_main(tmp_path, "echo ready; exit 9"), *beside(tmp_path, "other", GRACEFUL))
    container = start(*options, command=APP)
    assert container.wait() == 9
    assert container.logged("essential_task_over")[0]["status"] == 9


def test_strays_are_reaped_and_what_a_task_leaves_behind_is_stopped(start: StartContainer, tmp_path: Path) -> None:
    container = start(*as_main(tmp_path), *beside(tmp_path, "leaves", LEAVES), command=APP)
    container.hear("ready", 2)
    container.run("sh", "-c", "(setsid sleep 5001 &) ; (sh -c 'sleep 0.1; exit 7' &)")
    (stray,) = observed_children(container, "sleep", "5001")
    (task,) = records(container, "tasks_dir/leaves")
    left = [process for name in ("4001", "4002") for process in below(container, "sleep", name)]
    assert len(left) == 2
    container.supervisor("stop-task", "--task", task["taskArn"], "--wait")
    for process in left:
        process.death()
    assert stray.alive, "it is nobody's: neither a stop nor the end of another touches it"
    stray.signal(signal.SIGKILL)
    observed.until(lambda: observed.state(stray.pid) is None, "the stray is reaped")
    observed.until(lambda: "Z" not in map(observed.state, proc.children_of(container.pid)), "no zombie is left")
    assert container.stop(WINDOW)[0] == 3


def observed_children(container: Container, *command: str) -> list[Process]:
    """Those children, when there are any."""
    observed.until(lambda: bool(children(container, *command)), f"{command} as a child of PID 1")
    return [Process(pid) for pid in children(container, *command)]


def below(container: Container, *command: str) -> list[Process]:
    """All processes of the container that run that command."""
    wanted = b"".join(word.encode() + b"\0" for word in command)
    found, tree = [], [container.pid]
    while tree:
        pid = tree.pop()
        tree += proc.children_of(pid)
        if Path(f"/proc/{pid}/cmdline").read_bytes() == wanted:
            found.append(Process(pid))
    return found


def test_no_signal_but_those_that_ask_for_the_end_ends_pid_1(start: StartContainer, tmp_path: Path) -> None:
    container = start(*as_main(tmp_path), command=APP)
    container.hear("ready")
    container.run("sh", "-c", "for s in HUP QUIT USR1 USR2 PIPE ALRM TSTP ABRT SEGV VTALRM 35 64; do kill -$s 1; done")
    assert len(records(container, "task/app")) == 1
    status, took = container.stop(WINDOW)
    assert (status, took < WINDOW) == (3, True)


def test_without_root_on_a_read_only_file_system(start: StartContainer, tmp_path: Path, volume: str) -> None:
    hardened = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
    places = ("--volume", f"{volume}:/var/lib/supervisor", "--tmpfs", "/run/supervisor:uid=1000,mode=0755")
    container = start(*hardened, *places, *as_main(tmp_path), image=IMAGE_OF_USER, command=APP)
    container.hear("ready")
    (started,) = container.logged("keeper_started")
    assert started["tracking"] == "descent"
    assert "cgroup" in started["why"], started
    (task,) = records(container, "task/app")
    assert task["lastStatus"] == "RUNNING"
    assert container.run("id", "-u").strip() == "1000"
    assert container.stop(WINDOW)[0] == 3


def test_beside_another_container(start: StartContainer, engine: Engine, tmp_path: Path, volume: str) -> None:
    shared = ("--volume", f"{volume}:/run/supervisor")
    alone = "sh -c 'sleep 6001' & trap 'exit 5' TERM; echo ready; while :; do sleep 0.1; done"
    main = start(*shared, "--entrypoint", "sh", command=("-c", alone))
    main.hear("ready")
    own = below(main, "sleep", "6001")
    sidecar = start(*shared, "--pid", f"container:{main.id}", *beside(tmp_path, "helper", GRACEFUL))
    sidecar.hear("ready")
    (task,) = records(main, "tasks_dir/helper")
    assert task["lastStatus"] == "RUNNING", "asked from the main container"
    assert children(sidecar, "sh", "-c", GRACEFUL), "it runs where the supervisor is"
    refused = ("exec", "--user", "1000", main.id, "sh", "-c", "supervisor list-tasks 2>&1")
    assert "permission denied" in engine.docker(*refused, status=3), "the socket is root's, as it is outside"
    elsewhere = ("run", "--rm", "--network", "none", *shared, "--entrypoint", "supervisor", "graceful-supervisor")
    assert task["taskArn"] in engine.docker(*elsewhere, "list-tasks"), "also from a pid namespace of its own"
    main.supervisor("stop-task", "--task", task["taskArn"], "--wait")
    assert records(main, "tasks_dir/helper", "STOPPED")[0]["containers"][0]["exitCode"] == 3
    assert sidecar.stop(WINDOW)[0] == 0
    assert [one.alive for one in own] == [True], "what the main container runs is its own"
    assert main.stop(WINDOW)[0] == 5


def test_after_a_kill_the_records_are_there_and_what_is_asked_for_runs_again(
    start: StartContainer, tmp_path: Path, volume: str
) -> None:
    options = (*as_main(tmp_path), *beside(tmp_path, "other", GRACEFUL), "--volume", f"{volume}:/var/lib/supervisor")
    container = start(*options, command=APP)
    container.hear("ready", 2)
    before = [records(container, name)[0] for name in ("task/app", "tasks_dir/other")]
    container.kill()
    container.start_again()
    container.hear("ready", 4)
    for name, old in zip(("task/app", "tasks_dir/other"), before, strict=True):
        (new,), (ended,) = records(container, name), records(container, name, "STOPPED")
        assert (new["lastStatus"], ended["taskArn"]) == ("RUNNING", old["taskArn"])
        assert "exitCode" not in ended["containers"][0], "nobody can know it"
        assert ended["containers"][0]["reason"].startswith("Exit code unknown: ")
    assert container.stop(WINDOW)[0] == 3
