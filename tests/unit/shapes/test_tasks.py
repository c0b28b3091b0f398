from __future__ import annotations

from typing import Any

import pytest

from supervisor.errors import ClientError
from supervisor.model import (
    Backoff,
    Condition,
    Container,
    ContainerDependency,
    ContainerOverride,
    DefinitionStatus,
    DesiredStatus,
    HealthCheck,
    KeyValuePair,
    LastStatus,
    PortMapping,
    RestartPolicy,
    Tag,
    TaskDefinition,
)
from supervisor.shapes import parse_request, request_digest
from supervisor.shapes.requests import RunTask

from .samples import CREATED_AT, NAMES, TASK_ID, WATCHED, container, register, run

PAIR = [{"name": "A", "value": "1"}]


def two() -> TaskDefinition:
    return register(container(), container(name="log", essential=False))


def refusal(definition: TaskDefinition | None = None, **members: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as raised:
        run(definition or two(), **members)
    return raised.value.code, str(raised.value)


def test_a_new_task_in_full() -> None:
    definition = register(
        container(image="img", cpu=256, memory=512, portMappings=[{"containerPort": 80}], stopTimeout=5),
        container(name="log", essential=False, dependsOn=[{"containerName": "web", "condition": "START"}]),
    )
    task = run(definition, startedBy="me", clientToken="token", tags=[{"key": "k", "value": "v"}], launchType="EC2")
    assert task.containers == (
        Container(
            name="web",
            container_arn="arn:aws:ecs:local:000000000000:container/00000000-0000-4000-8000-000000000000",
            stop_timeout=5.0,
            image="img",
            cpu="256",
            memory="512",
            port_mappings=(PortMapping(80),),
        ),
        Container(
            name="log",
            container_arn="arn:aws:ecs:local:000000000000:container/00000000-0000-4000-8000-000000000001",
            essential=False,
            depends_on=(ContainerDependency("web", Condition.START),),
            stop_timeout=30.0,
        ),
    )
    assert (task.last_status, task.desired_status) == (LastStatus.PENDING, DesiredStatus.RUNNING)
    assert (task.task_id, task.task_arn) == (TASK_ID, NAMES.task_arn(TASK_ID))
    assert (task.cluster_arn, task.task_definition_arn) == (NAMES.cluster_arn(), definition.task_definition_arn)
    assert task.container_instance_arn == NAMES.container_instance_arn("f" * 32)
    assert (task.family, task.group, task.launch_type) == ("shop", "family:shop", "EC2")
    assert (task.started_by, task.client_token, task.tags) == ("me", "token", (Tag("k", "v"),))
    assert (task.created_at, task.version, task.overrides, task.task_overrides) == (CREATED_AT, 1, (), {})
    assert (task.cpu, task.memory) == ("256", "512")


def test_the_least_that_can_be_said() -> None:
    task = run()
    assert (task.launch_type, task.started_by, task.client_token) == ("EXTERNAL", None, None)
    assert (task.cpu, task.memory, task.stop_budget) == ("0", None, None)


def test_how_a_container_is_watched_is_planned() -> None:
    labels = {
        "supervisor.restart-backoff": "1:60",
        "supervisor.max-runtime": "2h",
        "supervisor.stop-signal": "TERM:20,INT:5",
        "supervisor.stop-budget": "90",
    }
    side = container(name="side", essential=False, startTimeout=0)
    after = [{"containerName": "side", "condition": condition} for condition in ("START", "COMPLETE", "SUCCESS")]
    web = container(startTimeout=7, dockerLabels=labels, dependsOn=after, **WATCHED)
    task = run(register(web, side))
    planned = task.container("web")
    assert planned.depends_on == tuple(
        ContainerDependency("side", condition) for condition in (Condition.START, Condition.COMPLETE, Condition.SUCCESS)
    )
    assert planned.restart_policy == RestartPolicy(True, (0, 3), 60)
    assert planned.restart_backoff == Backoff(1.0, 60.0)
    shell = ("CMD-SHELL", "curl -f http://localhost/ || exit 1")
    assert planned.health_check == HealthCheck(shell, interval=10, timeout=2, retries=5, start_period=20)
    assert (planned.start_timeout, planned.max_runtime, planned.stop_timeout) == (7.0, 7200.0, 25.0)
    assert task.stop_budget == 90.0
    assert task.container("side").start_timeout is None


def test_a_policy_that_is_not_in_force_and_a_check_of_none_are_no_plan() -> None:
    task = run(register(container(restartPolicy={"enabled": False}, healthCheck={"command": ["NONE"]})))
    assert (task.containers[0].restart_policy, task.containers[0].health_check) == (None, None)


@pytest.mark.parametrize(
    ("definition", "overrides", "size"),
    [
        (register(container(cpu=1), container(name="b", cpu=2, memory=3, memoryReservation=2)), {}, ("3", "3")),
        (register(container(memory=3), container(name="b", memoryReservation=2)), {}, ("0", "5")),
        (register(container(cpu=1, memory=1), cpu="256", memory="512"), {}, ("256", "512")),
        (register(cpu="256", memory="512"), {"cpu": "1 vCPU", "memory": "1 GB"}, ("1 vCPU", "1 GB")),
        (register(container(cpu=1)), {"containerOverrides": [{"name": "web", "cpu": 9, "memory": 8}]}, ("9", "8")),
    ],
)
def test_the_size_of_a_task(
    definition: TaskDefinition, overrides: dict[str, Any], size: tuple[str, str | None]
) -> None:
    task = run(definition, overrides=overrides)
    assert (task.cpu, task.memory) == size


def test_overrides_are_recorded_and_their_sizes_planned() -> None:
    override = {
        "name": "log",
        "command": ["x", "y"],
        "environment": [*PAIR, {"name": "B"}],
        "cpu": 0,
        "memory": 20,
        "memoryReservation": 10,
    }
    whole = {"cpu": "512", "memory": "1024", "taskRoleArn": "arn:r", "executionRoleArn": "arn:e"}
    definition = register(container(), container(name="log", cpu=5, memory=6))
    task = run(definition, overrides={"containerOverrides": [{}, override], **whole})
    pairs = (KeyValuePair("A", "1"), KeyValuePair("B", ""))
    assert task.overrides == (ContainerOverride("log", ("x", "y"), pairs, 0, 20, 10),)
    assert task.task_overrides == whole
    log = task.container("log")
    assert (log.cpu, log.memory, log.memory_reservation) == ("0", "20", "10")


def test_an_empty_command_overrides_nothing() -> None:
    task = run(overrides={"containerOverrides": [{"name": "web", "command": []}]})
    assert task.overrides == (ContainerOverride("web"),)


def test_tags_of_the_definition_are_copied_on_request() -> None:
    definition = register(tags=[{"key": "a", "value": "theirs"}, {"key": "b", "value": "theirs"}])
    own = [{"key": "a", "value": "own"}]
    assert run(definition, tags=own).tags == (Tag("a", "own"),)
    assert run(definition, tags=own, propagateTags="NONE").tags == (Tag("a", "own"),)
    assert run(definition, tags=own, propagateTags="TASK_DEFINITION").tags == (Tag("a", "own"), Tag("b", "theirs"))


UNSUPPORTED = "UnsupportedFeatureException"
INVALID = "InvalidParameterException"
NUL = "contains a NUL character, which cannot be given to a process; remove it"
IN_WEB = "overrides.containerOverrides[0]"


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("networkConfiguration", {"awsvpcConfiguration": {"subnets": ["a"]}}),
        ("capacityProviderStrategy", [{"capacityProvider": "a"}]),
        ("volumeConfigurations", [{"name": "a"}]),
        ("enableExecuteCommand", True),
    ],
)
def test_what_one_host_cannot_honour(member: str, value: Any) -> None:
    assert refusal(**{member: value}) == (UNSUPPORTED, f"{member}: this host cannot do it; remove it")
    run(**{member: type(value)()})


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"count": 0}, "count: expected 1 to 10, got 0"),
        ({"count": 11}, "count: expected 1 to 10, got 11"),
        ({"launchType": "MOON"}, "launch type should be one of [EC2,FARGATE,EXTERNAL]"),
        ({"launchType": ""}, "launch type should be one of [EC2,FARGATE,EXTERNAL]"),
        ({"startedBy": "a b"}, "startedBy: expected up to 128 letters, digits, -, _ and /, got 'a b'"),
        (
            {"startedBy": "a" * 129},
            f"startedBy: expected up to 128 letters, digits, -, _ and /, got '{'a' * 63}…'",
        ),
        ({"clientToken": ""}, "clientToken: expected 1 to 64 printable ASCII characters without spaces"),
        ({"clientToken": "a b"}, "clientToken: expected 1 to 64 printable ASCII characters without spaces"),
        ({"clientToken": "ä"}, "clientToken: expected 1 to 64 printable ASCII characters without spaces"),
        ({"clientToken": "a" * 65}, "clientToken: expected 1 to 64 printable ASCII characters without spaces"),
        ({"group": "g" * 256}, "group: expected up to 255 characters, got 256"),
        ({"group": "\0"}, f"group: {NUL}"),
        ({"propagateTags": "ALL"}, "propagateTags: expected TASK_DEFINITION or NONE, got 'ALL'"),
        (
            {"propagateTags": "SERVICE"},
            "propagateTags: SERVICE is for tasks of a service; use TASK_DEFINITION or NONE",
        ),
        ({"tags": [{"key": ""}]}, "tags[0].key: expected 1 to 128 characters, got 0"),
        ({"tags": [{"key": str(n)} for n in range(51)]}, "tags: expected up to 50, got 51"),
        ({"overrides": {"cpu": "0"}}, "overrides.cpu: expected CPU units ('512') or vCPUs ('0.5 vCPU'), got '0'"),
        ({"overrides": {"memory": "0"}}, "overrides.memory: expected MiB ('1024') or GB ('1 GB'), got '0'"),
        ({"overrides": {"cpu": "x"}}, "overrides.cpu: expected CPU units ('512') or vCPUs ('0.5 vCPU'), got 'x'"),
        ({"overrides": {"memory": "x"}}, "overrides.memory: expected MiB ('1024') or GB ('1 GB'), got 'x'"),
    ],
)
def test_what_is_wrong_is_named(members: dict[str, Any], text: str) -> None:
    assert refusal(**members) == (INVALID, text)


@pytest.mark.parametrize(
    ("override", "code", "text"),
    [
        ({"command": ["x"]}, INVALID, f"{IN_WEB}.name: required, but missing"),
        ({"name": "db"}, INVALID, "Override for container named db is not a container in the TaskDefinition."),
        ({"name": "web", "command": ["a", "\0"]}, INVALID, f"{IN_WEB}.command[1]: {NUL}"),
        (
            {"name": "web", "command": [""]},
            INVALID,
            f"{IN_WEB}.command[0]: the program's name is empty; give its path or name",
        ),
        (
            {"name": "web", "environment": [{"value": "x"}]},
            INVALID,
            f"{IN_WEB}.environment[0].name: a variable must have a name",
        ),
        (
            {"name": "web", "environment": [{"name": "SUPERVISOR_X"}]},
            INVALID,
            f"{IN_WEB}.environment[0].name: SUPERVISOR_* is set by the agent; rename 'SUPERVISOR_X'",
        ),
        ({"name": "web", "cpu": -1}, INVALID, f"{IN_WEB}.cpu: expected 0 or more, got -1"),
        ({"name": "web", "memory": 0}, INVALID, f"{IN_WEB}.memory: expected 1 or more MiB, got 0"),
        (
            {"name": "web", "environmentFiles": [{"value": "a", "type": "s3"}]},
            UNSUPPORTED,
            f"{IN_WEB}.environmentFiles: this host cannot do it; remove it",
        ),
        (
            {"name": "web", "resourceRequirements": [{"type": "GPU"}]},
            UNSUPPORTED,
            f"{IN_WEB}.resourceRequirements: this host cannot do it; remove it",
        ),
    ],
)
def test_what_is_wrong_in_an_override_is_named(override: dict[str, Any], code: str, text: str) -> None:
    assert refusal(overrides={"containerOverrides": [override]}) == (code, text)


@pytest.mark.parametrize("member", ["inferenceAcceleratorOverrides", "ephemeralStorage"])
def test_overrides_of_the_task_that_one_host_cannot_honour(member: str) -> None:
    value = {"inferenceAcceleratorOverrides": [{"deviceName": "a"}], "ephemeralStorage": {"sizeInGiB": 21}}[member]
    assert refusal(overrides={member: value}) == (
        UNSUPPORTED,
        f"overrides.{member}: this host cannot do it; remove it",
    )


def test_a_container_overridden_twice() -> None:
    text = "overrides.containerOverrides[1].name: web is overridden twice; make it one override"
    assert refusal(overrides={"containerOverrides": [{"name": "web"}] * 2}) == (INVALID, text)


def test_an_empty_first_argument_is_no_program_s_name_after_an_entry_point() -> None:
    override = {"name": "web", "command": [""]}
    run(register(container(entryPoint=["echo"])), overrides={"containerOverrides": [override]})


def test_the_length_of_overrides() -> None:
    frame = len('{"containerOverrides":[{"name":"web","command":[""]}]}')
    longest = [{"name": "web", "command": ["é" * (8192 - frame)]}]
    longer = [{"name": "web", "command": ["é" * (8193 - frame)]}]
    run(overrides={"containerOverrides": longest})
    text = "Container Overrides length must be at most 8192"
    assert refusal(overrides={"containerOverrides": longer}) == (INVALID, text)


def test_an_inactive_definition() -> None:
    definition = register()
    inactive = TaskDefinition(
        task_definition_arn=definition.task_definition_arn,
        family=definition.family,
        revision=definition.revision,
        container_definitions=definition.container_definitions,
        registered_at=definition.registered_at,
        status=DefinitionStatus.INACTIVE,
    )
    assert refusal(inactive) == (INVALID, "TaskDefinition is inactive")


@pytest.mark.parametrize(
    "members",
    [
        {"count": 1},
        {"count": 10},
        {"startedBy": "a" * 128},
        {"startedBy": "ecs-svc/123_x"},
        {"clientToken": "~" * 64},
        {"group": "g" * 255},
        {"launchType": "FARGATE"},
        {"placementConstraints": [{"type": "distinctInstance"}]},
        {"placementStrategy": [{"type": "random"}]},
        {"platformVersion": "LATEST", "referenceId": "x", "enableECSManagedTags": True},
        {"cluster": "default"},
        {"overrides": {"containerOverrides": [{}]}},
    ],
)
def test_what_is_accepted(members: dict[str, Any]) -> None:
    run(**members)


@pytest.mark.parametrize(
    ("containers", "members", "cpu", "memory"),
    [
        ([{}], {}, 0, 0),
        ([{"cpu": 10, "memory": 20}, {"cpu": 5, "memory": 30, "memoryReservation": 7}], {}, 15, 27),
        ([{"cpu": 10, "memory": 20}], {"cpu": "512", "memory": "64"}, 512, 64),
        ([{}], {"cpu": "0.25 vCPU", "memory": "1.5GB"}, 256, 1536),
        ([{}], {"cpu": "2vcpu", "memory": "1 gb"}, 2048, 1024),
    ],
)
def test_what_is_set_aside_for_a_task(
    containers: list[dict[str, Any]], members: dict[str, Any], cpu: int, memory: int
) -> None:
    given = [container(name=f"c{n}", **each) for n, each in enumerate(containers)]
    task = run(register(*given, **members))
    assert (task.reserved_cpu, task.reserved_memory) == (cpu, memory)


def test_a_count_of_one_is_the_same_request_as_none() -> None:
    whole = parse_request("RunTask", b'{"taskDefinition": "shop", "count": 1}')
    short = parse_request("RunTask", b'{"taskDefinition": "shop"}')
    more = parse_request("RunTask", b'{"taskDefinition": "shop", "count": 2}')
    assert isinstance(whole, RunTask)
    assert isinstance(short, RunTask)
    assert isinstance(more, RunTask)
    assert request_digest(whole, "default") == request_digest(short, "default") != request_digest(more, "default")
