"""Task protection: what is asked for, and what is told."""

from __future__ import annotations

import json

import msgspec
import pytest

from supervisor import shapes
from supervisor.errors import InvalidParameterError
from supervisor.model import DesiredStatus
from supervisor.shapes.requests import GetTaskProtection, UpdateTaskProtection
from tests.unit.shapes.samples import CREATED_AT, NAMES, TASK_ID, run

NOW = CREATED_AT
UNTIL = CREATED_AT + 60


def update(**members: object) -> tuple[list[shapes.TaskAsked], int | None]:
    body = {"cluster": "default", "tasks": [TASK_ID], "protectionEnabled": True, **members}
    request = shapes.parse_request("UpdateTaskProtection", json.dumps(body).encode())
    assert isinstance(request, UpdateTaskProtection)
    return shapes.check_update_task_protection(request, NAMES)


def test_it_lasts_two_hours_unless_said() -> None:
    assert update()[1] == 120
    assert update(expiresInMinutes=1)[1] == 1
    assert update(expiresInMinutes=2880)[1] == 2880
    assert update(protectionEnabled=False, expiresInMinutes=5)[1] is None


@pytest.mark.parametrize("minutes", [0, -1, 2881])
def test_minutes_have_bounds(minutes: int) -> None:
    with pytest.raises(InvalidParameterError, match=f"expiresInMinutes: expected 1 to 2880, got {minutes}"):
        update(expiresInMinutes=minutes)


def test_which_tasks() -> None:
    assert [one.task_id for one in update(tasks=[TASK_ID, NAMES.task_arn(TASK_ID)])[0]] == [TASK_ID]
    with pytest.raises(InvalidParameterError, match="tasks: expected up to 10, got 11"):
        update(tasks=[f"{number:032x}" for number in range(11)])
    with pytest.raises(InvalidParameterError, match="Tasks cannot be empty"):
        update(tasks=[])
    with pytest.raises(InvalidParameterError, match="Tasks cannot be empty"):
        shapes.check_get_task_protection(GetTaskProtection(cluster="default"), NAMES)


def test_the_cluster_must_be_said() -> None:
    with pytest.raises(InvalidParameterError, match="cluster: required, but missing"):
        shapes.parse_request("GetTaskProtection", b"{}")


def test_a_protection_ends_by_itself_and_with_the_task() -> None:
    task = msgspec.structs.replace(run(), protected_until=UNTIL)
    assert not run().is_protected(NOW)
    assert task.is_protected(UNTIL - 0.001)
    assert not task.is_protected(UNTIL)
    assert not msgspec.structs.replace(task, desired_status=DesiredStatus.STOPPED).is_protected(NOW)


def test_what_clients_are_told() -> None:
    task = msgspec.structs.replace(run(), protected_until=UNTIL)
    on = {"taskArn": task.task_arn, "protectionEnabled": True, "expirationDate": UNTIL}
    assert shapes.render_protected_task(task, NOW) == on
    assert shapes.render_protected_task(task, UNTIL) == {"taskArn": task.task_arn, "protectionEnabled": False}


def test_what_the_task_itself_is_told() -> None:
    task = msgspec.structs.replace(run(), protected_until=1_700_000_060.0)
    on = {"ProtectionEnabled": True, "ExpirationDate": "2023-11-14T22:14:20.000Z", "TaskArn": task.task_arn}
    assert shapes.render_state(task, NOW) == {"protection": on}
    off = {"ProtectionEnabled": False, "ExpirationDate": None, "TaskArn": task.task_arn}
    assert shapes.render_state(task, UNTIL) == {"protection": off}


@pytest.mark.parametrize(
    ("body", "minutes"),
    [
        ('{"ProtectionEnabled":true}', 120),
        ('{"ProtectionEnabled":true,"ExpiresInMinutes":60}', 60),
        ('{"ProtectionEnabled":true,"ExpiresInMinutes":null}', 120),
        ('{"ProtectionEnabled":false,"ExpiresInMinutes":60}', None),
    ],
)
def test_a_task_asks_for_itself(body: str, minutes: int | None) -> None:
    assert shapes.parse_state(body.encode()) == minutes


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("", "UpdateTaskProtection: failed to decode request"),
        ("[]", "UpdateTaskProtection: failed to decode request"),
        ('{"ProtectionEnabled":1}', "UpdateTaskProtection: failed to decode request"),
        ('{"ProtectionEnabled":true,"Else":1}', "UpdateTaskProtection: failed to decode request"),
        ('{"a":' * 100_000, "UpdateTaskProtection: failed to decode request"),
        ("{}", "Invalid request: does not contain 'ProtectionEnabled' field"),
        ('{"ExpiresInMinutes":5}', "Invalid request: does not contain 'ProtectionEnabled' field"),
        ('{"ProtectionEnabled":true,"ExpiresInMinutes":2881}', "ExpiresInMinutes: expected 1 to 2880, got 2881"),
    ],
)
def test_it_is_refused_in_the_words_of_ecs(body: str, text: str) -> None:
    with pytest.raises(InvalidParameterError) as raised:
        shapes.parse_state(body.encode())
    assert str(raised.value) == text
