"""The HTTP server. No traceback and no half answer leaves it: every error is ECS's, with a request id."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from supervisor import __version__, shapes
from supervisor.agent.caller import Caller
from supervisor.agent.service import Service
from supervisor.api.actions import ACTIONS
from supervisor.errors import ClientError, SupervisorError, UnknownOperationError
from supervisor.log import get_logger
from supervisor.shapes.requests import DescribeTasks

TARGET_PREFIX = "AmazonEC2ContainerServiceV20141113."
CONTENT_TYPE = "application/x-amz-json-1.1"
_LINES = "application/x-ndjson"
MAX_BODY = 1024 * 1024
_KEEP_ALIVE = 15.0
"""Seconds between blank lines of a stream: a client that is gone is noticed by then."""

_log = get_logger("api")


class Protocol(H11Protocol):
    """HTTP/1.1 that knows its peer: ``scope["client"]`` is (uid, pid) on a unix socket."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Ask the kernel who connected, once."""
        super().connection_made(transport)
        sock = transport.get_extra_info("socket")
        if sock.family == socket.AF_UNIX:
            pid, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            self.client = (str(uid), pid)


def application(service: Service) -> Starlette:
    """The ASGI application."""

    async def operate(request: Request) -> Response:
        body = await read_body(request)
        operation = _operation(request)
        asked = shapes.parse_request(operation, body)
        action = ACTIONS[operation]
        # A header that is there twice has two values, and is refused as what it says then.
        extra = {
            argument: ", ".join(values)
            for header, argument in action.headers.items()
            if (values := request.headers.getlist(header))
        }
        return _reply(await action.handler(service, asked, _caller(request), **extra))

    async def watch(request: Request) -> Response:
        query = request.query_params
        asked = DescribeTasks(cluster=query.get("cluster"), tasks=query.getlist("task"))
        replies = service.watch(asked)
        first = await anext(replies)
        return StreamingResponse(_lines(replies, first), media_type=_LINES)

    async def events(request: Request) -> Response:
        query = request.query_params
        asked = {name: query.get(name) for name in ("after", "since", "task")}
        told = service.events(**asked, follow=query.get("follow", "0") not in ("", "0"))
        return StreamingResponse(_lines(told), media_type=_LINES)

    async def health(_: Request) -> Response:
        return _reply({"status": "ok", "version": __version__})

    return Starlette(
        routes=[
            Route("/", operate, methods=["POST"]),
            Route("/v1/tasks/watch", watch, methods=["GET"]),
            Route("/v1/events", events, methods=["GET"]),
            Route("/v1/health", health, methods=["GET"]),
        ],
        exception_handlers={
            SupervisorError: _refuse,
            HTTPException: _not_found,
            ClientDisconnect: gone,
            Exception: _fail,
        },
    )


def _operation(request: Request) -> str:
    target = request.headers.get("x-amz-target", "")
    if not target.startswith(TARGET_PREFIX):
        raise UnknownOperationError(f"cannot tell the operation: X-Amz-Target must be {TARGET_PREFIX}<Operation>")
    return target.removeprefix(TARGET_PREFIX)


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


def _caller(request: Request) -> Caller:
    assert request.client is not None, "every listening socket is a unix socket"
    return Caller(int(request.client.host), request.client.port)


def _reply(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    headers = {"x-amzn-RequestId": str(uuid.uuid4()), **(headers or {})}
    return Response(msgspec.json.encode(content), status, headers, CONTENT_TYPE)


async def _lines(replies: AsyncIterator[Any], *first: Any) -> AsyncIterator[bytes]:
    """A reply a line, ``first`` those that were taken already; a blank line where nothing has changed for a while."""
    for reply in first:
        yield msgspec.json.encode(reply) + b"\n"
    following = asyncio.ensure_future(anext(replies, None))
    try:
        while True:
            done, _ = await asyncio.wait([following], timeout=_KEEP_ALIVE)
            if not done:
                yield b"\n"
                continue
            reply = following.result()
            if reply is None:
                return
            yield msgspec.json.encode(reply) + b"\n"
            following = asyncio.ensure_future(anext(replies, None))
    finally:
        following.cancel()


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, SupervisorError)
    headers = {"connection": "close"} if isinstance(error, BodyTooLargeError) else None
    return _reply(shapes.render_error(error), error.http_status, headers)


async def _not_found(request: Request, _: Exception) -> Response:
    error = UnknownOperationError(f"cannot {request.method} {request.url.path}: see POST / and GET /v1/health")
    return _reply(shapes.render_error(error), 404)


async def gone(_: Request, __: Exception) -> Response:
    """Nobody is there to read this."""
    return Response(status_code=400)


async def _fail(request: Request, error: Exception) -> Response:
    _log.error("request_failed", path=request.url.path, exc_info=error)
    return _reply(shapes.render_error(error), 500)


class Server(uvicorn.Server):
    """uvicorn that leaves signals to the keeper, and tells when it serves."""

    def __init__(self, app: Starlette, serving: Callable[[], None] = lambda: None) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Protocol,
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
        self._serving = serving
        self._ended = asyncio.Event()

    def end(self) -> None:
        """Accept no more; ``serve`` returns when the requests under way are answered (a second at most)."""
        self._ended.set()

    async def main_loop(self) -> None:
        """Wait for ``end``: uvicorn would wake up ten times a second to look."""
        await self._ended.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None of ours: the keeper tells when it is time."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept."""
        await super().startup(sockets)
        self._serving()
