"""Real servers as tasks: what they promise to do on their stop signal, they are given the time to do."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PATIENCE
from tests.machine import cannot_test
from tests.system.daemon import AMPLE, Daemon, Json

pytestmark = pytest.mark.system

BODY = b"the whole of it, " * 1000


def program(name: str, package: str) -> str:
    """The path of a server's program."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None:
        cannot_test(f"{name} is missing: apt-get install {package}")
    return path


def connect(path: str) -> socket.socket | None:
    """To a server, None while nobody listens."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(PATIENCE)
    try:
        sock.connect(path)
    except OSError:
        sock.close()
        return None
    return sock


def log_of(daemon: Daemon, arn: str) -> str:
    """What the server wrote to its standard output and error."""
    return Path(f"{daemon.state_dir}/logs/{arn.rpartition('/')[2]}/main.log").read_text()


# redis


@contextlib.contextmanager
def redis(daemon: Daemon, definition: str, path: str) -> Iterator[tuple[str, socket.socket]]:
    """A task that runs redis-server, and a connection to it."""
    (task,) = daemon.call("RunTask", taskDefinition=definition)["tasks"]
    with daemon.until(lambda: connect(path), "redis-server") as sock:
        yield task["taskArn"], sock


def ask(sock: socket.socket, *words: str) -> list[bytes]:
    """One command of redis; the lines of its reply."""
    sock.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words))
    return sock.recv(4096).splitlines()


def test_redis_saves_before_it_ends(shared: Daemon) -> None:
    server = program("redis-server", "redis-server")
    data, path = f"{shared.directory}/redis", f"{shared.directory}/redis.sock"
    os.mkdir(data)
    options = {"--port": "0", "--unixsocket": path, "--dir": data, "--save": "3600 1", "--daemonize": "no"}
    command = [server, *(word for option in options.items() for word in option)]
    definition = shared.define({"name": "main", "command": command, "stopTimeout": AMPLE})
    with redis(shared, definition, path) as (arn, sock):
        assert ask(sock, "SET", "colour", "blue") == [b"+OK"]
        assert not os.path.exists(f"{data}/dump.rdb")
        shared.stop(arn, reason="an upgrade")
        record = shared.wait(arn)
    assert record["containers"][0]["exitCode"] == 0
    assert "reason" not in record["containers"][0]
    assert "Received SIGTERM scheduling shutdown" in log_of(shared, arn)
    assert "DB saved on disk" in log_of(shared, arn)
    with redis(shared, definition, path) as (arn, sock):
        assert ask(sock, "GET", "colour") == [b"$4", b"blue"]
        shared.stop(arn)
        assert shared.wait(arn)["containers"][0]["exitCode"] == 0


# nginx


def nginx(directory: str) -> tuple[Json, str, str]:
    """The definition of a container with a nginx of the test's own; the sockets where it listens and passes on to."""
    server = program("nginx", "nginx-light")
    web, upstream = f"{directory}/web.sock", f"{directory}/upstream.sock"
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {directory}/{kind};" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""
    Path(directory, "nginx.conf").write_text(
        f"daemon off; {user} pid {directory}/nginx.pid; error_log stderr notice; worker_processes 1;"
        f"events {{}} http {{ access_log off; {temporary}"
        f"server {{ listen unix:{web}; location / {{ proxy_pass http://unix:{upstream}; }} }} }}"
    )
    command = [server, "-p", directory, "-e", "stderr", "-c", f"{directory}/nginx.conf"]
    return {"name": "main", "command": command, "stopTimeout": AMPLE}, web, upstream


def answer_after_the_stop(daemon: Daemon, definition: Json, web: str, upstream: str) -> tuple[bytes, Json, Json]:
    """A request is in flight when the stop comes, and is answered when nginx takes no more of them.

    What the caller gets; the task's record before the answer, and at the end.
    """
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(PATIENCE)
        listener.bind(upstream)
        listener.listen()
        arn = daemon.run(definition)
        with daemon.until(lambda: connect(web), "nginx") as caller:
            caller.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            inside, _ = listener.accept()
            with inside:
                assert inside.recv(65536).startswith(b"GET / ")
                daemon.stop(arn)
                daemon.until(lambda: refuses(web) or None, "a nginx that takes no more requests")
                meanwhile = daemon.task(arn)
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # nobody is left to pass it on
                    inside.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY))
            got = b""
            with contextlib.suppress(ConnectionResetError):
                while data := caller.recv(65536):
                    got += data
        return got, meanwhile, daemon.wait(arn)


def refuses(path: str) -> bool:
    """Whether nobody takes connections there any more."""
    sock = connect(path)
    if sock is not None:
        sock.close()
    return sock is None


def test_nginx_finishes_a_request_in_flight_under_sigquit(shared: Daemon, tmp_path: Path) -> None:
    definition, web, upstream = nginx(str(tmp_path))
    definition["dockerLabels"] = {"supervisor.stop-signal": "SIGQUIT"}
    got, meanwhile, record = answer_after_the_stop(shared, definition, web, upstream)
    assert (meanwhile["desiredStatus"], meanwhile["lastStatus"]) == ("STOPPED", "RUNNING")
    head, _, body = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert body == BODY
    assert (record["stopCode"], record["containers"][0]["exitCode"]) == ("UserInitiated", 0)
    assert "reason" not in record["containers"][0]


def test_nginx_cuts_it_off_under_sigterm(shared: Daemon, tmp_path: Path) -> None:
    """Which is why the stop signal can be chosen; it also shows that the test above can fail."""
    got, _, record = answer_after_the_stop(shared, *nginx(str(tmp_path)))
    assert got == b""
    assert record["containers"][0]["exitCode"] == 0
