"""The table by its whole product, and whole lives by their story. Any life at random: ``test_lifecycle_lives``."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from supervisor.errors import IllegalTransition
from supervisor.lifecycle import (
    TRANSITIONS,
    DependencyFailed,
    Effect,
    Event,
    Hastened,
    HealthChanged,
    Looked,
    RestartDue,
    RuntimeExceeded,
    Spawn,
    StartTimedOut,
    Stop,
    run_id_of,
    step,
)
from supervisor.model import HealthStatus, LastStatus
from tests.lives import (
    CREATED,
    TASK_ID,
    Happening,
    asked,
    asked_for,
    container_of,
    emptied,
    exited,
    lost,
    play,
    run,
    signalled,
    spawn_failed,
    spawned,
    task_of,
)

PENDING, RUNNING, STOPPED = LastStatus.PENDING, LastStatus.RUNNING, LastStatus.STOPPED
SPAWN, STOP = Spawn("main", run("main")), Stop(run("main"))

LIVES: dict[str, tuple[Happening, ...]] = {
    "waiting": (),
    "asked for": (CREATED,),
    "running": (CREATED, spawned("main", 1001)),
    "over": (CREATED, spawned("main", 1001), exited("main", 1002, 0)),
    "stopped": (CREATED, spawned("main", 1001), exited("main", 1002, 0), emptied("main", 1003)),
}
EVENTS: dict[str, Happening] = {
    "Created": CREATED,
    "StopRequested": asked(1010),
    "Spawned": spawned("main", 1010),
    "SpawnFailed": spawn_failed("main", 1010),
    "Signalled": signalled("main", 1010),
    "Hastened": (1010, Hastened(run("main"), 1010, 520.0, 20.0)),
    "Exited": exited("main", 1010, 3),
    "Emptied": emptied("main", 1010),
    "Lost": lost("main", 1010),
    "Looked": (1010, Looked(run("main"), 1010, "4711 (sh) ignores SIGTERM")),
    "HealthChanged": (1010, HealthChanged(run("main"), 1010, HealthStatus.HEALTHY)),
    "RestartDue": (1010, RestartDue(run("main"))),
    "RuntimeExceeded": (1010, RuntimeExceeded(run("main"))),
    "StartTimedOut": (1010, StartTimedOut("main")),
    "DependencyFailed": (1010, DependencyFailed("main", "other")),
}
REFUSED = None
ANSWERS: dict[str, dict[str, tuple[LastStatus, list[Effect]] | None]] = {
    "waiting": {
        "Created": (PENDING, [SPAWN]),
        "StopRequested": (STOPPED, []),
        # No run of it exists, so these are of another, and what they find ready is a container that starts.
        "Spawned": (PENDING, [SPAWN]),
        "SpawnFailed": (PENDING, [SPAWN]),
        "Signalled": (PENDING, [SPAWN]),
        "Hastened": (PENDING, [SPAWN]),
        "Exited": (PENDING, [SPAWN]),
        "Emptied": (PENDING, [SPAWN]),
        "Lost": (PENDING, [SPAWN]),
        "Looked": (PENDING, [SPAWN]),
        "HealthChanged": (PENDING, [SPAWN]),
        "RestartDue": (PENDING, [SPAWN]),
        "RuntimeExceeded": (PENDING, [SPAWN]),
        "StartTimedOut": (PENDING, [SPAWN]),
        "DependencyFailed": (STOPPED, []),
    },
    "asked for": {
        "Created": (PENDING, []),
        "StopRequested": (PENDING, [STOP]),
        "Spawned": (RUNNING, []),
        "SpawnFailed": (STOPPED, []),
        "Signalled": (PENDING, []),
        "Hastened": (PENDING, []),
        "Exited": REFUSED,
        "Emptied": REFUSED,
        "Lost": (STOPPED, []),
        "Looked": (PENDING, []),
        "HealthChanged": REFUSED,
        "RestartDue": REFUSED,
        "RuntimeExceeded": REFUSED,
        "StartTimedOut": (PENDING, []),
        "DependencyFailed": (STOPPED, []),
    },
    "running": {
        "Created": (RUNNING, []),
        "StopRequested": (RUNNING, [STOP]),
        "Spawned": (RUNNING, []),
        "SpawnFailed": (STOPPED, []),
        "Signalled": (RUNNING, []),
        "Hastened": (RUNNING, []),
        "Exited": (RUNNING, [STOP]),
        "Emptied": (STOPPED, []),
        "Lost": (STOPPED, []),
        "Looked": (RUNNING, []),
        "HealthChanged": (RUNNING, []),
        "RestartDue": (RUNNING, []),
        "RuntimeExceeded": (RUNNING, []),
        "StartTimedOut": (RUNNING, []),
        "DependencyFailed": REFUSED,
    },
    "over": {
        "Created": (RUNNING, []),
        "StopRequested": (RUNNING, [STOP]),
        "Spawned": (RUNNING, []),
        "SpawnFailed": (STOPPED, []),
        "Signalled": (RUNNING, []),
        "Hastened": (RUNNING, []),
        "Exited": (RUNNING, []),
        "Emptied": (STOPPED, []),
        "Lost": (STOPPED, []),
        "Looked": (RUNNING, []),
        "HealthChanged": (RUNNING, []),
        "RestartDue": (RUNNING, []),
        "RuntimeExceeded": (RUNNING, []),
        "StartTimedOut": (RUNNING, []),
        "DependencyFailed": REFUSED,
    },
    "stopped": dict.fromkeys(EVENTS, (STOPPED, [])),
}


def leaves(kind: type[Event]) -> Iterator[type[Event]]:
    """The kinds of events that have no kinds of their own."""
    if not kind.__subclasses__():
        yield kind
    for below in kind.__subclasses__():
        yield from leaves(below)


def test_the_product_names_every_event() -> None:
    classes = set(leaves(Event))
    assert set(EVENTS) == {cls.__name__ for cls in classes}
    assert set().union(*TRANSITIONS.values()) == classes
    assert set(TRANSITIONS) == set(LastStatus)


@pytest.mark.parametrize(("life", "event"), list(itertools.product(LIVES, EVENTS)))
def test_every_status_answers_every_event(life: str, event: str) -> None:
    task, _ = play(task_of(container_of("main")), *LIVES[life])
    now, happened = EVENTS[event]
    answer = ANSWERS[life][event]
    if answer is REFUSED:
        with pytest.raises(IllegalTransition, match=rf"^cannot pass from \w+ to \w+ on {event}$"):
            step(task, happened, now)
        return
    after, effects = step(task, happened, now)
    assert (after.containers[0].last_status, asked_for(effects)) == answer


@pytest.mark.parametrize(
    ("status", "event"), [(s, e) for s in LastStatus for e in EVENTS if type(EVENTS[e][1]) in TRANSITIONS[s]]
)
def test_every_entry_of_the_table_is_needed(status: LastStatus, event: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now, happened = EVENTS[event]
    life = {PENDING: "asked for", RUNNING: "running", STOPPED: "stopped"}[status]
    task, _ = play(task_of(container_of("main")), *LIVES[life])
    monkeypatch.delitem(TRANSITIONS[status], type(happened))
    with pytest.raises(IllegalTransition):
        step(task, happened, now)


def test_a_run_id_is_made_and_not_drawn() -> None:
    assert run_id_of(TASK_ID, "main", 1) == run("main")
    assert len({run_id_of(TASK_ID, name, number) for name in ("main", "side") for number in (1, 2)}) == 4
    assert len(run("main")) == 32
    assert int(run("main"), 16)
