"""A small agent: a thread that answers on a unix socket as it was told, and keeps what it was sent."""

from __future__ import annotations

import json
import socketserver
import sys
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple

from tests.conftest import PATIENCE


class Request(NamedTuple):
    method: str
    path: str
    target: str
    body: Any
    headers: dict[str, str] = {}
    """Those of our own."""


class Stream(NamedTuple):
    """One answer to a watch: lines (bytes as they are); then ``end``, ``cut`` (in a chunk) or ``hold`` (silence).

    Before that, once a stop is asked for, the lines ``when_stopped``.
    """

    lines: list[Any]
    after: str = "end"
    when_stopped: list[Any] = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeAgent

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
        """Quiet."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        target = self.headers["X-Amz-Target"] or ""
        assert self.headers["Content-Type"] == "application/x-amz-json-1.1"
        own = {name: value for name, value in self.headers.items() if name.startswith("x-supervisor-")}
        self.server.requests.append(Request("POST", self.path, target, body, own))
        if target.endswith(".StopTask"):
            self.server.stop_asked.set()
        answer = self.server.answers.popleft()
        self.close_connection = True
        if answer is not None:
            status, reply = answer
            text = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    def do_GET(self) -> None:
        self.server.requests.append(Request("GET", self.path, "", None))
        self.close_connection = True
        if self.server.ending.is_set():
            return
        stream = self.server.streams.popleft()
        if stream is None:
            return
        if not isinstance(stream, Stream):
            status, reply = stream
            text = json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._say(stream.lines)
        if stream.when_stopped:
            self.server.stop_asked.wait(PATIENCE)
            self._say(stream.when_stopped)
        match stream.after:
            case "end":
                self.wfile.write(b"0\r\n\r\n")
            case "cut":
                self.wfile.write(b'ff\r\n{"tasks": [')
            case "hold":
                self.server.ending.wait()

    def _say(self, lines: list[Any]) -> None:
        for line in lines:
            text = line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))


class FakeAgent(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    def __init__(self, path: Path) -> None:
        super().__init__(str(path), Handler)
        self.path = str(path)
        self.requests: list[Request] = []
        self.answers: deque[tuple[int, Any] | None] = deque()
        """Status and reply for each request; None closes the connection without an answer."""
        self.streams: deque[Stream | tuple[int, Any] | None] = deque()
        self.stop_asked = threading.Event()
        self.ending = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that has heard enough hangs up: no news for the standard error of a test."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def bodies(self) -> list[Any]:
        return [request.body for request in self.requests if request.method == "POST"]


ARN = "arn:aws:ecs:local:000000000000:task/default/0123456789abcdef0123456789abcdef"


def task_of(status: str = "RUNNING", *containers: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"taskArn": ARN, "lastStatus": status, "containers": list(containers), **members}


def container_of(name: str, status: str = "RUNNING", **members: Any) -> dict[str, Any]:
    return {"name": name, "lastStatus": status, **members}


def line_of(*tasks: dict[str, Any], windows: dict[str, tuple[float, float]] | None = None) -> dict[str, Any]:
    """A line of the stream; ``windows``: container → (stop timeout, remaining)."""
    return {
        "tasks": list(tasks),
        "failures": [],
        "windows": [
            {"taskArn": ARN, "containerName": name, "stopTimeout": total, "remaining": left}
            for name, (total, left) in (windows or {}).items()
        ],
    }
