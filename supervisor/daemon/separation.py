"""Whether the agent can be a user of its own here: checked before the keeper begins, since no later agent could say."""

from __future__ import annotations

import os
import sys

import supervisor
from supervisor.config import Settings
from supervisor.errors import ConfigError
from supervisor.posix import paths, rights

_PACKAGE = os.path.dirname(os.path.abspath(supervisor.__file__))


def check(settings: Settings, agent: rights.Ids) -> None:
    """``ConfigError`` where that user could not run the agent, or could make something else of the keeper."""
    name = settings.agent.user
    for key, path in (("agent.state_dir", settings.agent.state_dir), ("api.socket", settings.api.socket)):
        if (where := paths.who_may_write_above(path)) is not None:
            raise ConfigError(
                f"cannot use {key} {path} with agent.user {name}: others than root may write to {where}, and could "
                f"exchange what is in it; choose a place in which all of the path is root's"
            )
    with rights.acting_as(agent):
        if not os.access(sys.executable, os.X_OK, effective_ids=True):
            raise ConfigError(f"cannot use agent.user {name}: it may not execute {sys.executable}")
        if not os.access(f"{_PACKAGE}/daemon/__main__.py", os.R_OK, effective_ids=True):
            raise ConfigError(f"cannot use agent.user {name}: it may not read {_PACKAGE}")
        for path in (sys.executable, _PACKAGE, f"{_PACKAGE}/__init__.py"):
            if os.access(path, os.W_OK, effective_ids=True):
                raise ConfigError(f"cannot use agent.user {name}: it may write to {path}, which root executes")
