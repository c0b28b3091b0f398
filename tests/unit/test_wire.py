"""Frames: what is agreed passes in any pieces, and nothing else passes."""

from __future__ import annotations

import contextlib
import itertools
import json
import typing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor import wire
from supervisor.errors import WireError
from supervisor.wire import HEADER, Decoder

TO_KEEPER = typing.get_args(wire.Request)
TO_AGENT = (*typing.get_args(wire.Event), wire.Listed, wire.Described, wire.Ping, wire.Proven, wire.Reexecuting)

# As the kernel gives a name that is not UTF-8: each odd byte as a lone surrogate.
TEXT = st.text(
    st.characters() | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF, categories=["Cs"]), max_size=8
)
INTS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    int: INTS,
    float: FLOATS,
    str: TEXT,
    bool: st.booleans(),
    int | None: st.none() | INTS,
    float | None: st.none() | FLOATS,
    str | None: st.none() | TEXT,
    tuple[int, int] | None: st.none() | st.tuples(INTS, INTS),
    list[str]: st.lists(TEXT, max_size=5),
    list[int]: st.lists(INTS, max_size=32),
    list[tuple[int, float]]: st.lists(st.tuples(INTS, FLOATS), max_size=3),
    dict[str, str]: st.dictionaries(TEXT, TEXT, max_size=5),
    list[tuple[str, int, int]]: st.lists(st.tuples(TEXT, INTS, INTS), max_size=3),
}
NAN, INFINITE, HUGE = float("nan"), float("inf"), 10**400
NOT_INTS = [True, False, 1.5, 1.0, "1", [], {}, 2**63, -(2**63) - 1, HUGE]
NOT_FLOATS = [True, "1", [], {}, NAN, INFINITE, -INFINITE, HUGE]
NOT_TEXTS = [1, True, [], {}, ["a"]]
WRONG: dict[Any, list[Any]] = {
    int: [None, *NOT_INTS],
    float: [None, *NOT_FLOATS],
    str: [None, *NOT_TEXTS],
    bool: [None, 0, 1, "true", [], {}],
    tuple[int, int] | None: [1, {}, [], [1], [1, 2, 3], [1, None], [True, 1], ["1", 2]],
    int | None: NOT_INTS,
    float | None: NOT_FLOATS,
    str | None: NOT_TEXTS,
    list[str]: [None, "ab", {}, [1], ["a", None]],
    list[int]: [None, 1, {}, [True], ["1"], [2**63]],
    list[tuple[int, float]]: [None, {}, [15], [[15]], [[15, 0.0, 1]], [[15, None]], [[1.5, 0.0]], [[15, NAN]]],
    dict[str, str]: [None, "ab", [], {"A": 1}, {"A": None}],
    list[tuple[str, int, int]]: [None, {}, ["abc"], [["a", 1]], [["a", 1, 1, 1]], [["a", 1, True]], [[1, 1, 1]]],
}


def members(kind: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def messages(kinds: tuple[type[Any], ...]) -> st.SearchStrategy[Any]:
    return st.one_of(
        [st.builds(kind, **{name: VALUES[hint] for name, hint in members(kind).items()}) for kind in kinds]
    )


EXAMPLES: dict[type[Any], Any] = {
    wire.Hello: wire.Hello(1),
    wire.List: wire.List(),
    wire.Spawn: wire.Spawn(
        run="r",
        task="t",
        container="c",
        argv=["sh", "-c", "é"],
        environ={"A": "b"},
        cwd="/",
        user=None,
        ulimits=[("nofile", 1, -1)],
        log_driver="none",
        log_tag="",
        stop_signals=[(15, 0.0), (2, 0.8)],
        stop_scope="main",
        stop_timeout=30.0,
        pre_stop=["drain"],
        pre_stop_share=0.25,
        beside="s",
        lifetime=5.0,
        secrets={"PASSWORD": "/etc/secret"},
        no_new_privileges=True,
        living=(42, 77),
    ),
    wire.Stop: wire.Stop("r", None),
    wire.Forget: wire.Forget(7),
    wire.Describe: wire.Describe("r"),
    wire.Pong: wire.Pong(7),
    wire.Prove: wire.Prove(),
    wire.Reexec: wire.Reexec(),
    wire.End: wire.End(143),
    wire.Described: wire.Described("r", "t", "c", ["sh"], {"A": "b"}, "/", None, 30.0, 42, 77),
    wire.Ping: wire.Ping(7),
    wire.Proven: wire.Proven("1.0", ""),
    wire.Reexecuting: wire.Reexecuting(),
    wire.Listed: wire.Listed(1, "boot", "cgroup", ["r"]),
    wire.Spawned: wire.Spawned(1, 2.5, "r", 42, 77),
    wire.SpawnFailed: wire.SpawnFailed(1, 2.5, "r", "exec", 2, "no such file"),
    wire.Signalled: wire.Signalled(1, 2.5, "r", 9, "group", 30.5, [42, 43], 30.0),
    wire.Hastened: wire.Hastened(1, 2.5, "r", 30.5, 30.0),
    wire.HookStarted: wire.HookStarted(1, 2.5, "r", 30.5, 30.0, 7.25),
    wire.HookEnded: wire.HookEnded(1, 2.5, "r", None, None, "exec: no such file", 7.25),
    wire.Looked: wire.Looked(1, 2.5, "r", 30.25, [15, 2], '[{"pid":42}]', 30.5),
    wire.Exited: wire.Exited(1, 2.5, "r", 0, None),
    wire.Emptied: wire.Emptied(1, 2.5, "r"),
    wire.Draining: wire.Draining(1, 2.5, 90.0),
}
NUMBERS = {kind: HEADER.unpack_from(wire.encode(message))[1] for kind, message in EXAMPLES.items()}


def decoder_of(kind: type[Any]) -> Decoder:
    return Decoder.at_keeper() if kind in TO_KEEPER else Decoder.at_agent()


def frame(kind: type[Any], body: bytes) -> bytes:
    return HEADER.pack(len(body), NUMBERS[kind]) + body


def decode(kind: type[Any], data: bytes) -> list[Any]:
    decoder = decoder_of(kind)
    decoder.feed(data)
    return list(decoder.messages())


def test_the_examples_are_whole() -> None:
    assert set(EXAMPLES) == {*TO_KEEPER, *TO_AGENT}
    assert set(wire._TO_KEEPER) == {NUMBERS[kind] for kind in TO_KEEPER}
    assert set(wire._TO_AGENT) == {NUMBERS[kind] for kind in TO_AGENT}


@given(messages(TO_KEEPER))
def test_requests_come_as_they_went(message: Any) -> None:
    (come,) = decode(type(message), wire.encode(message))
    assert (type(come), come) == (type(message), message)


@given(messages(TO_AGENT))
def test_events_come_as_they_went(message: Any) -> None:
    (come,) = decode(type(message), wire.encode(message))
    assert (type(come), come) == (type(message), message)


@pytest.mark.parametrize("kinds", [TO_KEEPER, TO_AGENT], ids=["to keeper", "to agent"])
def test_frames_may_be_cut_anywhere(kinds: tuple[type[Any], ...]) -> None:
    sent = [EXAMPLES[kind] for kind in kinds]
    stream = b"".join(map(wire.encode, sent))
    for cut in range(len(stream) + 1):
        decoder, come = decoder_of(kinds[0]), []
        for part in (stream[:cut], stream[cut:]):
            decoder.feed(part)
            come += list(decoder.messages())
        assert come == sent


def test_frames_may_come_byte_by_byte() -> None:
    decoder, come = Decoder.at_keeper(), []
    for byte in b"".join(wire.encode(EXAMPLES[kind]) for kind in TO_KEEPER):
        decoder.feed(bytes([byte]))
        come += list(decoder.messages())
    assert come == [EXAMPLES[kind] for kind in TO_KEEPER]


@given(st.lists(messages(TO_AGENT), max_size=4), st.lists(st.integers(0, 400), max_size=6))
def test_frames_may_be_cut_into_any_pieces(sent: list[Any], cuts: list[int]) -> None:
    stream = b"".join(map(wire.encode, sent))
    decoder, come = Decoder.at_agent(), []
    for start, end in itertools.pairwise([0, *sorted(cuts), len(stream) + 400]):
        decoder.feed(stream[start:end])
        come += list(decoder.messages())
    assert come == sent


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_the_limit_is_checked_before_the_body_arrives(kind: type[Any]) -> None:
    limit = {**wire._TO_KEEPER, **wire._TO_AGENT}[NUMBERS[kind]][1]
    decoder = decoder_of(kind)
    decoder.feed(HEADER.pack(limit + 1, NUMBERS[kind]))
    with pytest.raises(WireError, match=f"^cannot accept {kind.__name__}: {limit + 1} bytes, at most {limit} are"):
        list(decoder.messages())
    body = json.dumps(EXAMPLES[kind]._asdict()).encode()
    assert decode(kind, frame(kind, body.ljust(limit))) == [EXAMPLES[kind]], "the limit itself is within it"


def test_every_verb_has_a_limit_of_its_own() -> None:
    kib = 1024
    limits = {kind.__name__: limit for kind, limit in [*wire._TO_KEEPER.values(), *wire._TO_AGENT.values()]}
    large = {"Spawn": 4096 * kib, "Listed": 16384 * kib, "SpawnFailed": 16 * kib, "Signalled": 4 * kib}
    large |= {"HookEnded": 16 * kib, "Looked": 512 * kib, "Described": 4096 * kib, "Proven": 16 * kib}
    assert limits == dict.fromkeys(limits, kib) | large


def test_too_much_is_not_sent() -> None:
    with pytest.raises(WireError, match=r"^cannot send Stop: \d+ bytes, at most 1024 are allowed$"):
        wire.encode(wire.Stop("r" * 1024, None))


@pytest.mark.parametrize("number", [0, 11, 64, 80, 255])
@pytest.mark.parametrize("make", [Decoder.at_keeper, Decoder.at_agent])
def test_an_unknown_verb(make: Any, number: int) -> None:
    decoder = make()
    decoder.feed(HEADER.pack(2, number))
    with pytest.raises(WireError, match=f"^cannot accept verb {number}: not in the table$"):
        list(decoder.messages())


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_a_verb_of_the_other_side(kind: type[Any]) -> None:
    decoder = Decoder.at_agent() if kind in TO_KEEPER else Decoder.at_keeper()
    decoder.feed(wire.encode(EXAMPLES[kind]))
    with pytest.raises(WireError, match="not in the table"):
        list(decoder.messages())


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"run":"r","timeout":null}}', b"\xff", b'{"run":"\xff"}', b"'", b"[" * 900_000]
)
def test_not_json(body: bytes) -> None:
    with pytest.raises(WireError, match=r"^cannot accept Spawn: not JSON$"):
        decode(wire.Spawn, frame(wire.Spawn, body))


@pytest.mark.parametrize("body", [b"null", b"[]", b'"r"', b"1", b'["run", "timeout"]'])
def test_not_an_object(body: bytes) -> None:
    with pytest.raises(WireError, match=r"^cannot accept Stop: its members are run, timeout$"):
        decode(wire.Stop, frame(wire.Stop, body))


@pytest.mark.parametrize(
    ("kind", "member"),
    [(kind, member) for kind in EXAMPLES for member in members(kind)],
    ids=lambda part: part if isinstance(part, str) else part.__name__,
)
def test_every_member_is_needed_and_typed(kind: type[Any], member: str) -> None:
    whole = EXAMPLES[kind]._asdict()
    without = {name: value for name, value in whole.items() if name != member}
    renamed = {**without, member.upper(): whole[member]}
    for body in (without, renamed):
        with pytest.raises(WireError, match=f"^cannot accept {kind.__name__}: its members are .*{member}"):
            decode(kind, frame(kind, json.dumps(body).encode()))
    for value in WRONG[members(kind)[member]]:
        with pytest.raises(WireError, match=f"^cannot accept {kind.__name__}: a member has the wrong type$"):
            decode(kind, frame(kind, json.dumps({**whole, member: value}).encode()))


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_a_member_too_many(kind: type[Any]) -> None:
    body = json.dumps({**EXAMPLES[kind]._asdict(), "extra": 1}).encode()
    with pytest.raises(WireError, match=f"^cannot accept {kind.__name__}: its members are "):
        decode(kind, frame(kind, body))


def test_an_int_is_good_for_a_float() -> None:
    (stop,) = decode(wire.Stop, frame(wire.Stop, b'{"run":"r","timeout":5}'))
    assert (stop, type(stop.timeout)) == (wire.Stop("r", 5.0), float)


def test_what_came_before_the_refusal_is_given() -> None:
    decoder = Decoder.at_keeper()
    decoder.feed(wire.encode(wire.Forget(1)) + HEADER.pack(0, 99))
    messages = decoder.messages()
    assert next(messages) == wire.Forget(1)
    with pytest.raises(WireError):
        next(messages)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)
FRAMES = st.builds(
    lambda number, body: HEADER.pack(len(body), number) + body,
    st.sampled_from([*wire._TO_KEEPER, *wire._TO_AGENT, 0, 200]),
    st.binary(max_size=20) | JSON.map(lambda value: json.dumps(value).encode()),
)


def survive(data: bytes) -> None:
    for decoder in (Decoder.at_keeper(), Decoder.at_agent()):
        decoder.feed(data)
        with contextlib.suppress(WireError):
            for message in decoder.messages():
                assert type(message) in EXAMPLES


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    survive(data)


@given(st.lists(FRAMES, max_size=4).map(b"".join))
def test_any_frames_are_decoded_or_refused(data: bytes) -> None:
    survive(data)


@given(st.sampled_from(list(EXAMPLES)), st.data())
def test_any_members_are_decoded_or_refused(kind: type[Any], data: st.DataObject) -> None:
    body = {name: data.draw(JSON | st.just(getattr(EXAMPLES[kind], name))) for name in members(kind)}
    survive(frame(kind, json.dumps(body).encode()))
