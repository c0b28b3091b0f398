from __future__ import annotations

from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from supervisor.errors import ClientError
from supervisor.model import (
    Condition,
    ContainerDefinition,
    DefinitionStatus,
    KeyValuePair,
    LogConfiguration,
    PortMapping,
    Tag,
    Ulimit,
)
from supervisor.model import ContainerDependency as Dependency
from supervisor.shapes import render_definition
from tests.conformance import assert_matches

from .samples import (
    CANNOT,
    CREATED_AT,
    KEPT_IN_A_CONTAINER,
    REFUSED_IN_A_CONTAINER,
    VOLUME,
    WATCHED,
    container,
    refusal,
    register,
)


def test_a_definition_in_full() -> None:
    definition = register(
        container(
            image="shop/web:1",
            entryPoint=["/bin/sh", "-c"],
            environment=[{"name": "A", "value": "1"}, {"name": "B"}],
            workingDirectory="/srv",
            user="www:1000",
            essential=True,
            stopTimeout=120,
            ulimits=[{"name": "nofile", "softLimit": 1024, "hardLimit": -1}],
            dockerLabels={"team": "shop", "supervisor.stop-signal": "QUIT"},
            logConfiguration={"logDriver": "journald", "options": {"tag": "web"}},
            dependsOn=[{"containerName": "log", "condition": "START"}],
            portMappings=[{"containerPort": 80}, {"containerPort": 53, "hostPort": 53, "protocol": "udp"}],
            cpu=256,
            memory=512,
            memoryReservation=128,
        ),
        container(name="log", essential=False),
        cpu="512",
        memory="1 GB",
        tags=[{"key": "env", "value": "prod"}, {"key": "empty"}],
    )
    assert definition.container_definitions[0] == ContainerDefinition(
        name="web",
        image="shop/web:1",
        entry_point=("/bin/sh", "-c"),
        command=("sleep", "60"),
        environment=(KeyValuePair("A", "1"), KeyValuePair("B", "")),
        working_directory="/srv",
        user="www:1000",
        essential=True,
        stop_timeout=120,
        ulimits=(Ulimit("nofile", 1024, -1),),
        docker_labels={"team": "shop", "supervisor.stop-signal": "QUIT"},
        log_configuration=LogConfiguration("journald", {"tag": "web"}),
        depends_on=(Dependency("log", Condition.START),),
        port_mappings=(PortMapping(80), PortMapping(53, 53, "udp")),
        cpu=256,
        memory=512,
        memory_reservation=128,
    )
    assert definition.container_definitions[1] == ContainerDefinition(
        name="log", command=("sleep", "60"), essential=False
    )
    assert definition.task_definition_arn == "arn:aws:ecs:local:000000000000:task-definition/shop:7"
    assert (definition.family, definition.revision, definition.status) == ("shop", 7, DefinitionStatus.ACTIVE)
    assert (definition.cpu, definition.memory) == ("512", "1 GB")
    assert definition.tags == (Tag("env", "prod"), Tag("empty", ""))
    assert (definition.registered_at, definition.registered_by) == (CREATED_AT, "arn:me")


@pytest.mark.parametrize("name", [None, ""])
def test_a_container_without_a_name(name: str | None) -> None:
    assert refusal({"name": name, "command": ["x"]}) == "Container.name should not be null or empty."


def test_two_containers_of_one_name() -> None:
    text = "containerDefinitions[1].name: web is the name of another container too; rename one"
    assert refusal(container(), container()) == text


def test_no_container() -> None:
    assert refusal(containerDefinitions=[]) == "Container list cannot be empty."


def test_no_essential_container() -> None:
    text = "Task definition doesn't have any essential container."
    assert refusal(container(essential=False), container(name="b", essential=False)) == text


@pytest.mark.parametrize("condition", ["SUCCESS", "COMPLETE"])
def test_waiting_for_the_end_of_an_essential_container(condition: str) -> None:
    waiting = container(name="b", dependsOn=[{"containerName": "web", "condition": condition}])
    text = "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container"
    assert refusal(container(), waiting) == text


def test_waiting_for_health_needs_a_check() -> None:
    def web(*command: str) -> dict[str, Any]:
        return container(healthCheck={"command": command})

    waiting = container(name="b", dependsOn=[{"containerName": "web", "condition": "HEALTHY"}])
    definition = register(web("CMD", "true"), waiting)
    assert definition.container_definitions[1].depends_on == (Dependency("web", Condition.HEALTHY),)
    text = "web has no healthCheck, so it never is HEALTHY; give it one, or use START"
    assert refusal(web("NONE"), waiting) == f"containerDefinitions[1].dependsOn[0].condition: {text}"


def waits_for(name: str, *others: str) -> dict[str, Any]:
    return container(name=name, dependsOn=[{"containerName": other, "condition": "START"} for other in others])


def test_a_cycle_is_named() -> None:
    text = refusal(waits_for("a"), waits_for("b", "a", "c"), waits_for("c", "d"), waits_for("d", "b"))
    circles = ("b -> c -> d -> b", "c -> d -> b -> c", "d -> b -> c -> d")  # one circle, entered anywhere
    assert text in {f"containerDefinitions: dependsOn goes round in a circle, {one}; remove one" for one in circles}


def test_a_container_that_waits_for_itself() -> None:
    text = "containerDefinitions: dependsOn goes round in a circle, a -> a; remove one"
    assert refusal(waits_for("a", "a")) == text


def test_waiting_in_a_diamond_is_no_cycle() -> None:
    register(waits_for("a"), waits_for("b", "a"), waits_for("c", "a"), waits_for("d", "b", "c"))


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"family": ""}, "family: expected 1 to 255 letters, digits, - and _, got ''"),
        ({"family": "a/b"}, "family: expected 1 to 255 letters, digits, - and _, got 'a/b'"),
        (
            {"family": "a" * 256},
            f"family: expected 1 to 255 letters, digits, - and _, got '{'a' * 63}…'",
        ),
        ({"networkMode": "awsvpc"}, "networkMode: a process host cannot do awsvpc; use host"),
        ({"networkMode": "x"}, "networkMode: expected one of host, bridge, none, got 'x'"),
        ({"pidMode": "x"}, "pidMode: expected one of host, task, got 'x'"),
        ({"ipcMode": "x"}, "ipcMode: expected one of host, task, none, got 'x'"),
        (
            {"requiresCompatibilities": ["EC2", "x"]},
            "requiresCompatibilities[1]: expected one of EC2, FARGATE, EXTERNAL, MANAGED_INSTANCES, got 'x'",
        ),
        ({"cpu": "many"}, "cpu: expected CPU units ('512') or vCPUs ('0.5 vCPU'), got 'many'"),
        ({"memory": "1 MB"}, "memory: expected MiB ('1024') or GB ('1 GB'), got '1 MB'"),
        ({"proxyConfiguration": {"containerName": "web"}}, f"proxyConfiguration: {CANNOT}"),
        (
            {"inferenceAccelerators": [{"deviceName": "a", "deviceType": "b"}]},
            f"inferenceAccelerators: {CANNOT}",
        ),
        ({"enableFaultInjection": True}, f"enableFaultInjection: {CANNOT}"),
        (
            {"trustedExecutionConfiguration": {"isolationMode": "SHARED"}},
            f"trustedExecutionConfiguration: {CANNOT}",
        ),
        (
            {"runtimePlatform": {"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}},
            "runtimePlatform.operatingSystemFamily: expected LINUX, got 'WINDOWS_SERVER_2022_CORE'",
        ),
        (
            {"volumes": [{"name": "a", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}]},
            f"volumes[0].efsVolumeConfiguration: {CANNOT}, and name a directory in host.sourcePath",
        ),
        (
            {"volumes": [{"name": "a", "configuredAtLaunch": True}]},
            f"volumes[0].configuredAtLaunch: {CANNOT}, and name a directory in host.sourcePath",
        ),
        ({"volumes": [{}]}, "volumes[0].name: expected 1 to 255 letters, digits, - and _"),
        (
            {"volumes": [{"name": "a"}]},
            "volumes[0].host.sourcePath: expected the absolute path of a directory of the host",
        ),
        (
            {"volumes": [{"name": "a", "host": {"sourcePath": "srv"}}]},
            "volumes[0].host.sourcePath: expected the absolute path of a directory of the host",
        ),
        (
            {"volumes": [{"name": "a", "host": {"sourcePath": "/\0"}}]},
            "volumes[0].host.sourcePath: contains a NUL character, which cannot be given to a process; remove it",
        ),
        (
            {"volumes": [{"name": "a", "host": {"sourcePath": "/srv"}}] * 2},
            "volumes[1].name: a is the name of another volume too; rename one",
        ),
        ({"tags": [{"key": f"k{n}"} for n in range(51)]}, "tags: expected up to 50, got 51"),
        ({"tags": [{"value": "v"}]}, "tags[0].key: expected 1 to 128 characters, got 0"),
        ({"tags": [{"key": "k" * 129}]}, "tags[0].key: expected 1 to 128 characters, got 129"),
        ({"tags": [{"key": "k", "value": "v" * 257}]}, "tags[0].value: expected up to 256 characters, got 257"),
        ({"tags": [{"key": "k"}, {"key": "k"}]}, "tags[1].key: 'k' is there twice; remove one"),
        ({"tags": [{"key": "AWS:x"}]}, "tags[0].key: 'AWS:x' begins with 'aws:', which is reserved; rename it"),
        (
            {"tags": [{"key": "a*"}]},
            "tags[0].key: '*' is not allowed; use letters, digits, spaces and _.:/=+-@",
        ),
        (
            {"tags": [{"key": "a", "value": "\n"}]},
            "tags[0].value: '\\n' is not allowed; use letters, digits, spaces and _.:/=+-@",
        ),
    ],
)
def test_what_is_wrong_in_the_task_is_named(members: dict[str, Any], text: str) -> None:
    assert refusal(**members) == text


def test_a_volume_at_its_own_path_is_accepted() -> None:
    points = [{"sourceVolume": "data", "containerPath": "/srv/data", "readOnly": False}]
    definition = register(container(mountPoints=points), volumes=[VOLUME])
    assert definition.container_definitions[0].echo == {"mountPoints": points}
    assert definition.echo == {"volumes": [VOLUME]}


@pytest.mark.parametrize(
    ("point", "text"),
    [
        (
            {"sourceVolume": "data", "containerPath": "/data"},
            "containerPath: a process host cannot mount '/srv/data' elsewhere; set it to that path",
        ),
        (
            {"sourceVolume": "data"},
            "containerPath: a process host cannot mount '/srv/data' elsewhere; set it to that path",
        ),
        ({"sourceVolume": "data", "containerPath": "/srv/data", "readOnly": True}, f"readOnly: {CANNOT}"),
        ({"containerPath": "/srv/data"}, "sourceVolume: no volume has the name ''"),
    ],
)
def test_a_volume_elsewhere_is_not(point: dict[str, Any], text: str) -> None:
    refused = refusal(container(mountPoints=[point]), volumes=[VOLUME])
    assert refused == f"containerDefinitions[0].mountPoints[0].{text}"


KEPT_IN_A_TASK = {
    "taskRoleArn": "arn:role",
    "executionRoleArn": "arn:role",
    "networkMode": "bridge",
    "pidMode": "task",
    "ipcMode": "none",
    "placementConstraints": [{"type": "memberOf", "expression": "attribute:x == y"}],
    "requiresCompatibilities": ["FARGATE", "EC2"],
    "ephemeralStorage": {"sizeInGiB": 21},
    "runtimePlatform": {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"},
    "enableFaultInjection": False,
}


def test_what_is_accepted_and_not_obeyed_is_given_back_word_for_word() -> None:
    definition = register(container(**KEPT_IN_A_CONTAINER), **KEPT_IN_A_TASK)
    rendered = render_definition(definition)
    assert definition.echo == KEPT_IN_A_TASK
    assert definition.container_definitions[0].echo == KEPT_IN_A_CONTAINER
    assert rendered.items() >= KEPT_IN_A_TASK.items()
    assert rendered["containerDefinitions"][0].items() >= KEPT_IN_A_CONTAINER.items()
    assert_matches("RegisterTaskDefinition", "output", {"taskDefinition": rendered})


def test_ecs_counts_characters_of_any_script_as_letters() -> None:
    assert register(tags=[{"key": "größe 大", "value": "²"}]).tags == (Tag("größe 大", "²"),)


@pytest.mark.parametrize(("cpu", "memory"), [("256", "512"), ("0.5 vCPU", "1GB"), ("1vcpu", "0.5 gb")])
def test_sizes_of_a_task(cpu: str, memory: str) -> None:
    definition = register(cpu=cpu, memory=memory)
    assert (definition.cpu, definition.memory) == (cpu, memory)


MEMBERS: dict[str, list[Any]] = {
    **{name: [type(value)()] for name, (value, _) in REFUSED_IN_A_CONTAINER.items()},
    **{name: [value] for name, value in KEPT_IN_A_CONTAINER.items()},
    "healthCheck": [WATCHED["healthCheck"], {"command": ["NONE"]}, {"command": ["CMD", "true"], "startPeriod": 0}],
    "restartPolicy": [WATCHED["restartPolicy"], {"enabled": False}, {"enabled": True, "ignoredExitCodes": []}],
    "startTimeout": [0, 30],
    "name": ["a", "b", "c"],
    "entryPoint": [["x"], []],
    "environment": [[], [{"name": "A"}], [{"name": "A", "value": "ä"}]],
    "stopTimeout": [0, 5],
    "user": ["", "0:0"],
    "dockerLabels": [{}, {"a": "b"}, {"supervisor.stop-signal": "1"}, {"supervisor.restart-backoff": "1:60"}],
    "ulimits": [[], [{"name": "core", "softLimit": -1, "hardLimit": -1}]],
    "logConfiguration": [{"logDriver": "file"}, {"logDriver": "journald", "options": {"tag": "x"}}],
    "dependsOn": [[], *([{"containerName": "a", "condition": condition}] for condition in Condition)],
    "portMappings": [[], [{"containerPort": 80, "name": "p"}], [{"containerPort": 1, "hostPort": 1}]],
    "mountPoints": [[], [{"sourceVolume": "data", "containerPath": "/srv/data"}]],
    "essential": [True, False],
    "linuxParameters": [{}, {"capabilities": {}}, {"devices": []}],
}
CONTAINERS = st.fixed_dictionaries(
    {"name": st.just("a"), "command": st.just(["x"])},
    optional={name: st.sampled_from(values) for name, values in MEMBERS.items() if name != "name"},
)


@settings(deadline=None)
@given(st.lists(CONTAINERS, min_size=1, max_size=3), st.data())
def test_what_is_accepted_is_rendered_as_ecs_does_and_what_is_not_is_a_client_error(
    containers: list[dict[str, Any]], data: st.DataObject
) -> None:
    names = data.draw(st.permutations(MEMBERS["name"]))
    named = [{**container, "name": name} for container, name in zip(containers, names, strict=False)]
    try:
        definition = register(*named, volumes=[VOLUME])
    except ClientError as error:
        event(f"refused: {str(error)[-40:]}")
        return
    event("accepted")
    assert_matches("DescribeTaskDefinition", "output", {"taskDefinition": render_definition(definition)})


def test_how_many_containers() -> None:
    ten = [container(name=f"c{n}") for n in range(10)]
    assert len(register(*ten).container_definitions) == 10
    assert refusal(*ten, container(name="more")) == "containerDefinitions: expected up to 10, got 11"


def test_a_host_port_is_one_containers() -> None:
    web = container(portMappings=[{"containerPort": 80}])
    side = container(name="side", portMappings=[{"containerPort": 81}, {"containerPort": 80, "hostPort": 80}])
    assert refusal(web, side) == (
        "containerDefinitions[1].portMappings[1]: host port 80/tcp is claimed by"
        " containerDefinitions[0].portMappings[0]; change one"
    )
    register(web, container(name="side", portMappings=[{"containerPort": 80, "protocol": "udp"}]))
