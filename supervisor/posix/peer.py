"""Who is at the other end of a socket, as the kernel knows it."""

from __future__ import annotations

import array
import os
import pwd
import socket
import struct
from typing import NamedTuple

_SO_PEERGROUPS = 59
_MAX_GROUPS = 1024 // 4
"""Python reads at most 1024 bytes of a socket option, and a group takes 4."""


class Peer(NamedTuple):
    """The process that connected, and whose it was then."""

    pid: int
    uid: int
    groups: frozenset[int]
    """Its group and the supplementary ones."""


def of(sock: socket.socket) -> Peer:
    """The peer of a connected unix socket."""
    pid, uid, gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return Peer(pid, uid, frozenset({gid, *_supplementary(sock, uid, gid)}))


def _supplementary(sock: socket.socket, uid: int, gid: int) -> list[int]:
    try:
        data = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * _MAX_GROUPS)
    except (
        OSError
    ):  # ERANGE: more than Python can read. Those of the user database; /proc/PID could be another's by now.
        try:
            return os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)
        except KeyError:
            return []
    return array.array("I", data).tolist()


def name(host: str, port: int) -> str:
    """A TCP address as it is written: ``127.0.0.1:51680``, ``[::1]:51680``."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
