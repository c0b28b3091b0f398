"""Could this version take over? Asked of the installed one, in a process of its own, while another still runs.

Whoever is here has imported all that an agent needs. Nothing is changed: the records are only looked at.
"""

from __future__ import annotations

import os
import sys

import msgspec

from supervisor import __version__, store
from supervisor.config import Settings
from supervisor.daemon.start import AGENT_VARIABLE
from supervisor.errors import SupervisorError


def prove() -> int:
    """Status 0 and the version as the last line; else why not."""
    try:
        settings = msgspec.json.decode(os.environ[AGENT_VARIABLE], type=Settings)
        store.examine(f"{settings.agent.state_dir}/supervisor.db")
    except (SupervisorError, msgspec.DecodeError) as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    sys.stdout.write(f"{__version__}\n")
    return 0
