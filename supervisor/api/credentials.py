"""The keys of clients that come over TCP: a file in the format of AWS's shared credentials, read anew when it changes.

::

    [deploy]
    aws_access_key_id = …
    aws_secret_access_key = …
    supervisor_access = read      # what it may; `write` unless said
"""

from __future__ import annotations

import configparser
import os
import stat
from collections.abc import Mapping
from typing import NamedTuple

from supervisor.api.actions import Access
from supervisor.errors import ConfigError
from supervisor.log import get_logger

_log = get_logger("api")

Version = tuple[int, ...]


class Profile(NamedTuple):
    """One section of the file."""

    name: str
    key_id: str
    secret: str
    access: Access


class CredentialsFile:
    """Profiles by access key id. A change of the file counts from the next request on: no restart to rotate keys."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._version: Version | None = None
        self._profiles: Mapping[str, Profile] = {}

    def profiles(self) -> Mapping[str, Profile]:
        """Those of the file as it is now. A file that cannot be used has none, and says why in the log, once."""
        try:
            version = _version(os.stat(self._path))
        except OSError:
            version = ()
        if version != self._version:
            self._version = version
            try:
                self._profiles = load(self._path)
            except ConfigError as exc:
                self._profiles = {}
                _log.error("credentials_refused", error=str(exc))
            else:
                _log.info("credentials_read", file=self._path, profiles=len(self._profiles))
        return self._profiles


def load(path: str) -> Mapping[str, Profile]:
    """The profiles of the file. `ConfigError` tells what is wrong, and never what is in it."""
    try:
        with open(path, encoding="utf-8") as file:
            _check_owner(path, os.fstat(file.fileno()))
            text = file.read()
    except OSError as exc:
        raise ConfigError(
            f"cannot read the credentials {path}: {exc.strerror}; see credentials_file in [api.tcp]"
        ) from None
    except UnicodeDecodeError as exc:
        raise ConfigError(f"cannot read the credentials {path}: byte {exc.start + 1} is not UTF-8") from None
    return parse(path, text)


def _version(status: os.stat_result) -> Version:
    """Differs after every write, replacement and change of mode."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _check_owner(path: str, status: os.stat_result) -> None:
    if stat.S_IMODE(status.st_mode) & 0o077:
        mode = f"{stat.S_IMODE(status.st_mode):04o}"
        raise ConfigError(
            f"cannot use the credentials {path}: its mode {mode} lets others at the keys; chmod 0600 {path}"
        )
    if status.st_uid not in (0, os.geteuid()):
        raise ConfigError(
            f"cannot use the credentials {path}: it belongs to user {status.st_uid}; it must be the agent's or root's"
        )


def parse(path: str, text: str) -> Mapping[str, Profile]:
    """The profiles in the text of the file ``path``."""
    # No section is special: configparser's DEFAULT would lend its keys to all others.
    parser = configparser.RawConfigParser(default_section="\0", strict=True)
    try:
        parser.read_string(text)
    except configparser.Error as exc:
        raise ConfigError(f"cannot read the credentials {path}: {_where(exc)}") from None
    profiles: dict[str, Profile] = {}
    for name in parser.sections():
        profile = _profile(path, name, parser[name])
        if profile.key_id in profiles:
            other = profiles[profile.key_id].name
            raise ConfigError(f"cannot use the credentials {path}: [{other}] and [{name}] have the same access key id")
        profiles[profile.key_id] = profile
    if not profiles:
        raise ConfigError(f"cannot use the credentials {path}: it has no profile; write one: [default] and its keys")
    return profiles


def _where(error: configparser.Error) -> str:
    """Without the line itself, in which a secret may be."""
    if isinstance(error, configparser.DuplicateSectionError):
        return f"line {error.lineno}: [{error.section}] stands there twice"
    if isinstance(error, configparser.DuplicateOptionError):
        return f"line {error.lineno}: [{error.section}] has {error.option} twice"
    if isinstance(error, configparser.MissingSectionHeaderError):
        return f"line {error.lineno}: the name of a profile must come first, as [default]"
    if isinstance(error, configparser.ParsingError) and error.errors:
        return f"line {error.errors[0][0]} is neither [profile] nor key = value"
    return "it is not an INI file"


def _profile(path: str, name: str, section: Mapping[str, str | None]) -> Profile:
    values: dict[str, str] = {}
    for key in ("aws_access_key_id", "aws_secret_access_key"):
        value = section.get(key)
        if not value:
            raise ConfigError(f"cannot use the credentials {path}: [{name}] has no {key}")
        values[key] = value
    access = section.get("supervisor_access") or Access.WRITE
    if access not in set(Access):
        raise ConfigError(
            f"cannot use the credentials {path}: supervisor_access of [{name}] must be "
            + " or ".join(f'"{known}"' for known in Access)
        )
    return Profile(name, values["aws_access_key_id"], values["aws_secret_access_key"], Access(access))
