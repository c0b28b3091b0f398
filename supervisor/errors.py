"""Every error that crosses a module boundary, with the code that an ECS client sees.

::

    SupervisorError                  ServerException                (HTTP 500)
      + ClientError                  ClientException                (HTTP 400, as all below it)
      |   - InvalidParameterError    InvalidParameterException
      |   - ClusterNotFoundError     ClusterNotFoundException
      |   - UnsupportedFeatureError  UnsupportedFeatureException
      |   - ConflictError            ConflictException, with the ARNs that a ``clientToken`` made
      |   - ResourceNotFoundError    ResourceNotFoundException
      |   - ServiceNotFoundError     ServiceNotFoundException
      |   - LimitExceededError       LimitExceededException
      |   - ClusterContainsTasksError               ClusterContainsTasksException
      |   - ClusterContainsContainerInstancesError  ClusterContainsContainerInstancesException
      |   - SerializationError       SerializationException
      |   - UnknownOperationError    UnknownOperationException
      |   - AccessDeniedError        AccessDeniedException
      |   + AuthenticationError      one of these:
      |     - MissingAuthenticationTokenError  MissingAuthenticationTokenException
      |     - IncompleteSignatureError         IncompleteSignatureException
      |     - UnrecognizedClientError          UnrecognizedClientException
      |     - InvalidSignatureError            InvalidSignatureException
      + StoreError                   the record could not be written or read
      |   - StoreDamaged             nor can it be trusted any more: it is kept aside, and a new one begun
      + ConfigError                  configuration or command line; never reaches the wire
      + WireError                    a frame between keeper and agent that is not as agreed
      + IllegalTransition            an event that the lifecycle table has no answer for: a bug of ours
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar


class SupervisorError(Exception):
    """Base of all; on the wire a ``ServerException`` unless a subclass says otherwise."""

    code: ClassVar[str] = "ServerException"
    http_status: ClassVar[int] = 500
    members: Mapping[str, object] = {}
    """What the body of the error has beside its code and text."""


class ClientError(SupervisorError):
    """The request cannot be carried out; sending it again will not help."""

    code = "ClientException"
    http_status = 400


class InvalidParameterError(ClientError):
    """A parameter is malformed, out of bounds or names something that does not exist."""

    code = "InvalidParameterException"


class ClusterNotFoundError(ClientError):
    """No cluster of that name is ACTIVE here."""

    code = "ClusterNotFoundException"

    def __init__(self, message: str = "Cluster not found.") -> None:
        super().__init__(message)


class UnsupportedFeatureError(ClientError):
    """ECS knows this; a host that runs processes does not."""

    code = "UnsupportedFeatureException"


class ConflictError(ClientError):
    """The ``clientToken`` belongs to another request; ``resourceIds`` are the tasks that it made."""

    code = "ConflictException"

    def __init__(self, message: str, resource_ids: Iterable[str]) -> None:
        super().__init__(message)
        self.members = {"resourceIds": list(resource_ids)}


class ResourceNotFoundError(ClientError):
    """The ARN names nothing that is here."""

    code = "ResourceNotFoundException"


class ServiceNotFoundError(ClientError):
    """No service of that name is here."""

    code = "ServiceNotFoundException"

    def __init__(self, message: str = "Service not found.") -> None:
        super().__init__(message)


class LimitExceededError(ClientError):
    """With what is there already it would be too many."""

    code = "LimitExceededException"


class ClusterContainsTasksError(ClientError):
    """A cluster with tasks that are not STOPPED cannot be deleted."""

    code = "ClusterContainsTasksException"

    def __init__(self, message: str = "The Cluster cannot be deleted while Tasks are active.") -> None:
        super().__init__(message)


class ClusterContainsContainerInstancesError(ClientError):
    """The configured cluster is this host's own, and cannot be deleted."""

    code = "ClusterContainsContainerInstancesException"

    def __init__(
        self, message: str = "The Cluster cannot be deleted while Container Instances are active or draining."
    ) -> None:
        super().__init__(message)


class SerializationError(ClientError):
    """The body is not a JSON object."""

    code = "SerializationException"


class UnknownOperationError(ClientError):
    """``X-Amz-Target`` names no operation of the ECS API."""

    code = "UnknownOperationException"


class AccessDeniedError(ClientError):
    """It is known who asks, and they may not."""

    code = "AccessDeniedException"


class AuthenticationError(ClientError):
    """It is not known who asks: base of what is wrong with a signature. HTTP 400, as ECS answers all of them."""


class MissingAuthenticationTokenError(AuthenticationError):
    """The request is not signed."""

    code = "MissingAuthenticationTokenException"

    def __init__(self, message: str = "Missing Authentication Token") -> None:
        super().__init__(message)


class IncompleteSignatureError(AuthenticationError):
    """The request is not signed as AWS signs."""

    code = "IncompleteSignatureException"


class UnrecognizedClientError(AuthenticationError):
    """No profile has the access key."""

    code = "UnrecognizedClientException"

    def __init__(self, message: str = "The security token included in the request is invalid.") -> None:
        super().__init__(message)


class InvalidSignatureError(AuthenticationError):
    """Signed with another secret, for another request, at another time, or for another service."""

    code = "InvalidSignatureException"


class StoreError(SupervisorError):
    """The database could not be read or written; nothing was acknowledged."""


class StoreDamaged(StoreError):
    """The database is not what SQLite had written; no write will succeed, nor may one be tried."""


class ConfigError(SupervisorError):
    """Configuration or command line is wrong; the text names the key, the place and the fix."""


class WireError(SupervisorError):
    """A frame between keeper and agent is too large, unknown or ill-typed. The connection is closed."""


class IllegalTransition(SupervisorError):
    """The lifecycle table has no entry for this status and event."""
