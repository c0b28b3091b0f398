from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from supervisor.errors import (
    ClientError,
    InvalidParameterError,
    SerializationError,
    UnknownOperationError,
    UnsupportedFeatureError,
)
from supervisor.shapes import OPERATIONS, Request, parse_request
from supervisor.shapes.requests import RunTask, StopTask

REGISTER = {"family": "shop", "containerDefinitions": [{"name": "web"}]}


def refusal(operation: str, body: Any) -> ClientError:
    with pytest.raises(ClientError) as raised:
        parse_request(operation, json.dumps(body).encode())
    return raised.value


def test_a_body_becomes_its_structure() -> None:
    assert parse_request("StopTask", b'{"task":"t","reason":"r\xc3\xa9"}') == StopTask(task="t", reason="ré")


def test_ecs_spelling_that_is_not_camel_case() -> None:
    assert parse_request("RunTask", b'{"taskDefinition":"f","enableECSManagedTags":true}') == RunTask(
        task_definition="f", enable_ecs_managed_tags=True
    )


def test_null_is_absent() -> None:
    body = b'{"task":"t","cluster":null,"reason":null}'
    assert parse_request("StopTask", body) == StopTask(task="t")


def test_null_in_a_list_is_not() -> None:
    assert str(refusal("DescribeTasks", {"tasks": ["a", None]})) == "tasks[1]: expected a string, got null"


def test_null_in_a_map_is_absent() -> None:
    body = {"family": "f", "containerDefinitions": [{"dockerLabels": {"a": None, "b": "c"}}]}
    request = parse_request("RegisterTaskDefinition", json.dumps(body).encode())
    assert request.container_definitions[0].docker_labels == {"b": "c"}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("member", "text"),
    [
        ({"name": 1}, "name: expected a string, got an integer"),
        ({"name": 1.5}, "name: expected a string, got a floating-point number"),
        ({"name": True}, "name: expected a string, got a boolean"),
        ({"name": []}, "name: expected a string, got an array"),
        ({"name": {}}, "name: expected a string, got an object"),
        ({"essential": "true"}, "essential: expected a boolean, got a string"),
        ({"essential": 1}, "essential: expected a boolean, got an integer"),
        ({"cpu": True}, "cpu: expected an integer, got a boolean"),
        ({"cpu": "1"}, "cpu: expected an integer, got a string"),
        ({"cpu": 1.5}, "cpu: expected an integer, got a floating-point number"),
        ({"cpu": 2**31}, "cpu: expected an integer of at most 2147483647"),
        ({"cpu": -(2**31) - 1}, "cpu: expected an integer of at least -2147483648"),
        ({"cpu": 10**400}, "cpu: expected an integer of at most 2147483647"),
        ({"command": "sleep 1"}, "command: expected an array, got a string"),
        ({"command": ["a", 1]}, "command[1]: expected a string, got an integer"),
        ({"environment": {"A": "b"}}, "environment: expected an array, got an object"),
        ({"environment": [{"name": "A", "value": 1}]}, "environment[0].value: expected a string, got an integer"),
        ({"logConfiguration": []}, "logConfiguration: expected an object, got an array"),
        ({"logConfiguration": {}}, "logConfiguration.logDriver: required, but missing"),
        ({"logConfiguration": {"logDriver": None}}, "logConfiguration.logDriver: required, but missing"),
        (
            {"logConfiguration": {"logDriver": "none", "options": {"a": "b", "max-size": 10}}},
            "logConfiguration.options['max-size']: expected a string, got an integer",
        ),
        ({"dockerLabels": {"a": "b", "c": {}}}, "dockerLabels['c']: expected a string, got an object"),
        ({"comand": []}, "comand: unknown member; did you mean 'command'?"),
        ({"EntryPoint": []}, "EntryPoint: unknown member; did you mean 'entryPoint'?"),
        ({"environment": [{"nmae": "A"}]}, "environment[0].nmae: unknown member; did you mean 'name'?"),
        ({"healthCheck": {"command": [], "zzz": 1}}, "healthCheck.zzz: unknown member"),
        ({"x` - at `$.y": 1}, "x` - at `$.y: unknown member"),
        ({"z" * 1000: 1}, f"{'z' * 64}: unknown member"),
        ({"ulimits": [{"name": "core", "softLimit": 1}]}, "ulimits[0].hardLimit: required, but missing"),
        (
            {"ulimits": [{"name": "core", "softLimit": 1, "hardLimit": 2**63}]},
            "ulimits[0].hardLimit: expected an integer of at most 9223372036854775807",
        ),
    ],
)
def test_what_is_wrong_is_named_by_its_path(member: dict[str, Any], text: str) -> None:
    error = refusal("RegisterTaskDefinition", {"family": "f", "containerDefinitions": [{"name": "a"}, member]})
    assert str(error) == f"containerDefinitions[1].{text}"
    assert error.code == "ClientException"


@pytest.mark.parametrize(
    ("operation", "body", "text"),
    [
        ("StopTask", {}, "task: required, but missing"),
        ("StopTask", {"task": None}, "task: required, but missing"),
        ("StopTask", {"task": 5}, "task: expected a string, got an integer"),
        ("StopTask", {"task": "t", "resaon": "x"}, "resaon: unknown member; did you mean 'reason'?"),
        ("ListTasks", {"maxResults": "5"}, "maxResults: expected an integer, got a string"),
        (
            "RunTask",
            {"taskDefinition": "f", "overrides": {"containerOverrides": [{"comand": []}]}},
            "overrides.containerOverrides[0].comand: unknown member; did you mean 'command'?",
        ),
    ],
)
def test_other_operations_answer_invalid_parameter(operation: str, body: Any, text: str) -> None:
    error = refusal(operation, body)
    assert (error.code, str(error)) == ("InvalidParameterException", text)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{}{}",
        b"task",
        b"NaN",
        b'{"task":NaN}',
        b'{"task":1e400}',
        b'{"task":' + b"9" * 5000 + b"}",
        b'{"task":"\\ud800"}',
        b'{"task":"\xff"}',
        b"\xef\xbb\xbf{}",
        b'{"task":' + b"[" * 100_000,
        b'{"task":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"task":' * 100_000,
    ],
    ids=lambda body: repr(body[:16]),
)
def test_what_is_no_json(body: bytes) -> None:
    with pytest.raises(SerializationError, match=r"^cannot read the body as JSON: "):
        parse_request("StopTask", body)


@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b'"x"', b"true"])
def test_what_is_no_object(body: bytes) -> None:
    with pytest.raises(SerializationError, match=r"^cannot read the body: it must be a JSON object$"):
        parse_request("StopTask", body)


def test_an_operation_that_we_do_not_have() -> None:
    with pytest.raises(UnsupportedFeatureError, match=r"^cannot do ListServices: this version does not have it$"):
        parse_request("ListServices", b"{}")


@pytest.mark.parametrize("operation", ["", "stoptask", "StopTasks", "a" * 10_000, "StopTask\n"])
def test_an_operation_that_ecs_does_not_have(operation: str) -> None:
    with pytest.raises(UnknownOperationError, match=r"ECS has no such operation$") as raised:
        parse_request(operation, b"{}")
    assert len(str(raised.value)) < 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [
        *("task", "tasks", "reason", "cluster", "family", "containerDefinitions", "name", "command", "environment"),
        *("overrides", "containerOverrides", "dockerLabels", "ulimits", "volumes", "host", "count", "tags", "key"),
        *("taskDefinition", "networkConfiguration", "linuxParameters", "devices", "logConfiguration", "options"),
    ]
)
LIKELY = st.recursive(
    JSON,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


def outcome(operation: str, body: bytes) -> Request | ClientError:
    """The request or its refusal; any other exception fails the test."""
    try:
        return parse_request(operation, body)
    except ClientError as error:
        return error


@settings(deadline=None)
@given(st.sampled_from(sorted(OPERATIONS)), st.binary() | st.text().map(str.encode))
@example("StopTask", b'{"task":"\\udc00"}')
def test_no_bytes_raise_anything_but_a_client_error(operation: str, body: bytes) -> None:
    assert isinstance(outcome(operation, body), OPERATIONS[operation] | ClientError)


@settings(deadline=None)
@given(st.sampled_from(sorted(OPERATIONS)), st.dictionaries(NAMES, LIKELY, max_size=4))
@example("RegisterTaskDefinition", REGISTER)
@example("DescribeTasks", {"tasks": ["a"]})
def test_no_json_raises_anything_but_a_client_error(operation: str, body: dict[str, Any]) -> None:
    found = outcome(operation, json.dumps(body).encode())
    refused = ClientError if operation == "RegisterTaskDefinition" else InvalidParameterError
    assert type(found) in (refused, OPERATIONS[operation])
    assert not str(found).startswith(":")
