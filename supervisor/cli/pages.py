"""Replies that come in pages: followed by themselves and put together, with the options that ``aws`` has for it."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import click

from .failures import CommandError

TOKEN, LIMIT = "nextToken", "maxResults"
SKIP = "boto_truncate_amount"
"""How the SDKs call the items of a page that were shown before; a token of ours is one of theirs."""

Body = dict[str, Any]


def options() -> list[click.Option]:
    """What can be said about pages."""
    return [
        click.Option(
            ["--paginate/--no-paginate"],
            default=True,
            help="All pages, put together, or the first alone. All, unless --next-token or --max-results is given.",
        ),
        click.Option(
            ["--max-items"],
            type=click.IntRange(min=1),
            metavar="INTEGER",
            help="Show so many items at most, and a NextToken for --starting-token if there are more.",
        ),
        click.Option(
            ["--page-size"],
            type=click.IntRange(min=1),
            metavar="INTEGER",
            help="How many items each request asks for; it changes nothing of what is shown.",
        ),
        click.Option(["--starting-token"], metavar="TOKEN", help="Go on from the NextToken of an earlier command."),
    ]


NAMES = ("paginate", "max_items", "page_size", "starting_token")
"""The options' parameters."""


class Pages:
    """The replies to one request, one after the other; ``resume_token`` is known when the last one was taken."""

    def __init__(self, call: Callable[[Body], Body], body: Body, own: dict[str, Any]) -> None:
        """``call`` performs the operation, ``own`` holds the values of the options."""
        self._call = call
        self._body = body
        self._max_items: int | None = own["max_items"]
        self._page_size: int | None = own["page_size"]
        self._start = _decoded(own["starting_token"])
        self.resume_token: str | None = None

    def __iter__(self) -> Iterator[Body]:
        body = self._body if self._page_size is None else {**self._body, LIMIT: self._page_size}
        token, skip = self._start
        shown = 0
        while True:
            reply = self._call(body if token is None else {**body, TOKEN: token})
            page = {key: part[skip:] for key, part in reply.items() if isinstance(part, list)}
            count = len(next(iter(page.values()), []))
            keep = count if self._max_items is None else min(count, self._max_items - shown)
            following = reply.get(TOKEN)
            if keep < count:
                self.resume_token = _encoded({TOKEN: token, SKIP: skip + keep})
            elif following and keep + shown == self._max_items:
                self.resume_token = _encoded({TOKEN: following})
            yield {key: part[:keep] for key, part in page.items()}
            if self.resume_token or not following:
                return
            if following == token:
                raise CommandError("cannot go on to the next page: the agent gave the same nextToken twice")
            token, skip, shown = following, 0, shown + keep

    def merged(self) -> Body:
        """All of it as one reply."""
        whole: Body = {}
        for page in self:
            for key, part in page.items():
                whole.setdefault(key, []).extend(part)
        return whole if self.resume_token is None else {**whole, "NextToken": self.resume_token}


def wanted(body: Body, own: dict[str, Any]) -> bool:
    """Whether pages are to be followed: not if told so, nor where the request asks for one page by itself."""
    if own["paginate"] and TOKEN not in body and LIMIT not in body:
        return True
    given = [f"--{name.replace('_', '-')}" for name in NAMES[1:] if own[name] is not None]
    if given:
        what = "--no-paginate, --next-token and --max-results ask for one reply"
        raise click.UsageError(f"{what}: give no {' and no '.join(given)}", click.get_current_context())
    return False


class _Start(NamedTuple):
    token: str | None = None
    skip: int = 0


def _encoded(position: Body) -> str:
    return base64.b64encode(json.dumps(position).encode()).decode()


def _decoded(token: str | None) -> _Start:
    """Where a token says to begin; one that is none of ours is the agent's own ``nextToken``."""
    if token is None:
        return _Start()
    try:
        position = json.loads(base64.b64decode(token, validate=True))
        return _Start(position[TOKEN], int(position.get(SKIP, 0)))
    except (binascii.Error, ValueError, TypeError, KeyError, AttributeError):
        return _Start(token)
