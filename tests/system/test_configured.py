"""Tasks that the configuration asks for: there is one of each, whatever dies, and ``--task`` ends the daemon."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from supervisor.posix import cgroup
from supervisor.recovery import RESTARTED
from supervisor.store import Store
from tests.machine import FAILED
from tests.process import observed
from tests.system.daemon import AMPLE, Daemon, Json

pytestmark = pytest.mark.system


@pytest.fixture
def memory() -> Iterator[str]:
    """Where the keeper notes what it holds; gone with the host."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="supervisor-test-") as directory:
        yield directory


@pytest.fixture
def daemon(request: pytest.FixtureRequest, memory: str) -> Iterator[Daemon]:
    """One that the test starts, when its files are there."""
    daemon = Daemon(environ={"RUNTIME_DIRECTORY": memory})
    yield daemon
    daemon.close(failed=request.node.stash.get(FAILED, True))


def write(daemon: Daemon, name: str, *containers: Json, **members: Any) -> str:
    """A file of ``tasks_dir``, which is the directory ``tasks`` beside the configuration file."""
    path = Path(f"{daemon.directory}/tasks/{name}")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"family": path.stem, "containerDefinitions": list(containers), **members}))
    return str(path)


def keep(daemon: Daemon, name: str, *argv: str, **members: Any) -> str:
    """One with a container that runs a workload."""
    return write(daemon, name, daemon.container(*(argv or ("graceful.py", "0")), **members))


def in_toml(daemon: Daemon, name: str, container: Json) -> None:
    """The same in TOML. JSON's texts and lists of them are TOML's too."""
    lines = [f'family = "{Path(name).stem}"', "[[containerDefinitions]]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in container.items() if key != "environment"]
    for pair in container["environment"]:
        lines += ["[[containerDefinitions.environment]]", *(f"{key} = {json.dumps(pair[key])}" for key in pair)]
    Path(f"{daemon.directory}/tasks/{name}").write_text("\n".join(lines))


def essential(daemon: Daemon, *argv: str, **members: Any) -> str:
    """A file for ``--task``, and the option that names it."""
    path = f"{daemon.directory}/app-{len(daemon.options)}.json"
    Path(path).write_text(json.dumps({"family": "app", "containerDefinitions": [daemon.container(*argv, **members)]}))
    daemon.options += ["--task", path]
    return path


def records(daemon: Daemon, started_by: str) -> list[Json]:
    """Of every task that was started for that file, the newest first."""
    arns = [
        arn
        for status in ("RUNNING", "STOPPED")
        for arn in daemon.call("ListTasks", startedBy=started_by, desiredStatus=status)["taskArns"]
    ]
    return daemon.call("DescribeTasks", tasks=arns)["tasks"] if arns else []


def begun(daemon: Daemon, agents: int = 1) -> None:
    """Wait until so many agents of this life have looked after all of their files."""
    daemon.until(lambda: len(daemon.logged("configured_tasks_begun")) >= agents or None, "what is configured")


def replace_agent(daemon: Daemon) -> None:
    """Kill the agent, and wait until the next one has seen to what is configured."""
    before = len(daemon.logged("configured_tasks_begun"))
    daemon.kill_agent()
    begun(daemon, before + 1)


def test_each_file_has_one_task_and_what_is_wrong_is_told(daemon: Daemon) -> None:
    keep(daemon, "one.json")
    in_toml(daemon, "two.toml", daemon.container("graceful.py", "0"))
    keep(daemon, "one.toml")
    keep(daemon, "README")
    keep(daemon, ".hidden.json")
    keep(daemon, "a name.json")
    write(daemon, "wrong.json", {"name": "main", "comand": ["true"]})
    write(daemon, "nobody.json", {"name": "main", "command": ["true"], "user": "no-such-user"})
    daemon.start()
    begun(daemon)
    daemon.hear("main", 2)
    assert [task["lastStatus"] for name in ("one", "two") for task in records(daemon, f"tasks_dir/{name}")] == [
        "RUNNING"
    ] * 2
    refused = {Path(line["file"]).name: line["error"] for line in daemon.logged("task_file_refused")}
    assert refused.keys() == {"one.toml", "a name.json", "wrong.json", "nobody.json"}
    at = f"cannot use {daemon.directory}/tasks/"
    assert refused["wrong.json"].startswith(
        f"{at}wrong.json: containerDefinitions[0].comand: unknown member; did you mean"
    )
    assert refused["nobody.json"].startswith(f"{at}nobody.json: containerDefinitions[0].user: ")


def test_nothing_is_started_twice_and_every_life_starts_what_is_gone(daemon: Daemon) -> None:
    path = keep(daemon, "web.json")
    daemon.start()
    (main,) = daemon.hear("main")
    begun(daemon)
    replace_agent(daemon)
    (first,) = records(daemon, "tasks_dir/web")
    assert (first["lastStatus"], main.alive) == ("RUNNING", True)
    daemon.end()
    daemon.start()
    daemon.hear("main")
    second, before = records(daemon, "tasks_dir/web")
    assert before["stopCode"] == "TerminationNotice"
    assert second["taskDefinitionArn"] == before["taskDefinitionArn"], "the file says the same"
    daemon.end()
    definition = json.loads(Path(path).read_text())
    definition["containerDefinitions"][0]["stopTimeout"] = AMPLE - 1
    Path(path).write_text(json.dumps(definition))
    daemon.start()
    daemon.hear("main")
    assert records(daemon, "tasks_dir/web")[0]["taskDefinitionArn"].endswith("web:2")


def test_what_stops_unasked_is_started_again_but_not_what_a_user_has_stopped(daemon: Daemon) -> None:
    keep(daemon, "web.json")
    daemon.start()
    (main,) = daemon.hear("main")
    main.signal(signal.SIGKILL)
    daemon.hear("main")
    second, first = records(daemon, "tasks_dir/web")
    assert first["stopCode"] == "EssentialContainerExited"
    daemon.stop(second["taskArn"])
    daemon.wait(second["taskArn"])
    replace_agent(daemon)
    assert [task["lastStatus"] for task in records(daemon, "tasks_dir/web")] == ["STOPPED"] * 2
    assert len(daemon.logged("task_will_follow")) == 1, "on the first"
    daemon.end()
    daemon.start()
    daemon.hear("main")
    assert len(records(daemon, "tasks_dir/web")) == 3


@pytest.mark.parametrize(("argv", "status"), [(("graceful.py", "7"), 7), (("unhandled.py",), 143)])
def test_told_to_end_it_ends_with_the_status_of_the_essential_task(
    daemon: Daemon, argv: tuple[str, ...], status: int
) -> None:
    essential(daemon, *argv)
    daemon.start()
    daemon.hear("main")
    daemon.terminate()
    daemon.has_ended(status)


def test_when_the_essential_task_is_over_all_others_are_stopped_first(daemon: Daemon) -> None:
    keep(daemon, "beside.json")
    essential(daemon, "graceful.py", "0")
    daemon.start()
    begun(daemon)
    daemon.hear("main", 2)
    (app,), (beside,) = records(daemon, "task/app-0"), records(daemon, "tasks_dir/beside")
    replace_agent(daemon)
    daemon.stop(app["taskArn"], reason="enough")
    daemon.has_ended(0)
    assert [line["status"] for line in daemon.logged("end_asked")] == [0]
    daemon.options.clear()
    daemon.start()
    assert daemon.task(app["taskArn"])["stoppedReason"] == "enough"
    assert daemon.task(beside["taskArn"])["stopCode"] == "TerminationNotice"


def test_the_status_outlives_the_agent_that_saw_it(daemon: Daemon) -> None:
    """The agent dies in the drain that the end of the essential task began; nothing is started again."""
    path = essential(daemon, "exits.py", "9")
    keep(daemon, "late.json", "ignores.py", stopTimeout=1)
    daemon.start()
    daemon.until(lambda: daemon.logged("drain_started") or None, "the drain")
    Path(path).unlink()
    daemon.kill_agent()
    daemon.has_ended(9)
    assert len(daemon.logged("essential_task_over", status=9)) == 2, "by each of the agents"


def test_a_new_life_takes_up_what_lives_and_starts_what_does_not(daemon: Daemon) -> None:
    keep(daemon, "gone.json")
    essential(daemon, "graceful.py", "5")
    daemon.start()
    begun(daemon)
    mains = {process.pid: process for process in daemon.hear("main", 2)}
    (app,), (gone,) = records(daemon, "task/app-0"), records(daemon, "tasks_dir/gone")
    (started,) = daemon.logged("container_started", task=gone["taskArn"].rpartition("/")[2])
    daemon.lose_keeper()
    mains[started["pid"]].signal(signal.SIGKILL)
    mains[started["pid"]].death()
    daemon.start()
    daemon.hear("main")
    assert [task["taskArn"] for task in records(daemon, "task/app-0")] == [app["taskArn"]]
    new, old = records(daemon, "tasks_dir/gone")
    assert (new["lastStatus"], old["lastStatus"], old["taskArn"]) == ("RUNNING", "STOPPED", gone["taskArn"])
    daemon.terminate()
    daemon.has_ended(5)


def test_an_essential_task_that_ended_while_nobody_lived_is_started_again(daemon: Daemon) -> None:
    essential(daemon, "graceful.py", "5")
    daemon.start()
    (main,) = daemon.hear("main")
    begun(daemon)
    daemon.lose_keeper()
    main.signal(signal.SIGKILL)
    main.death()
    daemon.start()
    daemon.hear("main")
    assert [task["lastStatus"] for task in records(daemon, "task/app-0")] == ["RUNNING", "STOPPED"]
    daemon.terminate()
    daemon.has_ended(5)


def test_one_that_was_being_stopped_comes_to_its_end_and_another_follows(daemon: Daemon) -> None:
    essential(daemon, "ignores.py")
    daemon.start()
    daemon.hear("main")
    begun(daemon)
    (app,) = records(daemon, "task/app-0")
    daemon.stop(app["taskArn"])
    daemon.until(lambda: daemon.logged("container_signalled") or None, "the stop")
    daemon.lose_keeper()
    daemon.start()
    begun(daemon)
    daemon.cli("stop-task", "--task", app["taskArn"], "--timeout", "0")
    daemon.hear("main")
    new, old = records(daemon, "task/app-0")
    assert (new["desiredStatus"], old["taskArn"]) == ("RUNNING", app["taskArn"])
    daemon.cli("stop-task", "--task", new["taskArn"], "--timeout", "0")
    daemon.has_ended(137)


def test_after_a_restart_of_the_host_what_is_asked_for_is_started(daemon: Daemon, memory: str) -> None:
    """The host goes down: all processes at once, and what was noted in memory; its next boot has another id."""
    keep(daemon, "web.json")
    daemon.start()
    (main,) = daemon.hear("main")
    (before,) = records(daemon, "tasks_dir/web")
    daemon.lose_keeper()
    main.signal(signal.SIGKILL)
    main.death()
    for ledger in Path(memory).iterdir():
        ledger.unlink()
    if os.path.exists(daemon.group):
        observed.until(lambda: not cgroup.pids(daemon.group), "empty cgroups")
        cgroup.remove(daemon.group)
    store = Store(f"{daemon.state_dir}/supervisor.db")
    host = store.instance()
    assert host is not None
    store.save(resources=[msgspec.structs.replace(host, boot_id="of the boot before")])
    store.close()
    daemon.start()
    daemon.hear("main")
    new, old = records(daemon, "tasks_dir/web")
    assert (old["taskArn"], old["lastStatus"], old["stoppedReason"]) == (before["taskArn"], "STOPPED", RESTARTED)
    assert "exitCode" not in old["containers"][0]
    assert new["desiredStatus"] == "RUNNING"


def test_an_essential_task_that_never_starts_ends_it_with_1(daemon: Daemon) -> None:
    essential(daemon, "/nonexistent/program")
    daemon.spawn()
    daemon.has_ended(1)
    assert "never started" in daemon.logged("essential_task_over", status=1)[0]["why"]


def test_a_file_that_is_wrong_is_refused_at_the_command_line(daemon: Daemon) -> None:
    daemon.options += ["--task", "/nonexistent/app.json"]
    daemon.spawn()
    daemon.has_ended(2)
    assert daemon.log_text() == "supervisor: cannot read /nonexistent/app.json: No such file or directory\n"
