"""Probes: what they are given, what they see of a server of the test's own, and what they say is missing."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from supervisor.cli.readiness import Address, HttpProbe, LogProbe, Probe, TcpProbe


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port that is nobody's: it is bound, and not listened on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("8080", Address(None, 8080)),
        ("localhost:1", Address("localhost", 1)),
        ("[::1]:65535", Address("::1", 65535)),
    ],
)
def test_tcp_addresses(text: str, address: Address) -> None:
    assert TcpProbe.parse(text).address == address


@pytest.mark.parametrize("text", ["", "0", "65536", "http", "a:b", ":80", "::1:80", "-1", "٨٠", "a..b:80", "1:"])
def test_what_is_no_tcp_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"port|host|address"):
        TcpProbe.parse(text)


@pytest.mark.parametrize(
    ("text", "address", "path", "host"),
    [
        ("http://localhost:8080/health?full=1", Address("localhost", 8080), "/health?full=1", "localhost:8080"),
        ("http://a", Address("a", 80), "/", "a"),
        ("https://[::1]/x", Address("::1", 443), "/x", "[::1]"),
    ],
)
def test_urls(text: str, address: Address, path: str, host: str) -> None:
    probe = HttpProbe.parse(text)
    assert (probe.address, probe.path, probe.host, probe.tls) == (address, path, host, text.startswith("https"))


@pytest.mark.parametrize(
    "text",
    [
        *("localhost:8080", "ftp://a/", "http://", "http://a:x/", "http://a:0/", "http://a:99999/", "http://a/b c"),
        *("http://u:p@a/", "http://a/ü", "http://[a", "http://a..b/"),
    ],
)
def test_what_is_no_url(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        HttpProbe.parse(text)


def test_what_is_no_expression() -> None:
    with pytest.raises(ValueError, match=r"'\(' is no regular expression: .*position 0"):
        LogProbe.parse("(")


@pytest.mark.parametrize("host", ["", "127.0.0.1:", "localhost:"])
def test_tcp_is_ready_when_it_takes_connections(listener: socket.socket, nobody: int, host: str) -> None:
    probe = TcpProbe.parse(f"{host}{listener.getsockname()[1]}")
    assert probe.missing("") is None
    missing = TcpProbe.parse(f"{host}{nobody}").missing("")
    assert missing is not None
    assert missing.endswith("(connection refused)")


@pytest.mark.parametrize("text", ["{}", "http://127.0.0.1:{}/"])
def test_who_listens_before_the_start_is_an_obstacle(listener: socket.socket, nobody: int, text: str) -> None:
    def probe(port: int) -> Probe:
        return HttpProbe.parse(text.format(port)) if "/" in text else TcpProbe.parse(text.format(port))

    port = listener.getsockname()[1]
    obstacle = probe(port).obstacle()
    assert obstacle is not None
    assert f"{port} already; stop it, or choose another port" in obstacle
    assert probe(nobody).obstacle() is None


class Narrow(socket.socket):
    """A socket for which the kernel always chooses the port that it is to connect to, twice, and then another."""

    chosen: list[int] = []

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", self.chosen.pop()


def test_a_connection_to_itself_is_none(monkeypatch: pytest.MonkeyPatch, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    monkeypatch.setattr(Narrow, "chosen", [1, port, port])
    monkeypatch.setattr("supervisor.cli.readiness.socket.socket", Narrow)
    Address("127.0.0.1", port).connect().close()
    assert Narrow.chosen == []


@pytest.fixture
def web() -> Iterator[Callable[[int], str]]:
    """Serves one request with the status given; the URL."""
    servers = []

    class Handler(BaseHTTPRequestHandler):
        status = 200

        def do_GET(self) -> None:
            self.send_response(self.status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
            """Quiet."""

    def serve(status: int) -> str:
        Handler.status = status
        server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/health"

    yield serve
    for server, thread in servers:
        thread.join()
        server.server_close()


@pytest.mark.parametrize(("status", "ready"), [(200, True), (204, True), (302, True), (404, False), (503, False)])
def test_http_is_ready_when_the_status_is_good(web: Callable[[int], str], status: int, ready: bool) -> None:
    url = web(status)
    missing = HttpProbe.parse(url).missing("")
    assert missing == (None if ready else f"{url} was answered with status {status}")


def test_http_tells_why_there_is_no_answer(nobody: int) -> None:
    url = f"http://127.0.0.1:{nobody}/"
    assert HttpProbe.parse(url).missing("") == f"{url} was not answered (connection refused)"


def test_http_bears_what_speaks_otherwise(listener: socket.socket) -> None:
    def answer() -> None:
        sock, _ = listener.accept()
        with sock:
            sock.recv(65536)
            sock.sendall(b"-ERR unknown command\r\n")

    thread = threading.Thread(target=answer)
    thread.start()
    missing = HttpProbe.parse(f"http://127.0.0.1:{listener.getsockname()[1]}/").missing("")
    thread.join()
    assert missing is not None
    assert "was not answered" in missing


def test_a_log_is_read_on_from_where_it_was(tmp_path: Path) -> None:
    log = tmp_path / "log"
    probe = LogProbe.parse(r"^Ready: \d+$")
    nothing = probe.missing(str(log))
    assert nothing is not None
    assert nothing.startswith("it wrote nothing at all")
    assert "PYTHONUNBUFFERED" in nothing
    log.write_bytes(b"starting\nnot Ready: 1\nRea")
    assert probe.missing(str(log)) == r"no line of its output matched '^Ready: \\d+$'"
    with log.open("ab") as file:
        file.write(b"dy: 5\r\n\xff")
    assert probe.missing(str(log)) is None


def test_a_line_without_an_end_counts(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"> ready")
    assert LogProbe.parse("ready").missing(str(tmp_path / "log")) is None


def test_each_run_has_a_log_of_its_own(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("starting\nready\n")
    second.write_text("")
    probe = LogProbe.parse("ready")
    assert probe.missing(str(first)) is None
    assert probe.missing(str(second)) is not None
    second.write_text("ready\n")
    assert probe.missing(str(second)) is None


def test_names_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    missing = TcpProbe.parse("no.such.host:80").missing("")
    assert missing == "nothing took a connection on no.such.host:80 (name or service not known)"
    assert os.strerror(errno.ECONNREFUSED).lower() not in missing
