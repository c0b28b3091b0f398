"""Frames between keeper and agent: bytes in, messages out. A closed list; anything else is refused.

A frame is a header and a JSON object: ``length`` (u32, big-endian, of the body), ``verb`` (u8), body. The length is
checked against the verb's own limit before a byte of the body is kept. Each message is a ``NamedTuple`` whose
annotations are its schema: no member may be missing, unknown or of another type.

Events carry ``seq``; the keeper keeps each until the agent sends ``Forget`` for it, after the commit that stored
it. So an event arrives at least once, and in order.
"""

from __future__ import annotations

import json
import math
import struct
import types
import typing
from collections.abc import Iterator
from typing import Any, NamedTuple

from supervisor.errors import WireError

VERSION = 4
HEADER = struct.Struct(">IB")

_KIB = 1024


def hook_run(run: str) -> str:
    """The run id of the pre-stop command of a run: another one that both sides know, the complement of each digit."""
    return f"{int(run, 16) ^ (1 << 128) - 1:032x}"


def journal_unit(run: str) -> str:
    """The unit that a run's stream to journald names: entries whose senders were gone too soon have it."""
    return f"supervisor-{run}.service"


class Hello(NamedTuple):
    """Agent → keeper: recovered and serving; send me events from now on."""

    version: int


class Spawn(NamedTuple):
    """Agent → keeper: start the main process of one run of a container.

    ``stop_signals``, ``stop_scope`` (main, group) and ``stop_timeout`` (seconds) come along, so that the keeper can
    finish a run whose main process exits while no agent is there to ask. The signals are in their order, each with the
    part of the window (0 to 1) after which it is due; that of the first is 0.

    Six are for cgroups: bytes and weights (1 to 10000) of the run and of its whole task, None for no limit.

    ``pre_stop``: a command to be run when a stop begins, before the first signal, for at most ``pre_stop_share`` of the
    window; it is killed then. Empty: none.

    ``beside``: this is a helper of that run (a health check): it is killed when a stop of that run begins, and that run
    is not empty before it is gone. ``lifetime``: seconds after which it is killed with all that it has started.

    ``secrets``: variables whose values are read from these files when it is started. ``no_new_privileges``: prctl(2).

    ``living``: pid and start time of its main process, which an earlier keeper had started. It is taken up again, and
    never started: where it is gone, ``Exited`` and ``Emptied`` say so.
    """

    run: str
    task: str
    container: str
    argv: list[str]
    environ: dict[str, str]
    cwd: str
    user: str | None
    ulimits: list[tuple[str, int, int]]
    log_driver: str
    log_tag: str
    stop_signals: list[tuple[int, float]]
    stop_scope: str
    stop_timeout: float
    memory_max: int | None = None
    memory_low: int | None = None
    cpu_weight: int | None = None
    task_memory_max: int | None = None
    task_memory_low: int | None = None
    task_cpu_weight: int | None = None
    pre_stop: list[str] = []
    pre_stop_share: float = 0.5
    beside: str | None = None
    lifetime: float | None = None
    secrets: dict[str, str] = {}
    no_new_privileges: bool = False
    living: tuple[int, int] | None = None


class Stop(NamedTuple):
    """Agent → keeper: begin the stop of a run, or bring its deadline forward. ``timeout``: None for the run's own."""

    run: str
    timeout: float | None


class List(NamedTuple):
    """Agent → keeper: what do you hold? Answered by ``Listed``."""


class Forget(NamedTuple):
    """Agent → keeper: every event up to and with ``through`` is stored."""

    through: int


class Describe(NamedTuple):
    """Agent → keeper: the records do not know this run; what is it? Answered by ``Described``, if it is held."""

    run: str


class Pong(NamedTuple):
    """Agent → keeper: the answer to a ``Ping``."""

    number: int


class Prove(NamedTuple):
    """Agent → keeper: could the version that is installed now take over? Answered by ``Proven``."""


class Reexec(NamedTuple):
    """Agent → keeper: become the version that is installed now. Answered by ``Reexecuting``; nothing comes after it."""


class End(NamedTuple):
    """Agent → keeper: what you were started for is over: drain, and end with this status. The first one counts."""

    status: int


class Listed(NamedTuple):
    """Keeper → agent: the runs it holds, and how it follows their processes (``cgroup`` or ``descent``)."""

    version: int
    boot_id: str
    tracking: str
    runs: list[str]


class Described(NamedTuple):
    """Keeper → agent: a run as it was asked for, by an agent whose records are lost."""

    run: str
    task: str
    container: str
    argv: list[str]
    environ: dict[str, str]
    cwd: str
    user: str | None
    stop_timeout: float
    pid: int
    start_time: int
    beside: str | None = None


class Ping(NamedTuple):
    """Keeper → agent: do you still take things in? An agent that does not answer in time is replaced."""

    number: int


class Proven(NamedTuple):
    """Keeper → agent: the version that is installed now, or why it could not take over."""

    version: str | None
    why_not: str


class Reexecuting(NamedTuple):
    """Keeper → agent: the last frame before it becomes the new version; the agent is to do the same."""


class Spawned(NamedTuple):
    """The exec succeeded. ``start_time``: clock ticks since boot, field 22 of ``/proc/PID/stat``.

    Here and below ``at`` is Unix time, and ``clock`` the same instant on the monotonic clock.
    """

    seq: int
    at: float
    run: str
    pid: int
    start_time: int
    clock: float = 0.0


class SpawnFailed(NamedTuple):
    """Fork, or a stage between fork and exec, failed with ``errno``; nothing of the run is left."""

    seq: int
    at: float
    run: str
    stage: str
    errno: int
    detail: str
    clock: float = 0.0


class Signalled(NamedTuple):
    """A signal was sent to the main process or to the whole group. ``deadline``: monotonic instant of the SIGKILL.

    ``pids`` are those that it was sent to, the first 32 of them; ``window`` the seconds that the stop has in all.
    """

    seq: int
    at: float
    run: str
    signum: int
    whom: str
    deadline: float
    pids: list[int]
    window: float
    clock: float = 0.0


class Hastened(NamedTuple):
    """The deadline of a stop under way was brought forward, by a second stop or by a drain."""

    seq: int
    at: float
    run: str
    deadline: float
    window: float
    clock: float = 0.0


class HookStarted(NamedTuple):
    """A stop begins with the pre-stop command of the run: from now on its window runs."""

    seq: int
    at: float
    run: str
    deadline: float
    window: float
    clock: float = 0.0


class HookEnded(NamedTuple):
    """The pre-stop command of a run is over. Without ``code`` and ``signal`` it never started: ``detail`` says why."""

    seq: int
    at: float
    run: str
    code: int | None
    signal: int | None
    detail: str
    clock: float = 0.0


class Looked(NamedTuple):
    """What was left of a run shortly before its deadline; told after the kill, and only if one was needed.

    ``facts``: a JSON list, an object for each process (``diagnosis.Sight``), the first 32 of them; ``seen_at``: when,
    monotonic; ``signums``: the stop signals that had been sent. Where there was no time to look, the list is empty.
    """

    seq: int
    at: float
    run: str
    seen_at: float
    signums: list[int]
    facts: str
    clock: float = 0.0


class Exited(NamedTuple):
    """The main process is over. ``code`` or ``signal`` is set; others of its container may still live.

    Where nobody could tell how it ended, neither is, and ``unknown`` says why.

    ``oom_kills``: how many processes of the run the kernel has killed for want of memory, 0 also if it does not tell.
    """

    seq: int
    at: float
    run: str
    code: int | None
    signal: int | None
    oom_kills: int = 0
    unknown: str = ""
    clock: float = 0.0


class Emptied(NamedTuple):
    """No process of the run is left, and its main process has been reaped."""

    seq: int
    at: float
    run: str
    clock: float = 0.0


class Draining(NamedTuple):
    """The keeper was told to end: stop every task within ``budget`` seconds, then exit."""

    seq: int
    at: float
    budget: float


Request = Hello | Spawn | Stop | List | Forget | Describe | Pong | Prove | Reexec | End
RunEvent = Spawned | SpawnFailed | Signalled | Hastened | HookStarted | HookEnded | Looked | Exited | Emptied
Event = RunEvent | Draining
Message = Request | Event | Listed | Described | Ping | Proven | Reexecuting

_TO_KEEPER: dict[int, tuple[type[Any], int]] = {
    1: (Hello, _KIB),
    2: (List, _KIB),
    3: (Spawn, 4096 * _KIB),
    4: (Stop, _KIB),
    5: (Forget, _KIB),
    6: (Describe, _KIB),
    7: (Pong, _KIB),
    8: (Prove, _KIB),
    9: (Reexec, _KIB),
    10: (End, _KIB),
}
_TO_AGENT: dict[int, tuple[type[Any], int]] = {
    65: (Listed, 16384 * _KIB),
    66: (Spawned, _KIB),
    67: (SpawnFailed, 16 * _KIB),
    68: (Signalled, 4 * _KIB),
    69: (Exited, _KIB),
    70: (Emptied, _KIB),
    71: (Draining, _KIB),
    72: (Hastened, _KIB),
    73: (HookEnded, 16 * _KIB),
    74: (Looked, 512 * _KIB),
    75: (HookStarted, _KIB),
    76: (Described, 4096 * _KIB),
    77: (Ping, _KIB),
    78: (Proven, 16 * _KIB),
    79: (Reexecuting, _KIB),
}
_NUMBERS = {message: number for table in (_TO_KEEPER, _TO_AGENT) for number, (message, _) in table.items()}
_SCHEMAS = {message: typing.get_type_hints(message) for message in _NUMBERS}


def encode(message: Message) -> bytes:
    """The frame of a message. ``WireError`` if it is larger than its verb allows."""
    number = _NUMBERS[type(message)]
    _, limit = (_TO_KEEPER if number in _TO_KEEPER else _TO_AGENT)[number]
    # Near to the size of the request that it comes from: escapes would make six bytes of one.
    body = json.dumps(message._asdict(), separators=(",", ":"), ensure_ascii=False).encode(errors="surrogatepass")
    if len(body) > limit:
        raise WireError(f"cannot send {type(message).__name__}: {len(body)} bytes, at most {limit} are allowed")
    return HEADER.pack(len(body), number) + body


def revive(kind: type[Any], members: dict[str, Any]) -> Any:
    """A message from members that another release may have noted: unknown ones are left out, new ones have defaults.

    ``WireError`` where the rest is not as agreed.
    """
    schema = _SCHEMAS[kind]
    known = {key: value for key, value in members.items() if key in schema}
    try:
        return kind(**{key: _checked(value, schema[key]) for key, value in known.items()})
    except (TypeError, OverflowError):
        raise WireError(f"cannot take up {kind.__name__}: a member is missing or has the wrong type") from None


def number_of(kind: type[Any]) -> int:
    """The verb of a message."""
    return _NUMBERS[kind]


def kind_of(number: int) -> type[Any]:
    """The message of a verb; ``KeyError`` for none."""
    return (_TO_KEEPER | _TO_AGENT)[number][0]


class Decoder:
    """Takes bytes as they come and gives whole messages. Raises ``WireError`` at the first thing not agreed."""

    def __init__(self, table: dict[int, tuple[type[Any], int]]) -> None:
        self._table = table
        self._buffer = bytearray()

    @classmethod
    def at_keeper(cls) -> Decoder:
        """For what agents send."""
        return cls(_TO_KEEPER)

    @classmethod
    def at_agent(cls) -> Decoder:
        """For what keepers send."""
        return cls(_TO_AGENT)

    def feed(self, data: bytes) -> None:
        """Keep bytes that arrived; ``messages`` takes them apart."""
        self._buffer += data

    def messages(self) -> Iterator[Any]:
        """The whole messages so far, each once."""
        while len(self._buffer) >= HEADER.size:
            length, number = HEADER.unpack_from(self._buffer)
            if number not in self._table:
                raise WireError(f"cannot accept verb {number}: not in the table")
            message, limit = self._table[number]
            if length > limit:
                raise WireError(f"cannot accept {message.__name__}: {length} bytes, at most {limit} are allowed")
            end = HEADER.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[HEADER.size : end])
            del self._buffer[:end]
            yield _decode(message, body)


def _decode(message: type[Any], body: bytes) -> Any:
    name = message.__name__
    try:
        members = json.loads(body.decode(errors="surrogatepass"))
    except (ValueError, RecursionError):
        raise WireError(f"cannot accept {name}: not JSON") from None
    schema = _SCHEMAS[message]
    if not isinstance(members, dict) or members.keys() != schema.keys():
        raise WireError(f"cannot accept {name}: its members are {', '.join(schema) or 'none'}")
    try:
        return message(**{key: _checked(members[key], kind) for key, kind in schema.items()})
    except (TypeError, OverflowError):
        raise WireError(f"cannot accept {name}: a member has the wrong type") from None


def _checked(value: Any, kind: Any) -> Any:
    """The value if it is of that kind, else TypeError. An int has 64 bits and is good for a float; a bool is no int."""
    if isinstance(kind, types.UnionType):
        if value is None and type(None) in kind.__args__:
            return None
        return _checked(value, kind.__args__[0])
    origin = typing.get_origin(kind)
    if origin is list and type(value) is list:
        return [_checked(item, kind.__args__[0]) for item in value]
    if origin is tuple and type(value) is list and len(value) == len(kind.__args__):
        return tuple(_checked(item, part) for item, part in zip(value, kind.__args__, strict=True))
    if origin is dict and type(value) is dict:
        return {key: _checked(item, kind.__args__[1]) for key, item in value.items()}
    if kind is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if kind is int and type(value) is int and -(2**63) <= value < 2**63:
        return value
    if kind in (str, bool) and type(value) is kind:
        return value
    raise TypeError(kind)
