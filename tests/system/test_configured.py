"""Tasks that the configuration asks for: there is one of each, whatever dies, and ``--task`` ends the daemon."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.machine import FAILED
from tests.system.daemon import AMPLE, Daemon, Json

pytestmark = pytest.mark.system


@pytest.fixture
def daemon(request: pytest.FixtureRequest) -> Iterator[Daemon]:
    """One that the test starts, when its files are there."""
    daemon = Daemon()
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
    assert not daemon.logged("task_not_started")
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
