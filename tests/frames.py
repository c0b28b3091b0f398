"""Frames that no agent of ours sends, drawn from a seed, and what a keeper must make of them.

``verdict`` is the other side of the test: what the decoder and the table of verbs make of the same bytes, without a
keeper. That these are right is for the unit tests of both; here it is known what a keeper may do, and what not.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any, NamedTuple
from unittest.mock import Mock

from supervisor import wire
from supervisor.errors import WireError
from supervisor.keeper import verbs

STRANGE: list[Any] = [
    *(None, True, False, 0, -1, 1, 64, 65, 2**31, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**400),
    *(0.0, -0.0, -0.5, 1.5, 1e308, -1e308, 5e-324, float("nan"), float("inf"), -float("inf")),
    *("", "/", "..", "\0", "\n", "a\0b", "é", "\ud800", "\udcff", "\U0010ffff", "A" * 300, "A" * 70_000),
    *([], [[]], [None], ["", ""], [0], [[15, 0.0]], [[15, 0.0], [9, 1.0]], [["nofile", 2**63, 0]], list(range(2000))),
    *({}, {"": ""}, {"A": None}, {"A=B": "\0"}, {"run": {"run": {}}}),
]
NO_JSON = [
    *(b"", b"{", b"{]", b"\xff\xfe{}", b"\xef\xbb\xbf{}", b"{}{}", b"{} x", b"{'a':1}", b'{"run":"\n"}', b"nul", b"-"),
    *(b"[" * 900, b'{"a":' * 150, b'{"run":1e}', b"1" * 900, b'"\\ud800"', b'"\\u12"', "{}".encode("utf-16")),
]
VERBS = sorted(wire._TO_KEEPER)


class Frames:
    """An endless supply. ``messages``: what is damaged, sound as it is."""

    def __init__(self, rng: random.Random, messages: Callable[[], wire.Message]) -> None:
        self._rng = rng
        self._messages = messages
        self._ways = [self._noise, self._header, self._body, self._members, self._member, self._member, self._bits]

    def draw(self) -> bytes:
        """One frame, or what may pass for a part of one."""
        data = self._rng.choice(self._ways)()
        return data[: self._rng.randrange(len(data) + 1)] if self._rng.random() < 0.1 else data

    def _noise(self) -> bytes:
        return self._rng.randbytes(self._rng.choice([1, 4, 5, 6, 40, 400]))

    def _header(self) -> bytes:
        """A length that is not so, or a verb that is not there."""
        length = self._rng.choice([0, 1, 2, 3, 1023, 1024, 1025, 4096 * 1024, 4096 * 1024 + 1, 2**31, 2**32 - 1])
        verb = self._rng.choice([*VERBS, 0, 64, *range(65, 80), 255])
        return wire.HEADER.pack(length, verb) + self._rng.choice([b"", b"{}", b"{" * 1024])

    def _body(self) -> bytes:
        body = self._rng.choice([*NO_JSON, self._rng.randbytes(30), json.dumps(self._rng.choice(STRANGE)).encode()])
        return wire.HEADER.pack(len(body), self._rng.choice(VERBS)) + body

    def _members(self) -> bytes:
        """One too many, one too few, or another name for one."""
        message = self._messages()
        members = message._asdict()
        name = self._rng.choice([*members, "seq"])
        value = members.pop(name, 1)
        if self._rng.random() < 0.5:
            members[self._rng.choice([name + " ", name.upper(), "", "__class__", "seq"])] = value
        return frame(message, members)

    def _member(self) -> bytes:
        """Something in it, at any depth, is something else."""
        message = self._messages()
        return frame(message, self._changed(message._asdict()))

    def _changed(self, value: Any) -> Any:
        if not isinstance(value, dict | list | tuple) or not value or self._rng.random() < 0.1:
            return self._rng.choice(STRANGE)
        if isinstance(value, dict):
            key = self._rng.choice(list(value))
            return {**value, key: self._changed(value[key])}
        at = self._rng.randrange(len(value))
        return [*value[:at], self._changed(value[at]), *value[at + 1 :]]

    def _bits(self) -> bytes:
        data = bytearray(wire.encode(self._messages()))
        for _ in range(self._rng.randint(1, 4)):
            data[self._rng.randrange(len(data))] ^= 1 << self._rng.randrange(8)
        return bytes(data)


def frame(message: wire.Message, members: Any) -> bytes:
    """A frame of the message's verb with other members."""
    body = json.dumps(members, separators=(",", ":")).encode()
    return wire.HEADER.pack(len(body), wire._NUMBERS[type(message)]) + body


class Verdict(NamedTuple):
    """What a keeper that is not draining is to make of some bytes."""

    messages: list[Any]
    """Those that are to be carried out."""
    refused: bool
    """Something in it is the end of the agent."""
    rest: bool
    """The end of the last frame has not come."""


def verdict(data: bytes) -> Verdict:
    """What becomes of these bytes at the beginning of a link."""
    decoder = wire.Decoder.at_keeper()
    decoder.feed(data)
    good: list[Any] = []
    try:
        for message in decoder.messages():
            verbs.handle(Mock(draining=False, owed=0), message)
            good.append(message)
    except WireError:
        return Verdict(good, True, False)
    return Verdict(good, False, bool(decoder._buffer))
