from __future__ import annotations

import pytest

from supervisor.errors import ClientError, ClusterNotFoundError, InvalidParameterError
from supervisor.shapes import Names

from .samples import NAMES, TASK_ID

UUID = "01234567-89ab-cdef-0123-456789abcdef"
ARN = "arn:aws:ecs:local:000000000000:"


def test_arns_are_made() -> None:
    assert NAMES.cluster_arn() == f"{ARN}cluster/default"
    assert NAMES.task_arn(TASK_ID) == f"{ARN}task/default/{TASK_ID}"
    assert NAMES.task_definition_arn("shop", 7) == f"{ARN}task-definition/shop:7"
    assert NAMES.container_arn(UUID) == f"{ARN}container/{UUID}"
    assert NAMES.container_instance_arn("f" * 32) == f"{ARN}container-instance/default/{'f' * 32}"


@pytest.mark.parametrize(
    ("text", "cluster"), [(None, "default"), ("other", "other"), (f"{ARN}cluster/other", "other"), ("A_-9", "A_-9")]
)
def test_the_names_in_a_cluster(text: str | None, cluster: str) -> None:
    assert NAMES.of_cluster(text) == Names("local", "000000000000", cluster)


@pytest.mark.parametrize(
    "text", ["", "a/b", "x" * 256, "a b", f"{ARN}cluster/", "arn:aws:ecs:eu-west-1:000000000000:cluster/default"]
)
def test_what_cannot_be_a_cluster_here(text: str) -> None:
    with pytest.raises(ClusterNotFoundError, match=r"^Cluster not found\.$"):
        NAMES.of_cluster(text)


def test_an_instance_is_known_by_its_id_and_by_its_arn_in_this_cluster() -> None:
    assert NAMES.find_instance_id("f" * 32) == "f" * 32
    assert NAMES.find_instance_id(NAMES.container_instance_arn("f" * 32)) == "f" * 32
    elsewhere = NAMES.of_cluster("other").container_instance_arn("f" * 32)
    assert NAMES.find_instance_id(elsewhere) == elsewhere


@pytest.mark.parametrize(
    "text",
    [TASK_ID, TASK_ID.upper(), UUID, f"{ARN}task/default/{TASK_ID}", f"{ARN}task/{TASK_ID}", f"{ARN}task/{UUID}"],
)
def test_every_form_of_a_task_id(text: str) -> None:
    assert NAMES.parse_task_id(text) == TASK_ID


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "taskId length should be one of [32,36]"),
        ("0123", "taskId length should be one of [32,36]"),
        ("a" * 33, "taskId length should be one of [32,36]"),
        ("None", "taskId length should be one of [32,36]"),
        ("g" * 32, "Task Identifier is invalid"),
        ("0" * 36, "Task Identifier is invalid"),
        (f"default/{TASK_ID}", "Unexpected number of separators"),
        (f"task:{TASK_ID}", "Unexpected number of separators"),
        (f"{ARN}task/a/b/{TASK_ID}", "Unexpected number of separators"),
        (f"{ARN}task", "Unexpected number of separators"),
        (f"{ARN}x:task/{TASK_ID}", "Unexpected number of separators"),
        ("arn:", "Unexpected number of separators"),
        (f"{ARN}task/default/0123", "taskId length should be one of [32,36]"),
        (f"{ARN}cluster/{TASK_ID}", "Task Identifier is invalid"),
        (f"arn:aws:s3:local:000000000000:task/{TASK_ID}", "Task Identifier is invalid"),
        (f"{ARN}task/other/{TASK_ID}", "The referenced task was not found."),
        (f"arn:aws:ecs:eu-west-1:000000000000:task/default/{TASK_ID}", "The referenced task was not found."),
        (f"arn:aws:ecs:local:111111111111:task/default/{TASK_ID}", "The referenced task was not found."),
        (f"arn:aws-cn:ecs:local:000000000000:task/{TASK_ID}", "The referenced task was not found."),
    ],
)
def test_what_is_no_task_of_ours(text: str, message: str) -> None:
    with pytest.raises(InvalidParameterError) as raised:
        NAMES.parse_task_id(text)
    assert str(raised.value) == message


def test_a_task_elsewhere_is_found_to_be_none() -> None:
    assert NAMES.find_task_id(f"{ARN}task/other/{TASK_ID}") is None
    assert Names(cluster="other").find_task_id(f"{ARN}task/other/{TASK_ID}") == TASK_ID


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("shop", ("shop", None)),
        ("shop:3", ("shop", 3)),
        (f"{ARN}task-definition/shop:12", ("shop", 12)),
        (f"{ARN}task-definition/shop", ("shop", None)),
        ("a" * 255, ("a" * 255, None)),
    ],
)
def test_every_form_of_a_task_definition(text: str, found: tuple[str, int | None]) -> None:
    assert NAMES.parse_task_definition(text) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shop:", "Invalid revision number. Number: "),
        ("shop:x", "Invalid revision number. Number: x"),
        ("shop:0", "Invalid revision number. Number: 0"),
        ("shop:-1", "Invalid revision number. Number: -1"),
        ("shop:1:2", "Invalid revision number. Number: 1:2"),
        ("shop:\u0663", "Invalid revision number. Number: \u0663"),
        ("shop:" + "9" * 5000, "Invalid revision number. Number: " + "9" * 64),
        ("", "cannot find task definition '': a family has 1 to 255 letters, digits, - and _"),
        ("a b", "cannot find task definition 'a b': a family has 1 to 255 letters, digits, - and _"),
    ],
)
def test_what_is_no_task_definition(text: str, message: str) -> None:
    with pytest.raises(InvalidParameterError) as raised:
        NAMES.parse_task_definition(text)
    assert str(raised.value) == message


@pytest.mark.parametrize("text", ["arn:", f"{ARN}task/shop:1", "arn:aws:ecs:x:000000000000:task-definition/shop:1"])
def test_a_task_definition_elsewhere_is_not_described(text: str) -> None:
    with pytest.raises(ClientError, match=r"^Unable to describe task definition\.$") as raised:
        NAMES.parse_task_definition(text)
    assert raised.value.code == "ClientException"
