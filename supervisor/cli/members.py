"""What the structures of ``supervisor.shapes`` say about an input: option names, types, a sample."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from msgspec import inspect


class Member(NamedTuple):
    """One member of an operation's input."""

    name: str
    """ECS's spelling, as in JSON."""
    option: str
    """As on the command line, such as ``--task-definition``."""
    type: inspect.Type
    """Without "or null" and without constraints, which are the agent's to judge."""
    required: bool
    description: str


def members_of(shape: type[msgspec.Struct]) -> list[Member]:
    """The members of the structure, in its order."""
    info = inspect.type_info(shape)
    assert isinstance(info, inspect.StructType)
    return [
        Member(
            name=field.encode_name,
            option="--" + field.name.replace("_", "-"),
            type=bare(field.type),
            required=field.required,
            description=_description(field.type),
        )
        for field in info.fields
    ]


def bare(type_: inspect.Type) -> inspect.Type:
    """The type inside annotations and "or null"."""
    while True:
        if isinstance(type_, inspect.Metadata):
            type_ = type_.type
        elif isinstance(type_, inspect.UnionType):
            type_ = next(one for one in type_.types if not isinstance(one, inspect.NoneType))
        else:
            return type_


def item_type(type_: inspect.Type) -> inspect.Type | None:
    """What a list is a list of; None for what is no list."""
    if isinstance(type_, inspect.ListType | inspect.VarTupleType):
        return bare(type_.item_type)
    return None


def sample(type_: inspect.Type) -> Any:
    """An empty value of the type, with one item in each list, as ``aws`` prints it."""
    type_ = bare(type_)
    item = item_type(type_)
    match type_:
        case inspect.StructType():
            return {field.encode_name: sample(field.type) for field in type_.fields}
        case inspect.DictType(value_type=inspect.AnyType()):
            return {}
        case inspect.DictType():
            return {"KeyName": sample(type_.value_type)}
        case inspect.IntType():
            return 0
        case inspect.FloatType():
            return 0.0
        case inspect.BoolType():
            return True
    return "" if item is None else [sample(item)]


def _description(type_: inspect.Type) -> str:
    if isinstance(type_, inspect.Metadata):
        return str((type_.extra_json_schema or {}).get("description", ""))
    return ""
