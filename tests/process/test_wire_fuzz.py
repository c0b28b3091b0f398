"""A keeper whose agents send anything: it lives, does nothing for a bad frame, and every stop is on time all the same.

The frames are drawn from a seed. What a keeper may do for them is known beforehand (``tests.frames.verdict``); what it
does is seen from outside: the processes of the test's own, those of runs, what it tells and what it lists.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from supervisor import wire
from tests import tally
from tests.conftest import EXAMPLES, PATIENCE, SEED
from tests.frames import Frames, verdict
from tests.machine import WORKLOADS
from tests.process.harness import SOON, WINDOW, Keeper
from tests.process.observed import Process

pytestmark = pytest.mark.process

STEPS = int(EXAMPLES or "25")
FLOOD = 2000
"""Frames that are sent at once."""


@contextlib.contextmanager
def bystander(keeper: Keeper) -> Iterator[Process]:
    """A process that is no concern of the keeper's."""
    argv = [sys.executable, "-S", str(WORKLOADS / "watchful.py")]
    child = subprocess.Popen(argv, env={**os.environ, "READY": keeper.words.path})
    try:
        yield keeper.hear("main")
    finally:
        child.kill()
        child.wait()


class Agents:
    """The agents of one keeper, one after another, each with something of its own to say: ``step``."""

    def __init__(self, keeper: Keeper, rng: random.Random, stranger: Process) -> None:
        self.keeper = keeper
        self.rng = rng
        self.frames = Frames(rng, self.sound)
        self.runs = dict(keeper.begin("watchful.py") for _ in range(2))
        self.untouched = [stranger, *self.runs.values()]
        self.known = set(self.runs)
        """All that was properly asked for."""
        self.refused = 0

    def new_run(self) -> str:
        return f"{self.rng.getrandbits(128):032x}"

    def sound(self) -> wire.Message:
        """What is to be damaged: as an agent of ours sends it, and often about a run that is there."""
        run = self.rng.choice([*self.runs, self.new_run()])
        spawn = self.spawn(pre_stop=["true"], ulimits=[("nofile", 64, 64)])
        messages: list[wire.Message] = [
            *(wire.Hello(wire.VERSION), wire.List(), wire.Forget(0), wire.Describe(run), wire.Pong(1)),
            *(wire.Stop(run, 60.0), wire.Stop(run, None), wire.Prove(), wire.Reexec()),
            *(spawn, spawn, spawn._replace(run=run), spawn._replace(beside=run, pre_stop=[], lifetime=1.0)),
            spawn._replace(living=(self.untouched[0].pid, 1)),
        ]
        return self.rng.choice(messages)

    def spawn(self, **members: Any) -> wire.Spawn:
        spec = self.keeper.spec("/bin/true", environ={"A": "b"}, log_driver="none", run=self.new_run())
        return spec._replace(**members)

    def strange(self) -> bytes:
        """What does not, as it happens, properly ask for the end of what is to stay as it is."""
        while True:
            data = b"".join(self.frames.draw() for _ in range(self.rng.choice([1, 1, 1, 2, 3])))
            meant = [one for one in verdict(data).messages if isinstance(one, wire.Stop | wire.Prove | wire.Reexec)]
            if not any(isinstance(one, wire.Prove | wire.Reexec) or one.run in self.runs for one in meant):
                return data

    def step(self) -> None:
        tell = self.rng.choice([self.say, self.say, self.say, self.say, self.say, self.flood, self.fall_silent])
        if self.rng.random() < 0.2:
            run, main = self.keeper.begin("ignores.py", timeout=WINDOW)
            self.known.add(run)
            asked_at = self.keeper.stop(run)
            tell()
            killed = self.keeper.wait(wire.Signalled, run, signum=signal.SIGKILL)
            assert asked_at + WINDOW <= killed.deadline <= killed.clock < killed.deadline + SOON
            main.death()
            tally.count("wire, a real keeper", stops_on_time=1)
        else:
            tell()
        self.look()

    def say(self) -> None:
        self.send(self.strange())

    def flood(self) -> None:
        """More than the keeper takes in at once."""
        run = self.new_run()
        few = [wire.encode(one) for one in (wire.List(), wire.Stop(run, 0.0), wire.Forget(-1), wire.Stop(run, 1e308))]
        self.send(b"".join(self.rng.choices(few, k=FLOOD)) + self.strange())
        tally.count("wire, a real keeper", frames=FLOOD)

    def fall_silent(self) -> None:
        """Half a frame: the keeper waits for nobody."""
        half = wire.encode(self.spawn())
        self.send(half[: self.rng.randrange(1, len(half))], follow=False)

    def send(self, data: bytes, *, follow: bool = True) -> None:
        """These bytes and, in the same write, what is to be carried out only if they are as agreed."""
        if follow:
            data += wire.encode(self.spawn())
        made = verdict(data)
        self.known.update(one.run for one in made.messages if isinstance(one, wire.Spawn))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it was killed before it had said all
            self.keeper.send_bytes(data)
        tally.count("wire, a real keeper", frames=1, refused=int(made.refused), half=int(made.rest))
        if made.refused:
            self.refused += 1
            assert self.keeper.agent.wait(PATIENCE), f"its agent lives after {data[:200]!r}"
            self.keeper.hang_up()
            self.keeper.greet()
        elif made.rest:
            self.keeper.lose_agent()
            self.keeper.greet()

    def look(self) -> None:
        """The keeper lives, and nothing was done but what was properly asked for."""
        runs = set(self.keeper.listed().runs)
        assert self.runs.keys() <= runs <= self.known
        told = {event.run for event in self.keeper.events if hasattr(event, "run")}
        assert told <= self.known
        assert all(event.run in self.runs for event in self.keeper.find(wire.Described))
        assert all(one.alive for one in self.untouched)
        assert self.keeper.heard("signalled") is None
        assert self.keeper.log_text().count("frame_refused") == self.refused
        self.keeper.send(
            wire.Forget(max((event.seq for event in self.keeper.events if hasattr(event, "seq")), default=0))
        )
        self.keeper.events.clear()


def test_whatever_agents_send(keeper: Keeper) -> None:
    rng = random.Random(int(SEED or "0"))
    with bystander(keeper) as stranger:
        agents = Agents(keeper, rng, stranger)
        for _ in range(STEPS):
            agents.step()
    for run, main in agents.runs.items():
        keeper.stop(run)
        main.death()
        assert keeper.wait(wire.Exited, run).code == 0
        assert keeper.heard("signalled") is not None
    tally.count("wire, a real keeper", steps=STEPS)
