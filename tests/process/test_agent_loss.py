"""The agent may die at any moment: nothing that it asked for is lost, nothing that happened is, and no stop is late."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import threading
from typing import Any

import pytest

from supervisor import wire
from supervisor.posix import proc
from tests.conftest import PATIENCE
from tests.process import observed
from tests.process.conftest import StartKeeper, whatever_the_tracking
from tests.process.harness import SOON, WINDOW, Keeper
from tests.process.tracer import PTRACE_O_TRACEEXIT, traced

pytestmark = pytest.mark.process

BAD_FRAMES = {
    "an unknown verb": wire.HEADER.pack(2, 99) + b"{}",
    "a verb of the keeper's own": wire.encode(wire.Emptied(1, 1.0, "f" * 32)),
    "a body larger than its verb allows": wire.HEADER.pack(1 << 20, 4) + b"{",
    "no JSON": wire.HEADER.pack(2, 4) + b"{]",
    "no object": wire.HEADER.pack(2, 4) + b"[]",
    "a member missing": wire.HEADER.pack(2, 4) + b"{}",
    "a depth without end": wire.HEADER.pack(1024, 4) + b"[" * 1024,
    "another protocol": wire.encode(wire.Hello(wire.VERSION + 1)),
    "a window below nothing": wire.encode(wire.Stop("f" * 32, -1.0)),
}
WRONG_SPAWNS: dict[str, dict[str, Any]] = {
    "a run that is a path": {"run": "../../../../../../../etc/passwd0"},
    "a type": {"cwd": 7},
}
"""What no agent of ours sends."""
BAD_MEMBERS: dict[str, dict[str, Any]] = {
    "a task that is a path": {"task": "../../../../../../../etc/passwd0"},
    "a container that is a path": {"container": "../main"},
    "no program": {"argv": []},
    "an unknown log driver": {"log_driver": "syslog"},
    "a tag of two lines": {"log_tag": "a\n0"},
    "no such signal": {"stop_signals": [(65, 0.0)]},
    "no signal at all": {"stop_signals": []},
    "too many signals": {"stop_signals": [(signal.SIGTERM, 0.0)] * 9},
    "a signal that asks nobody": {"stop_signals": [(signal.SIGTERM, 0.0), (signal.SIGKILL, 0.5)]},
    "a first signal that comes later": {"stop_signals": [(signal.SIGTERM, 0.1)]},
    "signals out of order": {"stop_signals": [(signal.SIGTERM, 0.0), (signal.SIGINT, 0.6), (signal.SIGHUP, 0.5)]},
    "a signal after the kill": {"stop_signals": [(signal.SIGTERM, 0.0), (signal.SIGINT, 1.1)]},
    "more than the window for the hook": {"pre_stop": ["true"], "pre_stop_share": 1.1},
    "a helper of a path": {"beside": "../main"},
    "a lifetime without a run beside it": {"lifetime": 1.0},
    "a lifetime of nothing": {"beside": "f" * 32, "lifetime": 0.0},
    "a pid that nobody can have": {"living": (2**22 + 1, 77)},
    "a pid below nothing": {"living": (-1, 77)},
    "a pid beyond every number of the kernel's": {"living": (2**62, 77)},
    "no such scope": {"stop_scope": "session"},
    "no such limit": {"ulimits": [("gold", 1, 1)]},
    "a window below nothing": {"stop_timeout": -0.1},
}
"""What is wrong with one request and no other: refused, and not the end of an agent that would send it again."""


def test_a_kill_under_way_comes_on_time_without_an_agent(keeper: Keeper) -> None:
    run, main = keeper.begin("ignores.py", timeout=WINDOW)
    asked_at = keeper.stop(run)
    keeper.wait(wire.Signalled, run)
    keeper.lose_agent()
    died_at = main.death()
    assert asked_at + WINDOW <= died_at < asked_at + WINDOW + SOON
    keeper.greet()
    keeper.wait(wire.Emptied, run)
    assert keeper.wait(wire.Exited, run).signal == signal.SIGKILL


def test_runs_go_on_without_an_agent(keeper: Keeper) -> None:
    run, main = keeper.begin("graceful.py")
    keeper.lose_agent()
    keeper.greet()
    assert main.alive
    assert keeper.listed().runs == [run]
    keeper.stop(run)
    assert keeper.wait(wire.Exited, run).code == 7


def test_what_happened_meanwhile_comes_to_the_next_agent_in_order(keeper: Keeper) -> None:
    run, main = keeper.begin("unhandled.py")
    keeper.forget_all()
    keeper.listed()
    keeper.lose_agent()
    main.signal(signal.SIGUSR1)
    main.death()
    keeper.take_link()
    assert keeper.listed().runs == [run]
    assert [type(event) for event in keeper.events] == [wire.Listed], "no event before hello"
    keeper.send(wire.Hello(wire.VERSION))
    keeper.wait(wire.Emptied, run)
    events = keeper.events[1:]
    assert [type(event) for event in events] == [wire.Exited, wire.Emptied]
    assert events[0].signal == signal.SIGUSR1
    assert events[0].seq < events[1].seq


def test_events_come_again_until_they_are_forgotten(keeper: Keeper) -> None:
    run, _ = keeper.begin("exits.py", "3")
    keeper.wait(wire.Emptied, run)
    first = list(keeper.events)
    assert [type(event) for event in first] == [wire.Spawned, wire.Exited, wire.Emptied]
    keeper.lose_agent()
    keeper.greet()
    keeper.wait(wire.Emptied, run)
    assert keeper.events == first
    keeper.send(wire.Forget(first[1].seq))
    assert keeper.listed().runs == [run], "its end is not stored yet"
    keeper.lose_agent()
    keeper.greet()
    keeper.wait(wire.Emptied, run)
    assert keeper.events == first[2:]
    keeper.forget_all()
    assert keeper.listed().runs == []
    keeper.lose_agent()
    keeper.greet()
    keeper.listed()
    assert [type(event) for event in keeper.events] == [wire.Listed]


def test_what_a_dead_agent_had_asked_for_is_carried_out_and_half_a_request_is_not(keeper: Keeper) -> None:
    whole, half, later = keeper.spec("graceful.py"), keeper.spec("graceful.py"), keeper.spec("exits.py")
    keeper.popen.send_signal(signal.SIGSTOP)  # so that it finds the requests and the death at once
    observed.until(lambda: observed.state(keeper.popen.pid) == "T", "a stopped keeper")
    keeper.send_bytes(wire.encode(whole) + wire.encode(half)[:-1])
    keeper.lose_agent()
    keeper.popen.send_signal(signal.SIGCONT)
    keeper.greet()
    keeper.hear_main(whole.run)
    keeper.send(later)
    keeper.wait(wire.Emptied, later.run)
    keeper.forget_all()
    assert keeper.listed().runs == [whole.run]


@whatever_the_tracking
def test_whoever_writes_on_for_a_dead_agent_keeps_nothing_waiting(keeper: Keeper) -> None:
    """It had left its end of the link to somebody, who writes faster than the keeper reads."""
    assert keeper.link is not None
    link, flood = keeper.link.dup(), wire.encode(wire.Forget(-1)) * 5000
    written = threading.Event()

    def write_on() -> None:
        with link, contextlib.suppress(BrokenPipeError):
            while True:
                link.sendall(flood)
                written.set()

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        assert written.wait(PATIENCE)
        keeper.lose_agent()
        keeper.greet()
    finally:
        writer.join(PATIENCE)
    assert not writer.is_alive(), "its end of the link was closed"
    assert keeper.listed().runs == []


def test_a_stop_that_a_dead_agent_had_asked_for_is_carried_out(keeper: Keeper) -> None:
    run, _ = keeper.begin("graceful.py")
    keeper.popen.send_signal(signal.SIGSTOP)
    keeper.stop(run)
    keeper.lose_agent()
    keeper.popen.send_signal(signal.SIGCONT)
    keeper.greet()
    assert keeper.wait(wire.Exited, run).code == 7


@whatever_the_tracking
def test_a_frame_that_is_not_as_agreed_ends_its_agent_and_changes_nothing(keeper: Keeper) -> None:
    run, main = keeper.begin("graceful.py")
    frames = dict(BAD_FRAMES)
    for what, members in WRONG_SPAWNS.items():
        frames[what] = wire.encode(keeper.spec("exits.py")._replace(**members))
    for count, (what, frame) in enumerate(frames.items(), start=1):
        keeper.send_bytes(frame)
        assert keeper.agent.wait(PATIENCE), f"its agent lives after {what}"
        keeper.hang_up()
        keeper.greet()
        assert keeper.listed().runs == [run], what
        assert len(keeper.logged("frame_refused")) == count, what
    assert main.alive
    keeper.stop(run)
    assert keeper.wait(wire.Exited, run).code == 7


@whatever_the_tracking
def test_a_start_out_of_its_bounds_is_the_end_of_that_run_alone(keeper: Keeper) -> None:
    for what, members in BAD_MEMBERS.items():
        spec = keeper.spec("exits.py")._replace(**members)
        keeper.send(spec)
        failed = keeper.wait(wire.SpawnFailed, spec.run)
        assert (failed.stage, failed.errno) == ("request", errno.EINVAL), what
    keeper.forget_all()
    assert keeper.listed().runs == []
    assert not os.path.exists(keeper.settings.log_dir)
    assert keeper.agent.alive


@whatever_the_tracking
def test_what_follows_a_refused_frame_is_not_carried_out(keeper: Keeper) -> None:
    follower = keeper.spec("exits.py")
    with traced(keeper.agent.pid, PTRACE_O_TRACEEXIT):  # so that it is killed, and not dead yet
        keeper.send_bytes(BAD_FRAMES["no JSON"] + wire.encode(follower))
        observed.until(lambda: bool(keeper.logged("frame_refused")), "the refusal")
        keeper.send(follower)
    keeper.agent.death()
    keeper.hang_up()
    keeper.greet()
    assert keeper.listed().runs == []


@whatever_the_tracking
def test_an_agent_that_does_not_listen_makes_no_kill_late(keeper: Keeper) -> None:
    run, main = keeper.begin("ignores.py", timeout=WINDOW)
    asked_at = keeper.stop(run)
    asked = 4000
    keeper.send(*[wire.List()] * asked)  # the answers do not fit into the link
    died_at = main.death()
    assert asked_at + WINDOW <= died_at < asked_at + WINDOW + SOON
    keeper.until(lambda: len(keeper.find(wire.Listed)) == asked, "every answer")
    keeper.wait(wire.Emptied, run)
    seqs = [event.seq for event in keeper.events if not isinstance(event, wire.Listed)]
    assert seqs == sorted(seqs)


@whatever_the_tracking
def test_the_agent_has_the_link_and_the_sockets_and_nothing_else(start_keeper: StartKeeper) -> None:
    keeper = start_keeper(agent_environ={"COLOUR": "blue"})
    keeper.begin("graceful.py")
    keeper.lose_agent()
    keeper.greet()  # one that was started while there was more that could have been inherited
    link, listener, control = 3, 4, 5
    assert set(observed.descriptors(keeper.agent.pid)) == {0, 1, 2, link, listener, control}
    found = observed.status(keeper.agent.pid)
    assert int(found["SigBlk"], 16) == 0
    assert int(found["SigIgn"], 16) == 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1, "more than Python ignores"
    assert proc.read_environ(keeper.agent.pid)[b"COLOUR"] == b"blue"
    assert os.getsid(keeper.agent.pid) == keeper.agent.pid


@whatever_the_tracking
def test_an_agent_that_cannot_be_started_ends_the_keeper(start_keeper: StartKeeper) -> None:
    keeper = start_keeper(agent_argv=["/nonexistent"], greet=False, expected_status=1)
    keeper.process.death()
    assert keeper.logged("agent_failed_to_start")


def test_the_agent_ends_with_its_keeper_and_the_tasks_go_on(start_keeper: StartKeeper) -> None:
    keeper = start_keeper(expected_status=-signal.SIGKILL)
    _, main = keeper.begin("graceful.py")
    keeper.process.signal(signal.SIGKILL)
    keeper.agent.death()
    keeper.popen.wait()
    assert main.alive
    assert keeper.left() == sorted([keeper.agent.pid, main.pid]), "both are ours now: a zombie, and a task that goes on"
    keeper.abort()


@whatever_the_tracking
def test_the_keeper_is_deaf_to_what_a_terminal_sends(keeper: Keeper) -> None:
    run, main = keeper.begin("ignores.py", timeout=WINDOW)
    asked_at = keeper.stop(run)
    names = [
        "SIGHUP",
        "SIGPIPE",
        "SIGQUIT",
        "SIGTSTP",
        "SIGTTIN",
        "SIGTTOU",
        "SIGUSR1",
        "SIGUSR2",
        "SIGALRM",
        "SIGCHLD",
    ]
    for _ in range(100):
        for name in names:
            keeper.popen.send_signal(getattr(signal, name))
    died_at = keeper.until(lambda: main.died_at, "the death of the main process")
    assert asked_at + WINDOW <= died_at < asked_at + WINDOW + SOON
    keeper.wait(wire.Emptied, run)
    assert keeper.agent.alive
