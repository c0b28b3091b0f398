"""Whatever the members of an input say, the answer is a reply of the model or an error of the caller's, never ours."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from supervisor.agent.caller import HostUser
from supervisor.api.actions import ACTIONS
from supervisor.errors import ClientError
from supervisor.shapes import OPERATIONS, parse_request
from tests.conformance import assert_matches, service_model
from tests.unit.agent.desk import Desk, Tell

ARN = "arn:aws:ecs:local:000000000000:"
TEXTS = [
    *("", "web", "web:1", "web:0", "web:" + "9" * 400, "default", "a b", "\0", "é\n", "x" * 300, "ACTIVE", "DRAINING"),
    *("STOPPED", "TAGS", "ALL", "DESC", "0" * 32, "W10", "MTA", "bnVsbA", "[[[[", f"{ARN}cluster/default", f"{ARN}x/y"),
    *(f"{ARN}task/default/{'0' * 32}", f"{ARN}task-definition/web:1", f"{ARN}container-instance/default/", "arn:" * 9),
]
NUMBERS = [-(2**31), -1, 0, 1, 2, 10, 11, 100, 101, 2**31 - 1, 2**70]


def some(shape: Any, chance: random.Random, depth: int = 0) -> Any:
    """A value of the shape, seldom of another."""
    if chance.random() < 0.02:
        return chance.choice([None, 1.5, [], {}, [[]], "x", True, 0])
    match shape.type_name:
        case "structure":
            likely = chance.choice([0.1, 0.7])
            return {
                name: some(member, chance, depth + 1)
                for name, member in shape.members.items()
                if name in shape.required_members or chance.random() < likely / (1 + depth)
            }
        case "list":
            return [some(shape.member, chance, depth + 1) for _ in range(chance.choice([0, 1, 1, 2, 12]))]
        case "map":
            return {chance.choice(TEXTS): some(shape.value, chance, depth + 1)}
        case "boolean":
            return chance.random() < 0.5
        case "string":
            return chance.choice(list(shape.enum) or TEXTS) if chance.random() < 0.7 else chance.choice(TEXTS)
        case _:
            return chance.choice(NUMBERS)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_any_input_is_answered(tell: Tell, operation: str) -> None:
    shape = service_model().operation_model(operation).input_shape

    async def story(desk: Desk) -> None:
        chance = random.Random(operation)
        await desk.register()
        answered = 0
        for _ in range(150):
            body = json.dumps(some(shape, chance)).encode()
            try:
                request = parse_request(operation, body)
                reply = await ACTIONS[operation].handler(desk.service, request, HostUser(0, 1))
            except ClientError:
                continue
            assert_matches(operation, "output", reply)
            answered += 1
        assert await desk.call("ListClusters")
        if not shape.required_members:
            assert answered, "inputs that are never taken show nothing"

    tell(story)
