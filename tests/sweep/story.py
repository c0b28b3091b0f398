"""The requests of one client: tasks of every kind, started and stopped in an order that the seed says.

What was acknowledged is kept; what broke is in doubt, and is asked again, or is looked for, as the seed says.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from supervisor.cli.client import BROKEN, TARGET, Client
from supervisor.cli.failures import AgentUnreachable
from tests.conftest import PATIENCE
from tests.sweep.observer import Observer
from tests.system.daemon import Json

WINDOW = 0.4
"""Seconds between SIGTERM and SIGKILL for those that use it up."""
SHORTER = 0.3
"""The same for one that has been given a longer one first."""
LONGER = 30
PAUSE = 0.02
"""Seconds until a request that broke is sent again; a new life of the supervisor is waited for."""

LIFE = str(Path(__file__).with_name("life.sh"))


class Stop(NamedTuple):
    """A StopTask that was acknowledged. Monotonic instants; a repeated one was first sent at ``asked_at``."""

    window: float | None
    asked_at: float
    acknowledged_at: float


class Ran:
    """A RunTask, and what was asked of its tasks."""

    def __init__(self, kind: str, token: str, code: int) -> None:
        self.kind = kind
        self.token = token
        self.code = code
        self.arns: list[str] = []
        self.acknowledged = False
        self.stops: list[Stop] = []


class Violated(Exception):
    """A promise was not kept."""


class Story:
    """``tell`` goes through it; ``ran`` is what was done."""

    def __init__(self, observer: Observer, seed: int, now: Callable[[], float]) -> None:
        self._observer = observer
        self._client = Client(observer.daemon.socket, timeout=PATIENCE)
        self._random = random.Random(seed)
        self._now = now
        self._broken = False
        self.ran: list[Ran] = []
        self.repeated = 0

    def tell(self) -> None:
        """Everything, until all is STOPPED but what is left for the end of the supervisor."""
        for family in ("plain", "graceful", "restarted"):
            self._register(family)
        chains = [self._exits(), self._restarted(), self._graceful(), self._left(), self._stubborn()]
        chains += [self._parent(), self._hastened()]
        self._random.shuffle(chains)
        while chains:
            chain = self._random.choice(chains)
            if next(chain, None) is None:
                chains.remove(chain)
        self._await_stopped([arn for ran in self.ran if ran.kind != "left" for arn in ran.arns])

    # the kinds

    def _exits(self) -> Iterator[bool]:
        ran = self._run("exits", count=2)
        yield True
        again = self._acknowledged("RunTask", self._body(ran, "plain", 2))
        if sorted(task["taskArn"] for task in again["tasks"]) != sorted(ran.arns):
            raise Violated(f"the same clientToken made other tasks: {again['tasks']} and {ran.arns}")
        yield True

    def _restarted(self) -> Iterator[bool]:
        ran = self._run("restarted", "restarted")
        yield True
        self._hear(ran, "main", 2)
        yield True
        self._stop(ran)
        yield True

    def _graceful(self) -> Iterator[bool]:
        ran = self._run("graceful", "graceful")
        yield True
        self._hear(ran, "main")
        yield True
        self._stop(ran)
        yield True

    def _left(self) -> Iterator[bool]:
        """Runs until the supervisor is told to end."""
        ran = self._run("left")
        yield True
        self._hear(ran, "main")
        yield True

    def _stubborn(self) -> Iterator[bool]:
        ran = self._run("stubborn", repeat=self._random.random() < 0.5)
        yield True
        if ran.arns:
            self._hear(ran, "main")
            yield True
            self._stop(ran, WINDOW)
            yield True

    def _parent(self) -> Iterator[bool]:
        ran = self._run("parent")
        yield True
        self._hear(ran, "child")
        yield True
        self._stop(ran, WINDOW)
        yield True

    def _hastened(self) -> Iterator[bool]:
        ran = self._run("hastened")
        yield True
        self._hear(ran, "main")
        yield True
        self._stop(ran, LONGER)
        yield True
        self._stop(ran, SHORTER)
        yield True

    # requests

    def _register(self, family: str) -> None:
        container: Json = {"name": "main", "command": ["/bin/sh", LIFE, "nothing"], "stopTimeout": LONGER}
        container["environment"] = [{"name": "SAID", "value": self._observer.path}]
        if family == "graceful":
            container["healthCheck"] = {"command": ["CMD", "/bin/sh", LIFE, "checked"], "interval": 5}
            container["dockerLabels"] = {"supervisor.pre-stop": f"/bin/sh {LIFE} prepared"}
        elif family == "restarted":
            container["restartPolicy"] = {"enabled": True, "restartAttemptPeriod": 60}
            container["dockerLabels"] = {"supervisor.restart-backoff": "0.05:0.05"}
        self._acknowledged("RegisterTaskDefinition", {"family": family, "containerDefinitions": [container]})

    def _body(self, ran: Ran, family: str, count: int) -> Json:
        kind = {"left": "graceful", "hastened": "stubborn"}.get(ran.kind, ran.kind)
        override = {
            "name": "main",
            "command": ["/bin/sh", LIFE, kind],
            "environment": [{"name": "CODE", "value": str(ran.code)}],
        }
        overrides = {"containerOverrides": [override]}
        token = {"clientToken": ran.token, "startedBy": ran.token}
        return {"taskDefinition": family, "count": count, "overrides": overrides, **token}

    def _run(self, kind: str, family: str = "plain", count: int = 1, *, repeat: bool = True) -> Ran:
        ran = Ran(kind, f"{kind}-{self._random.randrange(10**9)}", self._random.randrange(1, 100))
        self.ran.append(ran)
        body = self._body(ran, family, count)
        reply = self._acknowledged("RunTask", body) if repeat else self._tried("RunTask", body)
        if reply is None:
            for status in ("RUNNING", "STOPPED"):
                listed = self._acknowledged("ListTasks", {"startedBy": ran.token, "desiredStatus": status})
                ran.arns += listed["taskArns"]
            return ran
        if len(reply["tasks"]) != count:
            raise Violated(f"{count} tasks were asked for: {reply}")
        ran.arns = [task["taskArn"] for task in reply["tasks"]]
        ran.acknowledged = True
        return ran

    def _stop(self, ran: Ran, window: float | None = None) -> None:
        headers = {} if window is None else {"x-supervisor-stop-timeout": str(window)}
        asked_at = self._now()
        for arn in ran.arns:
            body = {"task": arn, "reason": ran.token}
            reply = self._tried("StopTask", body, headers)
            if reply is None and (self._random.random() < 0.5 or not self._is_asked(ran, arn)):
                reply = self._acknowledged("StopTask", body, headers)
            if reply is not None and reply["task"]["desiredStatus"] != "STOPPED":
                raise Violated(f"a stop was acknowledged and is not there: {_named(reply['task'])}")
        ran.stops.append(Stop(window, asked_at, self._now()))

    def _is_asked(self, ran: Ran, arn: str) -> bool:
        """Whether the first stop of it, which was in doubt, has been recorded: then it is to happen by itself."""
        if ran.stops:
            return False
        (task,) = self._acknowledged("DescribeTasks", {"tasks": [arn]})["tasks"]
        return bool(task["desiredStatus"] == "STOPPED")

    def _acknowledged(self, operation: str, body: Json, headers: dict[str, str] | None = None) -> Json:
        while True:
            reply = self._tried(operation, body, headers)
            if reply is not None:
                return reply
            self.repeated += 1

    def _tried(self, operation: str, body: Json, headers: dict[str, str] | None = None) -> Json | None:
        """The reply, or None if the connection broke. After one that broke, all that was acknowledged is looked at."""
        try:
            if self._broken:
                self._broken = False
                self._look_at_acknowledged()
            return self._post(operation, body, headers)
        except TimeoutError as exc:
            raise Violated(f"{operation} was never answered") from exc
        except (*BROKEN, AgentUnreachable):
            self._broken = True
            self._await(lambda: self._observer.ready, "ready again", PAUSE)
            return None

    def _post(self, operation: str, body: Json, headers: dict[str, str] | None = None) -> Json:
        """Once: what the client would send again by itself is seen here."""
        target = {"X-Amz-Target": f"{TARGET}.{operation}"}
        return self._client._post(operation, "/", body, target | (headers or {}))

    def _look_at_acknowledged(self) -> None:
        known = [ran for ran in self.ran if ran.acknowledged]
        arns = [arn for ran in known for arn in ran.arns]
        if not arns:
            return
        reply = self._post("DescribeTasks", {"tasks": arns})
        if reply["failures"]:
            raise Violated(f"acknowledged, and not known: {reply['failures']}")
        stopped = {arn for ran in known if ran.stops for arn in ran.arns}
        for task in reply["tasks"]:
            if task["taskArn"] in stopped and task["desiredStatus"] != "STOPPED":
                raise Violated(f"the stop was acknowledged, and is forgotten: {_named(task)}")
            self._check_gone(task)

    def _check_gone(self, task: Json) -> None:
        if task["lastStatus"] == "STOPPED" and (living := self._observer.living(task["taskArn"])):
            raise Violated(f"called STOPPED, and {living} live: {_named(task)}")

    # what is waited for

    def _await(self, fact: Callable[[], bool], what: str, pause: float = 0.0) -> None:
        changed = self._observer.changed
        with changed:
            if pause:
                changed.wait(pause)
            if not changed.wait_for(fact, PATIENCE):
                raise Violated(f"never came: {what}")

    def _hear(self, ran: Ran, word: str, count: int = 1) -> None:
        for arn in ran.arns:
            fact = f"{word} of {ran.kind} ({arn})"
            self._await(lambda arn=arn: len(self._observer.words(word, arn)) >= count, fact)  # type: ignore[misc]

    def _await_stopped(self, arns: list[str]) -> None:
        deadline = self._now() + PATIENCE
        while True:
            try:
                for reply in self._client.watch(None, arns, deadline - self._now()):
                    if reply["failures"]:
                        raise Violated(f"not known: {reply['failures']}")
                    for task in reply["tasks"]:
                        self._check_gone(task)
                    if all(task["lastStatus"] == "STOPPED" for task in reply["tasks"]):
                        return
            except AgentUnreachable:
                self._await(lambda: self._observer.ready, "ready again", PAUSE)
            except TimeoutError:
                left = self._acknowledged("DescribeTasks", {"tasks": arns})
                tasks = [_named(task) for task in left["tasks"] if task["lastStatus"] != "STOPPED"]
                raise Violated(f"never STOPPED: {tasks}") from None


def _named(task: Json) -> Json:
    """What a person needs of it."""
    names = ("taskArn", "startedBy", "lastStatus", "desiredStatus", "stoppedReason")
    return {name: task[name] for name in names if name in task} | {"reason": task["containers"][0].get("reason")}
