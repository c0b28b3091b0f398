"""Checks of bodies against botocore's own model of ECS, and botocore's own parser: what a stock client would say.

The walk is stricter than a client: a client drops members that it does not know, and takes a number for a string.
"""

from __future__ import annotations

import functools
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import botocore
import botocore.model
import botocore.parsers
import msgspec

Check = Callable[[Any, Any, str], None]

MODEL = "data/ecs/2014-11-13/service-2.json.gz"


@functools.cache
def service_model() -> Any:
    """botocore's ``ServiceModel`` of ECS."""
    path = Path(botocore.__file__).parent / MODEL
    return botocore.model.ServiceModel(json.loads(gzip.decompress(path.read_bytes())), "ecs")


def assert_matches(operation: str, direction: Literal["input", "output"], body: Any) -> dict[str, Any]:
    """Fail unless the body has only members of the model, each with its type, and botocore reads all of them.

    Returns what botocore made of it: times are ``datetime``.
    """
    described = service_model().operation_model(operation)
    shape = described.input_shape if direction == "input" else described.output_shape
    wire = msgspec.json.encode(body)
    assert_is(shape, msgspec.json.decode(wire), operation)
    parsed: dict[str, Any] = parse(wire, shape)
    parsed.pop("ResponseMetadata")
    assert members_of(parsed) == members_of(msgspec.json.decode(wire))
    return parsed


def parse(wire: bytes, shape: Any = None, status: int = 200) -> dict[str, Any]:
    """What botocore's parser of the JSON protocol makes of a reply."""
    reply = {"body": wire, "headers": {}, "status_code": status}
    parsed: dict[str, Any] = botocore.parsers.create_parser("json").parse(reply, shape)
    return parsed


def assert_is(shape: Any, value: Any, path: str) -> None:
    """Fail unless the value, decoded from JSON, is of that shape, all the way down."""
    check = _CHECKS[shape.type_name]
    check(shape, value, path)


def _assert_type(value: Any, kind: type, path: str) -> None:
    assert type(value) is kind, f"{path}: expected {kind.__name__}, got {value!r}"


def _assert_integer(value: Any, bits: int, path: str) -> None:
    _assert_type(value, int, path)
    assert -(2 ** (bits - 1)) <= value < 2 ** (bits - 1), f"{path}: {value} has more than {bits} bits"


def _assert_structure(shape: Any, value: Any, path: str) -> None:
    _assert_type(value, dict, path)
    unknown = set(value) - set(shape.members)
    assert not unknown, f"{path}: members that the model does not have: {sorted(unknown)}"
    for name, item in value.items():
        assert_is(shape.members[name], item, f"{path}.{name}")


def _assert_list(shape: Any, value: Any, path: str) -> None:
    _assert_type(value, list, path)
    for index, item in enumerate(value):
        assert_is(shape.member, item, f"{path}[{index}]")


def _assert_map(shape: Any, value: Any, path: str) -> None:
    _assert_type(value, dict, path)
    for key, item in value.items():
        assert_is(shape.value, item, f"{path}[{key!r}]")


def _assert_leaf(kind: type) -> Check:
    return lambda _, value, path: _assert_type(value, kind, path)


def _assert_number(bits: int) -> Check:
    return lambda _, value, path: _assert_integer(value, bits, path)


_CHECKS: dict[str, Check] = {
    "structure": _assert_structure,
    "list": _assert_list,
    "map": _assert_map,
    "string": _assert_leaf(str),
    "boolean": _assert_leaf(bool),
    "timestamp": _assert_leaf(float),
    "double": _assert_leaf(float),
    "long": _assert_number(64),
    "integer": _assert_number(32),
}


def members_of(value: Any) -> Any:
    """The value with its leaves forgotten: to compare what is there, where the leaves differ in type."""
    if isinstance(value, dict):
        return {name: members_of(item) for name, item in value.items()}
    if isinstance(value, list):
        return [members_of(item) for item in value]
    return None
