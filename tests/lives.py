"""Tasks for tests of the lifecycle, the events of their lives in short words, and shapes of tasks at random."""

from __future__ import annotations

import signal

from hypothesis import strategies as st

from supervisor.lifecycle import (
    Created,
    Effect,
    Emptied,
    Event,
    Exited,
    Lost,
    Signalled,
    Spawned,
    SpawnFailed,
    StopRequested,
    run_id_of,
    step,
)
from supervisor.model import Container, ExitStatus, Identity, StopCode, Task

TASK_ID = "0123456789abcdef0123456789abcdef"
BORN = 1000.0
"""Unix time at which every task here was created."""

Happening = tuple[float, Event]
"""When the agent heard of it, and what it was."""


def container_of(
    name: str, *, essential: bool = True, depends_on: tuple[str, ...] = (), stop_timeout: float = 30.0
) -> Container:
    return Container(
        name=name,
        container_arn=f"arn:aws:ecs:local:000000000000:container/default/{TASK_ID}/{name}",
        essential=essential,
        depends_on=depends_on,
        stop_timeout=stop_timeout,
    )


def task_of(*containers: Container) -> Task:
    return Task(
        task_id=TASK_ID,
        task_arn=f"arn:aws:ecs:local:000000000000:task/default/{TASK_ID}",
        cluster_arn="arn:aws:ecs:local:000000000000:cluster/default",
        task_definition_arn="arn:aws:ecs:local:000000000000:task-definition/web:1",
        container_instance_arn="arn:aws:ecs:local:000000000000:container-instance/default/1",
        family="web",
        group="family:web",
        created_at=BORN,
        containers=containers,
    )


def run(name: str) -> str:
    """The id of the first run of that container."""
    return run_id_of(TASK_ID, name, 1)


def play(task: Task, *life: Happening) -> tuple[Task, list[Effect]]:
    """The task after all that, and everything that was to be done meanwhile."""
    done: list[Effect] = []
    for now, event in life:
        task, effects = step(task, event, now)
        done += effects
    return task, done


CREATED: Happening = (BORN, Created())


def asked(at: float, reason: str = "enough", timeout: float | None = None) -> Happening:
    return at, StopRequested(StopCode.USER_INITIATED, reason, timeout)


def spawned(name: str, at: float) -> Happening:
    return at, Spawned(run(name), at, Identity(4242, 77))


def spawn_failed(name: str, at: float, reason: str = "no such file") -> Happening:
    return at, SpawnFailed(run(name), at, reason)


def signalled(name: str, at: float, deadline: float = 530.0) -> Happening:
    return at, Signalled(run(name), at, signal.SIGTERM, deadline)


def killed(name: str, at: float, deadline: float = 530.0, left: str | None = None) -> Happening:
    return at, Signalled(run(name), at, signal.SIGKILL, deadline, left)


def exited(name: str, at: float, code: int | None = None, number: int | None = None) -> Happening:
    return at, Exited(run(name), at, ExitStatus(code, number))


def emptied(name: str, at: float) -> Happening:
    return at, Emptied(run(name), at)


def lost(name: str, at: float, reason: str = "nobody knows") -> Happening:
    return at, Lost(run(name), at, reason)


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    """One to five containers, at least one of them essential, dependencies without a cycle, in any order."""
    names = "abcde"[: draw(st.integers(1, 5))]
    essential = draw(st.sets(st.sampled_from(names), min_size=1))
    containers = []
    for number, name in enumerate(names):
        earlier = draw(st.sets(st.sampled_from(names[:number]))) if number else set()
        containers.append(container_of(name, essential=name in essential, depends_on=tuple(sorted(earlier))))
    return task_of(*draw(st.permutations(containers)))
