"""The structures inside ECS requests, member for member as the ECS model has them.

Structures that are refused whatever they say (volumes of other kinds, FireLens, devices…) stay loosely typed:
the refusal names them as a whole. Source: botocore 1.44.5, ``ecs/2014-11-13/service-2.json``.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

Integer = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
"""ECS's ``Integer``: 32 bits."""

Loose = dict[str, Any]
"""A structure that is refused as a whole wherever it says anything."""


def about(text: str) -> msgspec.Meta:
    """The help text of a member, which the command line shows."""
    return msgspec.Meta(description=text)


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", omit_defaults=True):
    """Base of everything in a request: ECS's spelling, nothing unknown, absent members are None."""


class KeyValuePair(Shape, frozen=True, kw_only=True):
    """One environment variable."""

    name: Annotated[str | None, about("The name of the variable.")] = None
    value: Annotated[str | None, about("The value of the variable.")] = None


class Tag(Shape, frozen=True, kw_only=True):
    """A label of a resource."""

    key: Annotated[str | None, about("The key, 1 to 128 characters.")] = None
    value: Annotated[str | None, about("The value, up to 256 characters.")] = None


class EnvironmentFile(Shape, frozen=True, kw_only=True):
    """A file of environment variables."""

    value: Annotated[str, about("Where the file is.")]
    type: Annotated[str, about("The kind of place; ECS knows `s3`.")]


class HostVolume(Shape, frozen=True, kw_only=True):
    """A directory of the host."""

    source_path: Annotated[str | None, about("Its absolute path.")] = None


class Volume(Shape, frozen=True, kw_only=True):
    """A directory that containers use; here always a directory of the host, at its own path."""

    name: Annotated[str | None, about("The name that mount points refer to.")] = None
    host: Annotated[HostVolume | None, about("The directory of the host.")] = None
    docker_volume_configuration: Annotated[Loose | None, about("A Docker volume; not supported.")] = None
    efs_volume_configuration: Annotated[Loose | None, about("An EFS volume; not supported.")] = None
    s3files_volume_configuration: Annotated[Loose | None, about("An S3 Files volume; not supported.")] = None
    fsx_windows_file_server_volume_configuration: Annotated[Loose | None, about("An FSx volume; not supported.")] = None
    configured_at_launch: Annotated[bool | None, about("Whether it is configured by RunTask; not supported.")] = None


class PlacementConstraint(Shape, frozen=True, kw_only=True):
    """On which hosts a task may run; kept, and always true of the one host."""

    type: Annotated[str | None, about("The kind of constraint.")] = None
    expression: Annotated[str | None, about("The expression in the cluster query language.")] = None


class PlacementStrategy(Shape, frozen=True, kw_only=True):
    """How hosts are chosen; there is one."""

    type: Annotated[str | None, about("`random`, `spread` or `binpack`.")] = None
    field: Annotated[str | None, about("The field that the strategy applies to.")] = None


class EphemeralStorage(Shape, frozen=True, kw_only=True):
    """Storage of the task's lifetime; kept, not enforced."""

    size_in_gib: Annotated[Integer, about("The size in GiB.")] = msgspec.field(name="sizeInGiB")


class RuntimePlatform(Shape, frozen=True, kw_only=True):
    """For which platform the task is made."""

    cpu_architecture: Annotated[str | None, about("`X86_64` or `ARM64`; kept, not checked.")] = None
    operating_system_family: Annotated[str | None, about("`LINUX`; a Windows family is refused.")] = None


class ContainerOverride(Shape, frozen=True, kw_only=True):
    """What differs for one container in this run."""

    name: Annotated[str | None, about("The container; it must be in the definition.")] = None
    command: Annotated[list[str] | None, about("Arguments in place of the definition's `command`.")] = None
    environment: Annotated[list[KeyValuePair] | None, about("Variables added to, or replacing, the definition's.")] = (
        None
    )
    environment_files: Annotated[list[EnvironmentFile] | None, about("Not supported.")] = None
    cpu: Annotated[Integer | None, about("CPU units, in place of the definition's.")] = None
    memory: Annotated[Integer | None, about("The hard limit in MiB, in place of the definition's.")] = None
    memory_reservation: Annotated[Integer | None, about("The soft limit in MiB.")] = None
    resource_requirements: Annotated[list[Loose] | None, about("GPUs and the like; not supported.")] = None


class TaskOverride(Shape, frozen=True, kw_only=True):
    """What differs from the definition in this run."""

    container_overrides: Annotated[list[ContainerOverride] | None, about("What differs for each container.")] = None
    cpu: Annotated[str | None, about("CPU units of the task.")] = None
    inference_accelerator_overrides: Annotated[list[Loose] | None, about("Not supported.")] = None
    execution_role_arn: Annotated[str | None, about("Recorded; nothing here assumes roles.")] = None
    memory: Annotated[str | None, about("Memory of the task in MiB.")] = None
    task_role_arn: Annotated[str | None, about("Recorded; nothing here assumes roles.")] = None
    ephemeral_storage: Annotated[EphemeralStorage | None, about("Not supported.")] = None
