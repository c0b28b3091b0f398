"""The agent with points: around each frame to the keeper, each commit of the store, each reply to a client."""

from __future__ import annotations

import functools
import sqlite3
from typing import Any

from starlette.responses import Response

from supervisor.agent.link import Link
from supervisor.daemon import __main__ as agent
from tests.sweep.points import Points


def main() -> int:
    """As ``python -m supervisor.daemon``."""
    points = Points("agent")
    points.around(Link, "send", lambda _, message: f"frame {type(message).__name__}")
    _commits(points)
    _replies(points)
    return agent.main()


def _commits(points: Points) -> None:
    class Connection(sqlite3.Connection):
        """Commits at points."""

        def execute(self, statement: str, *args: Any) -> sqlite3.Cursor:
            """One statement."""
            if statement != "COMMIT":
                return super().execute(statement, *args)
            points.reach("before commit")
            cursor = super().execute(statement, *args)
            points.reach("after commit")
            return cursor

    connect = functools.partial(sqlite3.connect, factory=Connection)
    setattr(sqlite3, "connect", connect)  # noqa: B010  its type is one of many overloads


def _replies(points: Points) -> None:
    reply = Response.__call__

    async def replied(self: Response, *args: Any) -> None:
        points.reach(f"before reply {self.status_code}")
        await reply(self, *args)
        points.reach(f"after reply {self.status_code}")

    setattr(Response, "__call__", replied)  # noqa: B010  the same
