"""The keeper with points: around each request, each write to the agent, each fork, signal and reap, each cgroup."""

from __future__ import annotations

import os
import re
from typing import Any

from supervisor import wire
from supervisor.keeper import __main__ as keeper
from supervisor.keeper import child, ledger, verbs
from supervisor.keeper.agent_process import AgentProcess
from supervisor.keeper.ledger import Ledger
from supervisor.posix import cgroup, process, service, strangers
from tests.sweep.points import Points


def main() -> int:
    """As ``python -m supervisor.keeper``."""
    points = Points("keeper")
    points.around(verbs, "handle", lambda _, message: f"request {type(message).__name__}")
    points.around(AgentProcess, "_flush", lambda agent: f"write {_frames(agent._unsent)}")
    points.around(Ledger, "flush", _noted)
    points.around(Ledger, "_replace", "writing the ledger anew")
    points.around(Ledger, "remove", "removing the ledger")
    points.around(process, "fork", "fork")
    points.around(process, "send", lambda _, signum: f"signal {int(signum)}")
    points.around(process, "kill_group", "kill of a process group")
    points.around(process, "kill_child", "kill of a child")
    points.around(process, "reap", "reap")
    points.around(strangers, "kill_group", "kill of a process group")
    points.around(cgroup, "kill", "kill of a cgroup")
    points.around(cgroup, "make", "making a cgroup")
    points.around(cgroup, "remove", "removing a cgroup")
    points.around(service, "notify", lambda text, *_: text)
    _births(points)
    return keeper.main()


def _noted(notes: Ledger) -> str:
    """The keys of the lines that are written."""
    lines = bytes(notes._unwritten).splitlines()
    keys = [line.partition(b"\t")[0].decode() + ("" if b"\t" in line else " gone") for line in lines]
    return f"noting {', '.join(re.sub('[0-9a-f]{32} ?', '', key).strip() for key in keys)}" if keys else ""


def _births(points: Points) -> None:
    for owner, name in (
        (os, "setsid"),
        (cgroup, "enter"),
        (child, "_open_streams"),
        (child, "_limit"),
        (process, "change_user"),
        (process, "reset_signals"),
        (ledger, "note_exec"),
        (process, "die_with_parent"),
        (process, "execute"),
    ):
        points.around(owner, name, name.strip("_"), in_child=True)


def _frames(data: bytearray) -> str:
    """The names of the frames in it."""
    names: list[Any] = []
    offset = 0
    while offset + wire.HEADER.size <= len(data):
        length, number = wire.HEADER.unpack_from(data, offset)
        names.append(wire._TO_AGENT[number][0].__name__ if number in wire._TO_AGENT else "the rest of a frame")
        offset += wire.HEADER.size + length
    return ", ".join(names)
