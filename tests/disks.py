"""File systems of the tests' own, to be filled, frozen and broken."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.machine import cannot_test

_FILLER = "filler"


def _run(*argv: str) -> bool:
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


class Disk:
    """A mounted file system."""

    def __init__(self, path: str) -> None:
        self.path = path

    def fill(self) -> None:
        """Leave no room at all."""
        with open(f"{self.path}/{_FILLER}", "ab", buffering=0) as file, contextlib.suppress(OSError):
            for size in (65536, 4096, 1):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)):
                        pass

    def free(self) -> None:
        """Make room again."""
        os.unlink(f"{self.path}/{_FILLER}")

    def freeze(self) -> None:
        """Whoever writes waits, until ``thaw``."""
        subprocess.run(["fsfreeze", "-f", self.path], check=True)

    def thaw(self) -> None:
        """Let them write again. May be called when it is not frozen."""
        _run("fsfreeze", "-u", self.path)

    def break_it(self) -> None:
        """An error of the file system, after which it is read-only, as ``errors=remount-ro`` has it."""
        source = next(line.split()[0] for line in Path("/proc/mounts").read_text().splitlines() if self.path in line)
        Path(f"/sys/fs/ext4/{Path(source).name}/trigger_fs_error").write_text("a test")


@contextlib.contextmanager
def tmpfs(path: str, size: str = "2m") -> Iterator[Disk]:
    """A small file system in memory."""
    os.makedirs(path, mode=0o700, exist_ok=True)
    if not _run("mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", path):
        cannot_test("nothing can be mounted here: it takes root, and CAP_SYS_ADMIN")
    try:
        yield Disk(path)
    finally:
        _run("umount", "-l", path)


@contextlib.contextmanager
def ext4(path: str) -> Iterator[Disk]:
    """A small file system on a loop device."""
    os.makedirs(path, mode=0o700, exist_ok=True)
    with tempfile.NamedTemporaryFile(prefix="supervisor-disk-") as image:
        image.truncate(16 << 20)
        if not _run("mkfs.ext4", "-q", "-F", image.name):
            cannot_test("mkfs.ext4 is missing: apt-get install e2fsprogs")
        if not _run("mount", "-o", "loop,errors=remount-ro", image.name, path):
            cannot_test("no loop device can be mounted here: it takes root, and CAP_SYS_ADMIN")
        os.chmod(path, 0o700)
        disk = Disk(path)
        try:
            yield disk
        finally:
            disk.thaw()
            _run("umount", "-l", path)
