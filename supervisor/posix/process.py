"""Processes: identity, signals by pidfd, waiting, limits."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import pwd
import resource
import signal
from collections.abc import Callable, Collection
from typing import NamedTuple, NoReturn

from supervisor.posix import proc, rights

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_MADV_POPULATE_WRITE = 23

_STRAY_SIGNALS = (
    *(signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM),
    *(signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGVTALRM, signal.SIGPROF, signal.SIGIO),
)
_SIGNALS_OF_LIBC = (32, 33)
_RT_SIGACTION = {"x86_64": 13, "aarch64": 134, "riscv64": 134, "ppc64le": 173, "s390x": 174, "armv7l": 174}
"""The number of ``rt_sigaction(2)`` by machine."""
_DEFAULT_ACTION = bytes(64)
"""At least a ``struct sigaction`` of the kernel, all zero: SIG_DFL, no flags."""
_SIGNAL_SET_SIZE = 8

FORK_TAKES = 0.01
"""Seconds within which a fork of ours is over, also on a busy host."""

RLIMIT_LOCKS = 10
"""Unused by the kernel since Linux 2.4.25, kept over fork and exec, readable by all in ``/proc/PID/limits``."""

RLIMITS = {
    "core": resource.RLIMIT_CORE,
    "cpu": resource.RLIMIT_CPU,
    "data": resource.RLIMIT_DATA,
    "fsize": resource.RLIMIT_FSIZE,
    "locks": RLIMIT_LOCKS,
    "memlock": resource.RLIMIT_MEMLOCK,
    "msgqueue": resource.RLIMIT_MSGQUEUE,
    "nice": resource.RLIMIT_NICE,
    "nofile": resource.RLIMIT_NOFILE,
    "nproc": resource.RLIMIT_NPROC,
    "rss": resource.RLIMIT_RSS,
    "rtprio": resource.RLIMIT_RTPRIO,
    "rttime": resource.RLIMIT_RTTIME,
    "sigpending": resource.RLIMIT_SIGPENDING,
    "stack": resource.RLIMIT_STACK,
}
"""ECS ``UlimitName`` → ``RLIMIT_*``."""


class Wait(NamedTuple):
    """How a process ended: exactly one of the two is set."""

    code: int | None
    signal: int | None


def fork(target: Callable[[], NoReturn]) -> int:
    """The pid of a child that runs ``target``; every signal is blocked in it, so that none meets our handlers."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            try:
                target()
            finally:
                os._exit(127)
        return pid
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def succeeds(attempt: Callable[[], None]) -> bool:
    """Whether the attempt, made in a child of its own, raises no ``OSError``. Waits for it."""

    def child() -> NoReturn:
        try:
            attempt()
        except OSError:
            os._exit(1)
        os._exit(0)

    return os.waitpid(fork(child), 0)[1] == 0


def execute(argv: list[str], environ: dict[str, str]) -> NoReturn:
    """Become that program, looked up in the PATH of ``environ`` where its name has no slash."""
    os.execvpe(argv[0], argv, environ)


def replace(argv: list[str], environ: dict[str, str], fd_limits: tuple[int, int]) -> NoReturn:
    """Become that program, with every signal blocked: they wait until it takes them. ``OSError``: we are still here."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    raised = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, fd_limits)
        execute(argv, environ)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, raised)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def oom_score_adj() -> int:
    """How much more or less likely than others the kernel is to kill us for want of memory, -1000 to 1000."""
    with open("/proc/self/oom_score_adj") as file:
        return int(file.read())


def set_oom_score_adj(value: int) -> bool:
    """Whether that could be had: to be spared more than we ever were takes CAP_SYS_RESOURCE."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(value))
    except OSError:
        return False
    return True


def be_spared(wanted: int) -> None:
    """Be as unlikely to be killed for want of memory as is wanted, or as is allowed."""
    for value in (wanted, 0):
        if value < oom_score_adj() and set_oom_score_adj(value):
            return


def close_from(fd: int) -> None:
    """Close every descriptor from that number on: one system call, or a bounded loop where there is none."""
    os.closerange(fd, fd_limit())


def open_child(pid: int) -> int:
    """A pidfd of our own child, which is not reaped yet: the pid cannot be another's."""
    return os.pidfd_open(pid)


def kill_child(pid: int) -> None:
    """SIGKILL for our own child that has no pidfd and is not reaped yet."""
    os.kill(pid, signal.SIGKILL)


def _wait(idtype: int, ident: int, options: int) -> tuple[int, Wait] | None:
    """``waitid`` that never blocks: the pid and how it ended, or None if there is nothing to tell."""
    try:
        info = os.waitid(idtype, ident, options | os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return None
    if info is None:
        return None
    if info.si_code == os.CLD_EXITED:
        return info.si_pid, Wait(info.si_status, None)
    return info.si_pid, Wait(None, info.si_status)


def peek(pidfd: int) -> Wait | None:
    """How our child ended, leaving its zombie: neither its pid nor its process group can be reused. None: it lives."""
    seen = _wait(os.P_PIDFD, pidfd, os.WNOWAIT)
    return None if seen is None else seen[1]


def reap(pid: int) -> bool:
    """Collect our child if it is over. False: it lives, or is not ours."""
    return _wait(os.P_PID, pid, 0) is not None


def peek_any() -> int | None:
    """The pid of some child that is over and not yet reaped, or None."""
    seen = _wait(os.P_ALL, 0, os.WNOWAIT)
    return None if seen is None else seen[0]


def send(pidfd: int, signum: int) -> bool:
    """Signal the process behind a pidfd. False: it is gone, or (a setuid program) not ours to signal."""
    try:
        signal.pidfd_send_signal(pidfd, signum)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def open_if(pid: int, is_it: Callable[[], bool]) -> int | None:
    """A pidfd of whoever has the pid, if that is who is meant; None if not, or if nobody has it.

    The pidfd comes first: it pins who is then asked about.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return None
    if is_it():
        return pidfd
    os.close(pidfd)
    return None


def open_identified(pid: int, start_time: int) -> int | None:
    """A pidfd of exactly that process, or None: the start time tells whether the pid is another's by now."""

    def is_it() -> bool:
        stat = proc.read_stat(pid)
        return stat is not None and stat.start_time == start_time

    return open_if(pid, is_it)


def send_identified(pid: int, start_time: int, *signums: int) -> bool:
    """Signal that process and no other. False: it is gone, or not ours to signal."""
    pidfd = open_identified(pid, start_time)
    if pidfd is None:
        return False
    try:
        return all(send(pidfd, signum) for signum in signums)
    finally:
        os.close(pidfd)


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> None:
    if _libc().prctl(option, value, 0, 0, 0) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))


def become_subreaper() -> None:
    """Orphans below us become our children instead of PID 1's (prctl(2) PR_SET_CHILD_SUBREAPER)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int, signum: int = signal.SIGKILL) -> None:
    """That signal for us when the parent ends; if it ended before this call, our end at once. An exec keeps it."""
    _prctl(_PR_SET_PDEATHSIG, signum)
    if os.getppid() != parent:
        os._exit(1)


def forbid_new_privileges() -> None:
    """Nothing that we or our children execute gives more rights than we have: no setuid, no file capabilities."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def own_memory() -> None:
    """After a fork: copy what we share with the child now (MADV_POPULATE_WRITE), not fault by fault later.

    Kernels before Linux 5.14 cannot, and refuse.
    """
    with open("/proc/self/maps") as file:
        for line in file:
            addresses, permissions, _ = line.split(None, 2)
            if permissions == "rw-p":
                start, end = (int(address, 16) for address in addresses.split("-"))
                _libc().madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_POPULATE_WRITE)


def raise_fd_limit() -> tuple[int, int]:
    """As many descriptors as the hard limit allows; the limits as they were before."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    return before


def fd_limit() -> int:
    """The number that no descriptor of ours can reach."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def ignore_stray_signals() -> None:
    """Nothing that a terminal or a stray kill sends makes anything late; who is stopped (SIGTSTP) would be."""
    for number in _STRAY_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def hold_signals(*numbers: int) -> None:
    """Keep them pending, also over an exec, until ``release_signals``: what comes during a beginning is not lost."""
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)


def release_signals() -> None:
    """Nothing is blocked: what was held takes effect now."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def reset_signals(*held: int) -> None:
    """Every disposition as the kernel made it, nothing blocked but ``held``. What was pending takes effect now."""
    for number in signal.valid_signals():
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_DFL)
    # libc keeps the first two real-time signals to itself and does not reset them; ignored, they stay so over exec.
    system_call = _RT_SIGACTION.get(os.uname().machine)
    for hidden in _SIGNALS_OF_LIBC if system_call is not None else ():
        _libc().syscall(system_call, hidden, _DEFAULT_ACTION, None, _SIGNAL_SET_SIZE)
    signal.pthread_sigmask(signal.SIG_SETMASK, held)


class User(NamedTuple):
    """Whom to run as, from the user database."""

    name: str
    uid: int
    gid: int
    groups: list[int]
    home: str
    shell: str

    @property
    def ids(self) -> rights.Ids:
        """What the kernel knows of it."""
        return rights.Ids(self.uid, self.gid, self.groups)


def find_user(text: str | None) -> User:
    """``user``, ``user:group``, ``uid`` or ``uid:gid``; None is ourselves. ``LookupError`` names what is unknown.

    May ask the network (LDAP): not for the keeper's loop.
    """
    if text is None:
        return _user_of(os.geteuid(), os.getegid())
    name, _, group = text.partition(":")
    if _is_number(name):
        user = _user_of(int(name), None)
    else:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise LookupError(f"user {name!r} is not known") from None
        groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
        user = User(entry.pw_name, entry.pw_uid, entry.pw_gid, groups, entry.pw_dir, entry.pw_shell)
    if not group:
        return user
    gid = int(group) if _is_number(group) else _gid_of(group)
    if gid > rights.LAST_ID:
        raise LookupError(f"group {gid} is not known, and cannot be")
    return user._replace(gid=gid, groups=[gid])


def refusal_of(user: User, allowed: Collection[str], agent_uid: int | None = None) -> str | None:
    """Why tasks may not run as that user, or None. ``allowed``: names or uids, ``*`` for every user.

    A group named beside an allowed user must be one of that user's: else it would be a way to any file of the host.

    ``agent_uid``: the agent's, where it has a user of its own and the keeper is root. Then ``*`` is neither of these
    two, nor the group of root: what the agent can ask for by itself must not be the rights that were taken from it.
    """
    if not {user.name, str(user.uid)} & set(allowed):
        if "*" not in allowed:
            return f"user {user.name!r} is not in tasks.allowed_users"
        if agent_uid is None:
            return None
        if user.uid in (0, agent_uid) or 0 in (user.gid, *user.groups):
            what = "user" if user.uid in (0, agent_uid) else "with the group of root, user"
            return (
                f'{what} {user.name!r} is not among "*" of tasks.allowed_users, since agent.user is set; name it there'
            )
    if user.gid not in find_user(str(user.uid)).groups:
        return f"group {user.gid} is not one of user {user.name!r}"
    return None


def _user_of(uid: int, gid: int | None) -> User:
    if uid > rights.LAST_ID:
        raise LookupError(f"user {uid} is not known, and cannot be")
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        gid = 0 if gid is None else gid
        return User(str(uid), uid, gid, [gid], "/", "/bin/sh")
    gid = entry.pw_gid if gid is None else gid
    return User(entry.pw_name, uid, gid, os.getgrouplist(entry.pw_name, gid), entry.pw_dir, entry.pw_shell)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _gid_of(name: str) -> int:
    import grp  # noqa: PLC0415  only the few definitions that name a group need it

    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise LookupError(f"group {name!r} is not known") from None


def change_user(user: User) -> None:
    """Become that user for good."""
    rights.become(user.ids)


def kill_group(leader: int) -> None:
    """SIGKILL for the process group of our own child, not reaped yet: no fork in it escapes."""
    with contextlib.suppress(OSError):
        os.killpg(leader, signal.SIGKILL)
