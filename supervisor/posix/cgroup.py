"""The cgroup v2 tree: where we may make groups, and what is in them."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from supervisor.posix import process


def own() -> str | None:
    """The directory of our own cgroup in the unified hierarchy, or None where none is mounted."""
    return of(os.getpid())


@functools.cache
def _mount() -> str | None:
    with open("/proc/self/mountinfo") as file:
        for line in file:
            left, _, right = line.partition(" - ")
            if right.startswith("cgroup2 "):
                return left.split()[4].replace("\\040", " ")
    return None


def why_unusable(directory: str) -> str | None:
    """None if we can make groups under ``directory``, move processes there and kill them whole; else the reason."""
    probe = f"{directory}/supervisor-probe-{os.getpid()}"
    try:
        os.mkdir(probe)
    except OSError as exc:
        return f"cannot make a cgroup in {directory}: {exc.strerror}"
    try:
        if not os.path.exists(f"{probe}/cgroup.kill"):
            return "the kernel has no cgroup.kill (Linux 5.14 and later have it)"
        # Moving a process needs rights to the group that it comes from as well, and fails below a threaded group.
        if not process.succeeds(functools.partial(enter, probe)):
            return f"cannot move a process to a cgroup in {directory}"
        return None
    finally:
        os.rmdir(probe)


def make(directory: str) -> None:
    """Make the group, and those above it."""
    os.makedirs(directory, exist_ok=True)


def enter(directory: str) -> None:
    """Move the calling process into the group; its children will be born there."""
    fd = os.open(f"{directory}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
    os.write(fd, b"0")
    os.close(fd)


def move(directory: str, pid: int) -> None:
    """Move another process into the group; ``OSError`` ESRCH where it is gone."""
    _write(f"{directory}/cgroup.procs", str(pid).encode())


def controllers(directory: str) -> frozenset[str]:
    """What the group could hand on to groups in it."""
    return frozenset((read(directory, "cgroup.controllers") or "").split())


def hand_on(directory: str, names: AbstractSet[str]) -> None:
    """Let the groups in this one be limited by these controllers. ``OSError`` EBUSY where processes are in it."""
    _write(f"{directory}/cgroup.subtree_control", " ".join(f"+{name}" for name in sorted(names)).encode())


def take_back(directory: str, names: AbstractSet[str]) -> None:
    """The contrary of ``hand_on``; what was not handed on is let be."""
    handed = names & frozenset((read(directory, "cgroup.subtree_control") or "").split())
    if handed:
        _write(f"{directory}/cgroup.subtree_control", " ".join(f"-{name}" for name in sorted(handed)).encode())


def members(directory: str) -> list[int]:
    """The processes in the group itself, and in none below it."""
    return [int(pid) for pid in (read(directory, "cgroup.procs") or "").split()]


def limit(directory: str, name: str, value: int | str) -> None:
    """Write a limit into the group's file of that name."""
    _write(f"{directory}/{name}", str(value).encode())


def open_events(directory: str) -> int:
    """A descriptor of ``cgroup.events``: epoll tells a change of it as EPOLLPRI."""
    return os.open(f"{directory}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)


def read_events(fd: int) -> tuple[bool, bool]:
    """Whether a live process is in the group or below it, and whether it is frozen. Zombies do not count as live."""
    try:
        text = os.pread(fd, 256, 0)
    except OSError as exc:
        if exc.errno == errno.ENODEV:  # the group itself is gone
            return False, False
        raise
    return b"populated 1" in text, b"frozen 1" in text


def pids(directory: str) -> list[int]:
    """The processes in the group and in those that its own processes made below it; zombies among them."""
    found: list[int] = []
    for group in _groups(directory):
        found += members(group)
    return found


def of(pid: int) -> str | None:
    """The directory of the process's group; None where it has none, is gone, or no unified hierarchy is mounted."""
    try:
        with open(f"/proc/{pid}/cgroup") as file:
            path = next((line[3:].rstrip("\n") for line in file if line.startswith("0::")), None)
    except OSError:
        return None
    mount = _mount()
    return None if path is None or mount is None else os.path.normpath(f"{mount}/{path}")


def contains(directory: str, pid: int) -> bool:
    """Whether the process is in the group or below it."""
    return f"{of(pid)}/".startswith(f"{directory}/")


def read(directory: str, name: str) -> str | None:
    """What the group's file of that name says; None where the controller that it belongs to is not enabled."""
    try:
        with open(f"{directory}/{name}") as file:
            return file.read().strip()
    except OSError:
        return None


def read_table(directory: str, name: str) -> dict[str, int]:
    """A file of keys and numbers, one pair a line; empty where there is no such file."""
    pairs = (line.split() for line in (read(directory, name) or "").splitlines())
    return {key: int(number) for key, number in pairs}


def kill(directory: str) -> None:
    """SIGKILL for everything in the group and below it, at once: no fork escapes it."""
    _write(f"{directory}/cgroup.kill", b"1")


def thaw(directory: str) -> None:
    """Let a frozen group run, so that it can act on a signal."""
    for group in _groups(directory):
        with contextlib.suppress(OSError):
            _write(f"{group}/cgroup.freeze", b"0")


def remove(directory: str) -> None:
    """Remove the group and those below it. Left alone where something is still in it."""
    for group in reversed(list(_groups(directory))):
        with contextlib.suppress(OSError):
            os.rmdir(group)


def remove_if_empty(directory: str) -> None:
    """Remove the group unless another one, or a process, is in it."""
    with contextlib.suppress(OSError):
        os.rmdir(directory)


def _groups(directory: str) -> Iterator[str]:
    return (path for path, _, _ in os.walk(directory))


def _write(path: str, text: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text)
    finally:
        os.close(fd)
