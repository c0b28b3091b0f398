"""What is refused with ``[api] strict``, and only then."""

from __future__ import annotations

import json
from typing import Any

import pytest

from supervisor.errors import ClientError, InvalidParameterError
from supervisor.model import TaskDefinition
from supervisor.shapes import definition_from, parse_request
from supervisor.shapes.requests import RegisterTaskDefinition
from supervisor.shapes.strict import check_strict_launch

from .samples import CREATED_AT, NAMES, container

GOOD = container(image="app:1", memory=100)
FARGATE: dict[str, Any] = {"requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512"}


def register(*containers: dict[str, Any], strict: bool = True, **members: Any) -> TaskDefinition:
    body = {"family": "shop", "containerDefinitions": list(containers), **members}
    request = parse_request("RegisterTaskDefinition", json.dumps(body).encode())
    assert isinstance(request, RegisterTaskDefinition)
    return definition_from(request, names=NAMES, revision=1, registered_at=CREATED_AT, strict=strict)


@pytest.mark.parametrize(
    ("one", "members", "text"),
    [
        ({"image": None}, {}, "Container.image should not be null or empty."),
        (
            {"memory": None},
            {},
            "Invalid setting for container 'web'. At least one of 'memory' or 'memoryReservation' must be specified.",
        ),
        ({"memory": 5}, {}, "containerDefinitions[0].memory: ECS takes 6 MiB or more, got 5"),
        ({"memoryReservation": 1}, {}, "containerDefinitions[0].memoryReservation: ECS takes 6 MiB or more, got 1"),
        (
            {"logConfiguration": {"logDriver": "inherit"}},
            {},
            "containerDefinitions[0].logConfiguration.logDriver: ECS has no inherit; use json-file or journald",
        ),
        ({"cpu": 300}, {"cpu": "256"}, "cpu: the containers ask for 300, and the task has 256; raise it"),
        ({}, {"memory": "99"}, "memory: the containers ask for 100, and the task has 99; raise it"),
        (
            {"stopTimeout": 121},
            FARGATE,
            "containerDefinitions[0].stopTimeout: FARGATE takes 2 to 120 seconds, got 121",
        ),
        (
            {"startTimeout": 1},
            FARGATE,
            "containerDefinitions[0].startTimeout: FARGATE takes 2 to 120 seconds, got 1",
        ),
        (
            {"logConfiguration": {"logDriver": "journald"}},
            FARGATE,
            "containerDefinitions[0].logConfiguration.logDriver: FARGATE has no journald; leave it out",
        ),
        (
            {"ulimits": [{"name": "core", "softLimit": 1, "hardLimit": 1}]},
            FARGATE,
            "containerDefinitions[0].ulimits[0].name: FARGATE takes nofile only, got core",
        ),
        (
            {},
            {"requiresCompatibilities": ["EC2", "FARGATE"], "cpu": "256"},
            "Fargate requires that 'cpu' and 'memory' be defined at the task level.",
        ),
        ({}, FARGATE | {"cpu": "300"}, "No Fargate configuration exists for given values: 300 CPU, 512 memory."),
        ({}, FARGATE | {"memory": "4096"}, "No Fargate configuration exists for given values: 256 CPU, 4096 memory."),
    ],
)
def test_what_only_ecs_refuses(one: dict[str, Any], members: dict[str, Any], text: str) -> None:
    with pytest.raises(ClientError) as raised:
        register({**GOOD, **one}, **members)
    assert (raised.value.code, str(raised.value)) == ("ClientException", text)
    register({**GOOD, **one}, strict=False, **members)


@pytest.mark.parametrize(
    ("one", "members"),
    [
        ({}, {}),
        ({"memory": None, "memoryReservation": 6}, {}),
        ({"memory": None}, {"memory": "512"}),
        ({"stopTimeout": 86400}, {}),
        ({"logConfiguration": {"logDriver": "journald"}}, {}),
        ({"stopTimeout": 120, "startTimeout": 2}, FARGATE),
        ({"startTimeout": 86400}, {}),
        ({}, FARGATE | {"cpu": "0.25 vCPU", "memory": "0.5 GB"}),
        ({}, FARGATE | {"cpu": "16 vCPU", "memory": "120 GB"}),
        ({}, FARGATE | {"cpu": "4096", "memory": "30720"}),
    ],
)
def test_what_ecs_takes(one: dict[str, Any], members: dict[str, Any]) -> None:
    register({**GOOD, **one}, **members)


@pytest.mark.parametrize(
    ("compatibilities", "taken"),
    [([], {"EC2", "EXTERNAL", None}), (["FARGATE"], {"FARGATE"}), (["EC2", "FARGATE"], {"EC2", "FARGATE", None})],
)
def test_a_launch_type_that_the_definition_is_meant_for(compatibilities: list[str], taken: set[str | None]) -> None:
    members = FARGATE | {"requiresCompatibilities": compatibilities}
    definition = register(GOOD, **members)
    for launch_type in ("EC2", "FARGATE", "EXTERNAL", None):
        if launch_type in taken:
            check_strict_launch(launch_type, definition)
        else:
            with pytest.raises(InvalidParameterError, match="Task definition does not support launch_type"):
                check_strict_launch(launch_type, definition)
