"""The keeper shows that it lives, sees whether its agent does, and has pidfds kept: the test is its service manager."""

from __future__ import annotations

import array
import os
import select
import signal
import socket
import sys
from collections.abc import Iterator

import pytest

from supervisor import wire
from tests.conftest import PATIENCE
from tests.process.conftest import StartKeeper, whatever_the_tracking

pytestmark = pytest.mark.process

IMPATIENT = (
    "import sys; from supervisor.keeper import watchdog, __main__ as keeper; "
    "watchdog.PATIENCE = watchdog.START_PATIENCE = 0.3; sys.exit(keeper.main())"
)
COMMAND = [sys.executable, "-c", IMPATIENT]


@pytest.fixture
def manager() -> Iterator[socket.socket]:
    """Where a service manager listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind("")
        yield notified


def environ(manager: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": "@" + manager.getsockname()[1:].decode(), **more}


def told(manager: socket.socket, word: str) -> tuple[list[str], list[int]]:
    """Wait for a message with that word; its lines and descriptors."""
    while True:
        assert select.select([manager], [], [], PATIENCE)[0], f"{word} was never said"
        data, ancillary, _, _ = manager.recvmsg(4096, socket.CMSG_SPACE(4))
        fds = array.array("i", b"".join(data for _, _, data in ancillary))
        if word in data.decode():
            return data.decode().split("\n"), list(fds)


@whatever_the_tracking
def test_the_pidfd_of_a_run_is_kept_until_it_is_over(manager: socket.socket, start_keeper: StartKeeper) -> None:
    keeper = start_keeper(environ=environ(manager))
    run, main = keeper.begin("unhandled.py")
    lines, (pidfd,) = told(manager, "FDSTORE=1")
    assert lines == ["FDSTORE=1", f"FDNAME=run-{run}", "FDPOLL=0"]
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGUSR1)
    finally:
        os.close(pidfd)
    main.death()
    keeper.wait(wire.Emptied, run)
    assert told(manager, "FDSTOREREMOVE=1") == (["FDSTOREREMOVE=1", f"FDNAME=run-{run}"], [])


@whatever_the_tracking
def test_signs_of_life_are_given_at_half_the_interval_with_an_agent_and_without(
    manager: socket.socket, start_keeper: StartKeeper
) -> None:
    keeper = start_keeper(environ=environ(manager, WATCHDOG_USEC="100000"))
    for _ in range(3):
        told(manager, "WATCHDOG=1")
        assert keeper.listed().runs == [], "the agent has answered, and lives"
    keeper.popen.send_signal(signal.SIGSTOP)
    try:
        while select.select([manager], [], [], 3 * 0.05)[0]:
            manager.recv(4096)
    finally:
        keeper.popen.send_signal(signal.SIGCONT)
    told(manager, "WATCHDOG=1")
    assert keeper.listed().runs == [], "it was we who were late, and nobody is blamed"


@whatever_the_tracking
def test_an_agent_that_takes_an_event_in_too_slowly_is_left_alone_while_it_answers(start_keeper: StartKeeper) -> None:
    keeper = start_keeper(command=COMMAND)
    agent = keeper.agent
    keeper.begin("graceful.py")
    keeper.until(lambda: keeper.pings >= 3 or None, "questions")
    assert agent.alive


@whatever_the_tracking
def test_one_that_does_not_answer_is_replaced(start_keeper: StartKeeper) -> None:
    keeper = start_keeper(command=COMMAND)
    keeper.answers = False
    agent = keeper.agent
    run, _ = keeper.begin("graceful.py")
    agent.death()
    keeper.hang_up()
    keeper.answers = True
    keeper.greet()
    assert keeper.wait(wire.Spawned, run), "the next one is told"
    assert '"event": "agent_hangs"' in keeper.log_text()


@whatever_the_tracking
def test_one_that_never_begins_to_serve_is_replaced(start_keeper: StartKeeper) -> None:
    keeper = start_keeper(command=COMMAND)
    keeper.lose_agent()
    keeper.take_link().death()
    keeper.hang_up()
    keeper.greet()
    assert "it did not begin to serve" in keeper.log_text()
