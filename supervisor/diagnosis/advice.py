"""What would help: by the kind of a finding, and by the program where it is one with ways of its own.

Programs are recognized by their names, which anybody can bear: so a name gives advice, and never a finding.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from typing import NamedTuple

from .records import Kind, Sight

_MORE_TIME = "give it more time: a longer `stopTimeout`"
_EXEC = "end the script with `exec COMMAND`, or `COMMAND & trap 'kill $!' TERM; wait $!; wait $!`"
_ANOTHER = "let it handle the signal, or choose one that it heeds with the label `supervisor.stop-signal`"
_TELL_ALL = "let the main process pass the signal on, or tell all with the label `supervisor.stop-scope` set to `group`"
_FORKS = "let the main process end what it starts; the ulimit `nproc` bounds how many there are"

_BY_KIND = {
    Kind.FROZEN: "thaw its cgroup (write 0 to `cgroup.freeze`), and find out who froze it",
    Kind.STOPPED: "find out who stops it; without a terminal in its session SIGTTIN and SIGTTOU cannot",
    Kind.TRACED: "let the tracer detach, or end the tracer",
    Kind.UNINTERRUPTIBLE: "look at the device or server behind it (mounts, `dmesg`): even SIGKILL waits for its answer",
    Kind.OWED: "let the one that it is owed to wait for it, or end that one",
    Kind.VFORK: "let the child exec at once, or start it with posix_spawn",
    Kind.IGNORES: _ANOTHER,
    Kind.BLOCKS: "unblock it (sigprocmask), also in whatever starts it: blocked signals are inherited",
    Kind.INIT: "give it a handler, or run it below an init such as `tini`",
    Kind.NO_EFFECT: _ANOTHER,
    Kind.FORKS: _FORKS,
    Kind.GONE: _FORKS,
    Kind.NOT_TOLD: _TELL_ALL,
    Kind.SHELL: _EXEC,
    Kind.NOT_FORWARDED: _TELL_ALL,
    Kind.WORKING: _MORE_TIME,
    Kind.LOCK: "find who holds the lock; a handler that takes one can wait for its own thread",
    Kind.CHILD: "see why the child is late; wait for it with a timeout",
    Kind.NETWORK: "give the connection a timeout shorter than `stopTimeout`, or shut it down in the handler",
    Kind.CONNECTIONS: "close idle connections on the signal, or give it a longer `stopTimeout`",
    Kind.PIPE: "close the pipe in the handler, or read it with a timeout",
    Kind.DISK: "write less at the end, or give it a longer `stopTimeout`",
    Kind.INPUT: "do not read from a terminal in the handler",
    Kind.TIME: "wake it on the signal; a handler that only sets a flag must be looked at within `stopTimeout`",
    Kind.EVENTS: "let the handler end the event loop",
    Kind.SIGNAL: "let the handler end the process, or end the wait",
    Kind.LATE: "start nothing any more once the signal has come",
    Kind.UNKNOWN: _MORE_TIME,
}


class _Program(NamedTuple):
    """A program, told by its name and its command line, and what to do about it."""

    fits: Callable[[str, str], bool]
    advice: str
    unless: int = 0
    """Not where this is the stop signal already."""


def _by_name(*names: str) -> Callable[[str, str], bool]:
    return lambda name, command: name in names or any(f"/{one} " in f"/{command} " for one in names)


def _interactive(*names: str) -> Callable[[str, str], bool]:
    """One of that name, or with a version after it, that was given nothing to run."""
    program = re.compile(f"(.*/|-)?({'|'.join(names)})[0-9.]*( -i)?")
    return lambda _, command: program.fullmatch(command) is not None


def _sent(signum: int) -> str:
    return f"set the label `supervisor.stop-signal` to {signal.Signals(signum).name}"


_PROGRAMS = (
    _Program(
        _by_name("nginx"),
        f"nginx finishes open requests and ends on SIGQUIT: {_sent(signal.SIGQUIT)}",
        signal.SIGQUIT,
    ),
    _Program(
        _by_name("postgres", "postmaster"),
        f"postgres waits for its clients on SIGTERM, and ends them on SIGINT: {_sent(signal.SIGINT)}",
        signal.SIGINT,
    ),
    _Program(
        _by_name("apache2", "httpd", "apache2-foreground"),
        f"apache finishes open requests and ends on SIGWINCH: {_sent(signal.SIGWINCH)}",
        signal.SIGWINCH,
    ),
    _Program(
        _by_name("uwsgi", "uWSGI"),
        f"uwsgi reloads on SIGTERM: configure `die-on-term`, or {_sent(signal.SIGQUIT)}",
        signal.SIGQUIT,
    ),
    _Program(
        lambda name, _: name.startswith("php-fpm"),
        f"php-fpm finishes open requests and ends on SIGQUIT: {_sent(signal.SIGQUIT)}",
        signal.SIGQUIT,
    ),
    _Program(
        _by_name("haproxy"),
        f"haproxy ends when its connections have on SIGUSR1: {_sent(signal.SIGUSR1)}",
        signal.SIGUSR1,
    ),
    _Program(
        lambda name, command: name.startswith("jupyter") or "/jupyter-" in command or "ipykernel" in command,
        f"jupyter ends on SIGINT sent twice: {_sent(signal.SIGINT)}:1,SIGINT",
        signal.SIGINT,
    ),
    _Program(
        _by_name("gunicorn", "celery"),
        "its warm shutdown finishes the requests or jobs at hand: give it a longer `stopTimeout`",
    ),
    _Program(
        lambda name, command: name.startswith(("npm", "yarn", "pnpm")) or "npm-cli.js" in command,
        "start node itself instead of npm or yarn, which do not reliably forward signals: `node server.js`",
    ),
    _Program(
        _by_name("java"),
        "java runs its shutdown hooks on SIGTERM: see with `jstack` where, or give it a longer `stopTimeout`",
    ),
    _Program(
        _interactive("python"),
        "an interactive python ends on the end of its input, not on SIGINT: give it a script",
    ),
    _Program(
        _interactive("sh", "bash", "dash", "ksh", "zsh"),
        f"an interactive shell ignores SIGTERM, and ends on SIGHUP: {_sent(signal.SIGHUP)}, or give it a script",
        signal.SIGHUP,
    ),
)

_OF_THE_PROGRAM = {
    Kind.IGNORES,
    Kind.NO_EFFECT,
    Kind.NOT_FORWARDED,
    Kind.WORKING,
    Kind.LOCK,
    Kind.CHILD,
    Kind.NETWORK,
    Kind.CONNECTIONS,
    Kind.INPUT,
    Kind.TIME,
    Kind.EVENTS,
    Kind.SIGNAL,
    Kind.UNKNOWN,
}
"""Findings that are a program's own way; all others befall any."""


def advise(kind: Kind, sight: Sight, signums: tuple[int, ...], *, shell: bool = False) -> str:
    """What would have let it stop in time."""
    if shell and kind is Kind.INIT:
        return _EXEC
    if kind in _OF_THE_PROGRAM:
        for program in _PROGRAMS:
            if program.fits(sight.name, sight.command) and program.unless not in signums:
                return program.advice
    return _BY_KIND.get(kind, "")
