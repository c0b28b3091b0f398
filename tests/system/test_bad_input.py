"""What is wrong is answered with the right error, changes nothing, and the agent goes on. All as bytes on a socket."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Any, NamedTuple

import pytest

from tests.conformance import parse
from tests.conftest import PATIENCE
from tests.system.daemon import Daemon, Json

pytestmark = pytest.mark.system

TARGET = "AmazonEC2ContainerServiceV20141113"
UNKNOWN_ID = "0" * 32
MAX_BODY = 1024 * 1024


class Answer(NamedTuple):
    """Of the agent, as it was on the wire."""

    status: int
    headers: dict[str, str]
    body: Json


def connect(daemon: Daemon) -> socket.socket:
    """To the agent."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(PATIENCE)
    sock.connect(daemon.socket)
    return sock


def send(daemon: Daemon, data: bytes) -> Answer:
    """Those bytes, and what comes back."""
    with connect(daemon) as sock:
        with contextlib.suppress(BrokenPipeError):  # it has heard enough, and its answer is there
            sock.sendall(data)
        with HTTPResponse(sock) as response:
            response.begin()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, json.loads(response.read()))


def post(daemon: Daemon, operation: str, body: bytes, **headers: str) -> Answer:
    """A request as a stock client makes it."""
    named = {"X-Amz-Target": f"{TARGET}.{operation}", "Content-Length": str(len(body)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return send(daemon, f"POST / HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode() + body)


def ask(daemon: Daemon, operation: str, **body: Any) -> Answer:
    """As ``post``, of what can be said as JSON."""
    return post(daemon, operation, json.dumps(body).encode())


def container(**members: Any) -> Json:
    """A definition that is accepted, but for the members given."""
    return {"name": "main", "command": ["true"], **members}


@pytest.fixture
def unchanged(shared: Daemon) -> Iterator[Daemon]:
    """A daemon with a task: whatever the test does, the task and the list of tasks are the same afterwards."""
    arn, main = shared.begin("graceful.py", "7")
    shared.wait(arn, "RUNNING")
    before = shared.call("ListTasks"), shared.call("DescribeTasks", tasks=[arn])
    agent = shared.agent()
    yield shared
    assert (shared.call("ListTasks"), shared.call("DescribeTasks", tasks=[arn])) == before
    assert agent.alive
    assert main.alive
    assert not shared.logged("request_failed")
    assert not shared.logged("change_failed")
    shared.stop(arn)
    assert shared.wait(arn)["containers"][0]["exitCode"] == 7


def assert_refused(answer: Answer, code: str, text: str, status: int = 400) -> None:
    """An ECS error, as botocore reads it."""
    assert (answer.status, answer.body) == (status, {"__type": code, "message": text})
    error = parse(json.dumps(answer.body).encode(), status=answer.status)["Error"]
    assert error == {"Code": code, "Message": text}
    assert answer.headers["content-type"] == "application/x-amz-json-1.1"
    assert answer.headers["x-amzn-requestid"]


INVALID, CLIENT = "InvalidParameterException", "ClientException"
REFUSED: dict[str, tuple[str, Json, str, str]] = {
    "missing task": ("StopTask", {"task": UNKNOWN_ID}, INVALID, "The referenced task was not found."),
    "bad id": ("StopTask", {"task": "abc"}, INVALID, "taskId length should be one of [32,36]"),
    "no task": ("StopTask", {}, INVALID, "task: required, but missing"),
    "long reason": (
        "StopTask",
        {"task": UNKNOWN_ID, "reason": "ü" * 256},
        INVALID,
        "reason: expected up to 255 characters, got 256",
    ),
    "other cluster": (
        "StopTask",
        {"cluster": "other", "task": UNKNOWN_ID},
        "ClusterNotFoundException",
        "Cluster not found.",
    ),
    "unknown member": (
        "StopTask",
        {"task": UNKNOWN_ID, "raeson": "x"},
        INVALID,
        "raeson: unknown member; did you mean 'reason'?",
    ),
    "wrong type": ("StopTask", {"task": 5}, INVALID, "task: expected a string, got an integer"),
    "no tasks": ("DescribeTasks", {"tasks": []}, INVALID, "Tasks cannot be empty."),
    "wrong type inside": (
        "DescribeTasks",
        {"tasks": ["a", {"b": 1}]},
        INVALID,
        "tasks[1]: expected a string, got an object",
    ),
    "unknown definition": ("RunTask", {"taskDefinition": "nobody"}, CLIENT, "TaskDefinition not found."),
    "definition not described": (
        "DescribeTaskDefinition",
        {"taskDefinition": "nobody:9"},
        CLIENT,
        "Unable to describe task definition.",
    ),
    "wrong type deep inside": (
        "RegisterTaskDefinition",
        {"family": "f", "containerDefinitions": [container(), container(environment=[{"name": 1}])]},
        CLIENT,
        "containerDefinitions[1].environment[0].name: expected a string, got an integer",
    ),
    "no essential container": (
        "RegisterTaskDefinition",
        {"family": "f", "containerDefinitions": [container(essential=False)]},
        CLIENT,
        "Task definition doesn't have any essential container.",
    ),
    "no container": (
        "RegisterTaskDefinition",
        {"family": "f", "containerDefinitions": []},
        CLIENT,
        "Container list cannot be empty.",
    ),
    "cycle": (
        "RegisterTaskDefinition",
        {
            "family": "f",
            "containerDefinitions": [
                container(name="a", dependsOn=[{"containerName": "b", "condition": "START"}]),
                container(name="b", dependsOn=[{"containerName": "a", "condition": "START"}]),
            ],
        },
        CLIENT,
        "containerDefinitions: dependsOn goes round in a circle, a -> b -> a; remove one",
    ),
    "what a process host cannot do": (
        "RegisterTaskDefinition",
        {"family": "f", "containerDefinitions": [container(privileged=True)]},
        CLIENT,
        "containerDefinitions[0].privileged: a process host cannot do this; remove it",
    ),
    "no such user": (
        "RegisterTaskDefinition",
        {"family": "f", "containerDefinitions": [container(user="nobody-of-that-name")]},
        CLIENT,
        "containerDefinitions[0].user: user 'nobody-of-that-name' is not known on this host; create it or name another",
    ),
    "unknown operation": (
        "StartTusk",
        {},
        "UnknownOperationException",
        "cannot do 'StartTusk': ECS has no such operation",
    ),
    "operation of a later version": (
        "CreateService",
        {"serviceName": "x"},
        "UnsupportedFeatureException",
        "cannot do CreateService: this version does not have it",
    ),
}


@pytest.mark.parametrize(("operation", "body", "code", "text"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_is_refused(unchanged: Daemon, operation: str, body: Json, code: str, text: str) -> None:
    assert_refused(ask(unchanged, operation, **body), code, text)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{", "cannot read the body as JSON: Input data was truncated"),
        (b"", "cannot read the body as JSON: Input data was truncated"),
        (b"[1]", "cannot read the body: it must be a JSON object"),
        (b'{"task": "\xff"}', None),
        (b'{"task": NaN}', None),
        (b"[" * 100_000, None),
        (b'{"task": ' * 100_000, None),
    ],
    ids=["half", "empty", "list", "bytes", "NaN", "brackets", "braces"],
)
def test_what_is_no_json_object_is_refused(unchanged: Daemon, body: bytes, text: str | None) -> None:
    answer = post(unchanged, "StopTask", body)
    assert_refused(answer, "SerializationException", text or answer.body["message"])
    assert answer.body["message"].startswith("cannot read the body")


def test_a_body_of_more_than_a_mebibyte_is_refused(unchanged: Daemon) -> None:
    text = f"cannot take the body: at most {MAX_BODY} bytes are allowed"
    head, tail = b'{"task": "', b'"}'
    filling = MAX_BODY - len(head) - len(tail)
    whole = post(unchanged, "StopTask", head + b"a" * filling + tail)
    assert_refused(whole, INVALID, "taskId length should be one of [32,36]")
    for size in (filling + 1, 20 * MAX_BODY):
        assert_refused(post(unchanged, "StopTask", head + b"a" * size + tail), CLIENT, text)


def test_a_body_without_a_length_is_counted_as_it_comes(unchanged: Daemon) -> None:
    chunk = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
    head = f"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: {TARGET}.StopTask\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert_refused(
        send(unchanged, head.encode() + chunk * 20),
        CLIENT,
        f"cannot take the body: at most {MAX_BODY} bytes are allowed",
    )


@pytest.mark.parametrize("target", ["", "StopTask", "DynamoDB_20120810.ListTables"])
def test_a_request_without_its_target_is_refused(unchanged: Daemon, target: str) -> None:
    answer = post(unchanged, "", b"{}", **{"X-Amz-Target": target})
    text = f"cannot tell the operation: X-Amz-Target must be {TARGET}.<Operation>"
    assert_refused(answer, "UnknownOperationException", text)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nothing"), ("GET", "/"), ("DELETE", "/"), ("POST", "/v1/health")]
)
def test_what_is_not_there_is_not_found(unchanged: Daemon, method: str, path: str) -> None:
    answer = send(unchanged, f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
    text = f"cannot {method} {path}: see POST / and GET /v1/health"
    assert_refused(answer, "UnknownOperationException", text, 404)


def test_the_health_is_told(shared: Daemon) -> None:
    answer = send(shared, b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (answer.status, answer.body["status"]) == (200, "ok")


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST / HT",
        b"\0\xff\xfe not HTTP at all\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\n",
        f"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: {TARGET}.StopTask\r\nContent-Length: 99\r\n\r\n{{".encode(),
        f"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: {TARGET}.RunTask\r\nContent-Length: -1\r\n\r\n".encode(),
    ],
    ids=["nothing", "half a line", "no HTTP", "half a head", "half a body", "negative length"],
)
def test_a_caller_that_hangs_up_in_the_middle_harms_nobody(unchanged: Daemon, sent: bytes) -> None:
    with connect(unchanged) as sock:
        sock.sendall(sent)
    assert ask(unchanged, "ListTasks").status == 200


def test_a_caller_that_hangs_up_does_not_undo_what_it_asked_for(shared: Daemon) -> None:
    """A request that has arrived in full is carried out, whether anybody waits for its answer or not."""
    arn, main = shared.begin("graceful.py", "7")
    body = json.dumps({"task": arn}).encode()
    head = f"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: {TARGET}.StopTask\r\nContent-Length: {len(body)}\r\n\r\n"
    with connect(shared) as sock:
        sock.sendall(head.encode() + body)
        sock.shutdown(socket.SHUT_WR)
    main.death()
    assert shared.wait(arn)["stopCode"] == "UserInitiated"


def test_a_reason_of_255_characters_is_kept_word_for_word(shared: Daemon) -> None:
    arn, _ = shared.begin("unhandled.py")
    reason = "ü€𝄞" * 85
    answer = ask(shared, "StopTask", task=arn, reason=reason)
    assert (answer.status, answer.body["task"]["stoppedReason"]) == (200, reason)
    assert shared.wait(arn)["stoppedReason"] == reason


def test_what_is_refused_uses_up_no_revision(shared: Daemon) -> None:
    for _ in range(3):
        ask(shared, "RegisterTaskDefinition", family="few", containerDefinitions=[container(user="no-one-at-all")])
    answer = ask(shared, "RegisterTaskDefinition", family="few", containerDefinitions=[container()])
    assert answer.body["taskDefinition"]["revision"] == 1


def test_missing_tasks_are_failures_and_no_error(shared: Daemon) -> None:
    arn = shared.run(container())
    answer = ask(shared, "DescribeTasks", tasks=[arn, UNKNOWN_ID])
    assert (answer.status, [task["taskArn"] for task in answer.body["tasks"]]) == (200, [arn])
    missing = f"arn:aws:ecs:local:{shared.account}:task/default/{UNKNOWN_ID}"
    assert answer.body["failures"] == [{"arn": missing, "reason": "MISSING"}]
