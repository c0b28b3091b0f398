"""``supervisor agent``: becomes the daemon, in the foreground."""

from __future__ import annotations

import signal

import click

from .group import Command

HELP = """Run the agent in the foreground: it starts, watches and stops the tasks of this host.

Logs go to stderr: for people on a terminal, as JSON otherwise. SIGTERM or SIGINT stops every task within
`shutdown_timeout` and then ends with status 0; a second one cuts the stop timeouts short. With `--task` the status is
that of the task that was over first: its exit code, or 128 + signal, or 1 where it never started.
"""

EPILOG = """\b
Example:
  supervisor agent --config /etc/supervisor/agent.toml
  supervisor agent --task web.json
"""


def command(name: str) -> click.Command:
    """The command under that name."""
    return Command(
        name,
        callback=run,
        help=HELP,
        short_help="Run the agent in the foreground",
        epilog=EPILOG,
        params=[
            click.Option(["--config"], metavar="FILE", help="The configuration, in TOML; every key is optional."),
            click.Option(["--state-dir"], metavar="DIR", help="Where records are kept; overrides `agent.state_dir`."),
            click.Option(
                ["--socket"],
                metavar="PATH",
                help="The unix socket to listen on; overrides SUPERVISOR_SOCKET and `api.socket`.",
            ),
            click.Option(
                ["--listen"],
                metavar="HOST:PORT",
                help="Listen on loopback TCP too, for signed requests (aws CLI, boto3); overrides `api.tcp.listen`.",
            ),
            click.Option(
                ["--task", "tasks"],
                metavar="FILE",
                multiple=True,
                help="A task definition (JSON or TOML) of which a task is run once. When it is over, all others are "
                "stopped, and its exit status is the agent's. May be repeated.",
            ),
        ],
    )


def run(
    config: str | None, state_dir: str | None, socket: str | None, listen: str | None, tasks: tuple[str, ...]
) -> None:
    """Hand over to the daemon, which does not return; ``ConfigError`` if it is told something wrong."""
    # Until the keeper has its handlers: who is PID 1 of a container would never hear of them.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    from supervisor.daemon import start

    start(config, state_dir, socket, listen, tasks)
