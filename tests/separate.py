"""What an agent with a user of its own needs of the machine: an interpreter and a checkout that the user can reach.

Root's own Python is often below /root, where nobody else gets in. Such a daemon is then started in a mount namespace of
its own, in which the closed directory holds just what is needed, and is open; all paths are the same.
"""

from __future__ import annotations

import os
import site
import stat
import sys
from pathlib import Path

from tests.machine import REPOSITORY, cannot_test

AGENT, OTHER = "daemon", "nobody"
"""Users that every Debian has."""

_OPEN = """
set -e
closed=$1 count=$2; shift 2
hold=$(mktemp -d)
mount -t tmpfs none "$hold"
number=0
for path in "$@"; do
    [ $number -lt $count ] || break
    number=$((number + 1))
    mkdir "$hold/$number"
    mount --bind "$path" "$hold/$number"
done
mount -t tmpfs -o mode=755 none "$closed"
number=0
while [ $number -lt $count ]; do
    number=$((number + 1))
    mkdir -p "$1"
    mount --bind "$hold/$number" "$1"
    shift
done
umount -R "$hold"
rmdir "$hold"
exec "$@"
"""


def prefix() -> list[str]:
    """What to put before a command line so that it runs where another user can reach what it needs."""
    if os.geteuid() != 0:
        cannot_test("only root can run the agent as another user")
    needed = {Path(sys.base_prefix), Path(sys.prefix), REPOSITORY, *map(Path, site.getsitepackages())}
    needed |= {Path(entry) for entry in sys.path if entry and Path(entry).is_dir()}
    shut = {path.resolve(): closed for path in needed if (closed := _closed(path.resolve())) is not None}
    if not shut:
        return []
    if len(set(shut.values())) > 1:
        cannot_test(f"too much is closed to other users: {shut}")
    topmost = [path for path in shut if not any(other in path.parents for other in shut)]
    paths = [str(path) for path in topmost]
    return ["unshare", "--mount", "sh", "-c", _OPEN, "sh", str(shut[topmost[0]]), str(len(paths)), *paths]


def _closed(path: Path) -> Path | None:
    """The first directory on the way that does not let everybody through."""
    above = [*reversed(path.parents), path]
    return next((one for one in above if not one.stat().st_mode & stat.S_IXOTH), None)
