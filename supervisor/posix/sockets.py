"""What a process's sockets are connected to, from the tables in ``/proc/PID/net``, those of its own network namespace.

A table costs milliseconds however few sockets there are, so each is read only if a socket of its protocol is met, and
serves all processes that are looked at within the next moment.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterator

_FRESH = 0.1
"""Seconds for which a table that was read is good."""
_MOST_BYTES = 4 << 20
"""Of a table: a host with more sockets than that is not read to the end."""
_MOST_DESCRIPTORS = 256
_CONNECTIONS = 8
_ESTABLISHED, _LISTENING = "01", "0A"

_tables: dict[tuple[int, str], tuple[float, dict[str, list[str]]]] = {}


def describe(pid: int, fd: int) -> str:
    """``tcp 10.0.0.1:5432``, ``tcp listening on :80``, ``udp on :53``, ``unix /run/x``; else ``socket``."""
    return _describe(pid, str(fd), _inode(pid, str(fd)) or "") or "socket"


def connections(pid: int) -> list[str]:
    """The remote ends of its established connections, the first few."""
    found: list[str] = []
    for fd in _descriptors(pid):
        inode = _inode(pid, fd)
        table = None if inode is None else _table_name(pid, fd)
        if inode is not None and table in ("tcp", "tcp6"):
            row = _rows(pid, table).get(inode)
            if row is not None and row[3] == _ESTABLISHED:
                found.append(f"tcp {_address(row[2])}")
                if len(found) == _CONNECTIONS:
                    break
    return found


def _descriptors(pid: int) -> Iterator[str]:
    try:
        with os.scandir(f"/proc/{pid}/fd") as entries:
            for _, entry in zip(range(_MOST_DESCRIPTORS), entries, strict=False):
                yield entry.name
    except OSError:
        return


def _inode(pid: int, fd: str) -> str | None:
    try:
        target = os.readlink(f"/proc/{pid}/fd/{fd}")
    except OSError:
        return None
    return target[8:-1] if target.startswith("socket:[") else None


def _table_name(pid: int, fd: str) -> str:
    """The table in which a socket of this protocol is listed. Asked only of a socket: a file's server could hang."""
    try:
        protocol = os.getxattr(f"/proc/{pid}/fd/{fd}", "system.sockprotoname").rstrip(b"\0").decode()
    except OSError:
        return ""
    if protocol.startswith("UNIX"):
        return "unix"
    return {"TCP": "tcp", "TCPv6": "tcp6", "MPTCP": "tcp", "UDP": "udp", "UDPv6": "udp6"}.get(protocol, "")


def _describe(pid: int, fd: str, inode: str) -> str:
    name = _table_name(pid, fd)
    row = _rows(pid, name).get(inode) if name else None
    if name == "unix":
        return f"unix {' '.join(row[7:])}" if row is not None and len(row) > 7 else "unix"
    if row is None:
        return name.removesuffix("6")
    protocol, port = name.removesuffix("6"), f":{int(row[1].rpartition(':')[2], 16)}"
    if row[3] == _LISTENING:
        return f"{protocol} listening on {port}"
    if row[2].endswith(":0000"):
        return f"{protocol} on {port}"
    return f"{protocol} {_address(row[2])}"


def _rows(pid: int, name: str) -> dict[str, list[str]]:
    """The table's rows by inode. The inode is the tenth field of an inet table, the seventh of the unix one."""
    try:
        key = (os.stat(f"/proc/{pid}/ns/net").st_ino, name)
    except OSError:
        return {}
    read_at, rows = _tables.get(key, (0.0, {}))
    if time.monotonic() - read_at > _FRESH or not read_at:
        place = 6 if name == "unix" else 9
        split = (line.split() for line in _read_lines(f"/proc/{pid}/net/{name}"))
        rows = {row[place]: row for row in split if len(row) > place}
        _tables[key] = (time.monotonic(), rows)
    return rows


def _read_lines(path: str) -> list[str]:
    try:
        with open(path, errors="replace") as file:
            return file.read(_MOST_BYTES).splitlines()[1:]
    except OSError:
        return []


def _address(text: str) -> str:
    """``0100007F:1F90`` is 127.0.0.1:8080: words in the byte order of the machine, the port as it is read."""
    words, _, port = text.partition(":")
    raw = b"".join(struct.pack("=I", int(words[at : at + 8], 16)) for at in range(0, len(words), 8))
    if len(raw) == 16 and raw.startswith(b"\0" * 10 + b"\xff\xff"):
        raw = raw[12:]
    if len(raw) == 4:
        return f"{socket.inet_ntop(socket.AF_INET, raw)}:{int(port, 16)}"
    return f"[{socket.inet_ntop(socket.AF_INET6, raw)}]:{int(port, 16)}"
