"""Tasks for tests of the lifecycle, the events of their lives in short words, and shapes of tasks at random."""

from __future__ import annotations

import signal
from typing import Any

from hypothesis import strategies as st

from supervisor.lifecycle import (
    Created,
    Effect,
    Emptied,
    Event,
    Exited,
    Keep,
    Lost,
    Signalled,
    Spawned,
    SpawnFailed,
    StopRequested,
    run_id_of,
    step,
)
from supervisor.model import (
    Backoff,
    Condition,
    Container,
    ContainerDependency,
    ExitStatus,
    Identity,
    RestartPolicy,
    StopCode,
    Task,
)

TASK_ID = "0123456789abcdef0123456789abcdef"
BORN = 1000.0
"""Unix time at which every task here was created."""

Happening = tuple[float, Event]
"""When the agent heard of it, and what it was."""


def container_of(
    name: str,
    *,
    essential: bool = True,
    depends_on: tuple[str, ...] | dict[str, Condition] = (),
    stop_timeout: float = 30.0,
    **members: Any,
) -> Container:
    if isinstance(depends_on, tuple):
        depends_on = dict.fromkeys(depends_on, Condition.START)
    return Container(
        name=name,
        container_arn=f"arn:aws:ecs:local:000000000000:container/default/{TASK_ID}/{name}",
        essential=essential,
        depends_on=tuple(ContainerDependency(one, condition) for one, condition in depends_on.items()),
        stop_timeout=stop_timeout,
        **members,
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
    """The task after all that, and everything that the keeper was to be asked for meanwhile."""
    done: list[Effect] = []
    for now, event in life:
        task, effects = step(task, event, now)
        done += asked_for(effects)
    return task, done


def asked_for(effects: list[Effect]) -> list[Effect]:
    """Those that go to the keeper."""
    return [effect for effect in effects if not isinstance(effect, Keep)]


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


POLICIES: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {},
        {},
        {"restart_policy": RestartPolicy(enabled=True, ignored_exit_codes=(3,), restart_attempt_period=60)},
        {"restart_policy": RestartPolicy(enabled=True), "restart_backoff": Backoff(1.0, 20.0)},
        {"max_runtime": 5.0, "start_timeout": 10.0},
    ]
)


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    """One to five containers, at least one of them essential, dependencies without a cycle, in any order."""
    names = "abcde"[: draw(st.integers(1, 5))]
    essential = draw(st.sets(st.sampled_from(names), min_size=1))
    containers = []
    for number, name in enumerate(names):
        earlier = sorted(draw(st.sets(st.sampled_from(names[:number]))) if number else ())
        depends_on = {
            one: Condition.START if one in essential else draw(st.sampled_from(list(Condition))) for one in earlier
        }
        members = draw(POLICIES)
        containers.append(container_of(name, essential=name in essential, depends_on=depends_on, **members))
    return task_of(*draw(st.permutations(containers)))
