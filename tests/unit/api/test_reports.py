"""The looks at a stop's report and at a task's runs, from the query to the reply. The records are made ones."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import msgspec
import pytest

from supervisor import config
from supervisor.agent.caller import Signer
from supervisor.agent.engine import Engine
from supervisor.agent.placement import Host
from supervisor.agent.service import Service
from supervisor.agent.upgrade import Upgrade
from supervisor.api import sigv4
from supervisor.api.actions import Access
from supervisor.api.guards import Known
from supervisor.api.server import application
from supervisor.model import Cluster, ExitStatus, LastStatus, Moment, PastRun, Task
from supervisor.shapes import TASK_NOT_FOUND
from supervisor.store import Store
from tests.fake_clock import FakeClock
from tests.lives import TASK_ID, container_of, run, task_of

TASK = task_of(
    msgspec.structs.replace(
        container_of("main"),
        run_id=run("main"),
        last_status=LastStatus.STOPPED,
        exit=ExitStatus(code=0),
        started_at=1.0,
        stopped_at=4.0,
    ),
    container_of("quiet"),
)
MOMENT = Moment(
    task_id=TASK_ID,
    container="main",
    run_id=run("main"),
    at=3.0,
    clock=13.0,
    kind="Signalled",
    facts={"signum": 15, "whom": "main", "deadline": 43.0, "pids": [4711], "window": 30.0},
)
EARLIER = PastRun(
    task_id=TASK_ID, container="main", number=1, run_id="a", started_at=0.5, exit=ExitStatus(code=1), restarted=True
)


class Records:
    """Engine and store in one: one task in one cluster; what was asked of it is kept."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def cluster(self, name: str) -> Cluster | None:
        return Cluster(name=name) if name in ("default", "batch") else None

    def task(self, task_id: str) -> Task | None:
        return TASK if task_id == TASK_ID else None

    def moments(self, task_id: str) -> list[Moment]:
        self.asked.append(("moments", task_id))
        return [MOMENT]

    def runs(self, task_id: str) -> list[PastRun]:
        self.asked.append(("runs", task_id))
        return [EARLIER]


class Agent:
    """The application over made records."""

    def __init__(self, state_dir: Path) -> None:
        settings = config.load(None, state_dir=str(state_dir), socket="/s", environ={"HOME": "/nowhere"}, uid=1)
        self.records = Records()
        engine, store = cast("Engine", self.records), cast("Store", self.records)
        service = Service(engine, store, FakeClock(), settings, cast("Host", None))
        self._application = application(service, "000000000000", cast("Upgrade", None))

    def get(self, path: str, query: dict[str, str], access: Access | None = Access.READ) -> tuple[int, dict[str, Any]]:
        """Status and body of the reply."""
        replies: list[dict[str, Any]] = []

        def identify(_: sigv4.Request) -> Known:
            return Known(Signer("ada", "127.0.0.1:1"), access, "the test")

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            replies.append(message)

        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": urlencode(query).encode(),
            "root_path": "",
            "headers": [],
            "state": {"identify": identify},
        }
        asyncio.run(self._application(scope, receive, send))
        start, reply = replies
        return start["status"], json.loads(reply["body"])


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return Agent(tmp_path)


@pytest.mark.parametrize("task", [TASK_ID, TASK.task_arn])
def test_a_report_with_the_log(agent: Agent, tmp_path: Path, task: str) -> None:
    directory = tmp_path / "logs" / TASK_ID
    directory.mkdir(parents=True)
    (directory / "main.log").write_text("".join(f"line {number}\n" for number in range(50)))
    status, report = agent.get("/v1/report", {"task": task})
    assert (status, report["taskArn"]) == (200, TASK.task_arn)
    main, quiet = report["containers"]
    assert [entry["text"] for entry in main["timeline"]] == ["SIGTERM to the main process, 4711"]
    assert main["log"] == [f"line {number}" for number in range(30, 50)]
    assert (quiet["timeline"], quiet["log"]) == ([], [])
    assert agent.records.asked == [("moments", TASK_ID)]


@pytest.mark.parametrize("task", [TASK_ID, TASK.task_arn])
def test_a_history(agent: Agent, task: str) -> None:
    status, history = agent.get("/v1/history", {"task": task, "cluster": "default"})
    assert (status, history["taskArn"]) == (200, TASK.task_arn)
    assert [(one["number"], one["exitCode"], one["restarted"]) for one in history["runs"]] == [
        (1, 1, True),
        (1, 0, False),
    ]
    assert agent.records.asked == [("runs", TASK_ID)]


@pytest.mark.parametrize("path", ["/v1/report", "/v1/history"])
@pytest.mark.parametrize(
    ("query", "code", "text"),
    [
        ({"task": "f" * 32}, "InvalidParameterException", TASK_NOT_FOUND),
        ({"task": TASK_ID, "cluster": "batch"}, "InvalidParameterException", TASK_NOT_FOUND),
        ({"task": TASK_ID, "cluster": "none"}, "ClusterNotFoundException", "Cluster not found."),
        ({"task": "web"}, "InvalidParameterException", "taskId length should be one of [32,36]"),
        ({}, "InvalidParameterException", "taskId length should be one of [32,36]"),
    ],
)
def test_what_is_not_found_is_refused_as_by_stop_task(
    agent: Agent, path: str, query: dict[str, str], code: str, text: str
) -> None:
    status, error = agent.get(path, query)
    assert (status, error["__type"], error["message"]) == (400, code, text)
    assert agent.records.asked == []


@pytest.mark.parametrize(("path", "action"), [("/v1/report", "GetStopReport"), ("/v1/history", "GetHistory")])
def test_who_may_not_read_is_told_what_they_lack(agent: Agent, path: str, action: str) -> None:
    _, error = agent.get(path, {"task": TASK_ID}, None)
    assert f"is not authorized to perform: supervisor:{action} " in error["message"]
