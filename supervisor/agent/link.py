"""The agent's end of the link to the keeper. When it breaks, the keeper is gone, and the agent ends at once."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from supervisor import wire
from supervisor.errors import SupervisorError

_CHUNK = 256 * 1024


class LinkLost(SupervisorError):
    """The keeper is gone."""


class Link:
    """Messages over a stream socket: ``open`` it, ``send`` at any time, ``receive`` in one place."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = wire.Decoder.at_agent()

    @classmethod
    async def open(cls, fd: int) -> Link:
        """Over the descriptor that the keeper left open for us."""
        return cls(*await asyncio.open_connection(sock=socket.socket(fileno=fd)))

    def send(self, message: wire.Request) -> None:
        """Queue a request; it is on its way when the event loop next runs."""
        self._writer.write(wire.encode(message))

    async def receive(self) -> list[Any]:
        """The messages that have arrived, at least one. ``LinkLost`` when there will be no more."""
        while True:
            messages = list(self._decoder.messages())
            if messages:
                return messages
            try:
                data = await self._reader.read(_CHUNK)
            except OSError:
                data = b""
            if not data:
                raise LinkLost("cannot go on: the keeper is gone")
            self._decoder.feed(data)

    async def close(self) -> None:
        """Send what is queued, and hang up."""
        self._writer.close()
        await self._writer.wait_closed()
