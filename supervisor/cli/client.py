"""The agent's HTTP API from the caller's side: one request per connection, over the unix socket."""

from __future__ import annotations

import http.client
import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

from .failures import AgentRefused, AgentUnreachable

TARGET = "AmazonEC2ContainerServiceV20141113"
CONTENT_TYPE = "application/x-amz-json-1.1"
ANSWER_TIMEOUT = 60.0
"""Seconds without a byte after which the agent counts as gone; a stream is then opened anew."""
ATTEMPTS = 3
"""How often a request is sent that does no harm when it arrives twice."""
REPEATABLE = frozenset(
    {
        "RunTask",
        "StopTask",
        "UpdateTaskProtection",
    }
)
"""Besides those that only look. RunTask is among them because every one carries a ``clientToken``."""
STREAM_FAILURES = 10
"""How many connections in a row may fail before one line came from the stream."""
STREAM_PAUSE = 0.2
"""Seconds before a stream is opened anew."""

BROKEN = (OSError, http.client.HTTPException)
"""What a conversation can end with when the agent goes away in the middle of it."""


class Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        """Raises ``AgentUnreachable`` with the reason."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self.path)
        except PermissionError as exc:
            remedy = "run this as root or as a member of the socket's group"
            raise AgentUnreachable(self.path, "permission denied", remedy) from exc
        except OSError as exc:
            raise AgentUnreachable(self.path, _reason(exc)) from exc

    def exchange(self, method: str, target: str, body: bytes | None = None, **headers: str) -> http.client.HTTPResponse:
        """Send a request and return the response, its body unread."""
        try:
            self.request(method, target, body, headers)
        except (BrokenPipeError, ConnectionResetError):
            # The agent refuses a body that is too large before it has read all of it: its answer is there.
            response = self.response_class(self.sock, method=method)
            response.begin()
            return response
        return self.getresponse()


class Client:
    """Speaks to the agent at one socket."""

    def __init__(
        self, socket_path: str, *, timeout: float = ANSWER_TIMEOUT, pause: Callable[[float], None] = time.sleep
    ) -> None:
        """``timeout``: seconds for an answer; ``pause`` waits between attempts to open a stream."""
        self.socket_path = socket_path
        self._timeout = timeout
        self._pause = pause

    def call(self, operation: str, body: dict[str, Any], **headers: str) -> dict[str, Any]:
        """Perform an ECS operation and return its reply; ``headers`` say what ECS has no member for.

        Sent again if the connection breaks without an answer and the operation can bear it. Raises
        ``AgentRefused`` for an ECS error, ``AgentUnreachable`` if there is no answer.
        """
        if operation == "RunTask" and not body.get("clientToken"):
            body = {**body, "clientToken": os.urandom(16).hex()}
        looks = operation.startswith(("Describe", "Get", "List"))
        attempts = ATTEMPTS if looks or operation in REPEATABLE else 1
        target = {"X-Amz-Target": f"{TARGET}.{operation}"}
        return self._asked(lambda: self._post(operation, "/", body, target | headers), attempts)

    def begin_upgrade(self) -> dict[str, Any]:
        """Have the installed version take over; returns when whoever connects from now on is served by the next agent.

        Sent once. Raises as ``call`` does.
        """
        return self._asked(lambda: self._post("Upgrade", "/v1/upgrade", {}, {}), 1)

    def watch(self, cluster: str | None, tasks: list[str], timeout: float | None = None) -> Iterator[dict[str, Any]]:
        """The state of the tasks now, and again after each change, without end.

        Each item is a DescribeTasks reply with ``windows``, the stop windows that are running. A stream that
        breaks is opened anew and begins with the present state, so an item can come twice. Raises
        ``TimeoutError`` after ``timeout`` seconds, ``AgentRefused``, and ``AgentUnreachable`` after several
        failures in a row.
        """
        query = [("cluster", cluster)] if cluster else []
        target = "/v1/tasks/watch?" + urlencode(query + [("task", task) for task in tasks])
        return self._stream("DescribeTasks", lambda: target, timeout)

    def events(self, *, follow: bool, **query: str) -> Iterator[dict[str, Any]]:
        """The journal's events; ``query`` has ``after``, ``since`` and ``task``. With ``follow``: without end.

        A stream that breaks is opened anew after the last event that came. Raises as ``watch`` does.
        """

        def target() -> str:
            return "/v1/events?" + urlencode({**query, "follow": int(follow)})

        if not follow:
            yield from self._once("ListEvents", target())
            return
        for event in self._stream("ListEvents", target, None):
            query["after"] = str(event["seq"])
            yield event

    def look(self, what: str, path: str, **query: str | None) -> dict[str, Any]:
        """One look at what ECS has no operation for: the object at that path. ``what`` is its name in errors.

        Members of the query that are None are left out. Raises as ``call`` does, and is sent again as a look is there.
        """
        given = {name: value for name, value in query.items() if value is not None}
        target = f"{path}?{urlencode(given)}" if given else path
        return self._asked(lambda: self._get(what, target), ATTEMPTS)

    def logs(self, query: Sequence[tuple[str, str]], *, follow: bool) -> Iterator[dict[str, Any]]:
        """First ``containers``, whose lines these are, then the lines; with ``follow`` until the task is STOPPED.

        ``query`` has ``cluster``, ``task``, ``container``, ``tail`` and ``since``. A stream that breaks while it is
        followed is opened anew after the last line of each container. Raises as ``watch`` does.
        """
        places: dict[str, str] = {}

        def target() -> str:
            begun = [("from", f"{container}:{place}") for container, place in places.items()]
            return "/v1/logs?" + urlencode([*query, *begun, ("follow", str(int(follow)))])

        for told in self._stream("ReadLogs", target, None) if follow else self._once("ReadLogs", target()):
            if "error" in told:
                raise AgentRefused(told["error"]["__type"], told["error"]["message"], "ReadLogs")
            if "end" in told:
                return
            if "next" in told:
                places[told["container"]] = str(told["next"])
            if "line" in told or ("containers" in told and not places):
                yield told
        raise AgentUnreachable(self.socket_path, "it closed the connection before it had told everything")

    def _once(self, what: str, target: str) -> Iterator[dict[str, Any]]:
        """What the stream at that place says until it ends."""
        try:
            yield from (self._decode(line) for line in self._lines(what, target, None) if line.strip())
        except BROKEN as exc:
            raise AgentUnreachable(self.socket_path, _reason(exc)) from exc

    def _stream(self, what: str, target: Callable[[], str], timeout: float | None) -> Iterator[dict[str, Any]]:
        """What the stream at that place says, opened anew whenever it breaks."""
        deadline = None if timeout is None else time.monotonic() + timeout
        failures = 0
        while True:
            try:
                for line in self._lines(what, target(), deadline):
                    failures = 0
                    if line.strip():
                        yield self._decode(line)
                failure = AgentUnreachable(self.socket_path, "it keeps closing the stream")
            except AgentUnreachable as exc:
                failure = exc
            except BROKEN as exc:
                failure = AgentUnreachable(self.socket_path, _reason(exc))
            pause = min(STREAM_PAUSE, _time_left(deadline))
            failures += 1
            if failures >= STREAM_FAILURES:
                raise failure
            self._pause(pause)

    def _asked(self, ask: Callable[[], dict[str, Any]], attempts: int) -> dict[str, Any]:
        """The reply; asked again if the connection breaks, so many times in all."""
        while True:
            attempts -= 1
            try:
                return ask()
            except TimeoutError as exc:
                raise self._unanswered(f"no answer within {self._timeout:.0f} s") from exc
            except BROKEN as exc:
                if not attempts:
                    raise self._unanswered("it closed the connection before it answered") from exc

    def _post(self, operation: str, path: str, body: dict[str, Any], extra: dict[str, str]) -> dict[str, Any]:
        connection = Connection(self.socket_path, self._timeout)
        try:
            headers = {"Content-Type": CONTENT_TYPE, **extra}
            with connection.exchange("POST", path, json.dumps(body).encode("ascii"), **headers) as response:
                return self._accepted(response, operation)
        finally:
            connection.close()

    def _get(self, what: str, target: str) -> dict[str, Any]:
        connection = Connection(self.socket_path, self._timeout)
        try:
            with connection.exchange("GET", target) as response:
                return self._accepted(response, what)
        finally:
            connection.close()

    def _lines(self, what: str, target: str, deadline: float | None) -> Iterator[bytes]:
        """The lines of one stream, until it ends or breaks; a line cut off by the end is dropped."""
        connection = Connection(self.socket_path, _time_left(deadline))
        try:
            connection.connect()
            stream = connection.sock
            with connection.exchange("GET", target) as response:
                if response.status != http.HTTPStatus.OK:
                    self._accepted(response, what)
                while (line := response.readline()).endswith(b"\n"):
                    yield line
                    stream.settimeout(_time_left(deadline))
        finally:
            connection.close()

    def _accepted(self, response: http.client.HTTPResponse, operation: str) -> dict[str, Any]:
        """The reply in the response; ``AgentRefused`` if it is an error."""
        reply = self._decode(response.read())
        if response.status == http.HTTPStatus.OK:
            return reply
        code = str(reply.get("__type", response.status)).rpartition("#")[2]
        raise AgentRefused(code, str(reply.get("message", response.reason)), operation)

    def _decode(self, text: bytes) -> dict[str, Any]:
        try:
            reply = json.loads(text)
        except ValueError:
            reply = None
        if not isinstance(reply, dict):
            why = "what answers there does not speak as the agent does"
            raise AgentUnreachable(self.socket_path, why, "name the agent's own socket with --socket")
        return reply

    def _unanswered(self, why: str) -> AgentUnreachable:
        remedy = "the request may have been carried out: look before sending it again"
        return AgentUnreachable(self.socket_path, why, remedy)


def _time_left(deadline: float | None) -> float:
    """How long the next read may take; ``TimeoutError`` if the deadline has passed."""
    if deadline is None:
        return ANSWER_TIMEOUT
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return min(left, ANSWER_TIMEOUT)


def _reason(exc: Exception) -> str:
    """The system's words for it, in lower case as part of a sentence."""
    text = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
    return text[:1].lower() + text[1:]
