"""Who may do what at the unix socket."""

from __future__ import annotations

import os
import socket

import pytest

from supervisor.agent.caller import HostUser, Signer
from supervisor.api.actions import Access
from supervisor.api.guards import Known, Rights, resolve
from supervisor.config import AccessTable
from supervisor.errors import AccessDeniedError, ConfigError
from supervisor.posix import peer
from supervisor.posix.peer import Peer

SOCKET_GROUP = 900
NOBODY = Peer(1, 65000, frozenset({65000}))
IN_GROUP = Peer(1, 65000, frozenset({65000, SOCKET_GROUP}))


def access(who: Peer, **table: tuple[str, ...]) -> Access | None:
    return Rights(resolve(AccessTable(**table)), SOCKET_GROUP).of(who)


def test_by_default_root_ourselves_and_the_group_of_the_socket() -> None:
    assert access(Peer(1, 0, frozenset({0}))) is Access.WRITE
    assert access(Peer(1, os.geteuid(), frozenset({65000}))) is Access.WRITE
    assert access(IN_GROUP) is Access.WRITE
    assert access(NOBODY) is None


def test_those_who_are_named() -> None:
    named = {"read": ("@901", "65001"), "write": ("@902", "65002")}
    assert access(IN_GROUP, **named) is None, "a list of writers replaces the group of the socket"
    assert access(IN_GROUP, read=("65000",)) is Access.WRITE, "a list of readers does not"
    assert access(Peer(1, 65001, frozenset()), **named) is Access.READ
    assert access(Peer(1, 65002, frozenset()), **named) is Access.WRITE
    assert access(Peer(1, 65000, frozenset({901, 65000})), **named) is Access.READ
    assert access(Peer(1, 65000, frozenset({901, 902})), **named) is Access.WRITE
    assert access(Peer(1, 901, frozenset({65001, 65002})), **named) is None, "users and groups are not each other"
    assert access(NOBODY, read=("*",)) is Access.READ
    assert access(NOBODY, write=("*",)) is Access.WRITE


def test_nobody_can_lock_out_root() -> None:
    assert access(Peer(1, 0, frozenset()), read=(), write=()) is Access.WRITE


def test_names_are_those_of_the_host() -> None:
    assert access(Peer(1, 65000, frozenset({0})), read=("@root",)) is Access.READ
    with pytest.raises(ConfigError, match=r'cannot use api.access.read: "@nosuch": this host has no such group'):
        access(NOBODY, read=("@nosuch",))
    with pytest.raises(ConfigError, match=r'cannot use api.access.write: "nosuch": this host has no such user'):
        access(NOBODY, write=("nosuch",))


@pytest.mark.parametrize(
    ("has", "needed", "may"),
    [
        (None, Access.READ, False),
        (None, Access.WRITE, False),
        (Access.READ, Access.READ, True),
        (Access.READ, Access.WRITE, False),
        (Access.WRITE, Access.READ, True),
        (Access.WRITE, Access.WRITE, True),
    ],
)
def test_write_includes_read(has: Access | None, needed: Access, may: bool) -> None:
    caller = Signer("ada", "127.0.0.1:1")
    known = Known(caller, has, "the test")
    if may:
        assert known.check(needed, "ecs:StopTask", "123456789012") is caller
        return
    with pytest.raises(AccessDeniedError) as caught:
        known.check(needed, "ecs:StopTask", "123456789012")
    assert str(caught.value) == (
        "User: arn:aws:iam::123456789012:user/ada is not authorized to perform: ecs:StopTask "
        f"because the test does not allow them to {needed}"
    )
    assert (caught.value.code, caught.value.http_status) == ("AccessDeniedException", 400)


def test_a_user_without_a_name_is_told_by_number() -> None:
    assert HostUser(4294967290, 1).arn("123456789012") == "arn:aws:iam::123456789012:user/4294967290"


def test_the_kernel_tells_who_connected() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer.of(ours) == Peer(os.getpid(), os.getuid(), frozenset({os.getgid(), *os.getgroups()}))
