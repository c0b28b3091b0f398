from __future__ import annotations

import configparser
import grp
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tomli
from msgspec.structs import replace

from supervisor import config
from supervisor.errors import ConfigError

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "config/agent.toml"
UNIT = ROOT / "systemd/graceful-supervisor.service"
USER = {"HOME": "/home/ada"}


@pytest.fixture(autouse=True)
def groups(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The groups that the host has."""
    known: set[str] = set()

    def getgrnam(name: str) -> None:
        if name not in known:
            raise KeyError(name)

    monkeypatch.setattr(grp, "getgrnam", getgrnam)
    return known


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        path = tmp_path / "agent.toml"
        path.write_text(text)
        return str(path)

    return write


def refusal(path: str | None, uid: int = 0) -> str:
    with pytest.raises(ConfigError) as caught:
        config.load(path, environ={}, uid=uid)
    return str(caught.value)


# -- where things are --


def test_defaults_of_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(config, "SYSTEM_FILE", str(tmp_path / "missing.toml"))
    settings = config.load(None, environ={"XDG_RUNTIME_DIR": "/run/user/0"}, uid=0)
    assert settings.agent.state_dir == "/var/lib/supervisor"
    assert settings.api.socket == "/run/supervisor/supervisor.sock"
    assert settings.api.mode == 0o660


@pytest.mark.parametrize(
    ("environ", "state_dir", "socket"),
    [
        ({}, "/home/ada/.local/state/supervisor", "/home/ada/.local/state/supervisor/supervisor.sock"),
        (
            {"XDG_STATE_HOME": "/data", "XDG_RUNTIME_DIR": "/run/user/7"},
            "/data/supervisor",
            "/run/user/7/supervisor/supervisor.sock",
        ),
        (
            {"XDG_STATE_HOME": "data", "XDG_RUNTIME_DIR": "run"},
            "/home/ada/.local/state/supervisor",
            "/home/ada/.local/state/supervisor/supervisor.sock",
        ),
    ],
    ids=["bare", "XDG", "relative"],
)
def test_defaults_of_others(environ: dict[str, str], state_dir: str, socket: str) -> None:
    settings = config.load(None, environ=USER | environ, uid=7)
    assert settings.agent.state_dir == state_dir
    assert settings.api.socket == socket
    assert config.default_socket(USER | environ, 7) == socket


def test_a_user_without_a_home_is_told_what_to_set() -> None:
    with pytest.raises(ConfigError, match="cannot find a home for user 4294967294: set HOME or XDG_"):
        config.load(None, environ={}, uid=4294967294)


def test_the_line_beats_the_environment_beats_the_file(file: Callable[[str], str]) -> None:
    path = file('[agent]\nstate_dir = "/file"\n[api]\nsocket = "/file.sock"')
    environ = {"SUPERVISOR_SOCKET": "/environ.sock"}
    assert config.load(path, environ={}, uid=0).agent.state_dir == "/file"
    assert config.load(path, environ={}, uid=0).api.socket == "/file.sock"
    assert config.load(path, environ=environ, uid=0).api.socket == "/environ.sock"
    settings = config.load(path, state_dir="/line", socket="/line.sock", environ=environ, uid=0)
    assert (settings.agent.state_dir, settings.api.socket) == ("/line", "/line.sock")


def test_an_empty_variable_is_not_set(file: Callable[[str], str]) -> None:
    path = file('[api]\nsocket = "/file.sock"')
    assert config.load(path, environ={"SUPERVISOR_SOCKET": ""}, uid=0).api.socket == "/file.sock"


def test_paths_of_the_line_are_relative_to_where_it_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: Callable[[str], str]
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = config.load(file(""), state_dir="state", socket="a.sock", environ={}, uid=0)
    assert settings.agent.state_dir == str(tmp_path / "state")
    assert settings.api.socket == str(tmp_path / "a.sock")


def test_the_group_of_roots_socket(groups: set[str], file: Callable[[str], str]) -> None:
    path = file("")
    assert config.load(path, environ={}, uid=0).api.socket_group is None
    groups.add("supervisor")
    assert config.load(path, environ={}, uid=0).api.socket_group == "supervisor"
    assert config.load(path, environ=USER, uid=7).api.socket_group is None
    assert refusal(file('[api]\nsocket_group = "ops"')).endswith(
        'api.socket_group is "ops", and this host has no such group (groupadd --system ops)'
    )
    groups.add("ops")
    assert config.load(path, environ={}, uid=0).api.socket_group == "ops"


def test_tcp_is_off_unless_asked_for(file: Callable[[str], str]) -> None:
    assert config.load(file(""), environ={}, uid=0).api.tcp is None
    table = config.load(file("[api.tcp]"), environ={}, uid=0).api.tcp
    assert table == config.TcpTable(listen="127.0.0.1:51680", credentials_file="/etc/supervisor/credentials")
    table = config.load(file(""), listen="[::1]:7", environ=USER, uid=7).api.tcp
    assert table == config.TcpTable(listen="[::1]:7", credentials_file="/home/ada/.config/supervisor/credentials")
    path = file('[api.tcp]\nlisten = "127.0.0.1:1"\ncredentials_file = "/keys"')
    table = config.load(path, listen="localhost:2", environ={}, uid=0).api.tcp
    assert table == config.TcpTable(listen="localhost:2", credentials_file="/keys")
    with pytest.raises(ConfigError, match='cannot use the command line: --listen is "7", and must be an address and'):
        config.load(path, listen="7", environ={}, uid=0)


def test_settings_survive_json(file: Callable[[str], str]) -> None:
    access = '[api.tcp]\n[api.access]\nread = ["@ops"]\n'
    path = file(access + '[agent]\nshutdown_timeout = 1.5\n[tasks]\nallowed_users = ["ada", "bob"]')
    settings = config.load(path, environ={}, uid=0)
    assert settings.tasks.allowed_users == ("ada", "bob")
    assert msgspec.json.decode(msgspec.json.encode(settings), type=config.Settings) == settings


# -- what is refused --


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[agent]\nclustr = "x"', "there is no agent.clustr; did you mean agent.cluster?"),
        ("[stop]\nkeep_days = 1", "there is no stop.keep_days; did you mean history.keep_days?"),
        ("[stop]\nfrobnicate = 1", "there is no stop.frobnicate; known are stop.timeout, stop.reports"),
        ("[agnt]", "there is no [agnt]; did you mean [agent]?"),
        ("port = 80", "there is no port; known are [agent], [stop], [tasks], [api], [api.access]"),
        ('[agent]\ntask_dir = "/x"', "there is no agent.task_dir; did you mean agent.tasks_dir?"),
        ("[api.tcp]\nport = 1", "there is no api.tcp.port; known are api.tcp.listen, "),
        ('["api.tcp"]\nport = 1', 'there is no ["api.tcp"]; did you mean [api.tcp]?'),
        ("[api]\ntcp = 1", "api.tcp is 1, and must be a table: [api.tcp]"),
        ('[api.tcp]\nlisten = "51680"', 'api.tcp.listen is "51680", and must be an address and a port, as "127.0.0'),
        ('[api.tcp]\nlisten = "host:1"', 'api.tcp.listen is "host:1", and must be an address and a port'),
        ('[api.tcp]\nkey = "key.pem"', 'api.tcp.key is "key.pem", and must be an absolute path'),
        ('[api.access]\nread = "ada"', 'api.access.read is "ada", and must be a list of users ("alice", "1001") and'),
        ('[api.access]\nwrite = ["@"]', 'api.access.write is ["@"], and must be a list of users'),
        ("[api]\nmax_connections = 0", "api.max_connections is 0, and must be a whole number from 1 to 10000"),
        ("[api]\nrequest_timeout = 0", "api.request_timeout is 0, and must be a number of seconds from 0.1 to 3600"),
        ("agent = 1", "agent is 1, and must be a table: [agent]"),
        ('[stop]\ntimeout = "soon"', 'stop.timeout is "soon", and must be a number of seconds from 0 to 86400'),
        ("[stop]\ntimeout = -1", "stop.timeout is -1, and must be a number of seconds from 0 to 86400"),
        ("[stop]\ntimeout = nan", "stop.timeout is NaN, and must be a number of seconds from 0 to 86400"),
        ("[stop]\ntimeout = inf", "stop.timeout is Infinity, and must be a number of seconds from 0 to 86400"),
        ("[stop]\ntimeout = true", "stop.timeout is true, and must be a number of seconds from 0 to 86400"),
        ("[agent]\nshutdown_timeout = 86401", "agent.shutdown_timeout is 86401, and must be a number of sec"),
        ('[agent]\ncluster = "a b"', 'agent.cluster is "a b", and must be a name of 1 to 255 letters'),
        ('[agent]\ncluster = "a\\n"', 'agent.cluster is "a\\n", and must be a name of 1 to 255 letters'),
        ('[agent]\nregion = "EU"', 'agent.region is "EU", and must be a name of 1 to 64 lower-case letters'),
        ("[agent]\naccount = 123", "agent.account is 123, and must be a string of 12 digits"),
        ('[agent]\naccount = "1234567890123"', 'agent.account is "1234567890123", and must be a string of 12'),
        ('[agent]\nstate_dir = "x"', 'agent.state_dir is "x", and must be an absolute path'),
        ('[tasks]\nallowed_users = "root"', 'tasks.allowed_users is "root", and must be a list of user names'),
        ("[tasks]\nallowed_users = [0]", "tasks.allowed_users is [0], and must be a list of user names"),
        ('[tasks]\ntracking = "magic"', 'tasks.tracking is "magic", and must be "auto" (cgroup where it can'),
        ("[api]\nsocket_mode = 432", "api.socket_mode is 432, and must be a file mode as a string of octal"),
        ('[api]\nsocket_mode = "0890"', 'api.socket_mode is "0890", and must be a file mode as a string'),
        ("[history]\nkeep_days = -1", "history.keep_days is -1, and must be a number of days from 0"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_right(file: Callable[[str], str], text: str, words: str) -> None:
    path = file(text)
    assert refusal(path).startswith(f"cannot use {path}: {words}")


def test_a_syntax_error_has_line_and_column(file: Callable[[str], str]) -> None:
    path = file("[agent]\ncluster = = 1\n")
    assert refusal(path) == f"cannot read {path}:2:11: Invalid value"


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_bytes(b"[agent]\n\xff")
    assert refusal(str(path)) == f"cannot read {path}: byte 9 is not UTF-8"


def test_a_named_file_must_exist_and_the_default_need_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = str(tmp_path / "missing.toml")
    assert refusal(missing) == f"cannot read {missing}: No such file or directory"
    monkeypatch.setattr(config, "SYSTEM_FILE", missing)
    config.load(None, environ={}, uid=0)
    monkeypatch.setattr(config, "SYSTEM_FILE", str(tmp_path))
    assert refusal(None) == f"cannot read {tmp_path}: Is a directory"


def test_a_socket_path_that_the_kernel_cannot_hold() -> None:
    config.check_socket("/" + "x" * 106)
    with pytest.raises(ConfigError, match="its path has 108 bytes, and a unix socket's may have 107"):
        config.check_socket("/" + "x" * 105 + "é")
    with pytest.raises(ConfigError, match="its path has 108 bytes"):
        config.load(None, socket="/" + "x" * 107, environ=USER, uid=7)


# -- tasks and the time to stop them --


def test_the_tasks_are_beside_the_file_unless_it_says_otherwise(file: Callable[[str], str], tmp_path: Path) -> None:
    assert config.load(file(""), environ={}, uid=0).agent.tasks_dir == f"{tmp_path}/tasks"
    assert config.load(file('[agent]\ntasks_dir = "/srv"'), environ={}, uid=0).agent.tasks_dir == "/srv"
    assert config.load(None, environ=USER, uid=7).agent.tasks_dir == "/home/ada/.config/supervisor/tasks"


def test_the_environment_can_say_how_long_stopping_everything_may_take(file: Callable[[str], str]) -> None:
    path = file("[agent]\nshutdown_timeout = 30")
    environ = {"SUPERVISOR_SHUTDOWN_TIMEOUT": "8.5"}
    assert config.load(path, environ=environ, uid=0).agent.shutdown_timeout == 8.5
    assert config.load(path, environ={"SUPERVISOR_SHUTDOWN_TIMEOUT": ""}, uid=0).agent.shutdown_timeout == 30


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf", "86401", "1 "])
def test_what_it_says_must_be_seconds(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^cannot use the environment: SUPERVISOR_SHUTDOWN_TIMEOUT is \"") as caught:
        config.load(None, environ=USER | {"SUPERVISOR_SHUTDOWN_TIMEOUT": text}, uid=7)
    assert str(caught.value).endswith("must be a number of seconds from 0 to 86400 (a day)")


# -- what is shipped --


def test_the_shipped_file_changes_nothing() -> None:
    tables: dict[str, Any] = {name: {} for name in config.Settings.__struct_fields__}
    assert tomli.loads(SHIPPED.read_text()) == tables | {"api": {"access": {}}}


def test_the_shipped_file_shows_every_key_with_its_default(
    groups: set[str], file: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    groups.add("supervisor")
    monkeypatch.setattr(config, "_check_user", lambda *_: None)
    shown = re.sub(r"^#(\w+ = |\[)", r"\1", SHIPPED.read_text(), flags=re.MULTILINE)
    known = {
        f"{table}.{key}"
        for table, kind in config.TABLES.items()
        for key in kind.__struct_fields__
        if f"{table}.{key}" not in config.TABLES
    }
    assert set(keys_of(tomli.loads(shown))) == known
    settings, defaults = config.load(file(shown), environ={}, uid=0), config.load(file("[api.tcp]"), environ={}, uid=0)
    # The values of these, and the user, are examples: what they stand for when left out cannot be written.
    pems = {"certificate": "/etc/supervisor/certificate.pem", "key": "/etc/supervisor/key.pem"}
    assert defaults.api.tcp is not None
    assert settings == replace(
        defaults,
        agent=replace(defaults.agent, user="supervisor", tasks_dir="/etc/supervisor/tasks"),  # beside the file
        api=replace(
            defaults.api, access=config.AccessTable(write=("@supervisor",)), tcp=replace(defaults.api.tcp, **pems)
        ),
    )


def keys_of(table: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from keys_of(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def test_systemd_waits_longer_than_the_agent_takes() -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # keys keep their case
    parser.read(UNIT)
    service = parser["Service"]
    assert float(service["TimeoutStopSec"]) > config.AgentTable(state_dir="/", tasks_dir="/").shutdown_timeout
    assert service["StateDirectory"] == Path(config.SYSTEM_STATE_DIR).name
    assert service["RuntimeDirectory"] == Path(config.SYSTEM_SOCKET).parent.name
    assert service["ExecStart"].endswith(f" agent --config {config.SYSTEM_FILE}")


def test_a_client_without_an_agent_of_its_own_finds_the_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = tmp_path / "system.sock"
    monkeypatch.setattr(config, "SYSTEM_SOCKET", str(system))
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    own = tmp_path / "supervisor/supervisor.sock"
    assert config.find_socket(environ, 1000) == str(own), "neither is there: the own one is named"
    system.touch()
    assert config.find_socket(environ, 1000) == str(system)
    assert config.find_socket({**environ, "SUPERVISOR_SOCKET": "/elsewhere"}, 1000) == "/elsewhere"
    own.parent.mkdir()
    own.touch()
    assert config.find_socket(environ, 1000) == str(own)
