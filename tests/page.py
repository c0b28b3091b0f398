"""The documented output of ``aws ecs stop-task``, member for member, and the check of a record against it."""

from __future__ import annotations

from typing import Any

STRING, INTEGER, TIMESTAMP = str, int, float
DOCUMENTED_OUTPUT: dict[str, Any] = {
    # the output of the stop-task page, member for member
    "taskArn": STRING,
    "clusterArn": STRING,
    "taskDefinitionArn": STRING,
    "containerInstanceArn": STRING,
    "overrides": {
        "containerOverrides": [
            {
                "name": STRING,
                "command": [STRING],
                "environment": [{"name": STRING, "value": STRING}],
            }
        ]
    },
    "lastStatus": STRING,
    "desiredStatus": STRING,
    "containers": [
        {
            "containerArn": STRING,
            "taskArn": STRING,
            "name": STRING,
            "lastStatus": STRING,
            "exitCode": INTEGER,
            "reason": STRING,
            "networkBindings": [{"bindIP": STRING, "containerPort": INTEGER, "hostPort": INTEGER, "protocol": STRING}],
        }
    ],
    "startedBy": STRING,
    "stoppedReason": STRING,
    "createdAt": TIMESTAMP,
    "startedAt": TIMESTAMP,
    "stoppedAt": TIMESTAMP,
}


def assert_documented(expected: Any, value: Any, path: str) -> None:
    """Every member of the page is there with its type; today's API has more members than the page."""
    if isinstance(expected, dict):
        assert isinstance(value, dict), path
        for name, kind in expected.items():
            assert name in value, f"{path}.{name} is missing"
            assert_documented(kind, value[name], f"{path}.{name}")
    elif isinstance(expected, list):
        assert isinstance(value, list), path
        assert value, f"{path} is empty: nothing is checked"
        for item in value:
            assert_documented(expected[0], item, f"{path}[]")
    else:
        assert type(value) is expected, f"{path}: {value!r}"
