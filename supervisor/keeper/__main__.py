"""``python -m supervisor.keeper``: what ``supervisor agent`` becomes; with ``--prove``, whether it could be."""

import sys

from supervisor.keeper import settings
from supervisor.keeper.loop import Keeper
from supervisor.keeper.proof import PROVE, prove
from supervisor.keeper.report import Log


def main() -> int:
    """Run the keeper; the exit status."""
    if sys.argv[1:] == [PROVE]:
        prove()
    try:
        keeper = Keeper(settings.from_environ())
    except OSError as exc:
        Log().warning("keeper_failed_to_start", error=exc.strerror or str(exc))
        return 1
    return keeper.run()


if __name__ == "__main__":
    sys.exit(main())
