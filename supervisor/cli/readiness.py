"""How it is seen from outside that a command is ready: it takes connections, answers requests, or says so in its log.

Each way is a probe: ``obstacle`` says before the start why it could not be told, ``missing`` says afterwards what is
still missing.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "::1")
CONNECT_TIMEOUT = 1.0
CHUNK = 256 * 1024
"""Bytes of a log that are looked at together."""
ANSWER_TIMEOUT = 5.0
"""Seconds for one answer; a server that hangs is asked again."""


class Probe(Protocol):
    """One way of seeing it."""

    @property
    def kind(self) -> str:
        """``tcp``, ``http`` or ``log``."""

    @property
    def target(self) -> str:
        """What was given."""

    def obstacle(self) -> str | None:
        """Why readiness could not be told from what is there already; None if it can."""

    def missing(self, log_file: str) -> str | None:
        """What is still missing; None when it is ready. ``log_file`` has what it wrote so far."""


class Address(NamedTuple):
    """Where a server is to listen; without a host on either loopback address."""

    host: str | None
    port: int

    def __str__(self) -> str:
        if self.host is None:
            return f"port {self.port}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def connect(self) -> socket.socket:
        """A connection, or ``OSError`` with the last failure."""
        failure = OSError("no address")
        for host in LOOPBACK if self.host is None else (self.host,):
            try:
                found = socket.getaddrinfo(host, self.port, type=socket.SOCK_STREAM)
            except OSError as exc:
                failure = exc
                continue
            for family, _, _, _, address in found:
                try:
                    return _connect(family, address, self.port)
                except OSError as exc:
                    failure = failure if isinstance(failure, ConnectionRefusedError) else exc
        raise failure

    def obstacle(self) -> str | None:
        """Who listens there before the start would pass for the command."""
        with contextlib.suppress(OSError):
            self.connect().close()
            return f"something else listens on {self} already; stop it, or choose another port"
        return None


def _connect(family: int, address: tuple[Any, ...], port: int) -> socket.socket:
    """A connection from another port than the one it goes to.

    The kernel may choose the same one where it is free, and TCP then connects the socket to itself: a false success,
    after which the server could not bind the port.
    """
    taken: list[socket.socket] = []
    try:
        while True:
            sock = socket.socket(family, socket.SOCK_STREAM)
            taken.append(sock)
            sock.settimeout(CONNECT_TIMEOUT)
            sock.bind(("", 0))
            if sock.getsockname()[1] != port:
                sock.connect(address)
                return taken.pop()
    finally:
        for sock in taken:
            sock.close()


class TcpProbe(NamedTuple):
    """A connection is taken."""

    target: str
    address: Address
    kind: str = "tcp"

    @classmethod
    def parse(cls, text: str) -> TcpProbe:
        """``PORT``, ``HOST:PORT`` or ``[IPv6]:PORT``; ``ValueError`` says what is wrong."""
        host, colon, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ValueError(f"{text!r} is no address; write an IPv6 address in brackets: [::1]:8080")
        if colon and not host:
            raise ValueError(f"{text!r} has no host; give PORT or HOST:PORT")
        if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
            raise ValueError(f"{text!r} has no port from 1 to 65535; give PORT or HOST:PORT")
        _check_host(host)
        return cls(text, Address(host or None, int(port)))

    def obstacle(self) -> str | None:
        """Somebody who listens there already."""
        return self.address.obstacle()

    def missing(self, log_file: str) -> str | None:
        """The kernel's words for why there is no connection."""
        try:
            self.address.connect().close()
        except OSError as exc:
            return f"nothing took a connection on {self.address} ({_words(exc)})"
        return None


class HttpProbe(NamedTuple):
    """A request is answered with a status of 2xx or 3xx."""

    target: str
    address: Address
    host: str
    path: str
    tls: bool
    kind: str = "http"

    @classmethod
    def parse(cls, text: str) -> HttpProbe:
        """``ValueError`` says what is wrong with the URL."""
        url = urlsplit(text)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError(f"{text!r} is no URL of a server; give one such as http://localhost:8080/health")
        if url.username is not None:
            raise ValueError(f"{text!r} has a user in it, which is not supported; give a URL that needs none")
        if not text.isascii() or not text.isprintable() or " " in text:
            raise ValueError(f"{text!r} has characters that a URL cannot have; write them with %")
        _check_host(url.hostname)
        if url.port == 0:
            raise ValueError(f"{text!r} has port 0; give one from 1 to 65535")
        port = url.port or (443 if url.scheme == "https" else 80)
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        return cls(text, Address(url.hostname, port), url.netloc, path, url.scheme == "https")

    def obstacle(self) -> str | None:
        """Somebody who listens there already."""
        return self.address.obstacle()

    def missing(self, log_file: str) -> str | None:
        """The failure, or the status that was answered."""
        try:
            status = self._status()
        except (OSError, http.client.HTTPException) as exc:
            return f"{self.target} was not answered ({_words(exc)})"
        return None if 200 <= status < 400 else f"{self.target} was answered with status {status}"

    def _status(self) -> int:
        connection = http.client.HTTPConnection(self.address.host or "", self.address.port)
        try:
            connection.sock = self.address.connect()
            connection.sock.settimeout(ANSWER_TIMEOUT)
            if self.tls:
                # Whose certificate it is does not matter: it was we who started the server.
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
                connection.sock = context.wrap_socket(connection.sock, server_hostname=self.address.host)
            connection.request("GET", self.path, headers={"Host": self.host, "Connection": "close"})
            return connection.getresponse().status
        finally:
            connection.close()


class LogProbe:
    """A line of what it writes matches."""

    kind = "log"

    def __init__(self, target: str, pattern: re.Pattern[str]) -> None:
        self.target = target
        self._pattern = pattern
        self._log_file = ""
        self._read = 0
        self._rest = b""
        """A line that has no end yet; it may match without."""

    @classmethod
    def parse(cls, text: str) -> LogProbe:
        """``ValueError`` says where the expression is wrong."""
        try:
            return cls(text, re.compile(text))
        except (re.error, OverflowError, RecursionError) as exc:
            raise ValueError(f"{text!r} is no regular expression: {exc}") from None

    def obstacle(self) -> str | None:
        """Nothing: the log begins with the command."""
        return None

    def missing(self, log_file: str) -> str | None:
        """What was not there; a program that has written nothing may hold it back."""
        if log_file != self._log_file:
            self._log_file, self._read, self._rest = log_file, 0, b""
        with contextlib.suppress(FileNotFoundError), open(log_file, "rb") as file:
            file.seek(self._read)
            while data := file.read(CHUNK):
                self._read += len(data)
                *lines, self._rest = (self._rest + data).split(b"\n")
                if any(map(self._matches, [*lines, self._rest])):
                    return None
                self._rest = self._rest[-CHUNK:]
        if self._read:
            return f"no line of its output matched {self.target!r}"
        return (
            "it wrote nothing at all; a program may hold back what it writes to a file: see PYTHONUNBUFFERED=1, or "
            "'stdbuf -oL'"
        )

    def _matches(self, line: bytes) -> bool:
        return self._pattern.search(line.decode(errors="replace").rstrip("\r")) is not None


def _check_host(host: str) -> None:
    """``ValueError`` for what name services would not even be asked for."""
    try:
        host.encode("idna")
    except UnicodeError:
        raise ValueError(f"{host!r} cannot be the name of a host") from None


def _words(exc: Exception) -> str:
    text = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
    return text[:1].lower() + text[1:]
