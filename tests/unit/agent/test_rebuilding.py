"""Records made again of what the keeper holds and no record names."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from supervisor import shapes, wire
from supervisor.agent.link import Link
from supervisor.agent.rebuilding import REBUILT, rebuild
from supervisor.agent.world import establish
from supervisor.lifecycle import run_id_of
from supervisor.model import DefinitionStatus, Identity, LastStatus
from supervisor.store import Store
from tests.fake_clock import FakeClock

NAMES = shapes.Names()
TASK = "a" * 32
ARN = f"arn:aws:ecs:local:000000000000:task/other/{TASK}"


class Keeper:
    """Answers as the keeper does: one ``Described`` for each run that it holds, then ``Listed``."""

    def __init__(self, held: Iterable[wire.Described]) -> None:
        self._held = {one.run: one for one in held}
        self._answers: list[Any] = []

    def send(self, request: wire.Request) -> None:
        if isinstance(request, wire.List):
            self._answers.append(wire.Listed(wire.VERSION, "boot", "cgroup", list(self._held)))
        elif isinstance(request, wire.Describe) and request.run in self._held:
            self._answers.append(self._held[request.run])

    async def receive(self) -> list[Any]:
        answers, self._answers = self._answers, []
        return answers


def described(container: str = "main", number: int = 1, task: str = TASK, **members: Any) -> wire.Described:
    environ = {
        "OWN": "1",
        "SUPERVISOR_CLUSTER": "other",
        "SUPERVISOR_TASK_ARN": ARN.replace(TASK, task),
        "SUPERVISOR_TASK_DEFINITION": "web:7",
        "SUPERVISOR_CONTAINER_NAME": container,
        "SUPERVISOR_STOP_TIMEOUT": "12",
        "ECS_AGENT_URI": "http://127.0.0.1:1/api/x",
    }
    run = run_id_of(task, container, number)
    argv = ["sleep", "60"]
    return wire.Described(run, task, container, argv, environ, "/srv", "nobody", 12.0, 4711, 1, None)._replace(
        **members
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(str(tmp_path / "state/supervisor.db"))
    establish(store, FakeClock(), "default")
    yield store
    store.close()


def play(store: Store, held: list[wire.Described], *gone: str) -> None:
    """``gone``: runs of which the keeper has the end alone."""
    runs = [*(one.run for one in held), *gone]
    asyncio.run(rebuild(cast("Link", Keeper(held)), store, FakeClock(), NAMES, runs))


def test_a_task_has_its_names_containers_and_processes_again(store: Store) -> None:
    play(store, [described("b", 3), described("a", pid=4712), described(task="b" * 32)], "c" * 32)
    tasks = {task.task_id: task for task in store.load_unfinished()}
    assert tasks.keys() == {TASK, "b" * 32}
    task = tasks[TASK]
    assert (task.task_arn, task.cluster, task.family, task.revision) == (ARN, "other", "web", 7)
    assert (task.last_status, task.started_by, task.group) == (LastStatus.RUNNING, REBUILT, "family:web")
    assert [(one.name, one.run_number, one.identity) for one in task.containers] == [
        ("a", 1, Identity(4712, 1)),
        ("b", 3, Identity(4711, 1)),
    ]
    assert {one.stop_timeout for one in task.containers} == {12.0}
    assert store.cluster("other") is not None
    assert [body for _, body in store.events(0, 9, TASK)], "the journal has it"


def test_its_definition_is_what_was_seen_and_cannot_be_run(store: Store) -> None:
    play(store, [described()])
    definition = store.definition("web", 7)
    assert definition is not None
    (main,) = definition.container_definitions
    assert [(pair.name, pair.value) for pair in main.environment] == [("OWN", "1")]
    assert (main.command, main.working_directory, main.user) == (("sleep", "60"), "/srv", "nobody")
    assert definition.status is DefinitionStatus.INACTIVE
    assert store.next_revision("web") == 8, "a number is never given twice"


def test_what_is_recorded_is_left_as_it_is(store: Store) -> None:
    play(store, [described()])
    before = store.load_unfinished()
    play(store, [described(), described("check", run="e" * 32)])
    assert store.load_unfinished() == before


@pytest.mark.parametrize(
    "members",
    [
        {"beside": run_id_of(TASK, "main", 1), "run": "d" * 32},
        {"environ": {}},
        {"environ": {**described().environ, "SUPERVISOR_TASK_DEFINITION": "web"}},
        {"environ": {**described().environ, "SUPERVISOR_TASK_ARN": f"{ARN}x"}},
    ],
    ids=["a helper", "no environment", "no revision", "another task"],
)
def test_what_says_of_no_container_that_it_is_its_main_process_makes_no_task(
    store: Store, members: dict[str, Any]
) -> None:
    play(store, [described(**members)])
    assert store.load_unfinished() == []


def test_nobody_is_asked_where_all_is_known(store: Store) -> None:
    play(store, [])
    assert store.load_unfinished() == []
