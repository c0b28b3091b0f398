"""The keeper's door: a closed table of what an agent may ask. A missing entry is the refusal."""

from __future__ import annotations

import errno
import re
import signal
from collections.abc import Callable
from typing import Any, Protocol

from supervisor import wire
from supervisor.errors import WireError
from supervisor.keeper.run import Runs
from supervisor.posix import process

_ID = re.compile(r"[0-9a-f]{32}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_MEMORY_MOST = 2**60
"""Bytes."""
_DRIVERS = {"file", "journald", "inherit", "none", "check"}
_PID_MOST = 2**22
"""PID_MAX_LIMIT of the kernel."""
_SIGNALS_MOST = 8
_SECRETS_MOST = 200
_OWED_MOST = 100_000
"""Events that no agent has said to have stored, beyond which one that asks for more runs is no good agent."""
_NOT_TO_ASK_WITH = (signal.SIGKILL, signal.SIGSTOP)


class Host(Protocol):
    """What the verbs need of the loop."""

    runs: Runs
    draining: bool

    @property
    def owed(self) -> int:
        """How many events are kept for an agent to store."""

    def answer_hello(self) -> None:
        """The agent takes events from now on."""

    def answer_list(self) -> None:
        """Send what is held."""

    def answer_describe(self, run_id: str) -> None:
        """Send what that run is."""

    def answer_forget(self, through: int) -> None:
        """Drop events."""

    def answer_pong(self, number: int) -> None:
        """The agent lives."""

    def answer_end(self, status: int) -> None:
        """Drain, and end with that status."""

    def answer_prove(self) -> None:
        """Try the installed version."""

    def answer_reexec(self) -> None:
        """Become the installed version."""


def _hello(host: Host, hello: wire.Hello) -> None:
    if hello.version != wire.VERSION:
        raise WireError(f"cannot speak protocol {hello.version} with an agent; this keeper speaks {wire.VERSION}")
    host.answer_hello()


def _list(host: Host, _: wire.List) -> None:
    host.answer_list()


def _spawn(host: Host, spec: wire.Spawn) -> None:
    if not _ID.fullmatch(spec.run):
        raise WireError("cannot accept Spawn: its run is not an id")
    if host.owed > _OWED_MOST:
        raise WireError(f"cannot accept Spawn: {host.owed} events have not been forgotten")
    sound = (
        _ID.fullmatch(spec.task)
        and _NAME.fullmatch(spec.container)
        and spec.argv
        and spec.log_driver in _DRIVERS
        and "\n" not in spec.log_tag
        and _in_order(spec.stop_signals)
        and spec.stop_scope in ("main", "group")
        and spec.stop_timeout >= 0
        and 0 <= spec.pre_stop_share <= 1
        and (spec.beside is None or _ID.fullmatch(spec.beside))
        and (spec.lifetime is None or (spec.beside is not None and spec.lifetime > 0))
        and len(spec.secrets) <= _SECRETS_MOST
        and (spec.living is None or (0 <= spec.living[0] <= _PID_MOST and spec.living[1] >= 0))
        and all(name in process.RLIMITS for name, _, _ in spec.ulimits)
        and all(size is None or 0 < size <= _MEMORY_MOST for size in _sizes(spec))
        and all(weight is None or 1 <= weight <= 10000 for weight in (spec.cpu_weight, spec.task_cpu_weight))
    )
    if not sound:
        # What is wrong with one request is the end of that run, not of an agent that would only send it again.
        host.runs.refuse(spec, "request", errno.EINVAL, "a member of the request is out of its bounds")
        return
    if host.draining and not (spec.living and spec.living[0]):
        host.runs.refuse(spec, "drain", errno.ESHUTDOWN, "the supervisor is shutting down")
        return
    host.runs.spawn(spec)


def _in_order(signals: list[tuple[int, float]]) -> bool:
    """Whether these can be sent one after the other in the time of one window, the first at its beginning."""
    shares = [share for _, share in signals]
    return (
        1 <= len(signals) <= _SIGNALS_MOST
        and all(1 <= signum <= 64 and signum not in _NOT_TO_ASK_WITH for signum, _ in signals)
        and shares[0] == 0
        and shares == sorted(shares)
        and shares[-1] <= 1
    )


def _sizes(spec: wire.Spawn) -> tuple[int | None, ...]:
    return spec.memory_max, spec.memory_low, spec.task_memory_max, spec.task_memory_low


def _stop(host: Host, stop: wire.Stop) -> None:
    if stop.timeout is not None and stop.timeout < 0:
        raise WireError("cannot accept Stop: timeout is negative")
    host.runs.stop(stop.run, stop.timeout)


def _forget(host: Host, forget: wire.Forget) -> None:
    host.answer_forget(forget.through)


def _pong(host: Host, pong: wire.Pong) -> None:
    host.answer_pong(pong.number)


def _end(host: Host, end: wire.End) -> None:
    if not 0 <= end.status <= 255:
        raise WireError("cannot accept End: its status is none that a process can end with")
    host.answer_end(end.status)


def _describe(host: Host, describe: wire.Describe) -> None:
    host.answer_describe(describe.run)


def _prove(host: Host, _: wire.Prove) -> None:
    host.answer_prove()


def _reexec(host: Host, _: wire.Reexec) -> None:
    host.answer_reexec()


VERBS: dict[type[Any], Callable[[Host, Any], None]] = {
    wire.Hello: _hello,
    wire.List: _list,
    wire.Spawn: _spawn,
    wire.Stop: _stop,
    wire.Forget: _forget,
    wire.Pong: _pong,
    wire.End: _end,
    wire.Describe: _describe,
    wire.Prove: _prove,
    wire.Reexec: _reexec,
}


def handle(host: Host, message: Any) -> None:
    """Carry out one request. ``WireError`` for what is not as agreed: the loop then ends the agent."""
    verb = VERBS.get(type(message))
    if verb is None:
        raise WireError(f"cannot accept {type(message).__name__}: this keeper has no answer to it")
    verb(host, message)
