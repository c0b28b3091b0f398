"""Nothing is answered to anybody before it is known that they may ask it."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast
from unittest.mock import Mock

import pytest
from starlette.routing import Route

from supervisor.agent.caller import Signer
from supervisor.agent.inside import Inside
from supervisor.agent.service import Service
from supervisor.agent.upgrade import Upgrade
from supervisor.api import sigv4
from supervisor.api.actions import ACTIONS, Access
from supervisor.api.guards import Known
from supervisor.api.inside import application as inside_application
from supervisor.api.server import TARGET_PREFIX, application
from supervisor.errors import InvalidSignatureError

UPGRADE = Mock(spec=Upgrade)
APPLICATION = application(cast("Service", None), "123456789012", UPGRADE)
ROUTES = [route for route in APPLICATION.routes if isinstance(route, Route)]


def ask(
    path: str, access: Access | None, operation: str = "", body: bytes = b"{}", *, method: str = ""
) -> tuple[int, dict[str, Any]]:
    """Status and body of the reply to somebody with that access; the service behind it does not exist."""
    asked: list[sigv4.Request] = []

    def identify(request: sigv4.Request) -> Known:
        asked.append(request)
        if request.body != b"{}":
            raise InvalidSignatureError(sigv4.MISMATCH)
        return Known(Signer("ada", "127.0.0.1:1"), access, "the test")

    async def exchange() -> list[dict[str, Any]]:
        replies: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            replies.append(message)

        scope = {
            "type": "http",
            "method": method or ("POST" if operation else "GET"),
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"x-amz-target", f"{TARGET_PREFIX}{operation}".encode())],
            "state": {"identify": identify},
        }
        await APPLICATION(scope, receive, send)
        return replies

    start, reply = asyncio.run(exchange())
    assert len(asked) == 1
    assert asked[0].path == path
    return start["status"], json.loads(reply["body"])


def test_there_are_two_ways_to_change_and_several_to_look() -> None:
    assert [route.path for route in ROUTES if route.methods != {"GET", "HEAD"}] == ["/", "/v1/upgrade"]
    assert len(ROUTES) == len(APPLICATION.routes)


@pytest.mark.parametrize("path", [route.path for route in ROUTES if "GET" in (route.methods or ())])
def test_who_looks_must_be_allowed_to_read(path: str) -> None:
    status, error = ask(path, None)
    assert (status, error["__type"]) == (400, "AccessDeniedException")
    assert "User: arn:aws:iam::123456789012:user/ada is not authorized to perform: supervisor:" in error["message"]
    assert ask(path, Access.READ, body=b"forged")[1]["__type"] == "InvalidSignatureException"


@pytest.mark.parametrize("operation", [*ACTIONS, "NoSuchOperation"])
def test_each_operation_needs_its_access(operation: str) -> None:
    status, error = ask("/", None, operation)
    assert (status, error["__type"]) == (400, "AccessDeniedException")
    assert f"is not authorized to perform: ecs:{operation} because" in error["message"]
    assert ask("/", Access.WRITE, operation, b"forged")[1]["__type"] == "InvalidSignatureException"
    if operation in ACTIONS and ACTIONS[operation].access is Access.WRITE:
        assert ask("/", Access.READ, operation)[1]["__type"] == "AccessDeniedException"


def test_a_reader_may_ask_for_health() -> None:
    UPGRADE.facts.return_value = {"version": "1.2.3"}
    assert ask("/v1/health", Access.READ)[1] == {"status": "ok", "version": "1.2.3"}


def test_who_upgrades_must_be_allowed_to_write() -> None:
    for access in (None, Access.READ):
        status, error = ask("/v1/upgrade", access, method="POST")
        assert (status, error["__type"]) == (400, "AccessDeniedException")
        assert "is not authorized to perform: supervisor:Upgrade because" in error["message"]
    assert ask("/v1/upgrade", Access.WRITE, body=b"forged", method="POST")[1]["__type"] == "InvalidSignatureException"
    UPGRADE.ask.assert_not_called()
    UPGRADE.ask.return_value = {"to": "1.2.3"}
    assert ask("/v1/upgrade", Access.WRITE, method="POST") == (200, {"to": "1.2.3"})


def test_nobody_is_sent_elsewhere_for_a_slash_too_many() -> None:
    inside = inside_application(Mock(spec=Inside))
    assert not APPLICATION.router.redirect_slashes
    assert not inside.router.redirect_slashes
