"""What containers have written: the files that their standard output and error go to."""

from __future__ import annotations

import contextlib

_BLOCK = 64 * 1024


def tail(log_dir: str, task_id: str, container: str, lines: int) -> list[str]:
    """The last lines of a container's log file; none where there is no file."""
    with contextlib.suppress(OSError), open(f"{log_dir}/{task_id}/{container}.log", "rb") as file:
        file.seek(0, 2)
        file.seek(max(file.tell() - _BLOCK, 0))
        return file.read().decode(errors="replace").splitlines()[-lines:]
    return []
