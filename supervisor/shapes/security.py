"""``secrets`` and ``dockerSecurityOptions``: what a container is given that nobody else sees, and may not gain."""

from __future__ import annotations

from supervisor import model
from supervisor.errors import ClientError

from .arns import shown
from .checks import check_text, check_variable_name
from .containers import Secret

FILE = "file:"
"""How ``valueFrom`` begins: the rest is an absolute path, or one below ``[tasks] secrets_dir``."""

MAX_SECRETS = 200
NO_NEW_PRIVILEGES = {"no-new-privileges": True, "no-new-privileges:true": True, "no-new-privileges:false": False}
"""The security options that a process host can obey, and whether they ask for anything."""


def secrets_from(
    given: list[Secret] | None, environment: tuple[model.KeyValuePair, ...], path: str
) -> tuple[model.Secret, ...]:
    """The records; ``ClientError`` for what names no file, or a variable that is there already."""
    taken = {pair.name for pair in environment}
    secrets = []
    if len(given or ()) > MAX_SECRETS:
        raise ClientError(f"{path}: expected up to {MAX_SECRETS}, got {len(given or ())}")
    for index, secret in enumerate(given or ()):
        here = f"{path}[{index}]"
        check_variable_name(secret.name, f"{here}.name", ClientError)
        if secret.name in taken:
            raise ClientError(f"{here}.name: {shown(secret.name)} is set twice, here and in secrets or environment")
        taken.add(secret.name)
        _check_source(secret.value_from, f"{here}.valueFrom")
        secrets.append(model.Secret(secret.name, secret.value_from))
    return tuple(secrets)


def source_of(secret: model.Secret) -> str:
    """The path of its file."""
    return secret.value_from.removeprefix(FILE)


def _check_source(text: str, path: str) -> None:
    check_text(text, path, ClientError)
    if text.startswith("arn:"):
        raise ClientError(
            f"{path}: Secrets Manager and Parameter Store cannot be asked here; put the value into a file, and name it "
            f"as {FILE}NAME or {FILE}/absolute/path"
        )
    name = text.removeprefix(FILE)
    if not text.startswith(FILE) or not name:
        raise ClientError(f"{path}: expected {FILE}NAME or {FILE}/absolute/path, got {shown(text)}")
    if not name.startswith("/") and {"", ".", ".."} & set(name.split("/")):
        raise ClientError(
            f"{path}: no part of {shown(name)} may be empty, a dot, or two; it is below tasks.secrets_dir"
        )


def security_options(given: list[str] | None, path: str) -> tuple[str, ...]:
    """The same; ``ClientError`` for those that a process host cannot obey."""
    for index, option in enumerate(given or ()):
        if option not in NO_NEW_PRIVILEGES:
            raise ClientError(
                f"{path}[{index}]: a process host cannot do {shown(option)}; use no-new-privileges, or remove it"
            )
    return tuple(given or ())


def forbids_new_privileges(container: model.ContainerDefinition) -> bool:
    """Whether the container asks for it."""
    return any(NO_NEW_PRIVILEGES[option] for option in container.docker_security_options)
