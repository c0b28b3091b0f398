"""What a process host makes of each member of a container definition: obeyed, kept, or refused by its path.

Obeyed members get a field of ``model.ContainerDefinition``; accepted ones go into its ``echo``, so that
DescribeTaskDefinition gives them back word for word; the rest is refused. A member that asks for nothing (absent,
false, empty) is never refused: tools write such members on their own.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from supervisor import model
from supervisor.errors import ClientError

from .arns import FAMILY, shown
from .checks import (
    check_arguments,
    check_container_size,
    check_environment,
    check_text,
    says_something,
)
from .containers import ContainerDefinition, ContainerDependency, LogConfiguration, PortMapping, Ulimit
from .labels import check_labels
from .log_options import LOG_OPTIONS, check_log_sizes
from .security import secrets_from, security_options
from .watch import health_check, restart_policy

CANNOT = "a process host cannot do this; remove it"
NOT_YET = "not supported in this version; remove it"

REFUSED = {
    "links": CANNOT,
    "environmentFiles": NOT_YET,
    "volumesFrom": CANNOT,
    "hostname": CANNOT,
    "disableNetworking": CANNOT,
    "privileged": CANNOT,
    "readonlyRootFilesystem": CANNOT,
    "dnsServers": CANNOT,
    "dnsSearchDomains": CANNOT,
    "extraHosts": CANNOT,
    "interactive": NOT_YET,
    "pseudoTerminal": NOT_YET,
    "systemControls": CANNOT,
    "resourceRequirements": CANNOT,
    "firelensConfiguration": CANNOT,
    "credentialSpecs": CANNOT,
}
"""Members of which nothing can be obeyed."""

OBEYED = frozenset(
    {
        *("name", "image", "cpu", "memory", "memoryReservation", "portMappings", "essential", "entryPoint"),
        *("command", "environment", "dependsOn", "startTimeout", "stopTimeout", "user", "workingDirectory"),
        *("dockerLabels", "ulimits", "logConfiguration", "secrets", "dockerSecurityOptions"),
    }
)
"""Members that have a field of their own in the record. ``restartPolicy`` and ``healthCheck`` have one, and are kept
word for word beside it: of them ECS does not show all that was left out."""

ULIMITS = frozenset(
    {
        *("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss"),
        *("rtprio", "rttime", "sigpending", "stack"),
    }
)

_USER = re.compile(r"(?P<user>[^:\s\0]+)(?::(?P<group>[^:\s\0]+))?")
LAST_ID = 2**32 - 2
"""The highest uid or gid; the one after it means "unchanged" to the kernel."""


def judge_container(given: ContainerDefinition, path: str) -> model.ContainerDefinition:
    """The record of one container definition; ``ClientError`` with the member's path for what is refused.

    ``dependsOn`` and ``mountPoints``, which speak of the definition's other parts, are the caller's to check.
    """
    members: dict[str, Any] = msgspec.to_builtins(given)
    _refuse(members, path)
    check_container_size(given.cpu, given.memory, given.memory_reservation, path, ClientError)
    echo = {name: value for name, value in members.items() if name not in OBEYED}
    ports = tuple(_port(port, f"{path}.portMappings[{index}]") for index, port in enumerate(given.port_mappings or ()))
    if any(port.name or port.app_protocol for port in given.port_mappings or ()):
        echo["portMappings"] = members["portMappings"]  # more is kept of them than their record has fields for
    environment = check_environment(given.environment, f"{path}.environment", ClientError)
    judged = model.ContainerDefinition(
        name=_name(given.name, path),
        image=given.image or None,
        entry_point=check_arguments(given.entry_point, f"{path}.entryPoint", ClientError),
        command=_command(given, path),
        environment=environment,
        secrets=secrets_from(given.secrets, environment, f"{path}.secrets"),
        working_directory=_working_directory(given.working_directory, path),
        user=_user(given.user, path),
        essential=given.essential is not False,
        stop_timeout=given.stop_timeout,
        ulimits=_ulimits(given.ulimits or [], path),
        docker_labels=given.docker_labels or {},
        docker_security_options=security_options(given.docker_security_options, f"{path}.dockerSecurityOptions"),
        log_configuration=_log_configuration(given.log_configuration, f"{path}.logConfiguration"),
        depends_on=tuple(
            _dependency(before, f"{path}.dependsOn[{index}]") for index, before in enumerate(given.depends_on or ())
        ),
        start_timeout=given.start_timeout,
        restart_policy=restart_policy(given.restart_policy, f"{path}.restartPolicy"),
        health_check=health_check(given.health_check, f"{path}.healthCheck"),
        port_mappings=ports,
        cpu=given.cpu or 0,
        memory=given.memory,
        memory_reservation=given.memory_reservation,
        echo=echo,
    )
    check_labels(judged, path)
    return judged


def _refuse(members: dict[str, Any], path: str) -> None:
    """All that can be refused by looking at one member."""
    for name, why in REFUSED.items():
        if says_something(members.get(name)):
            raise ClientError(f"{path}.{name}: {why}")
    for name in ("startTimeout", "stopTimeout"):
        if members.get(name, 0) < 0:
            raise ClientError(f"{path}.{name}: expected 0 or more seconds, got {members[name]}")
    if members.get("versionConsistency", "enabled") not in ("enabled", "disabled"):
        raise ClientError(f"{path}.versionConsistency: expected enabled or disabled")
    for name, value in members.get("linuxParameters", {}).items():
        asked = any(map(says_something, value.values())) if name == "capabilities" else says_something(value)
        if name != "initProcessEnabled" and asked:
            raise ClientError(f"{path}.linuxParameters.{name}: {CANNOT}")


def _name(name: str | None, path: str) -> str:
    if not name:
        raise ClientError("Container.name should not be null or empty.")
    if not FAMILY.fullmatch(name):
        raise ClientError(f"{path}.name: expected 1 to 255 letters, digits, - and _, got {shown(name)}")
    return name


def _command(given: ContainerDefinition, path: str) -> tuple[str, ...]:
    command = check_arguments(given.command, f"{path}.command", ClientError)
    for member, arguments in (("entryPoint", given.entry_point), ("command", given.command)):
        if arguments:
            if not arguments[0]:
                raise ClientError(f"{path}.{member}[0]: the program's name is empty; give its path or name")
            return command
    raise ClientError(
        f"{path}.command: there is nothing to run, and no image here to supply it; give entryPoint or command"
    )


def _dependency(given: ContainerDependency, path: str) -> model.ContainerDependency:
    if given.condition not in tuple(model.Condition):
        conditions = ", ".join(model.Condition)
        raise ClientError(f"{path}.condition: expected one of {conditions}, got {shown(given.condition)}")
    return model.ContainerDependency(given.container_name, model.Condition(given.condition))


def _working_directory(text: str | None, path: str) -> str | None:
    if not text:
        return None
    check_text(text, f"{path}.workingDirectory", ClientError)
    if not text.startswith("/"):
        raise ClientError(f"{path}.workingDirectory: expected an absolute path, got {shown(text)}")
    return text


def _user(text: str | None, path: str) -> str | None:
    if not text:
        return None
    found = _USER.fullmatch(text)
    if not found:
        raise ClientError(f"{path}.user: expected user, user:group, uid or uid:gid, got {shown(text)}")
    for number in filter(None, found.groups()):
        # by length first: int() of thousands of digits is refused by Python itself
        if re.fullmatch("[0-9]+", number) and (len(number) > 10 or int(number) > LAST_ID):
            raise ClientError(f"{path}.user: {shown(number)} is too large; ids go up to {LAST_ID}")
    return text


def _ulimits(ulimits: list[Ulimit], path: str) -> tuple[model.Ulimit, ...]:
    seen: set[str] = set()
    for index, limit in enumerate(ulimits):
        here = f"{path}.ulimits[{index}]"
        if limit.name not in ULIMITS:
            raise ClientError(f"{here}.name: expected one of {', '.join(sorted(ULIMITS))}, got {shown(limit.name)}")
        if limit.name in seen:
            raise ClientError(f"{here}.name: {limit.name} is there twice; remove one")
        seen.add(limit.name)
        for member, value in (("softLimit", limit.soft_limit), ("hardLimit", limit.hard_limit)):
            if value < -1:
                raise ClientError(f"{here}.{member}: expected 0 or more, or -1 for unlimited, got {value}")
        if limit.hard_limit != -1 and (limit.soft_limit == -1 or limit.soft_limit > limit.hard_limit):
            raise ClientError(f"{here}.softLimit: more than hardLimit; lower it to {limit.hard_limit} or less")
    return tuple(model.Ulimit(limit.name, limit.soft_limit, limit.hard_limit) for limit in ulimits)


def _log_configuration(given: LogConfiguration | None, path: str) -> model.LogConfiguration | None:
    if given is None:
        return None
    if given.log_driver not in LOG_OPTIONS:
        drivers = ", ".join(LOG_OPTIONS)
        raise ClientError(f"{path}.logDriver: {shown(given.log_driver)} is not supported; use one of {drivers}")
    options = given.options or {}
    for name, value in options.items():
        if name not in LOG_OPTIONS[given.log_driver]:
            raise ClientError(f"{path}.options[{shown(name)}]: {given.log_driver} does not support it; remove it")
        check_text(value, f"{path}.options[{shown(name)}]", ClientError)
        if not value.isprintable():  # a line end would be the end of journald's header
            raise ClientError(f"{path}.options[{shown(name)}]: contains a control character; remove it")
    check_log_sizes(options, f"{path}.options")
    if given.secret_options:
        raise ClientError(f"{path}.secretOptions: {NOT_YET}")
    return model.LogConfiguration(log_driver=given.log_driver, options=options)


def _port(given: PortMapping, path: str) -> model.PortMapping:
    if says_something(given.container_port_range):
        raise ClientError(f"{path}.containerPortRange: {NOT_YET}")
    if given.container_port is None or not 1 <= given.container_port <= 65535:
        raise ClientError(f"{path}.containerPort: expected 1 to 65535")
    if given.host_port and given.host_port != given.container_port:
        raise ClientError(
            f"{path}.hostPort: a process host does not translate ports; remove it, or set it to"
            f" {given.container_port}, the containerPort"
        )
    if given.protocol not in (None, "tcp", "udp"):
        raise ClientError(f"{path}.protocol: expected tcp or udp, got {shown(given.protocol)}")
    if given.app_protocol not in (None, "http", "http2", "grpc"):
        raise ClientError(f"{path}.appProtocol: expected http, http2 or grpc, got {shown(given.app_protocol)}")
    return model.PortMapping(given.container_port, given.host_port or 0, given.protocol or "tcp")
