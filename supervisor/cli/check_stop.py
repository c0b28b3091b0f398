"""``supervisor check-stop``: whether a command stops gracefully, tried on a private agent, for people and for CI."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Generator, Sequence
from typing import Any, NoReturn

import click

from supervisor import shapes
from supervisor.errors import ClientError

from .check_options import DEFAULT_READY_AFTER, DEFAULT_TIMEOUT, params
from .check_report import Checked, as_json, as_junit, text_of_end, text_of_run
from .check_run import NAME, Plan, check_once
from .failures import CommandError, NotTried
from .group import Command
from .output import print_line, print_value, say
from .private import OURS, private_agent
from .readiness import Probe
from .verdict import EXIT_STATUS, CheckedRun, Verdict, summarize

HELP = """Check that a command stops gracefully: start it, wait until it is ready, stop it, and say how it ended.

It runs as a task of a private agent that is gone afterwards: no agent, no root and no configuration are needed. It has
the environment and the working directory of the caller. A stop is graceful if the command ended on the stop signal
within its time, nothing had to be killed, and it exited with code 0, or with 128 + the signal, or one of --exit-code.

\b
Exit status:
  0  every stop was graceful
  1  one was not
  2  wrong usage
  3  it could not be tried: not started, never ready, its port taken
"""

EPILOG = """\b
Example:
  supervisor check-stop --ready-tcp 8080 -- ./server --port 8080
  supervisor check-stop --ready-http http://localhost:8080/ --runs 5 --junit stop.xml -- ./server
  supervisor check-stop --signal SIGQUIT --ready-tcp 80 --timeout 10 -- nginx -g 'daemon off;'
"""

OF_THE_CLI = frozenset({"SUPERVISOR_SOCKET", "SUPERVISOR_OUTPUT"})
"""Variables that speak to this command line, and that no other program misses."""
MOST_BYTES = 1024 * 1024
"""The agent takes no larger request."""
LABEL = "supervisor.stop-signal"


def command(name: str) -> click.Command:
    """The command under that name."""
    return Command(
        name,
        callback=run,
        help=HELP,
        epilog=EPILOG,
        short_help="Check that a command stops gracefully",
        # What follows the command's name is the command's own.
        context_settings={"allow_interspersed_args": False},
        options_metavar="[OPTIONS]",
        params=params(),
    )


def run(**asked: Any) -> None:
    """Check; what keeps us from it, or from telling the result, has an exit status that is not that of a verdict."""
    try:
        check(**asked)
    except CommandError as exc:
        raise NotTried(str(exc)) from exc


def check(
    *,
    words: tuple[str, ...],
    timeout: float | None,
    signal: str,
    exit_code: tuple[int, ...],
    runs: int,
    ready_timeout: float,
    output: str,
    junit: str | None,
    ready_after: float | None,
    **ready: Probe | None,
) -> None:
    """Try it so often, say each time how it ended, and end with the exit status that follows."""
    probes = [probe for probe in ready.values() if probe is not None]
    if len(probes) + (ready_after is not None) > 1:
        _refuse("'--ready-tcp', '--ready-http', '--ready-log' and '--ready-after' exclude each other; give one of them")
    if junit is not None and (os.path.isdir(junit) or not os.path.isdir(os.path.dirname(junit) or ".")):
        _refuse(f"invalid value for '--junit': {junit!r} is no file in a directory that exists")
    window = DEFAULT_TIMEOUT if timeout is None else timeout
    words = tuple(map(_as_utf8, words))
    definition = _definition(words, signal, timeout)
    _check(definition)
    after = DEFAULT_READY_AFTER if ready_after is None else ready_after
    plan = Plan(definition, signal, frozenset(exit_code), probes[0] if probes else None, after, ready_timeout)
    done = _show(_tries(plan, runs, window), output)
    checked = Checked(words, signal, window, plan.readiness, runs, done)
    if output == "json":
        print_value(as_json(checked))
    else:
        for line in text_of_end(checked):
            print_line(line)
    if junit is not None:
        _write(junit, as_junit(checked))
    raise click.exceptions.Exit(EXIT_STATUS[summarize(checked.runs).verdict])


def _show(runs: Generator[CheckedRun], output: str) -> list[CheckedRun]:
    """Have them done; each is told as soon as it is over, where people read."""
    done = []
    with contextlib.closing(runs):
        for run in runs:
            done.append(run)
            for line in text_of_run(run) if output == "text" else ():
                print_line(line)
    return done


def _tries(plan: Plan, runs: int, window: float) -> Generator[CheckedRun]:
    """One run after the other; none after one that could not be tried."""
    if obstacle := _obstacle(plan, 1):
        yield obstacle
        return
    number = 0
    try:
        with private_agent(window) as agent:
            agent.client.call("RegisterTaskDefinition", plan.definition)
            for number in range(1, runs + 1):
                tried = (_obstacle(plan, number) if number > 1 else None) or check_once(plan, agent, number)
                yield tried
                if tried.verdict is Verdict.NOT_TRIED:
                    return
    except (CommandError, OSError) as exc:
        yield CheckedRun(max(number, 1), Verdict.NOT_TRIED, str(exc))


def _obstacle(plan: Plan, number: int) -> CheckedRun | None:
    """The run that cannot be, because readiness could not be told from what is there already."""
    obstacle = plan.probe.obstacle() if plan.probe is not None else None
    if obstacle is None:
        return None
    if number > 1:
        obstacle += f" (run {number - 1} is over: what listens is not of this command, or had left its task)"
    return CheckedRun(number, Verdict.NOT_TRIED, obstacle)


def _definition(words: Sequence[str], signals: str, timeout: float | None) -> dict[str, Any]:
    """The command as the one container of a task definition."""
    try:
        directory = os.getcwd()
    except OSError as exc:
        raise NotTried(f"cannot tell the working directory: {exc.strerror}; change to one that exists") from exc
    directory = _as_utf8(directory)
    for what, text in (("working directory", directory), *(("argument", word) for word in words)):
        if not _is_unicode(text):
            raise NotTried(f"cannot pass on the {what} {text!r}: it is not UTF-8; use another")
    environ = {_as_utf8(name): _as_utf8(value) for name, value in os.environ.items() if not name.startswith(OURS)}
    reserved = sorted(one for one in os.environ if one.startswith(OURS) and one not in OF_THE_CLI)
    odd = sorted(name for name, value in environ.items() if not (name and _is_unicode(name + value)))
    for names, why in ((reserved, f"{OURS}* is the agent's"), (odd, "not UTF-8")):
        if names:
            say(f"supervisor: left out of the command's environment: {', '.join(map(ascii, names))} ({why})")
    return {
        "family": "check-stop",
        "containerDefinitions": [
            {
                "name": NAME,
                "command": list(words),
                "workingDirectory": directory,
                "environment": [{"name": name, "value": value} for name, value in environ.items() if name not in odd],
                "dockerLabels": {LABEL: signals},
                "logConfiguration": {"logDriver": "file"},
                # Where it is no integer, as ECS has it, and where nothing was said, the agent's own does the same.
                **({"stopTimeout": int(timeout)} if timeout is not None and timeout.is_integer() else {}),
            }
        ],
    }


def _as_utf8(text: str) -> str:
    """What was given as bytes, also where the locale is one that has no such characters."""
    return os.fsencode(text).decode(errors="surrogateescape")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check(definition: dict[str, Any]) -> None:
    """What the agent would refuse is said before one is started, and in the words of this command line."""
    text = json.dumps(definition).encode()
    if len(text) > MOST_BYTES:
        environ = definition["containerDefinitions"][0]["environment"]
        largest = max(environ, key=lambda pair: len(pair["value"]), default={"name": "none"})["name"]
        raise NotTried(
            f"cannot pass on a command and an environment of {len(text)} bytes: at most {MOST_BYTES} are taken; the"
            f" largest variable is {largest}"
        )
    try:
        asked = shapes.parse_request("RegisterTaskDefinition", text)
        shapes.definition_from(asked, names=shapes.Names(), revision=1, registered_at=0.0)  # type: ignore[arg-type]
    except ClientError as exc:
        place, _, what = str(exc).partition(": ")
        if LABEL in place:
            _refuse(f"invalid value for '--signal': {what.replace('stopTimeout', '--timeout')}")
        _refuse(f"cannot run the command: {exc}")


def _write(path: str, text: bytes) -> None:
    try:
        with open(path, "wb") as file:
            file.write(text)
    except OSError as exc:
        raise NotTried(f"cannot write {path}: {exc.strerror}; see --junit") from exc


def _refuse(why: str) -> NoReturn:
    raise click.UsageError(why, click.get_current_context())
