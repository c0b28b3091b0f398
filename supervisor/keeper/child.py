"""Between fork and exec: no logging, no way back. A failure is reported as stage and errno through a pipe.

The pipe closes on exec, so silence is success. Whatever is asked of name services (users) is asked here and not in
the keeper's loop, which must not wait for a directory server while a deadline is due.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import resource
import socket
import struct
from typing import NamedTuple, NoReturn

from supervisor.keeper import ledger, secret_files
from supervisor.posix import cgroup, paths, process, rights
from supervisor.wire import Spawn, journal_unit

REPORT = struct.Struct("<I")
REPORT_MOST = 1024
_REPORT_FD = 3
_LEDGER_FD = 4
_JOURNAL = "/run/systemd/journal/stdout"

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MARKER = "SUPERVISOR_CONTAINER_ID"


class Birth(NamedTuple):
    """What a child needs beside the request itself; all of it is the keeper's to say."""

    log_dir: str
    cgroup: str | None
    tag: int | None
    allowed_users: list[str]
    fd_limits: tuple[int, int]
    agent: rights.Ids | None
    """Whose the log files are; None: ours."""
    secrets_dir: str
    oom_score_adj: int | None
    keeper: int
    """Its pid: who has another parent by the time of its exec does not begin."""
    ledger: int | None
    """A descriptor of the keeper's ledger."""


def become(spec: Spawn, birth: Birth, report: int) -> NoReturn:
    """Turn this process into the main process of the run, or report the stage that failed."""
    stage = "session"
    try:
        os.setsid()
        os.umask(0o022)
        # Before its number is taken.
        noting = None if birth.ledger is None else fcntl.fcntl(birth.ledger, fcntl.F_DUPFD_CLOEXEC, _LEDGER_FD + 1)
        if report != _REPORT_FD:
            os.dup2(report, _REPORT_FD, inheritable=False)
        if noting is not None:
            os.dup2(noting, _LEDGER_FD, inheritable=False)
        # Before anything that can hang, as the disk of a log can: the keeper's lock must not be held by a child.
        process.close_from((_REPORT_FD if noting is None else _LEDGER_FD) + 1)
        stage = "cgroup"
        if birth.cgroup is not None:
            cgroup.enter(birth.cgroup)
        stage = "journald" if spec.log_driver == "journald" else "log"
        _open_streams(spec, birth)
        stage = "ulimits"
        _limit(spec, birth)
        if birth.oom_score_adj is not None:
            process.set_oom_score_adj(birth.oom_score_adj)
        stage = "user"
        user = process.find_user(spec.user)
        agent_uid = None if birth.agent is None else birth.agent.uid
        if (refusal := process.refusal_of(user, birth.allowed_users, agent_uid)) is not None:
            raise PermissionError(errno.EPERM, refusal)
        stage = "secrets"
        values = secret_files.read_ours(spec.secrets, birth.secrets_dir)
        stage = "user"
        process.change_user(user)
        stage = "dockerSecurityOptions"
        if spec.no_new_privileges:
            process.forbid_new_privileges()
        stage = "secrets"
        values |= secret_files.read_users(spec.secrets)
        stage = "workingDirectory"
        os.chdir(spec.cwd)
        environ = {
            "PATH": DEFAULT_PATH,
            "HOME": user.home,
            "USER": user.name,
            "SHELL": user.shell,
            "LANG": "C.UTF-8",
            **spec.environ,
            **values,
            MARKER: spec.run,
        }
        stage = "exec"
        process.reset_signals()
        if os.getppid() != birth.keeper:
            os._exit(127)  # nobody would know of us: the next keeper has us started again
        if noting is not None:
            ledger.note_exec(_LEDGER_FD, spec.run)
        process.execute(spec.argv, environ)
    except OSError as exc:
        _report(stage, exc.errno or errno.EIO, (exc.strerror or str(exc)) + _which(stage, spec, birth, exc.errno))
    except Exception as exc:  # noqa: BLE001  a name that cannot be encoded, an unknown user, ...
        _report(stage, errno.EINVAL, str(exc))
    finally:
        os._exit(127)


def _which(stage: str, spec: Spawn, birth: Birth, number: int | None) -> str:
    """What could not be found or used, where the error does not say it by itself."""
    if stage == "log":
        return f": {_log_path(spec, birth.log_dir)!r}"
    if stage == "workingDirectory":
        return f": {spec.cwd!r}"
    if stage != "exec":
        return ""
    program = spec.argv[0]
    # Of a script it can be the interpreter that is missing: the same error, and the file is there.
    is_there = number == errno.ENOENT and "/" in program and os.path.exists(program)
    return f": what the first line of {program!r} names" if is_there else f": {program!r}"


def _report(stage: str, number: int, detail: str) -> None:
    text = f"{stage}\0{detail}".encode(errors="backslashreplace")
    os.write(_REPORT_FD, (REPORT.pack(number) + text)[:REPORT_MOST])


def read_report(data: bytes) -> tuple[str, int, str]:
    """Stage, errno and text of what ``become`` reported."""
    stage, _, detail = data[REPORT.size :].decode(errors="replace").partition("\0")
    return stage, REPORT.unpack_from(data)[0], detail


def _open_streams(spec: Spawn, birth: Birth) -> None:
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    if spec.log_driver == "inherit":
        return
    if spec.log_driver == "none":
        out = null
    elif spec.log_driver == "journald":
        out = _connect_journal(spec.log_tag, journal_unit(spec.beside or spec.run))
    else:
        with rights.acting_as(birth.agent):
            out = _open_log(spec, birth.log_dir)
    os.dup2(out, 1)
    os.dup2(out, 2)


def _open_log(spec: Spawn, log_dir: str) -> int:
    is_check = spec.log_driver == "check"
    flags = os.O_WRONLY | os.O_CREAT | (0 if is_check else os.O_APPEND)
    out = paths.open_file(_log_path(spec, log_dir), flags, 0o640, make=0o750)
    if is_check:  # of which there are many: the last one's output is kept
        os.ftruncate(out, 0)  # and not by O_TRUNC: by now it is known to be a file of ours
    return out


def _log_path(spec: Spawn, log_dir: str) -> str:
    return f"{log_dir}/{spec.task}/{spec.container}.{'check' if spec.log_driver == 'check' else 'log'}"


def _connect_journal(tag: str, unit: str) -> int:
    """A stream to journald; its header is lines: identifier, unit, priority, level prefix, three forwards.

    journald asks ``/proc`` for the cgroup of who has written, and takes root's word for the unit where that is gone.
    """
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(_JOURNAL)
    sock.shutdown(socket.SHUT_RD)
    sock.sendall(f"{tag}\n{unit}\n6\n1\n0\n0\n0\n".encode())
    return sock.detach()


def _limit(spec: Spawn, birth: Birth) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, birth.fd_limits)
    for name, soft, hard in spec.ulimits:
        if name != "locks" or birth.tag is None:  # it limits nothing, and is where the tag goes
            resource.setrlimit(process.RLIMITS[name], (soft, hard))
    # Where a limit is set already, it is the tag of a supervisor above us, which must find its processes too.
    unlimited = resource.getrlimit(process.RLIMIT_LOCKS)[1] == resource.RLIM_INFINITY
    if birth.tag is not None and unlimited:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(process.RLIMIT_LOCKS, (birth.tag, birth.tag))
