"""The HTTP server. No traceback and no half answer leaves it: every error is ECS's, with a request id."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from supervisor import shapes
from supervisor.agent.service import Service
from supervisor.agent.upgrade import Upgrade
from supervisor.api import sigv4
from supervisor.api.actions import ACTIONS, Access
from supervisor.api.door import Connection, Door
from supervisor.api.guards import Known
from supervisor.errors import ClientError, SupervisorError, UnknownOperationError
from supervisor.log import get_logger
from supervisor.shapes.requests import DescribeTasks

TARGET_PREFIX = "AmazonEC2ContainerServiceV20141113."
CONTENT_TYPE = "application/x-amz-json-1.1"
_LINES = "application/x-ndjson"
MAX_BODY = 1024 * 1024
_KEEP_ALIVE = 15.0
"""Seconds between blank lines of a stream: a client that is gone is noticed by then."""

_ENCODER = msgspec.json.Encoder()

_log = get_logger("api")


Look = Callable[[Request], Awaitable[Response]]


def application(service: Service, account: str, upgrade: Upgrade) -> Starlette:
    """The ASGI application."""
    ended = asyncio.Event()

    async def operate(request: Request) -> Response:
        body = await read_body(request)
        known = _identify(request, body)
        operation = _operation(request)
        action = ACTIONS.get(operation)
        # Whoever may do nothing is not told either what there is.
        caller = known.check(Access.READ if action is None else action.access, f"ecs:{operation}", account)
        asked = shapes.parse_request(operation, body)
        action = ACTIONS[operation]  # whatever else was asked for has been refused
        # A header that is there twice has two values, and is refused as what it says then.
        extra = {
            argument: ", ".join(values)
            for header, argument in action.headers.items()
            if (values := request.headers.getlist(header))
        }
        reply = await action.handler(service, asked, caller, **extra)
        if action.access is Access.WRITE:
            _log.info("change_made", action=f"ecs:{operation}", **caller.facts)
        return _reply(reply)

    async def watch(request: Request) -> Response:
        query = request.query_params
        asked = DescribeTasks(cluster=query.get("cluster"), tasks=query.getlist("task"))
        replies = service.watch(asked)
        first = await anext(replies)
        return StreamingResponse(_lines(ended, replies, first), media_type=_LINES)

    async def events(request: Request) -> Response:
        query = request.query_params
        asked = {name: query.get(name) for name in ("after", "since", "task")}
        told = service.events(**asked, follow=query.get("follow", "0") not in ("", "0"))
        return StreamingResponse(_lines(ended, told), media_type=_LINES)

    async def stop_report(request: Request) -> Response:
        query = request.query_params
        return _reply(await service.stop_report(query.get("task"), query.get("cluster")))

    async def history(request: Request) -> Response:
        query = request.query_params
        return _reply(await service.history(query.get("task"), query.get("cluster")))

    async def logs(request: Request) -> Response:
        query = request.query_params
        told = service.logs(
            **{name: query.get(name) for name in ("cluster", "task", "tail", "since")},
            containers=query.getlist("container"),
            places=query.getlist("from"),
            follow=query.get("follow", "0") not in ("", "0"),
        )
        return StreamingResponse(_lines(ended, told), media_type=_LINES)

    async def health(_: Request) -> Response:
        return _reply({"status": "ok", **upgrade.facts()})

    async def begin_upgrade(_: Request) -> Response:
        return _reply(await upgrade.ask())

    def guarded(name: str, look: Look, access: Access = Access.READ) -> Look:
        async def check_and_look(request: Request) -> Response:
            caller = _identify(request, await read_body(request)).check(access, f"supervisor:{name}", account)
            if access is Access.WRITE:
                _log.info("change_asked", action=f"supervisor:{name}", **caller.facts)
            return await look(request)

        return check_and_look

    looks: dict[str, tuple[str, Look]] = {
        "/v1/tasks/watch": ("WatchTasks", watch),
        "/v1/events": ("ReadEvents", events),
        "/v1/report": ("GetStopReport", stop_report),
        "/v1/history": ("GetHistory", history),
        "/v1/logs": ("ReadLogs", logs),
        "/v1/health": ("GetHealth", health),
    }
    app = Starlette(
        routes=[
            Route("/", operate, methods=["POST"]),
            Route("/v1/upgrade", guarded("Upgrade", begin_upgrade, Access.WRITE), methods=["POST"]),
            *[Route(path, guarded(name, look), methods=["GET"]) for path, (name, look) in looks.items()],
        ],
        exception_handlers={
            SupervisorError: _refuse,
            HTTPException: _not_found,
            ClientDisconnect: gone,
            Exception: _fail,
        },
    )
    app.router.redirect_slashes = False  # it would answer whoever is not known yet, and with any Host
    app.state.ended = ended
    return app


async def overloaded(scope: Scope, receive: Receive, send: Send) -> None:
    """The application of a connection that is one too many. AWS's clients try again after a 503."""
    reply = _reply(shapes.render_error(OverloadedError()), OverloadedError.http_status, {"connection": "close"})
    await reply(scope, receive, send)


def _identify(request: Request, body: bytes) -> Known:
    """Who sent this, as the door of its connection knows it."""
    scope = request.scope
    path, query = (scope[key].decode("latin-1") for key in ("raw_path", "query_string"))
    sent = sigv4.Request(request.method, path, query, scope["headers"], body)
    known: Known = request.state.identify(sent)
    return known


def _operation(request: Request) -> str:
    target = request.headers.get("x-amz-target", "")
    if not target.startswith(TARGET_PREFIX):
        raise UnknownOperationError(f"cannot tell the operation: X-Amz-Target must be {TARGET_PREFIX}<Operation>")
    return target.removeprefix(TARGET_PREFIX)


class OverloadedError(SupervisorError):
    """More connections than ``max_connections``."""

    http_status = 503

    def __init__(self) -> None:
        super().__init__("cannot serve more connections: close some, or raise api.max_connections in the configuration")


class BodyTooLargeError(ClientError):
    """More than ``MAX_BODY``. What is left of it is not read, so nothing else can come over this connection."""


async def read_body(request: Request) -> bytes:
    """The whole body; `BodyTooLargeError` where it is longer than any request of ours."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise BodyTooLargeError(f"cannot take the body: at most {MAX_BODY} bytes are allowed")
    return bytes(body)


def _reply(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    headers = {"x-amzn-RequestId": str(uuid.uuid4()), **(headers or {})}
    return Response(msgspec.json.encode(content), status, headers, CONTENT_TYPE)


async def _lines(ended: asyncio.Event, replies: AsyncIterator[Any], *first: Any) -> AsyncIterator[bytes]:
    """A reply a line, or many if it is a list of them, ``first`` those that were taken already.

    A blank line where nothing has changed for a while. Where the server ends, so does the stream.
    """
    for reply in first:
        yield _line(reply)
    ending = asyncio.ensure_future(ended.wait())
    following = asyncio.ensure_future(anext(replies, None))
    try:
        while True:
            either = [following, ending]
            done, _ = await asyncio.wait(either, timeout=_KEEP_ALIVE, return_when=asyncio.FIRST_COMPLETED)
            if ending in done and following not in done:
                return
            if not done:
                yield b"\n"
                continue
            reply = following.result()
            if reply is None:
                return
            yield _line(reply)
            following = asyncio.ensure_future(anext(replies, None))
    finally:
        following.cancel()
        ending.cancel()


def _line(reply: Any) -> bytes:
    return _ENCODER.encode_lines(reply if isinstance(reply, list) else [reply])


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, SupervisorError)
    headers = {"connection": "close"} if isinstance(error, BodyTooLargeError) else None
    return _reply(shapes.render_error(error), error.http_status, headers)


async def _not_found(request: Request, _: Exception) -> Response:
    error = UnknownOperationError(f"cannot {request.method} {request.scope['path']}: see POST / and GET /v1/health")
    return _reply(shapes.render_error(error), 404)


async def gone(_: Request, __: Exception) -> Response:
    """Nobody is there to read this."""
    return Response(status_code=400)


async def _fail(request: Request, error: Exception) -> Response:
    _log.error("request_failed", path=request.url.path, exc_info=error)
    return _reply(shapes.render_error(error), 500)


class Server(uvicorn.Server):
    """uvicorn that has doors, leaves signals to the keeper, and tells when it serves."""

    def __init__(self, app: Starlette, doors: Sequence[Door], serving: Callable[[], None] = lambda: None) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Connection,
                ws="none",
                lifespan="off",
                loop="asyncio",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=1,
            )
        )
        self._doors = doors
        self._serving = serving
        self._ended: asyncio.Event = app.state.ended

    def end(self) -> None:
        """Accept no more; ``serve`` returns when the requests under way are answered (a second at most)."""
        self._ended.set()

    def make_way(self) -> None:
        """As ``end``; and who connects from now on waits for the next to accept, and no one who has is turned away."""
        for door in self._doors:
            door.is_patient = True
            door.close()
        self.end()

    async def main_loop(self) -> None:
        """Wait for ``end``: uvicorn would wake up ten times a second to look."""
        await self._ended.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None of ours: the keeper tells when it is time."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the doors; there are no other sockets."""
        await self.lifespan.startup()
        self.servers = list(self._doors)  # type: ignore[arg-type]  # all that is asked of them is to close
        for door in self._doors:
            door.open(self._connect)
        self.started = True
        self._serving()

    def _connect(self, door: Door, one_too_many: bool) -> Connection:
        connection = Connection(self.config, self.server_state, door)
        if one_too_many:
            connection.app = overloaded
        return connection
