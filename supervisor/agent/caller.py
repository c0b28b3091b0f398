"""Who asks."""

from __future__ import annotations

from supervisor.posix import process


class Caller:
    """Who asks, as the kernel knows it from the socket (SO_PEERCRED)."""

    def __init__(self, uid: int, pid: int) -> None:
        self.uid = uid
        self.pid = pid

    def arn(self, account: str) -> str:
        """``arn:aws:iam::<account>:user/<name>``."""
        return f"arn:aws:iam::{account}:user/{process.find_user(str(self.uid)).name}"
