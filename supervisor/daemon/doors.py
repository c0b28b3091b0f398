"""The doors of the agent, from its settings. ``checked`` at the start tells what would keep one from opening."""

from __future__ import annotations

import contextlib
import grp
import ipaddress
import os
import socket
import ssl
from collections.abc import Mapping

from msgspec.structs import replace

from supervisor.api import credentials
from supervisor.api.door import Door
from supervisor.api.guards import AddressGuard, Rights, SignatureGuard, SocketGuard, resolve
from supervisor.clock import Clock
from supervisor.config import ApiTable, Settings, TcpTable
from supervisor.errors import ConfigError
from supervisor.log import get_logger
from supervisor.posix import process

_OTHER_DESCRIPTORS = 48
"""What the agent itself has open, and then some: the records, logs that are read, the link to the keeper."""

_log = get_logger("agent")


def address(table: TcpTable) -> tuple[str, int]:
    """Host and port to listen on. `ConfigError` for what is no address."""
    host, _, port = table.listen.rpartition(":")
    try:
        parsed = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host.strip("[]"))
        if int(port) > 65535:
            raise ValueError(port)
    except ValueError:
        raise ConfigError(
            f'cannot listen on {table.listen}: write an address and port, as "127.0.0.1:51680" or "[::1]:51680"'
        ) from None
    if not parsed.is_loopback and table.certificate is None:
        raise ConfigError(
            f"cannot listen on {table.listen}: it is not a loopback address, and without TLS others could read the "
            "requests; set api.tcp.certificate and api.tcp.key, or listen on 127.0.0.1"
        )
    return str(parsed), int(port)


def checked(table: ApiTable) -> ApiTable:
    """The same with the numbers of users and groups for their names, so that no later agent lacks one.

    `ConfigError` for settings with which nobody could come in: names, addresses, keys and certificates.
    """
    if table.tcp is not None:
        address(table.tcp)
        credentials.load(table.tcp.credentials_file)
        _tls(table.tcp)
    return replace(table, access=resolve(table.access))


def api_doors(settings: Settings, clock: Clock, listeners: Mapping[str, socket.socket]) -> list[Door]:
    """Every door to the API that is configured; a certificate gone wrong closes the one to TCP, and no other."""
    api = within_descriptors(settings.api, len(listeners))
    guard = SocketGuard(Rights(api.access, _group_of(listeners["api"], api)))
    doors = [Door("api", listeners["api"], guard, api)]
    if api.tcp is not None:
        signed = SignatureGuard(credentials.CredentialsFile(api.tcp.credentials_file), settings.agent.region, clock)
        try:
            doors.append(Door("tcp", listeners["tcp"], signed, api, _tls(api.tcp)))
        except ConfigError as exc:
            _log.error("door_not_opened", door=api.tcp.listen, error=str(exc))
            listeners["tcp"].close()
    return doors


def inside_door(settings: Settings, listeners: Mapping[str, socket.socket]) -> Door:
    """The door for the processes of tasks. Who comes in by it is known by the address that they ask for."""
    limits = within_descriptors(settings.api, len(listeners))
    return Door("inside", listeners["inside"], AddressGuard(), limits)


def within_descriptors(table: ApiTable, doors: int) -> ApiTable:
    """No more connections than there are descriptors for: a door lets in twice as many as it serves."""
    most = max((process.fd_limit() - _OTHER_DESCRIPTORS) // (2 * doors), 1)
    return replace(table, max_connections=min(table.max_connections, most))


def _group_of(sock: socket.socket, api: ApiTable) -> int:
    """The group of the socket's file: with socket activation, only the file knows."""
    with contextlib.suppress(OSError, ValueError):  # an abstract address is no file
        return os.stat(sock.getsockname()).st_gid
    return os.getegid() if api.socket_group is None else grp.getgrnam(api.socket_group).gr_gid


def _tls(table: TcpTable) -> ssl.SSLContext | None:
    if table.certificate is None:
        if table.key is not None:
            raise ConfigError("cannot use api.tcp.key: it needs api.tcp.certificate beside it")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(table.certificate, table.key)
    except ssl.SSLError as exc:
        why = exc.reason or "no certificate and key in PEM"
    except OSError as exc:
        why = exc.strerror or str(exc)
    else:
        return context
    raise ConfigError(f"cannot use api.tcp.certificate {table.certificate} with key {table.key or 'in it'}: {why}")
