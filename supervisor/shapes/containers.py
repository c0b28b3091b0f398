"""How a container is described in RegisterTaskDefinition: ``containerDefinitions[]`` and what is only in it.

Source: botocore 1.44.5, ``ecs/2014-11-13/service-2.json``.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from .parts import EnvironmentFile, Integer, KeyValuePair, Loose, Shape, about

Long = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""64 bits, for resource limits in bytes."""


class RepositoryCredentials(Shape, frozen=True, kw_only=True):
    """Credentials for a private registry; of no use here, where no image is pulled."""

    credentials_parameter: Annotated[str, about("The ARN of the secret.")]


class PortMapping(Shape, frozen=True, kw_only=True):
    """A port that the container listens on."""

    container_port: Annotated[Integer | None, about("The port that the process listens on.")] = None
    host_port: Annotated[Integer | None, about("The port on the host: the same number, or 0, or absent.")] = None
    protocol: Annotated[str | None, about("`tcp` (as when absent) or `udp`.")] = None
    name: Annotated[str | None, about("A name for the mapping; kept, not used.")] = None
    app_protocol: Annotated[str | None, about("`http`, `http2` or `grpc`; kept, not used.")] = None
    container_port_range: Annotated[str | None, about("A range of ports; not supported.")] = None


class RestartPolicy(Shape, frozen=True, kw_only=True):
    """Whether the container is started again when it exits."""

    enabled: Annotated[bool, about("Whether the policy is in force.")]
    ignored_exit_codes: Annotated[
        list[Integer] | None, about("Exit codes after which it is not restarted, up to 50.")
    ] = None
    restart_attempt_period: Annotated[
        Integer | None,
        about("Seconds that a run must have lasted for another to follow, 60 to 1800; 300 when absent."),
    ] = None


class MountPoint(Shape, frozen=True, kw_only=True):
    """Where a volume is seen by the container: here, at its own path."""

    source_volume: Annotated[str | None, about("The name of the volume.")] = None
    container_path: Annotated[str | None, about("The path; it must be the volume's own `host.sourcePath`.")] = None
    read_only: Annotated[bool | None, about("Whether writing is prevented; a process host cannot.")] = None


class VolumeFrom(Shape, frozen=True, kw_only=True):
    """Volumes of another container."""

    source_container: Annotated[str | None, about("The container whose volumes are meant.")] = None
    read_only: Annotated[bool | None, about("Whether writing is prevented.")] = None


class KernelCapabilities(Shape, frozen=True, kw_only=True):
    """Capabilities of the Linux kernel."""

    add: Annotated[list[str] | None, about("Capabilities to add; not supported.")] = None
    drop: Annotated[list[str] | None, about("Capabilities to drop; not supported.")] = None


class LinuxParameters(Shape, frozen=True, kw_only=True):
    """Settings of the Linux kernel; only `initProcessEnabled` has a meaning for processes of the host."""

    capabilities: Annotated[KernelCapabilities | None, about("Not supported.")] = None
    devices: Annotated[list[Loose] | None, about("Devices to expose; not supported.")] = None
    init_process_enabled: Annotated[
        bool | None, about("Whether an init reaps and forwards signals; the keeper always does.")
    ] = None
    shared_memory_size: Annotated[Integer | None, about("The size of /dev/shm in MiB; not supported.")] = None
    tmpfs: Annotated[list[Loose] | None, about("File systems in memory; not supported.")] = None
    max_swap: Annotated[Integer | None, about("The swap that may be used, in MiB; not supported.")] = None
    swappiness: Annotated[Integer | None, about("How readily memory is swapped; not supported.")] = None


class Secret(Shape, frozen=True, kw_only=True):
    """A secret to be put into the environment or the log options."""

    name: Annotated[str, about("The name of the variable or option.")]
    value_from: Annotated[str, about("Where the value is kept.")]


class ContainerDependency(Shape, frozen=True, kw_only=True):
    """Another container that comes first."""

    container_name: Annotated[str, about("The name of the other container.")]
    condition: Annotated[str, about("What it must have reached: `START`, `COMPLETE`, `SUCCESS` or `HEALTHY`.")]


class Ulimit(Shape, frozen=True, kw_only=True):
    """A resource limit, set before the process begins."""

    name: Annotated[str, about("The name of the limit, such as `nofile`.")]
    soft_limit: Annotated[Long, about("The limit in force; -1 is unlimited.")]
    hard_limit: Annotated[Long, about("How far the process may raise the soft limit; -1 is unlimited.")]


class LogConfiguration(Shape, frozen=True, kw_only=True):
    """Where stdout and stderr go."""

    log_driver: Annotated[str, about("`json-file`, `file`, `journald`, `inherit` or `none`.")]
    options: Annotated[dict[str, str] | None, about("Options of the driver; `tag` for journald.")] = None
    secret_options: Annotated[list[Secret] | None, about("Options that are secrets; not supported.")] = None


class HealthCheck(Shape, frozen=True, kw_only=True):
    """A command that tells whether the container is healthy."""

    command: Annotated[list[str], about('The command, led by `CMD` or `CMD-SHELL`; or `["NONE"]`.')]
    interval: Annotated[Integer | None, about("Seconds between two checks, 5 to 300; 30 when absent.")] = None
    timeout: Annotated[Integer | None, about("Seconds that one check may take, 2 to 60; 5 when absent.")] = None
    retries: Annotated[
        Integer | None, about("Failures in a row that make the container unhealthy, 1 to 10; 3 when absent.")
    ] = None
    start_period: Annotated[
        Integer | None, about("Seconds at the start in which failures do not count, 0 to 300; 0 when absent.")
    ] = None


class ContainerDefinition(Shape, frozen=True, kw_only=True):
    """How one container is run."""

    name: Annotated[str | None, about("The name, unique in the definition: letters, digits, `-` and `_`.")] = None
    image: Annotated[str | None, about("Recorded and shown; no image is needed to run a process.")] = None
    repository_credentials: Annotated[RepositoryCredentials | None, about("Kept, not used: no image is pulled.")] = None
    cpu: Annotated[Integer | None, about("CPU units (1024 are one CPU).")] = None
    memory: Annotated[Integer | None, about("The hard limit of memory in MiB.")] = None
    memory_reservation: Annotated[Integer | None, about("The soft limit of memory in MiB.")] = None
    links: Annotated[list[str] | None, about("Not supported: processes of one host need no links.")] = None
    port_mappings: Annotated[list[PortMapping] | None, about("The ports that the container listens on.")] = None
    essential: Annotated[bool | None, about("Whether its exit stops the task; true when absent.")] = None
    restart_policy: Annotated[RestartPolicy | None, about("Whether it is started again when it exits.")] = None
    entry_point: Annotated[list[str] | None, about("The program and its first arguments.")] = None
    command: Annotated[list[str] | None, about("The arguments after `entryPoint`, or the whole command.")] = None
    environment: Annotated[list[KeyValuePair] | None, about("Environment variables.")] = None
    environment_files: Annotated[list[EnvironmentFile] | None, about("Not supported.")] = None
    mount_points: Annotated[list[MountPoint] | None, about("Directories of the host, at their own paths.")] = None
    volumes_from: Annotated[list[VolumeFrom] | None, about("Not supported.")] = None
    linux_parameters: Annotated[LinuxParameters | None, about("Only `initProcessEnabled` is supported.")] = None
    secrets: Annotated[
        list[Secret] | None,
        about("Variables whose values are in files: `file:NAME` below `tasks.secrets_dir`, or `file:/absolute/path`."),
    ] = None
    depends_on: Annotated[list[ContainerDependency] | None, about("Containers that come first.")] = None
    start_timeout: Annotated[
        Integer | None,
        about("Seconds in which it must reach what others wait for: COMPLETE, SUCCESS or HEALTHY; 0 is any time."),
    ] = None
    stop_timeout: Annotated[
        Integer | None,
        about("Seconds between the stop signal and SIGKILL; when absent or 0, the agent's `stop.timeout`."),
    ] = None
    version_consistency: Annotated[str | None, about("`enabled` or `disabled`; kept, not used.")] = None
    hostname: Annotated[str | None, about("Not supported: the host's name is everybody's.")] = None
    user: Annotated[str | None, about("Who it runs as: `user`, `user:group`, `uid` or `uid:gid`.")] = None
    working_directory: Annotated[str | None, about("The absolute path of the directory to run in.")] = None
    disable_networking: Annotated[bool | None, about("True is not supported.")] = None
    privileged: Annotated[bool | None, about("True is not supported.")] = None
    readonly_root_filesystem: Annotated[bool | None, about("True is not supported.")] = None
    dns_servers: Annotated[list[str] | None, about("Not supported.")] = None
    dns_search_domains: Annotated[list[str] | None, about("Not supported.")] = None
    extra_hosts: Annotated[list[Loose] | None, about("Not supported.")] = None
    docker_security_options: Annotated[list[str] | None, about("Only `no-new-privileges` is supported.")] = None
    interactive: Annotated[bool | None, about("True is not supported: stdin is /dev/null.")] = None
    pseudo_terminal: Annotated[bool | None, about("True is not supported: there is no terminal.")] = None
    docker_labels: Annotated[
        dict[str, str] | None,
        about(
            "Free labels, but for `supervisor.`: `stop-signal`, `stop-scope`, `pre-stop`, `stop-budget`, `max-runtime`"
            " and `restart-backoff` say what ECS has no member for."
        ),
    ] = None
    ulimits: Annotated[list[Ulimit] | None, about("Resource limits.")] = None
    log_configuration: Annotated[LogConfiguration | None, about("Where stdout and stderr go.")] = None
    health_check: Annotated[HealthCheck | None, about("How it is told whether the container is healthy.")] = None
    system_controls: Annotated[list[Loose] | None, about("Not supported.")] = None
    resource_requirements: Annotated[list[Loose] | None, about("Not supported.")] = None
    firelens_configuration: Annotated[Loose | None, about("Not supported.")] = None
    credential_specs: Annotated[list[str] | None, about("Not supported.")] = None
