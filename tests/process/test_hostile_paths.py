"""What a hostile agent plants where the keeper writes logs and reads secrets leads the keeper nowhere else."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from supervisor import wire
from supervisor.posix import process
from tests.process.conftest import StartKeeper, whatever_the_tracking
from tests.process.harness import Keeper
from tests.process.hostile import Place, hostile, place, refused
from tests.separate import AGENT

__all__ = ["hostile", "place"]

pytestmark = pytest.mark.process

PRECIOUS = "precious\n"


def _victim(place: Place) -> Path:
    """A file and a directory of root's."""
    directory = place.root / "roots"
    directory.mkdir(mode=0o755)
    victim = directory / "main.log"
    victim.write_text(PRECIOUS)
    victim.chmod(0o644)
    return victim


def _device(path: Path, _: Path) -> None:
    os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))


def _socket(path: Path, _: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
    path.chmod(0o777)


PLANTED: dict[str, Callable[[Path, Path], object]] = {
    "a symbolic link": lambda path, victim: path.symlink_to(victim),
    "a dangling link": lambda path, victim: path.symlink_to(victim.parent / "new"),
    "a hard link": lambda path, victim: path.hardlink_to(victim),
    "a FIFO": lambda path, _: os.mkfifo(path, 0o666),
    "a directory": lambda path, _: path.mkdir(),
    "a device": _device,
    "a socket": _socket,
}


@whatever_the_tracking
@pytest.mark.parametrize("driver", ["file", "check"])
def test_what_is_planted_for_a_log_is_not_written_to(hostile: Keeper, place: Place, driver: str) -> None:
    victim = _victim(place)
    beside = hostile.start("/bin/sleep", "1000", user="nobody", timeout=0.0)
    hostile.wait(wire.Spawned, beside)
    task = hostile.spec("/bin/true").task if driver == "file" else _task_of(hostile, place)
    members: dict[str, Any] = {"task": task, "log_driver": driver}
    if driver == "check":
        members |= {"beside": beside, "lifetime": 5.0}
    for name, plant in PLANTED.items():
        container = "c" + name.replace(" ", "-")
        path = place.state / "logs" / task / f"{container}.{'log' if driver == 'file' else 'check'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        plant(path, victim)
        os.chown(path, process.find_user(AGENT).uid, -1, follow_symlinks=False) if name != "a hard link" else None
        before = sorted(victim.parent.iterdir())
        failed = refused(hostile, "log", "says.py", container=container, **members)
        assert failed.detail.endswith(f"{container}.{path.suffix[1:]}'"), name
        assert victim.read_text() == PRECIOUS, name
        assert sorted(victim.parent.iterdir()) == before, name


def _task_of(_: Keeper, place: Place) -> str:
    """The one whose directory of logs is there."""
    (directory,) = (place.state / "logs").iterdir()
    return directory.name


@whatever_the_tracking
def test_a_fifo_that_somebody_reads_is_not_written_to_either(hostile: Keeper, place: Place) -> None:
    spec = hostile.spec("says.py", user="nobody")
    path = place.state / "logs" / spec.task / "main.log"
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    path.chmod(0o666)
    try:
        hostile.send(spec)
        assert hostile.wait(wire.SpawnFailed, spec.run).stage == "log"
        assert os.read(reader, 100) == b""
    finally:
        os.close(reader)


@whatever_the_tracking
@pytest.mark.parametrize("level", ["logs", "task"])
def test_a_directory_on_the_way_to_a_log_is_no_link(hostile: Keeper, place: Place, level: str) -> None:
    victim = _victim(place)
    victim.parent.chmod(0o777)  # the agent may write there: it is the way that is refused
    spec = hostile.spec("says.py", user="nobody")
    path = place.state / "logs" if level == "logs" else place.state / "logs" / spec.task
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(victim.parent)
    hostile.send(spec)
    failed = hostile.wait(wire.SpawnFailed, spec.run)
    assert (failed.stage, failed.errno) == ("log", errno.ENOTDIR)
    assert [one.name for one in victim.parent.iterdir()] == [victim.name]


SWAP = """
import ctypes, os, sys
path, directory, link = sys.argv[1:]
rename = ctypes.CDLL(None).renameat2
exchange = lambda a, b: rename(-100, a.encode(), -100, b.encode(), 2)
print(flush=True)
while os.getppid() != 1:
    exchange(path, link)
"""
"""Exchanges a directory and a symbolic link for each other without end, as the agent's user."""


@whatever_the_tracking
def test_a_directory_that_becomes_a_link_at_the_wrong_moment_leads_nowhere(hostile: Keeper, place: Place) -> None:
    victim = _victim(place)
    task = "b" * 32
    agent = process.find_user(AGENT)
    logs, link = place.state / "logs", place.state / "link"
    for made in (logs, logs / task):
        made.mkdir()
        os.chown(made, agent.uid, agent.gid)
    link.symlink_to(victim.parent)
    argv = [sys.executable, "-S", "-c", SWAP, str(logs / task), "", str(link)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as swapper:
        try:
            assert swapper.stdout is not None
            swapper.stdout.readline()
            specs = [hostile.spec("/bin/echo", "pwned", user="nobody", task=task, container=f"n{n}") for n in range(60)]
            specs += [hostile.spec("/bin/echo", "pwned", user="nobody", task=task) for _ in range(60)]
            hostile.send(*specs)
            for spec in specs:
                hostile.until(lambda run=spec.run: _is_over(hostile, run), "an answer")  # type: ignore[misc]
        finally:
            swapper.kill()
    assert hostile.find(wire.SpawnFailed), "it met the link"
    assert hostile.find(wire.Spawned), "it met the directory"
    assert victim.read_text() == PRECIOUS
    assert [one.name for one in victim.parent.iterdir()] == [victim.name]


def _is_over(keeper: Keeper, run: str) -> bool:
    return bool(keeper.find(wire.Emptied, run) or keeper.find(wire.SpawnFailed, run))


@whatever_the_tracking
def test_logs_are_the_agents_own_to_bound(hostile: Keeper, place: Place) -> None:
    spec = hostile.spec("says.py", user="nobody")
    hostile.send(spec)
    hostile.wait(wire.Emptied, spec.run)
    path = place.state / "logs" / spec.task / "main.log"
    assert path.read_text() == "to standard output\nto standard error\n"
    agent = process.find_user(AGENT)
    for one, mode in ((path, 0o640), (path.parent, 0o750), (path.parent.parent, 0o750)):
        found = one.stat()
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (agent.uid, agent.gid, mode)


# without a user of the agent's own


@whatever_the_tracking
@pytest.mark.parametrize("kind", ["a hard link", "a FIFO", "a directory", "a dangling link"])
def test_a_log_is_a_file_with_one_name(start_keeper: StartKeeper, place: Place, kind: str) -> None:
    keeper = start_keeper()
    victim = _victim(place)
    spec = keeper.spec("says.py")
    path = Path(f"{keeper.settings.log_dir}/{spec.task}/main.log")
    path.parent.mkdir(parents=True)
    PLANTED[kind](path, victim)
    keeper.send(spec)
    assert keeper.wait(wire.SpawnFailed, spec.run).stage == "log"
    assert victim.read_text() == PRECIOUS


# secrets

VALUE = "correct horse battery staple"


def _secret(place: Place, name: str = "password", data: bytes = VALUE.encode() + b"\n", mode: int = 0o600) -> Path:
    path = place.secrets / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)
    return path


SHOW = ["/bin/sh", "-c", 'printf "%s" "$PASSWORD" >&2; env | grep -c ^PASSWORD=']


def _shown(hostile: Keeper, place: Place, source: str) -> str:
    spec = hostile.spec(*SHOW, user="nobody", secrets={"PASSWORD": source}, environ={"PASSWORD": "from environment"})
    hostile.send(spec)
    hostile.wait(wire.Emptied, spec.run)
    return (place.state / "logs" / spec.task / "main.log").read_text()


@whatever_the_tracking
def test_a_secret_reaches_its_process_and_nobody_else(hostile: Keeper, place: Place) -> None:
    _secret(place)
    _secret(place, "db/two", b"two lines\n\n")
    assert _shown(hostile, place, "password") == f"{VALUE}1\n", "root's file, in the environment of nobody's process"
    assert _shown(hostile, place, "db/two") == "two lines\n1\n", "one line end is not of the value"
    told = repr(hostile.events) + hostile.log_text() + Path(hostile.settings.ledger or os.devnull).read_text()
    assert VALUE not in told


@whatever_the_tracking
def test_an_absolute_path_is_read_with_the_rights_of_the_tasks_user(hostile: Keeper, place: Place) -> None:
    root_only, public = place.root / "root-only", place.root / "public"
    for path, mode in ((root_only, 0o600), (public, 0o644)):
        path.write_text(VALUE)
        path.chmod(mode)
    assert _shown(hostile, place, str(public)) == f"{VALUE}1\n"
    failed = refused(hostile, "secrets", secrets={"PASSWORD": str(root_only)})
    assert failed.errno == errno.EACCES
    assert failed.detail == f"PASSWORD from {str(root_only)!r}: Permission denied"


def _too_open(place: Place) -> str:
    (place.secrets / "open").mkdir(mode=0o777)
    (place.secrets / "open").chmod(0o777)
    _secret(place, "open/planted")
    return "open/planted"


def _linked(place: Place) -> str:
    (place.secrets / "link").symlink_to("/etc/shadow")
    return "link"


def _linked_directory(place: Place) -> str:
    (place.secrets / "etc").symlink_to("/etc")
    return "etc/shadow"


def _fifo(place: Place) -> str:
    os.mkfifo(place.secrets / "fifo")
    return "fifo"


def _fifo_of_all(place: Place) -> str:
    os.mkfifo(place.root / "fifo", 0o666)
    return str(place.root / "fifo")


NO_SECRETS: dict[str, tuple[Callable[[Place], object], int]] = {
    "above": (lambda _: "../../../../../../etc/shadow", errno.EINVAL),
    "through": (lambda place: (_secret(place, "db/a"), "db/../../../../../etc/shadow")[1], errno.EINVAL),
    "here": (lambda _: ".", errno.EINVAL),
    "nothing": (lambda _: "", errno.EINVAL),
    "a NUL in the path": (lambda _: "a\0b", errno.EINVAL),
    "missing": (lambda _: "missing", errno.ENOENT),
    "a link": (_linked, errno.ELOOP),
    "a directory that is a link": (_linked_directory, errno.ENOTDIR),
    "a directory that others write to": (_too_open, errno.EPERM),
    "a directory": (lambda place: (_secret(place, "db/a"), "db")[1], errno.EINVAL),
    "a FIFO": (_fifo, errno.EINVAL),
    "a FIFO of the user": (_fifo_of_all, errno.ENODATA),
    "a device": (lambda _: "/dev/zero", errno.ENODATA),
    "what the kernel tells of the keeper": (lambda _: "/proc/self/maps", errno.ENODATA),
    "the environment of the keeper": (lambda _: "/proc/self/environ", errno.EACCES),
    "empty": (lambda place: _secret(place, data=b"").name, errno.ENODATA),
    "too large": (lambda place: _secret(place, data=b"x" * 65537).name, errno.EFBIG),
    "a NUL": (lambda place: _secret(place, data=VALUE.encode() + b"\0").name, errno.EINVAL),
}


@whatever_the_tracking
def test_what_is_no_secret_is_refused_and_not_told(hostile: Keeper, place: Place) -> None:
    for name, (make, number) in NO_SECRETS.items():
        source = make(place)
        assert isinstance(source, str)
        failed = refused(hostile, "secrets", secrets={"PASSWORD": source})
        assert failed.errno == number, (name, failed)
        assert failed.detail.startswith("PASSWORD from "), name
        assert VALUE not in failed.detail
    assert refused(hostile, "request", secrets={f"V{n}": "password" for n in range(201)})
