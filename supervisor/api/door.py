"""A listening socket and what comes in by it: how many, who, and how long they may take to say what they want.

A client that says nothing, says it slowly, or does not read what it is told costs a descriptor for ``request_timeout``
and nobody's time. Beyond ``max_connections`` the oldest of those that have not said what they want gives way. Where all
are being served, the next are told so (503, which every AWS client tries again), and beyond twice as many they are
closed unheard, so that the descriptors of the agent are never used up.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from typing import cast

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from supervisor.api.guards import Guard
from supervisor.config import ApiTable
from supervisor.log import get_logger
from supervisor.posix import peer

_NO_DESCRIPTORS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_BREATH = 0.5
"""Seconds without accepting when the host has no descriptor left: they are not there any sooner."""

_TOO_SLOW = (
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-type: application/x-amz-json-1.1\r\n"
    b"content-length: %d\r\n\r\n%s"
)
_TOO_SLOW_BODY = b'{"__type":"RequestTimeoutException","message":"cannot wait any longer for the rest of the request"}'

_log = get_logger("api")


Maker = Callable[["Door", bool], "Connection"]
"""Makes a connection of the door; True for one too many, which is to be told so."""


class Door:
    """One listening socket, who guards it, and its limits. ``open`` begins to accept."""

    def __init__(
        self,
        purpose: str,
        sock: socket.socket,
        guard: Guard,
        limits: ApiTable,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """``purpose``: whom it is for, in log lines (``api``, ``tcp``, ``inside``)."""
        self.guard = guard
        self.request_timeout = limits.request_timeout
        self.connections: dict[Connection, None] = {}
        """The oldest first."""
        self._purpose = purpose
        self._sock = sock
        self._max_connections = limits.max_connections
        self._tls = tls
        self._arriving: set[asyncio.Task[None]] = set()
        self._was_full = False
        self.is_patient = False
        """Who has come in before it was closed is still heard: nobody else would."""
        self._name = sock.getsockname() if sock.family == socket.AF_UNIX else peer.name(*sock.getsockname()[:2])

    def open(self, make: Maker) -> None:
        """Accept from now on."""
        self._sock.setblocking(False)
        asyncio.get_running_loop().add_reader(self._sock, self._accept, make)
        _log.info("door_opened", purpose=self._purpose, door=self._name, tls=self._tls is not None)

    def close(self) -> None:
        """Accept no more, from this very moment. What has come in stays; may be called again."""
        if self._sock.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._sock)
            self._sock.close()
        for task in () if self.is_patient else self._arriving:
            task.cancel()

    async def wait_closed(self) -> None:
        """Until nobody is on the way in: called by uvicorn."""
        await asyncio.gather(*self._arriving, return_exceptions=True)

    def _accept(self, make: Maker) -> None:
        """All who wait; after one who has gone before we looked (ECONNABORTED) the loop calls again."""
        try:
            while True:
                sock, _ = self._sock.accept()
                sock.setblocking(False)
                self._admit(sock, make)
        except OSError as exc:
            if exc.errno in _NO_DESCRIPTORS:
                _log.error("accept_failed", error=exc.strerror)
                self._take_breath(make)

    def _admit(self, sock: socket.socket, make: Maker) -> None:
        is_full = len(self.connections) >= self._max_connections
        if is_full and not self._was_full:
            _log.warning("connections_exhausted", door=self._name, max_connections=self._max_connections)
        self._was_full = is_full
        is_full = is_full and not self._make_room()
        if len(self.connections) >= 2 * self._max_connections:
            sock.close()
            return
        connection = make(self, is_full)
        self.connections[connection] = None
        task = asyncio.ensure_future(self._let_in(sock, connection))
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    def _take_breath(self, make: Maker) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._sock)

        def go_on() -> None:
            if self._sock.fileno() >= 0:
                loop.add_reader(self._sock, self._accept, make)

        loop.call_later(_BREATH, go_on)

    def _make_room(self) -> bool:
        """Have the oldest connection that has not said yet what it wants give way: nothing was done for it."""
        waiting = next((one for one in self.connections if one.is_waited_for), None)
        if waiting is None:
            return False
        del self.connections[waiting]
        waiting.transport.abort()
        return True

    async def _let_in(self, sock: socket.socket, connection: Connection) -> None:
        """Begin to serve it, which with TLS is more than a moment."""
        patience = {"ssl_handshake_timeout": self.request_timeout} if self._tls else {}
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(lambda: connection, sock, ssl=self._tls, **patience)
        except OSError:  # ssl.SSLError and TimeoutError are of its kind: there is nobody to tell
            self.connections.pop(connection, None)


class Connection(H11Protocol):
    """HTTP/1.1 of somebody who is known at the door: ``request.state.identify`` tells who sent a request."""

    def __init__(self, config: Config, state: ServerState, door: Door) -> None:
        super().__init__(config, state, {})
        self._door = door
        self._is_last = False
        self._patience: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    @property
    def is_waited_for(self) -> bool:
        """Whether it is its turn to speak. One in its TLS handshake is not here yet."""
        transport: asyncio.Transport | None = self.transport
        return transport is not None and self.conn.their_state in {h11.IDLE, h11.SEND_BODY}

    @property
    def _has_asked(self) -> bool:
        """Whether there was a request, whole or its head."""
        return cast("object", self.cycle) is not None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        try:
            self.app_state = {"identify": self._door.guard.meet(transport.get_extra_info("socket"))}
        except OSError:  # they have gone already
            transport.abort()
        self._watch_sender()

    def connection_lost(self, exc: Exception | None) -> None:
        self._door.connections.pop(self, None)
        self._stop_watching()
        if self._unread is not None:
            self._unread.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_sender()
        if self._is_last and self._has_asked:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """No more after the present request; a patient door hears the first one of whoever has not asked yet."""
        if self._door.is_patient and not self._has_asked:
            self._is_last = True
        else:
            super().shutdown()

    def on_response_complete(self) -> None:
        super().on_response_complete()  # sets the keep-alive timeout, and begins with what was pipelined
        if self.conn.their_state is h11.SEND_BODY:
            self._watch_sender()

    def _watch_sender(self) -> None:
        """One allowance for a whole request."""
        if self.conn.their_state not in {h11.IDLE, h11.SEND_BODY}:
            self._stop_watching()
        elif self._patience is None:
            self._patience = self.loop.call_later(self._door.request_timeout, self._give_up)

    def _stop_watching(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        has_begun = self.conn.their_state is h11.SEND_BODY or bool(self.conn.trailing_data[0])
        if has_begun and self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            self.transport.write(_TOO_SLOW % (len(_TOO_SLOW_BODY), _TOO_SLOW_BODY))
        self._close()

    def pause_writing(self) -> None:
        super().pause_writing()  # they do not read what they asked for
        self._unread = self.loop.call_later(self._door.request_timeout, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()

    def timeout_keep_alive_handler(self) -> None:
        self._close()

    def _close(self) -> None:
        """Close, and do not wait for ever until a client has read what was written to it."""
        self.transport.close()
        self._patience = self.loop.call_later(self._door.request_timeout, self.transport.abort)
