"""The HTTP endpoints for the processes of tasks, as ECS has them: task metadata, version 4, and task protection.

Who may ask is decided by the address alone (``agent.inside``); there is no other way in from here, and none on to the
API of the agent's owner.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from supervisor import shapes
from supervisor.agent.inside import Asker, Inside, UnknownAddressError
from supervisor.api.server import gone, read_body
from supervisor.errors import SupervisorError
from supervisor.log import get_logger

_log = get_logger("api")


def application(inside: Inside) -> Starlette:
    """The ASGI application."""

    def metadata(answer: Callable[[Asker], Awaitable[Any]]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return reply(await answer(inside.find(request.path_params["token"])))

        return endpoint

    async def container(asker: Asker) -> Any:
        return inside.container(asker)

    async def task(asker: Asker) -> Any:
        return inside.task(asker)

    async def tagged(asker: Asker) -> Any:
        return inside.task(asker, tags=True)

    async def protection(request: Request) -> Response:
        arn = ""
        try:
            asker = inside.find(request.path_params["token"])
            arn = asker.task.task_arn
            if request.method != "PUT":
                return reply(inside.protection(asker))
            minutes = shapes.parse_state(await read_body(request))
            return reply(await inside.protect(asker, minutes))
        except UnknownAddressError:
            return _refuse("ResourceNotFoundException", "Failed to find a task for the request", arn, 404)
        except SupervisorError as exc:
            return _refuse(exc.code, str(exc), arn, exc.http_status)

    answers = {
        "": container,
        "/task": task,
        "/taskWithTags": tagged,
        "/stats": inside.stats,
        "/task/stats": inside.task_stats,
    }
    routes = [Route("/v4/{token}" + path, metadata(answer), methods=["GET"]) for path, answer in answers.items()]
    state = Route("/api/{token}/task-protection/v1/state", protection, methods=["GET", "PUT"])
    app = Starlette(
        routes=[*routes, state],
        exception_handlers={
            UnknownAddressError: _unknown,
            HTTPException: _no_page,
            ClientDisconnect: gone,
            Exception: _fail,
        },
    )
    app.state.ended = asyncio.Event()
    app.router.redirect_slashes = False  # a redirect would say the secret to any Host
    return app


def reply(content: Any, status: int = 200) -> Response:
    """As ECS's agent answers: JSON."""
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def _refuse(code: str, message: str, arn: str, status: int) -> Response:
    return reply(shapes.render_state_error(code, message, arn, str(uuid.uuid4())), status)


async def _unknown(_: Request, __: Exception) -> Response:
    return reply("unable to find the container of this address: see ECS_CONTAINER_METADATA_URI_V4", 404)


async def _no_page(request: Request, _: Exception) -> Response:
    return reply(f"cannot {request.method} this: see /task, /taskWithTags, /stats and /task/stats", 404)


async def _fail(_: Request, error: Exception) -> Response:
    _log.error("request_from_inside_failed", exc_info=error)  # without its path, which holds the secret
    return reply("the agent could not answer; its log says why", 500)
