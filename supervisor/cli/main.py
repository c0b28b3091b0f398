"""The entry point: the table of commands, and where every failure becomes one line and an exit status."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

import click

from supervisor import __version__
from supervisor.errors import ConfigError, SupervisorError

from .failures import CommandError
from .group import LazyGroup
from .output import abandon_stdout, say

INTERRUPTED = 130
"""128 + SIGINT, as shells report it."""
PIPE_CLOSED = 141
"""128 + SIGPIPE: who read our output has gone."""

COMPLETION = "_SUPERVISOR_COMPLETE"
"""Set by a shell's function when it asks what could follow on the line."""

COMMANDS = {
    "agent": "supervisor.cli.agent",
    "register-task-definition": "supervisor.cli.operations",
    "describe-task-definition": "supervisor.cli.operations",
    "deregister-task-definition": "supervisor.cli.operations",
    "list-task-definitions": "supervisor.cli.operations",
    "list-task-definition-families": "supervisor.cli.operations",
    "delete-task-definitions": "supervisor.cli.operations",
    "run-task": "supervisor.cli.operations",
    "start-task": "supervisor.cli.operations",
    "stop-task": "supervisor.cli.stop",
    "describe-tasks": "supervisor.cli.operations",
    "list-tasks": "supervisor.cli.operations",
    "create-cluster": "supervisor.cli.operations",
    "describe-clusters": "supervisor.cli.operations",
    "list-clusters": "supervisor.cli.operations",
    "delete-cluster": "supervisor.cli.operations",
    "tag-resource": "supervisor.cli.operations",
    "untag-resource": "supervisor.cli.operations",
    "list-tags-for-resource": "supervisor.cli.operations",
    "list-container-instances": "supervisor.cli.operations",
    "describe-container-instances": "supervisor.cli.operations",
    "update-container-instances-state": "supervisor.cli.operations",
    "get-task-protection": "supervisor.cli.operations",
    "update-task-protection": "supervisor.cli.operations",
    "wait": "supervisor.cli.wait",
    "events": "supervisor.cli.events",
    "stop-report": "supervisor.cli.stop_report",
    "history": "supervisor.cli.history",
    "logs": "supervisor.cli.logs",
    "upgrade": "supervisor.cli.upgrade",
    "completion": "supervisor.cli.completion",
    "check-stop": "supervisor.cli.check_stop",
    "demo": "supervisor.cli.demo",
}

HELP = """Run tasks of processes on this host, and stop them properly.

Start 'supervisor agent'; the other commands talk to it, and are named, optioned and answered as in 'aws ecs'.

\b
Exit status:
  0  done
  1  the agent refused, or what was waited for did not come
  2  wrong usage or configuration
  3  the agent cannot be reached
"""

supervisor = LazyGroup("supervisor", COMMANDS, help=HELP, context_settings={"max_content_width": 100})
click.version_option(__version__, message="graceful-supervisor %(version)s")(supervisor)


def main(args: Sequence[str] | None = None) -> int:
    """Run one command line (``sys.argv`` unless given) and return its exit status; every failure is one line."""
    if COMPLETION in os.environ:
        from .completion import answer

        answer(supervisor)  # and exits
    try:
        # Not `supervisor.main`, which would treat a closed pipe and an interrupt in its own way.
        with supervisor.make_context("supervisor", list(sys.argv[1:] if args is None else args)) as context:
            supervisor.invoke(context)
        sys.stdout.flush()
        return 0
    except click.exceptions.Exit as exc:
        return exc.exit_code
    except click.UsageError as exc:
        return fail(usage_line(exc), exc.exit_code)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        abandon_stdout()
        return PIPE_CLOSED
    except ConfigError as exc:
        return fail(f"supervisor: {exc}", 2)
    except CommandError as exc:
        return fail(f"supervisor: {exc}", exc.exit_status)
    except SupervisorError as exc:
        return fail(f"supervisor: {exc}", 1)
    except Exception as exc:  # noqa: BLE001  the last line of defence: one line to report, no traceback
        last = traceback.extract_tb(exc.__traceback__)[-1]
        where = f"{last.filename.rpartition('/')[2]}:{last.lineno}"
        return fail(f"supervisor: cannot go on: {type(exc).__name__}: {exc} ({where}); please report this", 1)


def fail(line: str, status: int) -> int:
    """Say the line on stderr; the status is handed back."""
    say(line)
    return status


def usage_line(exc: click.UsageError) -> str:
    """Click's usage error as one line: which command, what is wrong, and where to read on."""
    path = exc.ctx.command_path if exc.ctx is not None else "supervisor"
    if isinstance(exc, click.NoSuchOption):
        near = f" (did you mean '{exc.possibilities[0]}'?)" if exc.possibilities else ""
        text = f"no such option '{exc.option_name}'{near}"
    else:
        text = exc.format_message().rstrip(".")
        text = text[:1].lower() + text[1:]
    return f"{path}: {text}; see '{path} --help'"
