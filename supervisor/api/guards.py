"""Who asks, and may they? One guard for each kind of socket: it knows callers, and what each of them may do."""

from __future__ import annotations

import functools
import grp
import os
import pwd
import socket
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from supervisor.agent.caller import Caller, HostUser, Signer
from supervisor.api import sigv4
from supervisor.api.actions import Access
from supervisor.api.credentials import CredentialsFile
from supervisor.clock import Clock
from supervisor.config import AccessTable
from supervisor.errors import AccessDeniedError, AuthenticationError, ConfigError
from supervisor.log import get_logger
from supervisor.posix import peer

SERVICE = "ecs"
"""What signatures must be scoped to."""

_log = get_logger("api")


class Known(NamedTuple):
    """A caller, and what they may do: nothing (None), READ, or WRITE, which includes READ."""

    caller: Caller
    access: Access | None
    says_so: str
    """Where the configuration says what they may do."""

    def check(self, needed: Access, action: str, account: str) -> Caller:
        """The caller, who may do that; `AccessDeniedError`, in the log too, for one who may not."""
        if self.access in (needed, Access.WRITE):
            return self.caller
        _log.warning("access_denied", action=action, **self.caller.facts)
        raise AccessDeniedError(
            f"User: {self.caller.arn(account)} is not authorized to perform: {action} "
            f"because {self.says_so} does not allow them to {needed}"
        )


Identify = Callable[[sigv4.Request], Known]
"""Who sent a request over one connection. `AuthenticationError` if that cannot be said."""


class Guard(Protocol):
    """Knows who is at the other end."""

    def meet(self, sock: socket.socket) -> Identify:
        """Called once for each connection."""
        ...


class Rights:
    """Who of this host may do what."""

    def __init__(self, table: AccessTable, socket_gid: int) -> None:
        """``table`` without names: see `resolve`."""
        self._readers = _members(table.read)
        self._writers = _members((f"@{socket_gid}",) if table.write is None else table.write)
        self._always = {0, os.geteuid()}

    def of(self, who: peer.Peer) -> Access | None:
        """What they may do."""
        if who.uid in self._always or self._writers.have(who):
            return Access.WRITE
        return Access.READ if self._readers.have(who) else None


class _Members(NamedTuple):
    uids: frozenset[int]
    gids: frozenset[int]
    everybody: bool

    def have(self, who: peer.Peer) -> bool:
        return self.everybody or who.uid in self.uids or not self.gids.isdisjoint(who.groups)


def _members(principals: Iterable[str]) -> _Members:
    named = set(principals)
    gids = frozenset(int(principal[1:]) for principal in named if principal.startswith("@"))
    uids = frozenset(int(principal) for principal in named if principal.isdigit())
    return _Members(uids, gids, "*" in named)


def resolve(table: AccessTable) -> AccessTable:
    """The same by uid and gid alone. `ConfigError` for users and groups that the host does not have."""
    write = None if table.write is None else tuple(_number("write", principal) for principal in table.write)
    return AccessTable(read=tuple(_number("read", principal) for principal in table.read), write=write)


def _number(key: str, principal: str) -> str:
    name = principal.removeprefix("@")
    if principal == "*" or (name.isascii() and name.isdigit()):
        return principal
    try:
        return f"@{grp.getgrnam(name).gr_gid}" if principal.startswith("@") else str(pwd.getpwnam(name).pw_uid)
    except KeyError:
        kind = "group" if principal.startswith("@") else "user"
        raise ConfigError(f'cannot use api.access.{key}: "{principal}": this host has no such {kind}') from None


class SocketGuard:
    """Of a unix socket: the kernel tells who connected."""

    def __init__(self, rights: Rights) -> None:
        self._rights = rights

    def meet(self, sock: socket.socket) -> Identify:
        who = peer.of(sock)
        known = Known(HostUser(who.uid, who.pid), self._rights.of(who), "[api.access] of the configuration")
        return lambda _: known


class AddressGuard:
    """Of the socket for the processes of tasks: the address asked for is the secret, and its application knows it."""

    def meet(self, sock: socket.socket) -> Identify:
        """Nobody is known by the connection alone."""

        def identify(_: sigv4.Request) -> Known:
            raise AuthenticationError("cannot tell who asks: here only addresses of tasks are answered")

        return identify


class SignatureGuard:
    """Of a TCP socket: each request is signed by the holder of a key."""

    def __init__(self, credentials: CredentialsFile, region: str, clock: Clock) -> None:
        self._credentials = credentials
        self._region = region
        self._clock = clock

    def meet(self, sock: socket.socket) -> Identify:
        return functools.partial(self._verify, peer.name(*sock.getpeername()[:2]))

    def _verify(self, address: str, request: sigv4.Request) -> Known:
        profiles = self._credentials.profiles()

        def find_secret(key_id: str) -> str | None:
            return profiles[key_id].secret if key_id in profiles else None

        try:
            now = self._clock.wall()
            key_id = sigv4.verify(request, find_secret, region=self._region, service=SERVICE, now=now)
        except AuthenticationError as exc:
            _log.warning("authentication_failed", code=exc.code, error=str(exc), by_address=address)
            raise
        profile = profiles[key_id]
        says_so = f"supervisor_access of [{profile.name}] in the credentials file"
        return Known(Signer(profile.name, address), profile.access, says_so)
