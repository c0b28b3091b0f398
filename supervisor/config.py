"""The settings: command line over environment over file over default; nothing unknown is let through.

The file is TOML. Each of its keys is a field of a record below, and the description beside the field's type is what an
error says is allowed. `Settings` goes to and from JSON by `msgspec.json`: the keeper hands it to each new agent.
"""

from __future__ import annotations

import difflib
import grp
import json
import os
import pwd
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

import msgspec
import tomli

from supervisor.errors import ConfigError

SYSTEM_FILE = "/etc/supervisor/agent.toml"
SYSTEM_STATE_DIR = "/var/lib/supervisor"
SYSTEM_SOCKET = "/run/supervisor/supervisor.sock"
SYSTEM_GROUP = "supervisor"
"""Its members may use root's socket, where the host has such a group."""

SYSTEM_CREDENTIALS = "/etc/supervisor/credentials"

MAX_SOCKET_PATH = 107
"""Bytes in the path of a unix socket (``sun_path`` of unix(7), less its NUL)."""

Seconds = Annotated[float, msgspec.Meta(ge=0, le=86400, description="a number of seconds from 0 to 86400 (a day)")]
AbsolutePath = Annotated[str, msgspec.Meta(pattern="^/[^\0]*$", description="an absolute path")]
Tracking = Literal["auto", "cgroup", "descent"]


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a table of the file: immutable, its fields are its keys."""


class AgentTable(Table, frozen=True, kw_only=True):
    """``[agent]``: who this agent is and where it keeps its records."""

    cluster: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^[A-Za-z0-9_-]{1,255}\Z",
            description="a name of 1 to 255 letters, digits, hyphens and underscores",
        ),
    ] = "default"
    region: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^[a-z0-9-]{1,64}\Z", description="a name of 1 to 64 lower-case letters, digits and hyphens"
        ),
    ] = "local"
    account: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{12}\Z", description="a string of 12 digits")] = "000000000000"
    user: Annotated[str | None, msgspec.Meta(description="the name of a user of this host")] = None
    """Whom the agent runs as, while the keeper stays root; None: the same as the keeper."""
    state_dir: AbsolutePath
    tasks_dir: AbsolutePath
    """Its files are task definitions: they are registered, and a task of each is kept running."""
    shutdown_timeout: Seconds = 90.0
    """The budget for stopping every task when the agent is told to end."""


class StopTable(Table, frozen=True, kw_only=True):
    """``[stop]``: how containers are stopped that do not say so themselves."""

    timeout: Seconds = 30.0
    """Between stop signal and SIGKILL; a container's ``stopTimeout`` overrides it."""
    reports: Annotated[bool, msgspec.Meta(description="true or false")] = True
    """Whether to look, shortly before a SIGKILL, at why a process has not stopped."""


class TasksTable(Table, frozen=True, kw_only=True):
    """``[tasks]``: what the keeper lets tasks do, and how it finds their processes."""

    allowed_users: Annotated[
        tuple[Annotated[str, msgspec.Meta(min_length=1)], ...],
        msgspec.Meta(description='a list of user names, or ["*"] for every user'),
    ] = ("*",)
    tracking: Annotated[
        Tracking, msgspec.Meta(description='"auto" (cgroup where it can be had), "cgroup" or "descent"')
    ] = "auto"
    secrets_dir: AbsolutePath = "/etc/supervisor/secrets"
    """Where the keeper finds what ``secrets`` of containers name by a relative path."""
    metadata: Annotated[bool, msgspec.Meta(description="true or false")] = True
    """Whether the processes of a task can ask about their task, over loopback HTTP."""


Principals = Annotated[
    tuple[Annotated[str, msgspec.Meta(pattern=r"^(\*|@?[^@*\s]+)\Z")], ...],
    msgspec.Meta(description='a list of users ("alice", "1001") and groups ("@monitoring"), or ["*"] for everybody'),
]


class AccessTable(Table, frozen=True, kw_only=True):
    """``[api.access]``: what who connects to the unix socket may ask. Root and the agent's own user may everything."""

    read: Principals = ()
    """May look."""
    write: Principals | None = None
    """May look and change; None is the group of the socket."""


class TcpTable(Table, frozen=True, kw_only=True):
    """``[api.tcp]``: the API for clients that cannot speak to a unix socket. Off unless the table is there."""

    listen: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^(localhost|[0-9.]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}\Z",
            description='an address and a port, as "127.0.0.1:51680" or "[::1]:51680"',
        ),
    ] = "127.0.0.1:51680"
    credentials_file: AbsolutePath
    """Whose signatures count; in the format of AWS's shared credentials file."""
    certificate: AbsolutePath | None = None
    """PEM; with it, it is TLS that is spoken."""
    key: AbsolutePath | None = None
    """PEM; None where the file of the certificate has it too."""


class ApiTable(Table, frozen=True, kw_only=True):
    """``[api]``: where the API listens and who may reach it."""

    socket: AbsolutePath
    socket_mode: Annotated[
        str,
        msgspec.Meta(pattern=r"^0?[0-7]{3}\Z", description='a file mode as a string of octal digits, as "0660"'),
    ] = "0660"
    socket_group: Annotated[str | None, msgspec.Meta(description="the name of a group of this host")] = None
    """Group of the socket; None leaves it to the agent's own."""
    request_timeout: Annotated[
        float, msgspec.Meta(ge=0.1, le=3600, description="a number of seconds from 0.1 to 3600 (an hour)")
    ] = 20.0
    """For a client to send a request, head and body."""
    max_connections: Annotated[int, msgspec.Meta(ge=1, le=10000, description="a whole number from 1 to 10000")] = 256
    """Open at the same time, at each of the sockets."""
    access: AccessTable = AccessTable()
    tcp: TcpTable | None = None

    strict: Annotated[bool, msgspec.Meta(description="true or false")] = False
    """Refuse also what only ECS refuses."""

    @property
    def mode(self) -> int:
        """``socket_mode`` as `os.chmod` takes it."""
        return int(self.socket_mode, 8)


class HistoryTable(Table, frozen=True, kw_only=True):
    """``[history]``: how long a stopped task stays describable."""

    keep_days: Annotated[float, msgspec.Meta(ge=0, le=36500, description="a number of days from 0 to 36500")] = 7.0


class Settings(Table, frozen=True, kw_only=True):
    """Everything that is configured."""

    agent: AgentTable
    stop: StopTable = StopTable()
    tasks: TasksTable = TasksTable()
    api: ApiTable
    history: HistoryTable = HistoryTable()


def _tables(of: type[Table], prefix: str = "") -> dict[str, type[Table]]:
    found: dict[str, type[Table]] = {}
    for field in msgspec.structs.fields(of):
        for kind in (field.type, *get_args(field.type)):
            if isinstance(kind, type) and issubclass(kind, Table):
                found |= {prefix + field.name: kind, **_tables(kind, f"{prefix}{field.name}.")}
    return found


TABLES: dict[str, type[Table]] = _tables(Settings)
"""The tables of the file by name, those within others as ``api.tcp``."""


def load(
    path: str | None,
    *,
    state_dir: str | None = None,
    socket: str | None = None,
    listen: str | None = None,
    environ: Mapping[str, str],
    uid: int,
) -> Settings:
    """The settings of an agent of user ``uid``.

    ``path`` is ``--config``, which must exist; None means `default_file`, which need not. ``state_dir``, ``socket``
    and ``listen`` are the options of those names. The tasks of ``tasks`` beside that file are kept running unless it
    names another directory. Raises `ConfigError`, whose text names the place, what was found, and
    the fix.
    """
    file = default_file(environ, uid) if path is None else path
    tables = _read(file, missing_ok=path is None)
    for name, table in tables.items():
        _check_table(file, name if "." not in name else json.dumps(name), table)  # ["api.tcp"] is not [api.tcp]
    values: dict[str, dict[str, Any]] = {name: dict(tables.get(name, {})) for name in Settings.__struct_fields__}
    agent, api = values["agent"], values["api"]
    if state_dir:
        agent["state_dir"] = os.path.abspath(state_dir)
    elif "state_dir" not in agent:
        agent["state_dir"] = default_state_dir(environ, uid)
    agent.setdefault("tasks_dir", os.path.join(os.path.dirname(os.path.abspath(file)), "tasks"))
    if timeout := environ.get("SUPERVISOR_SHUTDOWN_TIMEOUT"):
        agent["shutdown_timeout"] = _environ_seconds("SUPERVISOR_SHUTDOWN_TIMEOUT", timeout)
    if socket or environ.get("SUPERVISOR_SOCKET") or "socket" not in api:
        api["socket"] = os.path.abspath(socket) if socket else default_socket(environ, uid)
    if "socket_group" in api:
        if not _group_exists(api["socket_group"]):
            raise ConfigError(
                f"cannot use {file}: api.socket_group is {_show(api['socket_group'])}, and this host has no such "
                f"group (groupadd --system {api['socket_group']})"
            )
    elif uid == 0 and _group_exists(SYSTEM_GROUP):
        api["socket_group"] = SYSTEM_GROUP
    check_socket(api["socket"])
    _check_user(file, agent, uid)
    if listen:
        _check_value("the command line", "--listen", listen, _field(TcpTable, "listen"))
        api["tcp"] = {**api.get("tcp", {}), "listen": listen}
    if "tcp" in api:
        api["tcp"] = {"credentials_file": default_credentials(environ, uid), **api["tcp"]}
    return msgspec.convert(values, Settings)


def default_file(environ: Mapping[str, str], uid: int) -> str:
    """Where the file is looked for without ``--config``: the system's for root, the user's own otherwise."""
    if uid == 0:
        return SYSTEM_FILE
    return os.path.join(_user_dir(environ, uid, "XDG_CONFIG_HOME", ".config"), "supervisor/agent.toml")


def default_state_dir(environ: Mapping[str, str], uid: int) -> str:
    """Where records are kept unless configured: ``/var/lib/supervisor``, or under ``$XDG_STATE_HOME``."""
    if uid == 0:
        return SYSTEM_STATE_DIR
    return os.path.join(_user_dir(environ, uid, "XDG_STATE_HOME", ".local/state"), "supervisor")


def default_credentials(environ: Mapping[str, str], uid: int) -> str:
    """Where the keys of clients that come over TCP are kept unless configured: beside the default file."""
    if uid == 0:
        return SYSTEM_CREDENTIALS
    return os.path.join(_user_dir(environ, uid, "XDG_CONFIG_HOME", ".config"), "supervisor/credentials")


def default_socket(environ: Mapping[str, str], uid: int) -> str:
    """Where an agent of user ``uid`` listens if no file says otherwise.

    ``SUPERVISOR_SOCKET``, else ``/run/supervisor/supervisor.sock`` for root and ``$XDG_RUNTIME_DIR/supervisor/…`` for
    others; where a session without a runtime directory is (cron, a container), the default state directory.
    """
    if environ.get("SUPERVISOR_SOCKET"):
        return os.path.abspath(environ["SUPERVISOR_SOCKET"])
    if uid == 0:
        return SYSTEM_SOCKET
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/"):  # the XDG specification has relative ones ignored
        return os.path.join(runtime, "supervisor/supervisor.sock")
    return os.path.join(default_state_dir(environ, uid), "supervisor.sock")


def find_socket(environ: Mapping[str, str], uid: int) -> str:
    """Where a client of user ``uid`` looks for an agent: at its own user's, and if there is none at the system's."""
    own = default_socket(environ, uid)
    if environ.get("SUPERVISOR_SOCKET") or os.path.exists(own) or not os.path.exists(SYSTEM_SOCKET):
        return own
    return SYSTEM_SOCKET


def check_socket(path: str) -> None:
    """Raises `ConfigError` if the kernel cannot hold the path of a socket."""
    size = len(os.fsencode(path))
    if size > MAX_SOCKET_PATH:
        raise ConfigError(
            f"cannot use the socket {path}: its path has {size} bytes, and a unix socket's may have "
            f"{MAX_SOCKET_PATH}; choose a shorter one (--socket, SUPERVISOR_SOCKET or api.socket)"
        )


def _environ_seconds(name: str, text: str) -> float:
    try:
        return msgspec.convert(text, Seconds, strict=False)
    except msgspec.ValidationError:
        raise ConfigError(
            f"cannot use the environment: {name} is {_show(text)}, and must be {_allowed(Seconds)}"
        ) from None


def read_toml(file: str) -> dict[str, Any]:
    """What the file says. Raises `ConfigError`, whose text names the place."""
    return _read(file, missing_ok=False)


def _read(file: str, *, missing_ok: bool) -> dict[str, Any]:
    try:
        with open(file, "rb") as stream:
            text = stream.read().decode()
        return tomli.loads(text)
    except FileNotFoundError as exc:
        if missing_ok:
            return {}
        raise ConfigError(f"cannot read {file}: {exc.strerror}") from exc
    except OSError as exc:
        raise ConfigError(f"cannot read {file}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"cannot read {file}: byte {exc.start + 1} is not UTF-8") from exc
    except tomli.TOMLDecodeError as exc:
        raise ConfigError(f"cannot read {file}:{exc.lineno}:{exc.colno}: {exc.msg}") from exc


def _check_table(file: str, name: str, table: object) -> None:
    if name not in TABLES:
        kind = f"[{name}]" if isinstance(table, dict) else name
        raise ConfigError(f"cannot use {file}: there is no {kind}; {_nearest(name, list(TABLES), '[{}]')}")
    if not isinstance(table, dict):
        raise ConfigError(f"cannot use {file}: {name} is {_show(table)}, and must be a table: [{name}]")
    for key, value in table.items():
        if f"{name}.{key}" in TABLES:
            _check_table(file, f"{name}.{key}", value)
        elif key in TABLES[name].__struct_fields__:
            _check_value(file, f"{name}.{key}", value, _field(TABLES[name], key))
        else:
            raise ConfigError(f"cannot use {file}: there is no {name}.{key}; {_nearest_key(name, key)}")


def _field(table: type[Table], key: str) -> Any:
    return next(field.type for field in msgspec.structs.fields(table) if field.name == key)


def _check_value(file: str, name: str, value: object, kind: Any) -> None:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as exc:
        raise ConfigError(f"cannot use {file}: {name} is {_show(value)}, and must be {_allowed(kind)}") from exc


def _allowed(kind: Any) -> str:
    """The description beside a field's type, or beside what it may be instead of None."""
    described = [each.description for each in get_args(kind) if isinstance(each, msgspec.Meta)]
    return str(described[0]) if described else _allowed(get_args(kind)[0])


def _nearest_key(table: str, key: str) -> str:
    """A key of the same table that looks like it, or else one of any table that is called or looks so."""
    own = [field.name for field in msgspec.structs.fields(TABLES[table])]
    if difflib.get_close_matches(key, own, 1):
        return _nearest(key, own, table + ".{}")
    for name, other in TABLES.items():
        if key in other.__struct_fields__:
            return f"did you mean {name}.{key}?"
    return _nearest(key, own, table + ".{}")


def _nearest(wrong: str, names: list[str], form: str) -> str:
    close = difflib.get_close_matches(wrong, names, 1)
    if close:
        return f"did you mean {form.format(close[0])}?"
    return "known are " + ", ".join(form.format(name) for name in names)


def _show(value: object) -> str:
    """A value nearly as it stands in the file."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + "..."


def _user_dir(environ: Mapping[str, str], uid: int, variable: str, below_home: str) -> str:
    if environ.get(variable, "").startswith("/"):  # the XDG specification has relative ones ignored
        return environ[variable]
    home = environ.get("HOME")
    if not home:
        try:
            home = pwd.getpwuid(uid).pw_dir
        except KeyError:
            raise ConfigError(
                f"cannot find a home for user {uid}: set HOME or {variable}, or give --state-dir, --socket and --config"
            ) from None
    return os.path.join(home, below_home)


def _check_user(file: str, agent: dict[str, Any], uid: int) -> None:
    """Drops ``agent.user`` where it is who we are; refuses it where we cannot become that user."""
    name = agent.get("user")
    if name is None:
        return
    try:
        found = pwd.getpwnam(name)
    except (KeyError, ValueError):  # ValueError: a name that cannot be one
        raise ConfigError(
            f"cannot use {file}: agent.user is {_show(name)}, and this host has no such user "
            f"(useradd --system {_show(name)})"
        ) from None
    if found.pw_uid == uid:
        del agent["user"]
    elif uid != 0:
        raise ConfigError(
            f"cannot use {file}: agent.user is {_show(name)}, and only root can run the agent as somebody else; "
            "remove it, or start the supervisor as root"
        )


def _group_exists(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except (KeyError, ValueError):  # ValueError: a name that cannot be one
        return False
    return True
