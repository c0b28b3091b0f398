"""kill -9 of the agent, again and again, at random moments, under load: nothing is lost, and nothing is done twice.

====================================== ==========================================================================
``SUPERVISOR_TEST_AGENT_KILLS``        how often the agent is killed (40)
``SUPERVISOR_TEST_SEED``               where the random numbers begin, to see a failure again; unset: printed
====================================== ==========================================================================
"""

from __future__ import annotations

import itertools
import os
import random
import re
import secrets
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from supervisor.cli.client import Client
from supervisor.cli.failures import AgentUnreachable
from supervisor.posix import proc
from tests.conftest import PATIENCE, SEED
from tests.system.conftest import StartDaemon
from tests.system.daemon import FACTOR, MS, Daemon, Json

pytestmark = pytest.mark.system

KILLS = int(os.environ.get("SUPERVISOR_TEST_AGENT_KILLS", "40"))
THREADS = 10
EARLY_MOST = 4
"""Kills in a row of agents that have not served yet."""
WINDOW = 1
"""Seconds: the stop timeout of those that will use it up."""
LATEST = 2.0 * FACTOR
"""Seconds after its deadline by which a stop must be over, on a machine that is doing all this."""

BEGIN = 'echo started >>"$FILE"; '
STAY = 'echo ready >>"$FILE"; sleep 1000 & while :; do wait; done'
KINDS = {
    "exits": BEGIN + 'sleep "$NAP"; exit "$CODE"',
    "graceful": BEGIN + "trap 'exit \"$CODE\"' TERM; " + STAY,
    "unhandled": BEGIN + STAY,
    "stubborn": BEGIN + "trap '' TERM; " + STAY,
    "prepared": BEGIN + "trap 'exit \"$CODE\"' TERM; " + STAY,
    "restarted": BEGIN + 'sleep "$NAP"; exit "$CODE"',
}
"""Each writes a line when it has been started, and another one when it is ready to be stopped in its own way.

What ``graceful`` and ``unhandled`` leave behind is a child; what ``stubborn`` does, its child does too.
"""

MEMBERS: dict[str, Json] = {
    "prepared": {"dockerLabels": {"supervisor.pre-stop": 'echo prepared >>"$FILE"'}},
    "restarted": {
        "restartPolicy": {"enabled": True, "restartAttemptPeriod": 60},
        "dockerLabels": {"supervisor.restart-backoff": "0.05:0.2"},
    },
}


class Ran(NamedTuple):
    """A task whose start, and perhaps whose stop, was acknowledged."""

    kind: str
    arn: str
    code: int
    files: list[Path]
    stopped: bool


class Caller(threading.Thread):
    """Starts tasks and stops some of them, without end. Each request is repeated until it is acknowledged."""

    def __init__(self, daemon: Daemon, definitions: dict[str, str], seed: int) -> None:
        super().__init__(daemon=True)
        self._client = Client(daemon.socket)
        self._directory = daemon.directory
        self._definitions = definitions
        self._random = random.Random(seed)
        # Each caller begins with another kind than the one before, so that also a few tasks are of every kind.
        self._kinds = itertools.islice(itertools.cycle(definitions), seed % len(definitions), None)
        self.enough = threading.Event()
        self.ran: list[Ran] = []
        self.repeated = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        """Until it is enough."""
        try:
            while not self.enough.is_set():
                self._one()
        except BaseException as exc:  # noqa: BLE001  a thread's failure is its test's
            self.error = exc

    def _one(self) -> None:
        kind = next(self._kinds)
        code, token = self._random.randrange(1, 100), secrets.token_hex(16)
        file = Path(self._directory, f"ran-{token}")
        environment = [{"name": "FILE", "value": str(file)}, {"name": "CODE", "value": str(code)}]
        environment.append({"name": "NAP", "value": f"{self._random.uniform(0, 0.4):.3f}"})
        override = {"name": "main", "environment": environment}
        body = {"taskDefinition": self._definitions[kind], "overrides": {"containerOverrides": [override]}}
        reply = self._acknowledged("RunTask", {**body, "clientToken": token})
        (task,) = reply["tasks"]
        self.enough.wait(self._random.uniform(0, 0.4))
        stop = kind != "exits"
        if stop:
            asked = self._acknowledged("StopTask", {"task": task["taskArn"], "reason": token})["task"]
            assert (asked["desiredStatus"], asked["stoppedReason"]) == ("STOPPED", token)
        self.ran.append(Ran(kind, task["taskArn"], code, [file], stop))

    def _acknowledged(self, operation: str, body: Json) -> Json:
        """The reply, after as many tries as it takes. A try ends when the agent dies, so that this is no busy loop."""
        while True:
            try:
                return self._client.call(operation, body)
            except AgentUnreachable:
                self.repeated += 1


@pytest.mark.parametrize(("tracking", "kills"), [("auto", KILLS), ("descent", KILLS // 10)])
def test_agent_kills(start_daemon: StartDaemon, tracking: str, kills: int) -> None:
    seed = int(SEED) if SEED else secrets.randbelow(2**32)
    print(f"SUPERVISOR_TEST_SEED={seed}")
    daemon = start_daemon(tracking)
    definitions = {
        kind: daemon.define(
            {"name": "main", "command": ["/bin/sh", "-c", script], "stopTimeout": WINDOW, **MEMBERS.get(kind, {})}
        )
        for kind, script in KINDS.items()
    }
    callers = [Caller(daemon, definitions, seed + number) for number in range(THREADS)]
    for caller in callers:
        caller.start()
    try:
        kill_again_and_again(daemon, kills, random.Random(seed))
    finally:
        for caller in callers:
            caller.enough.set()
        for caller in callers:
            caller.join(3 * PATIENCE)
    assert [caller.error for caller in callers] == [None] * THREADS
    assert not any(caller.is_alive() for caller in callers), f"no answer\n{daemon.log_text()}"
    ran = [one for caller in callers for one in caller.ran]
    records = {task["taskArn"]: task for task in all_stopped(daemon, [one.arn for one in ran])}
    print(f"{kills} kills, {len(ran)} tasks, {sum(caller.repeated for caller in callers)} requests repeated")
    assert len(daemon.logged("agent_died")) == kills
    for one in ran:
        assert_true(one, records[one.arn])
        if one.kind == "restarted":
            runs = daemon.client.look("GetHistory", "/v1/history", task=one.arn)["runs"]
            assert_one_after_another(one, records[one.arn], runs)
    assert {one.kind for one in ran} == set(KINDS)
    assert every_arn(daemon) == {one.arn for one in ran}, "a request that was repeated was carried out once"
    assert proc.children_of(daemon.keeper.pid) == [daemon.agent().pid], "nothing runs any more"


def kill_again_and_again(daemon: Daemon, kills: int, moments: random.Random) -> None:
    """Some while the agent starts, some just when it serves what was waiting for it, some when it has nothing to do.

    Not many in a row while it starts: for each the keeper waits twice as long until it starts the next, up to 10 s.
    """
    early = 0
    for _ in range(kills):
        agent = daemon.agent()
        most = moments.choice([0.4, 0.4, 0.01, 0.01, 0.1] if early < EARLY_MOST else [0.01, 0.01, 0.1])
        early = early + 1 if most == 0.4 else 0
        if most < 0.4:
            daemon.client.call("ListTasks", {})  # it is answered together with all that has been waiting
        time.sleep(moments.uniform(0, most))
        assert agent.alive, daemon.log_text()
        agent.signal(signal.SIGKILL)
        agent.death()


def all_stopped(daemon: Daemon, arns: list[str]) -> Iterator[Json]:
    """The records of all these tasks, when all of them are STOPPED."""
    for first in range(0, len(arns), 100):
        for reply in daemon.client.watch(None, arns[first : first + 100], 30 * FACTOR):
            assert reply["failures"] == [], "it was acknowledged, and is not known"
            if all(task["lastStatus"] == "STOPPED" for task in reply["tasks"]):
                yield from reply["tasks"]
                break


def every_arn(daemon: Daemon) -> set[str]:
    """Every task that there ever was."""
    arns: set[str] = set()
    for status in ("RUNNING", "STOPPED"):
        more: Json = {}
        while more is not None:
            reply = daemon.call("ListTasks", desiredStatus=status, **more)
            arns |= set(reply["taskArns"])
            if "nextToken" not in reply:
                break
            more = {"nextToken": reply["nextToken"]}
    return arns


def assert_true(ran: Ran, task: Json) -> None:
    """What is recorded of the task is what was so."""
    lines = [file.read_text().splitlines() if file.exists() else [] for file in ran.files]
    (container,), (said,) = task["containers"], lines
    facts = (ran, task, said)
    assert said.count("started") <= 1 or ran.kind == "restarted", facts
    assert said.count("prepared") <= 1, facts
    stamps = [task[name] for name in ("createdAt", "startedAt", "stoppingAt", "stoppedAt") if name in task]
    assert stamps == sorted(stamps), facts
    if "executionStoppedAt" in task:
        assert task["startedAt"] <= task["executionStoppedAt"] <= task["stoppedAt"], facts
    if not ran.stopped:
        assert (task["stopCode"], said, container.get("exitCode")) == (
            "EssentialContainerExited",
            ["started"],
            ran.code,
        ), facts
        return
    assert task["stopCode"] == "UserInitiated", facts
    if ran.kind == "restarted":
        return
    own = {
        "graceful": ran.code,
        "prepared": ran.code,
        "unhandled": 128 + signal.SIGTERM,
        "stubborn": 128 + signal.SIGKILL,
    }[ran.kind]
    if "ready" in said:
        assert container.get("exitCode") == own, facts
    elif "startedAt" in task:  # the signal came before its handler, or just after
        assert container.get("exitCode") in (own, 128 + signal.SIGTERM), facts
    else:
        assert (said, "exitCode" in container) == ([], False), facts
    if container.get("exitCode") == 128 + signal.SIGKILL:
        killed = re.match(r"Killed (\d+\.\d) s after the stop signal", container["reason"])
        assert killed, facts
        assert WINDOW <= float(killed[1]) <= WINDOW + LATEST, facts
        assert task["stoppedAt"] - task["stoppingAt"] >= WINDOW - MS, facts


def assert_one_after_another(ran: Ran, task: Json, runs: list[Json]) -> None:
    """No run is missing, none was started twice, and each is told as it was."""
    facts = (ran, task, runs)
    started = [run for run in runs if "startedAt" in run]
    assert [run["number"] for run in runs] == list(range(1, len(runs) + 1)), facts
    said = ran.files[0].read_text().splitlines().count("started") if ran.files[0].exists() else 0
    assert len(started) - 1 <= said <= len(started), facts  # the last may have been stopped before it said so
    assert {run["exitCode"] for run in started[:-1]} <= {ran.code}, facts
    assert all(run["exitCode"] in (ran.code, 128 + signal.SIGTERM) for run in started[-1:]), facts
    assert len(runs) - len(started) <= 1, facts
    for earlier, later in itertools.pairwise(started):
        assert earlier["stoppedAt"] <= later["startedAt"], facts
