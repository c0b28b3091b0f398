"""Handles SIGTERM, and then waits for what does not come, or goes on working: ``late.py WHAT``. Says ``late`` then."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable

from ready import say, wait_for_ever


def wait_for_a_lock() -> None:
    """Of this very thread."""
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def wait_for_a_file_lock() -> None:
    """Of this file: another open of it has that."""
    with open(__file__) as first, open(__file__) as second:
        fcntl.flock(first, fcntl.LOCK_EX)
        fcntl.flock(second, fcntl.LOCK_EX)


def wait_for_a_child() -> None:
    """It ignores SIGTERM."""
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        say("child")
        wait_for_ever()
    os.wait()


def wait_for_an_untold_child() -> None:
    """It would end on SIGTERM, and nobody sends it."""
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        say("child")
        wait_for_ever()
    os.wait()


def wait_for_the_network() -> None:
    """The server accepts, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        client.recv(1)


def wait_for_a_caller() -> None:
    """Nobody calls."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.accept()


def wait_for_connections() -> None:
    """As a server does that lets its clients finish: one of them is idle."""
    server = socket.create_server(("127.0.0.1", 0))
    with socket.create_connection(server.getsockname()), server.accept()[0] as served:
        server.close()
        poll = select.epoll()
        poll.register(served, select.EPOLLIN)
        poll.poll()


def wait_for_a_pipe() -> None:
    """Nobody writes."""
    os.read(os.pipe()[0], 1)


def wait_for_time() -> None:
    """Longer than anybody lets it."""
    time.sleep(1000)


def stop_itself() -> None:
    """Again and again: it is continued after the signal."""
    while True:
        os.kill(os.getpid(), signal.SIGSTOP)


def compute() -> None:
    """It needs more time. What the machine can spare it has, and no more, so that nobody else is late for it."""
    os.nice(19)
    while True:
        pass


def write() -> None:
    """It needs more time, as above."""
    os.nice(19)
    with tempfile.TemporaryFile() as file:
        while True:
            os.pwrite(file.fileno(), b"." * 65536, 0)


WHAT: dict[str, Callable[[], None]] = {
    "lock": wait_for_a_lock,
    "file-lock": wait_for_a_file_lock,
    "child": wait_for_a_child,
    "untold-child": wait_for_an_untold_child,
    "network": wait_for_the_network,
    "caller": wait_for_a_caller,
    "connections": wait_for_connections,
    "pipe": wait_for_a_pipe,
    "time": wait_for_time,
    "signal": wait_for_ever,
    "stopped": stop_itself,
    "computes": compute,
    "writes": write,
}


def be_late(*_: object) -> None:
    say("late")
    WHAT[sys.argv[1]]()


signal.signal(signal.SIGTERM, be_late)
say("main")
wait_for_ever()
