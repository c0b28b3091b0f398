"""Pages of a list: how many items a reply holds, and the ``nextToken`` that says where it ended.

A token is a position, not the name of something: it stays good when what stood there is gone, and what comes in
between is neither repeated nor a reason to miss anything.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, TypeVar

import msgspec

from supervisor.errors import InvalidParameterError

MAX_LISTED = 100
"""Items in one reply."""

T = TypeVar("T")


def check_max_results(max_results: int | None) -> int:
    """1 to 100, or absent."""
    count = MAX_LISTED if max_results is None else max_results
    if not 1 <= count <= MAX_LISTED:
        raise InvalidParameterError(f"maxResults: expected 1 to {MAX_LISTED}, got {count}")
    return count


def write_token(position: Any) -> str:
    """The token of a position: base64 of its JSON, with nothing in it that a shell would touch."""
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def read_token(token: str | None, kind: type[T]) -> T | None:
    """The position in a token, None where there is no token; ``InvalidParameterError`` for one of another list."""
    if not token:
        return None
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(token.encode() + b"=" * (-len(token) % 4)), type=kind)
    except (binascii.Error, msgspec.DecodeError, ValueError, RecursionError):
        raise InvalidParameterError(
            "nextToken: not from a reply of this operation; leave it out to begin again"
        ) from None


def one_page(positions: list[T], count: int) -> tuple[list[T], dict[str, str]]:
    """The first ``count`` of ``count + 1`` positions asked for, and the ``nextToken`` if there are more."""
    page = positions[:count]
    return page, {"nextToken": write_token(page[-1])} if len(positions) > count else {}
