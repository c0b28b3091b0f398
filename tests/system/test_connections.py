"""Clients that are idle, slow, many or not welcome: none of them keeps another from being answered."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import PATIENCE
from tests.machine import cannot_test
from tests.system.conftest import StartDaemon
from tests.system.daemon import FACTOR, SOON, Daemon

pytestmark = pytest.mark.system

TARGET = "X-Amz-Target: AmazonEC2ContainerServiceV20141113.ListTasks\r\n"
SLOW = FACTOR
"""Seconds that a request may take to arrive, of the daemons here that have no patience."""
BODY = b'{"cluster":"default"}'
HEAD = f"POST / HTTP/1.1\r\nHost: localhost\r\n{TARGET}Content-Length: {len(BODY)}\r\n\r\n".encode()


@contextlib.contextmanager
def clients(daemon: Daemon, count: int, sends: bytes = b"") -> Iterator[list[socket.socket]]:
    """So many connections to the unix socket, each of which has sent that much, and no more."""
    with contextlib.ExitStack() as stack:
        socks = []
        for _ in range(count):
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            sock.settimeout(PATIENCE)
            sock.connect(daemon.socket)
            sock.sendall(sends)
            socks.append(sock)
        yield socks


def everything(sock: socket.socket) -> bytes:
    """What is answered until the other end closes."""
    received = b""
    while data := sock.recv(65536):
        received += data
    return received


def answer(sock: socket.socket, request: bytes) -> tuple[int, Any]:
    """Status and body of the one reply."""
    sock.sendall(request)
    received = b""
    while b"\r\n\r\n" not in received:
        received += sock.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += sock.recv(65536)
    return int(head.split()[1]), json.loads(body)


@pytest.fixture
def impatient(start_daemon: StartDaemon) -> Daemon:
    return start_daemon(api={"request_timeout": SLOW, "max_connections": 4})


@pytest.mark.parametrize("sends", [b"", HEAD[:20], HEAD, HEAD + BODY[:5]], ids=["idle", "head", "no body", "body"])
def test_a_hundred_clients_that_wait_delay_nobody(shared: Daemon, sends: bytes) -> None:
    arn, _ = shared.begin("graceful.py")
    with clients(shared, 100, sends):
        began = time.monotonic()
        shared.stop(arn)
        assert time.monotonic() - began < SOON
        assert shared.wait(arn)["lastStatus"] == "STOPPED"
        assert time.monotonic() - began < 2 * SOON


@pytest.mark.parametrize("sends", [HEAD[:20], HEAD, HEAD + BODY[:5]], ids=["head", "no body", "body"])
def test_who_is_too_slow_is_told_so(impatient: Daemon, sends: bytes) -> None:
    with clients(impatient, 1, sends) as (slow,):
        reply = everything(slow)
    assert reply.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b'"__type":"RequestTimeoutException"' in reply


def test_who_never_says_anything_is_sent_away(impatient: Daemon) -> None:
    with clients(impatient, 1) as (idle,):
        assert everything(idle) == b""


def test_a_byte_now_and_then_buys_no_time(impatient: Daemon) -> None:
    with clients(impatient, 1, HEAD[:10]) as (slow,):
        for byte in HEAD[10:]:
            if select.select([slow], [], [], SLOW / 20)[0]:
                break
            slow.sendall(bytes([byte]))
        else:
            pytest.fail("the whole head was taken")
        assert slow.recv(4096).startswith(b"HTTP/1.1 408 ")


def test_the_second_request_of_a_connection_has_its_limit_too(impatient: Daemon) -> None:
    with clients(impatient, 1) as (slow,):
        assert answer(slow, HEAD + BODY)[0] == 200
        assert answer(slow, HEAD + BODY)[0] == 200
        slow.sendall(HEAD + BODY[:5])
        assert everything(slow).startswith(b"HTTP/1.1 408 ")


def test_a_pipelined_request_has_its_limit_too(impatient: Daemon) -> None:
    with clients(impatient, 1, HEAD + BODY + HEAD + BODY[:5]) as (slow,):
        reply = everything(slow)
    assert reply.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 408 " in reply


def test_who_does_not_read_the_answers_is_sent_away(impatient: Daemon) -> None:
    with clients(impatient, 1) as (deaf,):
        deaf.settimeout(SOON)
        with contextlib.suppress(TimeoutError, BrokenPipeError):
            while True:
                deaf.sendall(100 * (HEAD + BODY))
        gone = select.poll()
        gone.register(deaf, 0)  # hangs up, however much there is left to read
        assert gone.poll(PATIENCE * 1000)


def test_one_too_many_is_told_so(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(api={"max_connections": 4})
    with clients(daemon, 3) as first, clients(daemon, 5) as more:
        assert answer(more[0], HEAD + BODY)[0] == 200, "the fourth is none too many"
        for one in more[1:]:
            status, body = answer(one, HEAD + BODY)
            assert (status, body["__type"]) == (503, "ServerException")
            assert "api.max_connections" in body["message"]
            assert everything(one) == b"", "and then it is closed"
        assert answer(first[0], HEAD + BODY)[0] == 200, "who was there before is served"
    daemon.until(lambda: _served(daemon), "an answer when there is room again")
    assert daemon.logged("connections_exhausted", door=daemon.socket, max_connections=4)


def test_who_says_nothing_gives_way_to_who_asks(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(api={"max_connections": 4})
    with clients(daemon, 4) as silent:
        for one in silent:
            assert answer(one, HEAD + BODY)[0] == 200, "all of them are in"
        assert _served(daemon)
        assert everything(silent[0]) == b"", "the oldest is out"
        assert answer(silent[3], HEAD + BODY)[0] == 200


def _served(daemon: Daemon) -> bool | None:
    with clients(daemon, 1) as (one,):
        return answer(one, HEAD + BODY)[0] == 200 or None


def test_twice_as_many_are_closed_unheard(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(api={"max_connections": 2})
    with clients(daemon, 4), clients(daemon, 1) as (fifth,):
        with contextlib.suppress(ConnectionResetError):
            assert everything(fifth) == b""
        assert daemon.find_agent()


# -- who is not welcome --

ASK = """
import os, sys
from supervisor.cli.client import Client  # before: strangers may not be able to see where it is
uid, gid, *groups = map(int, sys.argv[2].split(","))
os.setgroups(groups); os.setgid(gid); os.setuid(uid)
client = Client(sys.argv[1])
for operation, body in (("ListTasks", {}), ("StopTask", {"task": "0" * 32})):
    try:
        client.call(operation, body)
        print("ok")
    except Exception as exc:
        print(f"{type(exc).__name__} {getattr(exc, 'code', '')}: {exc}")
"""

LOOK = """
import os, socket, sys
os.setgroups([]); os.setgid(65011); os.setuid(65011)
with socket.socket(socket.AF_UNIX) as sock:
    sock.connect(sys.argv[1])
    sock.sendall(f"GET {sys.argv[2]} HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n".encode())
    print(sock.makefile().read())
"""

USER, READERS, WRITERS = 65011, 65012, 65013


@pytest.fixture(scope="module")
def guarded() -> Iterator[Daemon]:
    """A socket that everybody may connect to, so that it is the agent who says no."""
    if os.geteuid() != 0:
        cannot_test("only root can ask as somebody else")
    tables: dict[str, Any] = {
        "api": {"socket_mode": "0666"},
        "api.access": {"read": [f"@{READERS}", str(USER + 10)], "write": [f"@{WRITERS}", str(USER + 20)]},
    }
    with Daemon(**tables) as daemon:
        yield daemon


@pytest.mark.parametrize(
    ("who", "may_read", "may_write"),
    [
        ([USER, USER], False, False),
        ([USER, USER, READERS], True, False),
        ([USER, READERS], True, False),
        ([USER, USER, WRITERS], True, True),
        ([USER, USER, READERS, WRITERS], True, True),
        ([USER + 10, USER], True, False),
        ([USER + 20, USER], True, True),
        ([USER, 0], False, False),
    ],
    ids=str,
)
def test_rights_by_user_and_group(guarded: Daemon, who: list[int], may_read: bool, may_write: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASK, guarded.socket, ",".join(map(str, who))],
        capture_output=True,
        text=True,
        timeout=6 * PATIENCE,
        check=True,
    )
    reading, writing = done.stdout.splitlines()
    assert (reading == "ok") is may_read, reading
    assert ("The referenced task was not found." in writing) is may_write, writing
    user = f"User: arn:aws:iam::{guarded.account}:user/{who[0]} is not authorized to perform: ecs:"
    if not may_read:
        assert user + "ListTasks" in reading
    if not may_write:
        assert user + "StopTask" in writing
        denied = guarded.logged("access_denied", action="ecs:StopTask", by_uid=who[0])
        assert all(line["by_pid"] > 0 for line in denied)
        assert denied


def test_looks_need_the_right_to_read(guarded: Daemon) -> None:
    for path in ("/v1/health", "/v1/tasks/watch?task=x"):
        line = [sys.executable, "-c", LOOK, guarded.socket, path]
        reply = subprocess.run(line, capture_output=True, text=True, timeout=6 * PATIENCE, check=True).stdout
        assert reply.startswith("HTTP/1.1 400 ")
        assert "AccessDeniedException" in reply
