"""Requests and records that the tests of this package start from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from supervisor.errors import ClientError
from supervisor.model import DesiredStatus, ExitStatus, LastStatus, StopCode, Task, TaskDefinition
from supervisor.shapes import Names, check_run_task, definition_from, new_task, parse_request
from supervisor.shapes.requests import RegisterTaskDefinition, RunTask

NAMES = Names(region="local", account="000000000000", cluster="default")
TASK_ID = "0123456789abcdef0123456789abcdef"
INSTANCE_ID = "f" * 32
CREATED_AT = 1700000000.1234567
VOLUME = {"name": "data", "host": {"sourcePath": "/srv/data"}}

CANNOT = "a process host cannot do this; remove it"
NOT_YET = "not supported in this version; remove it"

REFUSED_IN_A_CONTAINER = {
    "links": (["db"], CANNOT),
    "environmentFiles": ([{"value": "a.env", "type": "s3"}], NOT_YET),
    "volumesFrom": ([{"sourceContainer": "db"}], CANNOT),
    "hostname": ("web", CANNOT),
    "disableNetworking": (True, CANNOT),
    "privileged": (True, CANNOT),
    "readonlyRootFilesystem": (True, CANNOT),
    "dnsServers": (["1.1.1.1"], CANNOT),
    "dnsSearchDomains": (["x.org"], CANNOT),
    "extraHosts": ([{"hostname": "a", "ipAddress": "1.1.1.1"}], CANNOT),
    "interactive": (True, NOT_YET),
    "pseudoTerminal": (True, NOT_YET),
    "systemControls": ([{"namespace": "net.core.somaxconn", "value": "1"}], CANNOT),
    "resourceRequirements": ([{"type": "GPU", "value": "1"}], CANNOT),
    "firelensConfiguration": ({"type": "fluentd"}, CANNOT),
    "credentialSpecs": (["credentialspec:x"], CANNOT),
}
"""Members of a container definition that are refused, each with a value and why."""

KEPT_IN_A_CONTAINER = {
    "repositoryCredentials": {"credentialsParameter": "arn:x"},
    "linuxParameters": {"initProcessEnabled": True, "capabilities": {"add": [], "drop": []}, "tmpfs": []},
    "versionConsistency": "disabled",
    "healthCheck": {"command": ["NONE"], "interval": 30},
    "interactive": False,
    "links": [],
}
"""Members of a container definition that are kept and not obeyed."""

WATCHED = {
    "restartPolicy": {"enabled": True, "ignoredExitCodes": [0, 3], "restartAttemptPeriod": 60},
    "healthCheck": {
        "command": ["CMD-SHELL", "curl -f http://localhost/ || exit 1"],
        "interval": 10,
        "timeout": 2,
        "retries": 5,
        "startPeriod": 20,
    },
}
"""Members of a container definition that tell what happens to it while it runs, in full."""


def container(**members: Any) -> dict[str, Any]:
    """A container definition that is accepted, with members put in or replaced."""
    return {"name": "web", "command": ["sleep", "60"], **members}


def register(*containers: dict[str, Any], **members: Any) -> TaskDefinition:
    """What becomes of a RegisterTaskDefinition body with these containers and members."""
    body = {"family": "shop", "containerDefinitions": list(containers) or [container()], **members}
    request = parse_request("RegisterTaskDefinition", json.dumps(body).encode())
    assert isinstance(request, RegisterTaskDefinition)
    return definition_from(request, names=NAMES, revision=7, registered_at=CREATED_AT, registered_by="arn:me")


def refusal(*containers: dict[str, Any], **members: Any) -> str:
    """The text of the refusal of such a RegisterTaskDefinition."""
    with pytest.raises(ClientError) as raised:
        register(*containers, **members)
    assert raised.value.code == "ClientException"
    return str(raised.value)


def run(definition: TaskDefinition | None = None, **members: Any) -> Task:
    """What becomes of a RunTask body: checked, then made."""
    definition = definition or register()
    request = parse_request("RunTask", json.dumps({"taskDefinition": "shop", **members}).encode())
    assert isinstance(request, RunTask)
    check_run_task(request, definition)
    return new_task(
        request,
        definition,
        NAMES,
        task_id=TASK_ID,
        container_uuids=uuids(),
        container_instance_arn=NAMES.container_instance_arn(INSTANCE_ID),
        created_at=CREATED_AT,
        default_stop_timeout=30.0,
    )


def stopped() -> Task:
    """A task with every member of the record set."""
    definition = register(
        container(
            image="img", portMappings=[{"containerPort": 80}, {"containerPort": 53, "hostPort": 53, "protocol": "udp"}]
        ),
        tags=[{"key": "a", "value": "b"}],
    )
    override = {"name": "web", "command": ["x"], "environment": [{"name": "A", "value": "1"}, {"name": "B"}]}
    task = run(
        definition,
        startedBy="me",
        propagateTags="TASK_DEFINITION",
        overrides={"containerOverrides": [override], "cpu": "256", "memory": "512"},
    )
    web = msgspec.structs.replace(
        task.containers[0],
        last_status=LastStatus.STOPPED,
        run_id="e" * 32,
        exit=ExitStatus(signal=9),
        reason="x" * 300,
        started_at=CREATED_AT + 1,
        stopped_at=CREATED_AT + 9,
        memory="20",
        memory_reservation="10",
    )
    return msgspec.structs.replace(
        task,
        containers=(web,),
        last_status=LastStatus.STOPPED,
        desired_status=DesiredStatus.STOPPED,
        started_at=CREATED_AT + 1,
        stopping_at=CREATED_AT + 7,
        execution_stopped_at=CREATED_AT + 8,
        stopped_at=CREATED_AT + 9,
        stop_code=StopCode.USER_INITIATED,
        stopped_reason="enough of it",
        version=5,
    )


def wire(body: dict[str, Any]) -> Any:
    """As a client reads it."""
    return msgspec.json.decode(msgspec.json.encode(body))


def uuids() -> Iterator[str]:
    """UUIDs that tell their number."""
    number = 0
    while True:
        yield f"00000000-0000-4000-8000-{number:012x}"
        number += 1
