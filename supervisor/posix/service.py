"""What the one who started us expects: sd_notify, listening sockets, one owner of a directory, standard error."""

from __future__ import annotations

import array
import contextlib
import ctypes
import errno
import fcntl
import grp
import os
import select
import socket
import stat
import sys

from supervisor.posix import paths, remains
from supervisor.posix.rights import Ids, acting_as

_IN_MEMORY = (0x01021994, 0x858458F6)
"""``f_type`` of tmpfs and ramfs, statfs(2)."""
_OURS = ("lock", "logs", "metadata-port", "supervisor.")
"""How the names in a state directory begin."""


def notify(text: str, fd: int | None = None) -> None:
    """Tell the service manager (sd_notify(3)), where there is one. Never blocks, never fails."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        passed = [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
        sock.sendmsg([text.encode()], passed, 0, address)


def lock_directory(directory: str, owner: Ids | None = None) -> int:
    """Own the directory until the descriptor returned is closed. ``BlockingIOError`` has the owner's pid in it.

    It is ``owner``'s afterwards with all that is in it; None is us. ``PermissionError`` where that cannot be.
    """
    to_hand_over = paths.claim(directory, owner, _OURS)
    with acting_as(None if to_hand_over else owner):
        fd = paths.open_file(f"{directory}/lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(fd, 32, 0).decode(errors="replace").strip()
        if not remains.wait_for_lock(fd, holder):
            os.close(fd)
            raise BlockingIOError(errno.EAGAIN, f"pid {holder}" if holder else "another process") from None
    if to_hand_over and owner is not None:
        paths.hand_over(directory, owner)
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd


def is_listening(fd: int) -> bool:
    """Whether the descriptor is a socket that takes connections."""
    try:
        sock = socket.socket(fileno=fd)
    except OSError:
        return False
    try:
        return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    finally:
        sock.detach()


def own_directory(path: str) -> bool:
    """Whether the directory is there, or could be made, and nobody else can put anything into it."""
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def is_in_memory(path: str) -> bool:
    """Whether the directory is, or would be made, in a tmpfs or ramfs: no disk can be full or hang beneath it."""
    while not os.path.lexists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    buffer = ctypes.create_string_buffer(512)
    if ctypes.CDLL(None).statfs(os.fsencode(path), buffer) != 0:
        return False
    return int.from_bytes(buffer.raw[: ctypes.sizeof(ctypes.c_long)], sys.byteorder) in _IN_MEMORY


def listen_unix(path: str, mode: int, group: str | None, owner: Ids | None = None) -> socket.socket:
    """A listening socket at ``path``, open to those that mode and group say. A socket nobody listens on is replaced.

    It is ``owner``'s, and of the owner's group unless another is named; None is us. ``OSError`` EADDRINUSE where
    somebody listens there, or where ``path`` is something else than a socket.
    """
    os.makedirs(os.path.dirname(path) or ".", mode=0o755, exist_ok=True)
    if os.path.lexists(path):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(errno.EADDRINUSE, "is not a socket")
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(path) != errno.ECONNREFUSED and not remains.wait_for_listener(probe):
                raise OSError(errno.EADDRINUSE, "another agent listens there")
        os.unlink(path)
    sock = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)  # nobody gets in between bind and chmod
    try:
        sock.bind(path)
    finally:
        os.umask(before)
    gid = -1 if owner is None else owner.gid
    os.chown(path, -1 if owner is None else owner.uid, gid if group is None else grp.getgrnam(group).gr_gid)
    os.chmod(path, mode)
    sock.listen(1024)
    return sock


def listen_loopback(port_file: str) -> socket.socket:
    """A listening TCP socket on 127.0.0.1, on the port that the file names, so that who was told it finds it again.

    Where there is no such file yet, or the port is taken, the kernel chooses one, and the file has it from then on.
    """
    sock = socket.socket(socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of the life before may linger
    try:
        sock.bind(("127.0.0.1", _read_port(port_file)))
    except OSError:
        sock.bind(("127.0.0.1", 0))
    sock.listen(1024)
    port = sock.getsockname()[1]
    if port == _read_port(port_file):
        return sock
    new = f"{port_file}.new"
    with contextlib.suppress(FileNotFoundError):  # of a life that was broken off, or planted
        os.unlink(new)
    fd = paths.open_file(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(fd, f"{port}\n".encode())
    os.close(fd)
    os.replace(new, port_file)
    return sock


def _read_port(path: str) -> int:
    """0, which lets the kernel choose, where the file holds no port that users may have."""
    try:
        fd = paths.open_file(path, os.O_RDONLY)
    except OSError:
        return 0
    try:
        text = os.read(fd, 16).strip()
    finally:
        os.close(fd)
    return int(text) if text.isdigit() and 1024 <= int(text) <= 65535 else 0


def listen_tcp(host: str, port: int) -> socket.socket:
    """A socket that listens on that address (a literal one); port 0 is one that the kernel chooses."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(1024)
    except OSError:
        sock.close()
        raise
    return sock


class Stderr:
    """Lines to standard error that never make the writer wait: what a full pipe or terminal does not take is dropped.

    Enough of a text stream for a logging library to write to.
    """

    def __init__(self) -> None:
        # A regular file is never full, and two descriptions of one would write over each other.
        self._always = stat.S_ISREG(os.fstat(2).st_mode)
        self._socket: socket.socket | None = None
        self._fd = 2 if self._always else self._own_description()

    def _own_description(self) -> int:
        """O_NONBLOCK on the shared description would change it for everybody; a socket has a flag for each message."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
        with contextlib.suppress(OSError):
            return os.open("/proc/self/fd/2", flags)
        if stat.S_ISSOCK(os.fstat(2).st_mode):  # journald hands out a socket
            self._socket = socket.socket(fileno=os.dup(2))
        return 2  # another user's pipe

    def isatty(self) -> bool:
        """Whether a person reads it as it comes."""
        return os.isatty(2)

    def write(self, text: str) -> int:
        """Write the line, or drop it."""
        data = text.encode(errors="backslashreplace")
        with contextlib.suppress(OSError):
            if self._socket is not None:
                self._socket.send(data, socket.MSG_DONTWAIT)
            elif self._fd != 2 or self._always:
                os.write(self._fd, data)
            elif select.select([], [2], [], 0)[1]:
                os.write(2, data[: select.PIPE_BUF])  # a pipe that is ready takes as much without waiting
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""
