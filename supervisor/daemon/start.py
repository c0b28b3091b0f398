"""From ``supervisor agent`` to the keeper, in one process: who started it sees one pid from beginning to end.

The keeper inherits what must outlive every agent: the lock of the state directory and the listening sockets.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import sys
from typing import NoReturn

import msgspec
from msgspec.structs import replace

from supervisor import config
from supervisor.agent.task_files import Asked, essential_files, read_definition
from supervisor.config import Settings, TcpTable
from supervisor.daemon import doors, separation
from supervisor.errors import SupervisorError
from supervisor.keeper import fd_store
from supervisor.keeper import settings as keeper
from supervisor.posix import proc, process, rights, service

AGENT_VARIABLE = "SUPERVISOR_AGENT"
"""Carries the agent's settings, as JSON, through the keeper."""

ASKED_VARIABLE = "SUPERVISOR_ASKED"
"""Carries what configured tasks need to know (``agent.task_files.Asked``), as JSON."""

AGENT_ARGV = [sys.executable, "-I", "-m", "supervisor.daemon"]
"""Always the version that is installed: of the environment that this one runs in, and of no other."""

LISTENERS_VARIABLE = "SUPERVISOR_LISTENERS"
"""Names the listening sockets that the agent is handed, in their order: ``api``, ``tcp``, ``inside``."""

_LISTEN_FDS_START = 3


def start(
    config_path: str | None,
    state_dir: str | None,
    socket_path: str | None,
    listen: str | None,
    task_files: tuple[str, ...] = (),
) -> NoReturn:
    """Become the keeper. ``ConfigError`` for wrong settings, ``SupervisorError`` where the host refuses."""
    process.hold_signals(*keeper.ENDING)
    _open_standard_streams()
    settings = config.load(
        config_path, state_dir=state_dir, socket=socket_path, listen=listen, environ=os.environ, uid=os.geteuid()
    )
    asked = _asked(task_files)
    directory = _resolved(settings.agent.state_dir)
    settings = replace(settings, agent=replace(settings.agent, state_dir=directory))
    agent = None if settings.agent.user is None else process.find_user(settings.agent.user).ids
    if agent is not None:
        separation.check(settings, agent)
    with rights.acting_as(agent):  # its files are the agent's to read
        settings = replace(settings, api=doors.checked(settings.api))
    lock = _own(directory, agent)
    activated, kept_fds = _handed_over()
    listeners = {"api": _listen(settings, agent) if activated is None else activated}
    if settings.api.tcp is not None:
        listeners["tcp"] = _listen_tcp(settings.api.tcp)
    if settings.tasks.metadata:
        with rights.acting_as(agent):
            listeners["inside"] = _listen_inside(directory)
    for fd in (lock, *listeners.values(), *kept_fds.values()):
        os.set_inheritable(fd, True)
    name = "supervisor-" + hashlib.blake2s(directory.encode(), digest_size=4).hexdigest()
    kept = keeper.Settings(
        agent_argv=AGENT_ARGV,
        agent_environ={
            AGENT_VARIABLE: msgspec.json.encode(settings).decode(),
            LISTENERS_VARIABLE: " ".join(listeners),
            ASKED_VARIABLE: msgspec.json.encode(asked).decode(),
        },
        log_dir=f"{directory}/logs",
        tracking=settings.tasks.tracking,
        cgroup=name,
        allowed_users=list(settings.tasks.allowed_users),
        shutdown_timeout=settings.agent.shutdown_timeout,
        listen_fds=list(listeners.values()),
        socket_path=settings.api.socket if activated is None else None,
        look=settings.stop.reports,
        agent_user=None if agent is None else [agent.uid, agent.gid, *agent.groups],
        secrets_dir=settings.tasks.secrets_dir,
        kept_fds=kept_fds,
        oom_score_adj=process.oom_score_adj(),
        ledger=_ledger(name),
        lock_fd=lock,
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith("LISTEN_")}
    argv = [sys.executable, "-I", "-m", "supervisor.keeper"]
    process.reset_signals(*keeper.ENDING)  # those are the keeper's to take when it has taken over what there is
    process.execute(argv, environ | keeper.to_environ(kept))


def _asked(task_files: tuple[str, ...]) -> Asked:
    """``ConfigError`` for a file of ``--task`` of which no task could ever be run."""
    stat = proc.read_stat(os.getpid())
    assert stat is not None, "we live"
    asked = Asked(
        life=f"{proc.boot_id()}/{stat.pid}/{stat.start_time}", task_files=tuple(map(os.path.abspath, task_files))
    )
    for name, path in essential_files(asked.task_files).items():
        read_definition(name, path)
    return asked


def _ledger(name: str) -> str:
    """Where the keeper notes what it holds: in memory where that can be had, in any case not on the disk of the state.

    Empty where there is no such place; then what a killed keeper held is known from the records and the kernel alone.
    """
    places = [os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0], "/run/supervisor" if os.geteuid() == 0 else ""]
    if session := os.environ.get("XDG_RUNTIME_DIR"):
        places.append(f"{session}/supervisor")
    places.append(f"/dev/shm/supervisor-{os.geteuid()}")  # noqa: S108  asked first whether it is ours
    fit = (place for place in places if place and service.is_in_memory(place) and service.own_directory(place))
    return next((f"{place}/{name}.ledger" for place in fit), "")


def _open_standard_streams() -> None:
    """Where one of 0, 1, 2 came closed, the lock or the socket would take its number, and log lines go there."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


def _resolved(directory: str) -> str:
    """Without symbolic links: from here on, none is followed below."""
    found = os.lstat(directory) if os.path.lexists(directory) else None
    if found is not None and stat.S_ISLNK(found.st_mode) and found.st_uid not in (0, os.geteuid()):
        raise SupervisorError(
            f"cannot use {directory}: it is a symbolic link that user {found.st_uid} has made; see --state-dir"
        )
    return os.path.realpath(directory)


def _own(directory: str, agent: rights.Ids | None) -> int:
    try:
        return service.lock_directory(directory, agent)
    except BlockingIOError as exc:
        raise SupervisorError(f"cannot use {directory}: the supervisor with {exc.strerror} owns it") from None
    except OSError as exc:
        raise SupervisorError(f"cannot use {directory}: {exc.strerror}; see --state-dir") from None


def _handed_over() -> tuple[int | None, dict[str, int]]:
    """What the service manager passed on (sd_listen_fds_with_names(3)): a listening socket, and pidfds by their run."""
    count = os.environ.get("LISTEN_FDS", "")
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or not count.isdecimal():
        return None, {}
    kept = fd_store.find(os.environ.get("LISTEN_FDNAMES", "").split(":")[: int(count)], _LISTEN_FDS_START)
    others = set(range(_LISTEN_FDS_START, _LISTEN_FDS_START + int(count))) - set(kept.values())
    listening = min(filter(service.is_listening, others), default=None)
    for fd in others - {listening}:
        with contextlib.suppress(OSError):
            os.close(fd)
    return listening, kept


def _listen(settings: Settings, agent: rights.Ids | None) -> int:
    path = settings.api.socket
    try:
        return service.listen_unix(path, settings.api.mode, settings.api.socket_group, agent).detach()
    except OSError as exc:
        why = exc.strerror or os.strerror(exc.errno or errno.EIO)
        raise SupervisorError(f"cannot listen on {path}: {why}; see --socket") from None


def _listen_inside(directory: str) -> int:
    """The socket for the processes of tasks (``api.inside``)."""
    try:
        return service.listen_loopback(f"{directory}/metadata-port").detach()
    except OSError as exc:
        if exc.filename is not None:  # the file that remembers the port
            raise SupervisorError(f"cannot write {exc.filename}: {exc.strerror}") from None
        raise SupervisorError(f"cannot listen on 127.0.0.1: {exc.strerror}; see metadata in [tasks]") from None


def _listen_tcp(table: TcpTable) -> int:
    try:
        return service.listen_tcp(*doors.address(table)).detach()
    except OSError as exc:
        raise SupervisorError(
            f"cannot listen on {table.listen}: {exc.strerror}; see --listen and api.tcp.listen"
        ) from None
