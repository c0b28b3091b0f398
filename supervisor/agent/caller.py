"""Who asks: a user of this host, known by the kernel, or a profile of the credentials file, known by its signature."""

from __future__ import annotations

import abc
from typing import Any

from supervisor.posix import process


class Caller(abc.ABC):
    """Who asks, by the name that records and refusals have for them, and the facts that log lines have."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """Of the user or of the profile."""

    @property
    @abc.abstractmethod
    def facts(self) -> dict[str, Any]:
        """For a log line: ``by_…``."""

    def arn(self, account: str) -> str:
        """``arn:aws:iam::<account>:user/<name>``."""
        return f"arn:aws:iam::{account}:user/{self.name}"


class HostUser(Caller):
    """A process at the unix socket (SO_PEERCRED)."""

    def __init__(self, uid: int, pid: int) -> None:
        self.uid = uid
        self.pid = pid

    @property
    def name(self) -> str:
        """Of the user, or the number of one that has none."""
        return process.find_user(str(self.uid)).name

    @property
    def facts(self) -> dict[str, Any]:
        """The user and the process."""
        return {"by_uid": self.uid, "by_pid": self.pid}


class Signer(Caller):
    """Who signed a request that came over TCP."""

    def __init__(self, profile: str, address: str) -> None:
        self.profile = profile
        self.address = address

    @property
    def name(self) -> str:
        """Of the profile."""
        return self.profile

    @property
    def facts(self) -> dict[str, Any]:
        """The profile, and where the connection came from."""
        return {"by_profile": self.profile, "by_address": self.address}
