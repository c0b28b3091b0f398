"""``supervisor agent``, whose keeper and agent have points."""

from __future__ import annotations

import json
import os
import signal
from typing import NoReturn

from supervisor.cli import agent, main  # before the fork, so that a start is quick
from supervisor.daemon import start
from supervisor.keeper.settings import VARIABLE
from supervisor.posix import process
from tests.sweep.points import argv_of

__all__ = ["agent", "become", "start"]


def become(directory: str, environ: dict[str, str], command: list[str]) -> NoReturn:
    """In a fork: the supervisor with that environment and command line."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        os.environ.clear()
        os.environ.update(environ)
        execute = process.execute

        def execute_ours(argv: list[str], environ: dict[str, str]) -> NoReturn:
            settings = {**json.loads(environ[VARIABLE]), "agent_argv": argv_of("agent", directory)}
            execute(argv_of("keeper", directory), {**environ, VARIABLE: json.dumps(settings)})

        process.execute = execute_ours
        status = main(command)
    finally:
        os._exit(status)
