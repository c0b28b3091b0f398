"""From the bytes of a request to its structure; whatever is wrong becomes an ECS error that names the member.

``null`` counts as absent, as in every AWS service. Nothing here raises anything but a ``ClientError``: not on
NaN, integers of a thousand digits, or a hundred thousand brackets.
"""

from __future__ import annotations

import difflib
import re
from typing import Any, NoReturn

import msgspec

from supervisor.errors import (
    ClientError,
    InvalidParameterError,
    SerializationError,
    UnknownOperationError,
    UnsupportedFeatureError,
)

from .arns import shown
from .requests import OPERATIONS, RegisterTaskDefinition, Request

OTHER_OPERATIONS = frozenset(
    """
    AssociateGatewayWithCluster ContinueServiceDeployment CreateCapacityProvider CreateDaemon
    CreateExpressGatewayService CreateGateway CreateService CreateTaskSet DeleteAccountSetting
    DeleteAttributes DeleteCapacityProvider DeleteDaemon DeleteDaemonTaskDefinition
    DeleteExpressGatewayService DeleteGateway DeleteService DeleteTaskSet DeregisterContainerInstance
    DescribeCapacityProviders DescribeDaemon DescribeDaemonDeployments DescribeDaemonRevisions
    DescribeDaemonTaskDefinition DescribeExpressGatewayService DescribeGateway DescribeGatewayResources
    DescribeGatewayRoute DescribeServiceDeployments DescribeServiceRevisions DescribeServices
    DescribeTaskSets DisassociateGatewayFromCluster DiscoverPollEndpoint ExecuteCommand
    ListAccountSettings ListAttributes ListDaemonDeployments ListDaemonTaskDefinitions
    ListDaemons ListGatewayClusterAssociations ListGatewayRoutes ListGateways ListServiceDeployments
    ListServices ListServicesByNamespace PutAccountSetting PutAccountSettingDefault PutAttributes
    PutClusterCapacityProviders RegisterContainerInstance RegisterDaemonTaskDefinition
    StopServiceDeployment SubmitAttachmentStateChanges SubmitContainerStateChange SubmitTaskStateChange
    UpdateCapacityProvider UpdateCluster UpdateClusterSettings UpdateContainerAgent UpdateDaemon
    UpdateExpressGatewayService UpdateGateway UpdateService UpdateServicePrimaryTaskSet
    UpdateTaskSet
    """.split()  # noqa: SIM905 - a line for each name would be two screens
)
"""ECS operations (botocore 1.44.5) that this version answers with UnsupportedFeatureException."""

_TYPES = {
    "str": "a string",
    "int": "an integer",
    "float": "a floating-point number",
    "bool": "a boolean",
    "array": "an array",
    "object": "an object",
    "null": "null",
}
_PATH = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?", re.DOTALL)
_WRONG_TYPE = re.compile(r"Expected `(\w+)(?: \| null)?`, got `(\w+)`")
_OUT_OF_RANGE = re.compile(r"Expected `int` (<=|>=) (-?\d+)")
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)


def parse_request(operation: str, body: bytes) -> Request:
    """The input of the operation, typed; its values are not yet checked against each other or the world."""
    kind = OPERATIONS.get(operation)
    if kind is None:
        _refuse_operation(operation)
    data = _decode(body)
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        _refuse_member(kind, data, str(error))


def _decode(body: bytes) -> dict[str, Any]:
    try:
        data = _without_nulls(msgspec.json.decode(body))
    except ValueError as error:
        raise SerializationError(f"cannot read the body as JSON: {error}") from None
    except RecursionError:
        raise SerializationError("cannot read the body as JSON: it is nested too deeply") from None
    if not isinstance(data, dict):
        raise SerializationError("cannot read the body: it must be a JSON object")
    return data


def _without_nulls(value: Any) -> Any:
    """Members that are null removed; a null in a list stays, and is refused by its type."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _refuse_operation(operation: str) -> NoReturn:
    if operation in OTHER_OPERATIONS:
        raise UnsupportedFeatureError(f"cannot do {operation}: this version does not have it")
    raise UnknownOperationError(f"cannot do {shown(operation)}: ECS has no such operation")


def _refuse_member(kind: type[Request], data: Any, message: str) -> NoReturn:
    """Say in ECS's manner what msgspec found: ``containerDefinitions[0].name: expected a string, …``."""
    found = _PATH.fullmatch(message)
    what, path = (found["what"], found["path"] or "") if found else (message, "")
    if path.endswith("[...]"):  # the value of a map: msgspec does not say of which key
        path = path.removesuffix("[...]")
        key = next(key for key, value in _value_at(data, path).items() if not isinstance(value, str))
        path = f"{path}[{shown(key)}]"
    if match := _UNKNOWN.fullmatch(what):
        path, text = f"{path}.{match[1][:64]}", f"unknown member{_suggestion(kind, path, match[1])}"
    elif match := _MISSING.fullmatch(what):
        path, text = f"{path}.{match[1]}", "required, but missing"
    elif match := _WRONG_TYPE.fullmatch(what):
        text = f"expected {_TYPES[match[1]]}, got {_TYPES[match[2]]}"
    elif match := _OUT_OF_RANGE.fullmatch(what):
        text = f"expected an integer of at {'most' if match[1] == '<=' else 'least'} {match[2]}"
    else:
        text = what
    error = ClientError if kind is RegisterTaskDefinition else InvalidParameterError
    raise error(f"{path.removeprefix('.')}: {text}") from None


def _steps(path: str) -> list[str]:
    """``.a[0].b`` as ``a``, ``[0]``, ``b``."""
    return re.findall(r"\[\d+\]|\w+", path)


def _value_at(data: Any, path: str) -> Any:
    for step in _steps(path):
        data = data[int(step[1:-1])] if step.startswith("[") else data[step]
    return data


def _suggestion(kind: type[Request], path: str, unknown: str) -> str:
    """``; did you mean 'command'?`` where a member of the structure at that path has a similar name."""
    here: Any = msgspec.inspect.type_info(kind)
    for step in _steps(path):
        here = _bare(here)
        if step.startswith("["):
            here = here.item_type
        else:
            here = next(field.type for field in here.fields if field.encode_name == step)
    members = {field.encode_name.lower(): field.encode_name for field in _bare(here).fields}
    near = difflib.get_close_matches(unknown.lower()[:64], members, n=1)
    return f"; did you mean {members[near[0]]!r}?" if near else ""


def _bare(info: Any) -> Any:
    """A type's description without what annotations and ``| None`` wrap around it."""
    while not hasattr(info, "fields") and not hasattr(info, "item_type"):
        if isinstance(info, msgspec.inspect.UnionType):
            info = next(t for t in info.types if not isinstance(t, msgspec.inspect.NoneType))
        else:
            info = info.type
    return info
