"""A log line as an entry of the journal."""

from __future__ import annotations

import struct

from supervisor.keeper import fd_store
from supervisor.posix.journal import entry


def fields(datagram: bytes) -> dict[str, bytes]:
    """As journald reads it."""
    found = {}
    while datagram:
        line, _, datagram = datagram.partition(b"\n")
        name, is_short, value = line.partition(b"=")
        if not is_short:
            (size,) = struct.unpack_from("<Q", datagram)
            value, end, datagram = datagram[8 : 8 + size], datagram[8 + size : 9 + size], datagram[9 + size :]
            assert end == b"\n"
        found[name.decode()] = value
    return found


def test_the_facts_are_fields_and_the_message_is_for_people() -> None:
    line = {"event": "container_stopped", "task": "71af", "exit_code": 7, "left": [{"pid": 1}], "level": "warning"}
    assert fields(entry(line)) == {
        "MESSAGE": b'container_stopped task=71af exit_code=7 left=[{"pid": 1}]',
        "PRIORITY": b"4",
        "SYSLOG_IDENTIFIER": b"supervisor",
        "SUPERVISOR_EVENT": b"container_stopped",
        "SUPERVISOR_TASK": b"71af",
        "SUPERVISOR_EXIT_CODE": b"7",
        "SUPERVISOR_LEFT": b'[{"pid": 1}]',
    }


def test_no_text_passes_for_a_field_or_for_a_line_of_ours() -> None:
    found = fields(entry({"event": "stop_requested", "reason": "a\n_PID=1\nMESSAGE=b", "od d=é\n": "x"}))
    assert found["SUPERVISOR_REASON"] == b"a\n_PID=1\nMESSAGE=b"
    assert found["SUPERVISOR_OD_D___"] == b"x"
    assert b"\n" not in found["MESSAGE"].replace(b"od d=\xc3\xa9\n=", b"")
    assert set(found) == {
        "MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "SUPERVISOR_EVENT", "SUPERVISOR_REASON", "SUPERVISOR_OD_D___",
    }  # fmt: skip


def test_kept_pidfds_are_found_by_their_names_and_nothing_else_is() -> None:
    run = "0123456789abcdef" * 2
    names = ["api", f"run-{run}", f"run-{run}x", "unknown", "run-0", f"run-{run[::-1]}"]
    assert fd_store.find(names, 3) == {run: 4, run[::-1]: 8}
