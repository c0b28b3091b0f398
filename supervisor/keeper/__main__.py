"""``python -m supervisor.keeper``: what ``supervisor agent`` becomes."""

import sys

from supervisor.keeper import settings
from supervisor.keeper.loop import Keeper
from supervisor.keeper.report import Log


def main() -> int:
    """Run the keeper; the exit status."""
    try:
        keeper = Keeper(settings.from_environ())
    except OSError as exc:
        Log().warning("keeper_failed_to_start", error=exc.strerror or str(exc))
        return 1
    return keeper.run()


if __name__ == "__main__":
    sys.exit(main())
