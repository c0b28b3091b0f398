from __future__ import annotations

from typing import Any

import pytest

from supervisor.errors import InvalidParameterError
from supervisor.shapes import LogsAsked, Names, check_container_names, check_logs

from .samples import TASK_ID, run

NOTHING: dict[str, Any] = {
    "task": TASK_ID,
    "containers": [],
    "tail": None,
    "since": None,
    "follow": False,
    "places": [],
}


def asked(**given: Any) -> LogsAsked:
    return check_logs(Names(), **{**NOTHING, **given})


def test_what_is_not_said() -> None:
    assert asked() == LogsAsked(TASK_ID, (), None, None, False, {})


def test_all_that_can_be_said() -> None:
    found = asked(
        task=Names().task_arn(TASK_ID),
        containers=["b", "a", "b"],
        tail="007",
        since="1.5",
        places=["a:12", "b:s=1;i:2"],
    )
    assert found == LogsAsked(TASK_ID, ("b", "a"), 7, 1.5, False, {"a": "12", "b": "s=1;i:2"})


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"task": None}, "task: name the task, by its id or ARN"),
        ({"task": ""}, "task: name the task, by its id or ARN"),
        ({"tail": "-1"}, "tail: expected a number of lines, got '-1'"),
        ({"tail": "9" * 11}, f"tail: expected a number of lines, got '{'9' * 11}'"),
        ({"tail": "²"}, "tail: expected a number of lines, got '²'"),
        ({"since": "soon"}, "since: expected Unix time or a time as 2026-01-31T12:00:00Z, got 'soon'"),
        ({"places": ["12"]}, "from: expected a container's name, a colon and its next, got '12'"),
        ({"places": ["a:"]}, "from: expected a container's name, a colon and its next, got 'a:'"),
    ],
)
def test_what_cannot_be_read_is_named(given: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidParameterError) as refused:
        asked(**given)
    assert str(refused.value) == text


def test_the_containers_that_are_meant() -> None:
    task = run()
    (there,) = [container.name for container in task.containers]
    assert check_container_names(asked(), task) == (there,)
    assert check_container_names(asked(containers=[there]), task) == (there,)
    with pytest.raises(InvalidParameterError) as refused:
        check_container_names(asked(containers=["x" * 100]), task)
    assert str(refused.value) == f"container: the task has no container '{'x' * 63}…'; it has {there}"
