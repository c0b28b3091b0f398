from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from supervisor.shapes import OPERATIONS
from supervisor.shapes.parse import OTHER_OPERATIONS
from tests.conformance import service_model

TYPES = {
    "structure": ("StructType", "DictType"),
    "list": ("ListType",),
    "map": ("DictType",),
    "string": ("StrType",),
    "integer": ("IntType",),
    "boolean": ("BoolType",),
}
EVERY_FIELD_IS_TYPED = {"linuxParameters", "capabilities", "logConfiguration", "healthCheck", "restartPolicy"}


def bare(info: Any) -> Any:
    while isinstance(info, msgspec.inspect.Metadata | msgspec.inspect.UnionType):
        if isinstance(info, msgspec.inspect.UnionType):
            info = next(one for one in info.types if not isinstance(one, msgspec.inspect.NoneType))
        else:
            info = info.type
    return info


def structures(path: str, info: Any, shape: Any) -> Iterator[tuple[str, Any, Any]]:
    """Every structure of ours below this one, with botocore's of the same place; types are compared on the way."""
    info = bare(info)
    assert type(info).__name__ in TYPES[shape.type_name], path
    if isinstance(info, msgspec.inspect.StructType):
        yield path, info, shape
        for field in info.fields:
            yield from structures(f"{path}.{field.encode_name}", field.type, shape.members[field.encode_name])
    elif isinstance(info, msgspec.inspect.ListType):
        yield from structures(f"{path}[]", info.item_type, shape.member)
    else:
        assert path.rpartition(".")[2] not in EVERY_FIELD_IS_TYPED


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_structure_has_the_members_of_the_ecs_model(operation: str) -> None:
    shape = service_model().operation_model(operation).input_shape
    for path, info, there in structures(operation, msgspec.inspect.type_info(OPERATIONS[operation]), shape):
        assert {field.encode_name for field in info.fields} == set(there.members), path
        assert {field.encode_name for field in info.fields if field.required} == set(there.required_members), path


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_member_has_a_help_text_and_every_structure_a_docstring(operation: str) -> None:
    shape = service_model().operation_model(operation).input_shape
    for path, info, _ in structures(operation, msgspec.inspect.type_info(OPERATIONS[operation]), shape):
        assert info.cls.__doc__, path
        for field in info.fields:
            assert isinstance(field.type, msgspec.inspect.Metadata), f"{path}.{field.name}"
            assert (field.type.extra_json_schema or {}).get("description"), f"{path}.{field.name}"


def test_every_operation_of_ecs_is_either_done_or_said_not_to_be() -> None:
    assert set(OPERATIONS) | OTHER_OPERATIONS == set(service_model().operation_names)
    assert not set(OPERATIONS) & OTHER_OPERATIONS
