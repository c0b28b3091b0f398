"""Daemons whose state directory is a file system of the test's own."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any

from tests.disks import Disk
from tests.system.daemon import Daemon

MakeDisk = Callable[[str], contextlib.AbstractContextManager[Disk]]


@contextlib.contextmanager
def daemon_on(make: MakeDisk, **tables: Any) -> Iterator[tuple[Daemon, Disk]]:
    """A daemon whose state directory is such a file system."""
    daemon = Daemon(**tables)
    try:
        with make(daemon.state_dir) as disk:
            failed = True
            try:
                daemon.start()
                yield daemon, disk
                failed = False
            finally:
                if failed:
                    disk.thaw()
                daemon.close(failed=failed)
    finally:
        shutil.rmtree(daemon.directory, ignore_errors=True)
