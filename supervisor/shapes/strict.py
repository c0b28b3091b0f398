"""What ECS refuses and a process host has no reason to: checked where ``[api] strict`` asks for it.

A definition that passes is accepted by ECS too, but for two things: Fargate takes no network mode but ``awsvpc``,
which no host of processes has, and ECS may want roles and images that exist.
"""

from __future__ import annotations

from supervisor.errors import ClientError, InvalidParameterError
from supervisor.model import ContainerDefinition, TaskDefinition

from .checks import cpu_units, mebibytes

MIN_MEMORY = 6
"""MiB of a container (Docker's own floor)."""

FARGATE_TIMEOUTS = range(2, 121)
"""Seconds that Fargate waits, for a start and for a stop."""

ECS_LOG_DRIVERS = ("json-file", "journald")
"""Those that this host and ECS on a host of one's own both have; Fargate has none of them."""

_GB = 1024
FARGATE_SIZES: dict[int, range | tuple[int, ...]] = {
    256: (512, 1 * _GB, 2 * _GB),
    512: range(1 * _GB, 4 * _GB + 1, _GB),
    1024: range(2 * _GB, 8 * _GB + 1, _GB),
    2048: range(4 * _GB, 16 * _GB + 1, _GB),
    4096: range(8 * _GB, 30 * _GB + 1, _GB),
    8192: range(16 * _GB, 60 * _GB + 1, 4 * _GB),
    16384: range(32 * _GB, 120 * _GB + 1, 8 * _GB),
}
"""CPU units → the MiB that go with them."""


def check_strict(definition: TaskDefinition) -> None:
    """``ClientError`` for a definition that ECS would refuse."""
    fargate = "FARGATE" in _compatibilities(definition)
    for index, container in enumerate(definition.container_definitions):
        path = f"containerDefinitions[{index}]"
        _check_container(container, path, definition)
        if fargate:
            _check_fargate_container(container, path)
    if definition.cpu is not None:
        _check_sum("cpu", cpu_units(definition.cpu), [each.cpu for each in definition.container_definitions])
    if definition.memory is not None:
        reserved = [each.memory_reservation or each.memory or 0 for each in definition.container_definitions]
        _check_sum("memory", mebibytes(definition.memory), reserved)
    if fargate:
        _check_fargate_size(definition)


def check_strict_launch(launch_type: str | None, definition: TaskDefinition) -> None:
    """``InvalidParameterError`` where the definition is not meant for that launch type (EC2, in ECS, if absent)."""
    asked = launch_type or "EC2"
    meant = _compatibilities(definition) or ("EC2", "EXTERNAL")
    if asked not in meant:
        raise InvalidParameterError(f"Task definition does not support launch_type {asked}.")


def _compatibilities(definition: TaskDefinition) -> tuple[str, ...]:
    return tuple(definition.echo.get("requiresCompatibilities", ()))


def _check_container(container: ContainerDefinition, path: str, definition: TaskDefinition) -> None:
    if container.image is None:
        raise ClientError("Container.image should not be null or empty.")
    if container.memory is None and container.memory_reservation is None and definition.memory is None:
        raise ClientError(
            f"Invalid setting for container '{container.name}'. At least one of 'memory' or 'memoryReservation' must "
            "be specified."
        )
    for member, value in (("memory", container.memory), ("memoryReservation", container.memory_reservation)):
        if value is not None and value < MIN_MEMORY:
            raise ClientError(f"{path}.{member}: ECS takes {MIN_MEMORY} MiB or more, got {value}")
    if container.secrets:
        raise ClientError(f"{path}.secrets[0].valueFrom: ECS reads no files; remove it")
    log = container.log_configuration
    if log is not None and log.log_driver not in ECS_LOG_DRIVERS:
        drivers = " or ".join(ECS_LOG_DRIVERS)
        raise ClientError(f"{path}.logConfiguration.logDriver: ECS has no {log.log_driver}; use {drivers}")


def _check_fargate_container(container: ContainerDefinition, path: str) -> None:
    for member, seconds in (("stopTimeout", container.stop_timeout), ("startTimeout", container.start_timeout)):
        if seconds is not None and seconds not in FARGATE_TIMEOUTS:
            least, most = FARGATE_TIMEOUTS[0], FARGATE_TIMEOUTS[-1]
            raise ClientError(f"{path}.{member}: FARGATE takes {least} to {most} seconds, got {seconds}")
    if container.log_configuration is not None:
        driver = container.log_configuration.log_driver
        raise ClientError(f"{path}.logConfiguration.logDriver: FARGATE has no {driver}; leave it out")
    for index, limit in enumerate(container.ulimits):
        if limit.name != "nofile":
            raise ClientError(f"{path}.ulimits[{index}].name: FARGATE takes nofile only, got {limit.name}")


def _check_sum(member: str, whole: int, parts: list[int]) -> None:
    if sum(parts) > whole:
        raise ClientError(f"{member}: the containers ask for {sum(parts)}, and the task has {whole}; raise it")


def _check_fargate_size(definition: TaskDefinition) -> None:
    if definition.cpu is None or definition.memory is None:
        raise ClientError("Fargate requires that 'cpu' and 'memory' be defined at the task level.")
    if mebibytes(definition.memory) not in FARGATE_SIZES.get(cpu_units(definition.cpu), ()):
        raise ClientError(
            f"No Fargate configuration exists for given values: {definition.cpu} CPU, {definition.memory} memory."
        )
