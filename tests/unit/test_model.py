"""Records: what they show, how they are spelled in JSON, and that nothing changes them."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest

from supervisor.model import (
    Condition,
    Container,
    ContainerDefinition,
    ContainerDependency,
    ContainerOverride,
    DefinitionStatus,
    DesiredStatus,
    ExitStatus,
    Identity,
    KeyValuePair,
    LastStatus,
    LogConfiguration,
    NetworkBinding,
    PortMapping,
    Record,
    StopCode,
    Tag,
    Task,
    TaskDefinition,
    Ulimit,
)
from tests.lives import CREATED, asked, container_of, exited, play, run, signalled, spawned, task_of

DEFINITION = TaskDefinition(
    task_definition_arn="arn:aws:ecs:local:000000000000:task-definition/web:3",
    family="web",
    revision=3,
    registered_at=1000.25,
    registered_by="root",
    status=DefinitionStatus.INACTIVE,
    cpu="256",
    memory="512",
    tags=(Tag("team", "core"),),
    echo={"networkMode": "host", "volumes": []},
    container_definitions=(
        ContainerDefinition(
            name="main",
            image="scratch",
            entry_point=("sh", "-c"),
            command=("exec sleep 1",),
            environment=(KeyValuePair("LANG", "C"), KeyValuePair("EMPTY")),
            working_directory="/srv",
            user="nobody",
            essential=False,
            stop_timeout=0,
            ulimits=(Ulimit("nofile", 1024, -1),),
            docker_labels={"supervisor.stop-signal": "SIGQUIT", "Own_Label": "kept"},
            log_configuration=LogConfiguration("journald", {"tag": "web"}),
            depends_on=(ContainerDependency("init", Condition.START),),
            port_mappings=(PortMapping(8080, 8080, "udp"),),
            cpu=128,
            memory=64,
            memory_reservation=32,
            echo={"readonlyRootFilesystem": False},
        ),
    ),
)

TASK, _ = play(
    msgspec.structs.replace(
        task_of(container_of("main"), container_of("side", essential=False, depends_on=("main",))),
        overrides=(ContainerOverride("main", command=("true",), environment=(KeyValuePair("A", "b"),), cpu=1),),
        task_overrides={"taskRoleArn": "none"},
        started_by="me",
        tags=(Tag("team"),),
        client_token="token",
    ),
    CREATED,
    spawned("main", 1001),
    asked(1010, "Ende gut – alles gut"),
    signalled("main", 1010.5),
    exited("main", 1011, 0),
)


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        (ExitStatus(code=0), 0),
        (ExitStatus(code=255), 255),
        (ExitStatus(signal=9), 137),
        (ExitStatus(signal=15), 143),
        (ExitStatus(signal=64), 192),
        (ExitStatus(), None),
    ],
)
def test_the_exit_code_is_the_status_or_128_and_the_signal(status: ExitStatus, shown: int | None) -> None:
    assert status.exit_code == shown


def test_statuses_are_ranked_as_they_follow() -> None:
    assert sorted(LastStatus, key=lambda status: -status.rank) == ["STOPPED", "RUNNING", "PENDING"]


def test_the_words_of_ecs() -> None:
    assert set(LastStatus) == {"PENDING", "RUNNING", "STOPPED"}
    assert set(DesiredStatus) == {"RUNNING", "STOPPED"}
    assert set(StopCode) == {
        "TaskFailedToStart",
        "EssentialContainerExited",
        "UserInitiated",
        "TerminationNotice",
    }


@pytest.mark.parametrize("record", [TASK, DEFINITION, task_of(container_of("main"))])
def test_a_record_comes_back_from_json(record: Task | TaskDefinition) -> None:
    assert msgspec.json.decode(msgspec.json.encode(record), type=type(record)) == record


def test_a_success_is_not_left_out_as_a_default() -> None:
    assert msgspec.json.encode(ExitStatus(code=0)) == b'{"code":0}'


def keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*map(keys, value.values()))
    return set().union(*map(keys, value)) if isinstance(value, list) else set()


def test_members_are_spelled_as_in_ecs() -> None:
    task = json.loads(msgspec.json.encode(TASK))
    assert {"taskArn", "desiredStatus", "startedBy", "stoppedReason", "stopCode", "stoppingAt"} <= set(task)
    assert task["containers"][0]["containerArn"].endswith("/main")
    assert task["containers"][0]["runId"] == run("main")
    definition = json.loads(msgspec.json.encode(DEFINITION))
    (main,) = definition["containerDefinitions"]
    assert (main["stopTimeout"], main["dependsOn"]) == (0, [{"containerName": "init", "condition": "START"}])
    assert main["ulimits"] == [{"name": "nofile", "softLimit": 1024, "hardLimit": -1}]
    assert main["dockerLabels"] == {"supervisor.stop-signal": "SIGQUIT", "Own_Label": "kept"}
    del main["dockerLabels"]
    for key in keys(task) | keys(definition):
        assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", key), f"{key} is not camelCase"


def test_an_address_is_spelled_as_in_ecs() -> None:
    binding = NetworkBinding(bind_ip="0.0.0.0", container_port=80, host_port=80, protocol="tcp")
    assert msgspec.to_builtins(binding) == {
        "bindIP": "0.0.0.0",
        "containerPort": 80,
        "hostPort": 80,
        "protocol": "tcp",
    }


@pytest.mark.parametrize(
    "record",
    [TASK, TASK.containers[0], DEFINITION, Identity(1, 2), ExitStatus(code=0)],
    ids=lambda one: type(one).__name__,
)
def test_a_record_does_not_change(record: Record) -> None:
    name = record.__struct_fields__[0]
    with pytest.raises(AttributeError, match="immutable"):
        setattr(record, name, None)


def test_a_container_by_name_and_by_run() -> None:
    assert TASK.container("side").name == "side"
    with pytest.raises(KeyError):
        TASK.container("other")
    assert TASK.container_of_run(run("main")) is TASK.containers[0]
    assert TASK.container_of_run(run("side")) is TASK.containers[1]
    assert TASK.container_of_run("f" * 32) is None


def test_no_run_is_not_the_run_of_one_that_waits() -> None:
    waiting: Container = task_of(container_of("main")).containers[0]
    assert waiting.run_id is None
    assert task_of(waiting).container_of_run("") is None
