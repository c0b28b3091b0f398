"""What is told of this host is so."""

from __future__ import annotations

import os
import socket

import pytest

from supervisor.procinfo import LocalHost


@pytest.fixture(params=[(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")], ids=["IPv4", "IPv6"])
def address(request: pytest.FixtureRequest) -> tuple[socket.AddressFamily, str]:
    family, host = request.param
    try:
        socket.create_server((host, 0), family=family).close()
    except OSError as exc:
        pytest.skip(f"no {host} here: {exc}")
    return family, host


def test_the_host_has_what_the_kernel_says() -> None:
    host = LocalHost()
    assert host.cpu == (os.cpu_count() or 1) * 1024
    assert host.memory == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    assert host.architecture == {"aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


def test_a_port_is_bound_while_somebody_listens(address: tuple[socket.AddressFamily, str]) -> None:
    family, host = address
    with socket.create_server((host, 0), family=family) as server:
        port = server.getsockname()[1]
        with socket.create_connection((host, port)) as client:
            bound = LocalHost().bound_ports()
            assert (port, "tcp") in bound
            assert (client.getsockname()[1], "tcp") not in bound, "a connection's own end is nobody's to listen on"
    assert (port, "tcp") not in LocalHost().bound_ports()


def test_an_udp_port_is_bound_while_somebody_has_it(address: tuple[socket.AddressFamily, str]) -> None:
    family, host = address
    with socket.socket(family, socket.SOCK_DGRAM) as server:
        server.bind((host, 0))
        port = server.getsockname()[1]
        assert (port, "udp") in LocalHost().bound_ports()
    assert (port, "udp") not in LocalHost().bound_ports()
