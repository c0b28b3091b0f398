"""Whether another run follows on one that has ended, and after what pause."""

from __future__ import annotations

import hashlib

from supervisor.model import Backoff, Container, ExitStatus


def is_short(container: Container, clock: float) -> bool:
    """Whether the run that ends now has not lasted ``restartAttemptPeriod``."""
    policy, since = container.restart_policy, container.running_since
    return policy is not None and since is not None and clock - since < policy.restart_attempt_period


def follows(container: Container, exit_status: ExitStatus, clock: float) -> bool:
    """As ECS decides: a policy, an exit code that it does not ignore, and a run that was long enough.

    With a backoff a short run is followed by another one as well, after a pause.
    """
    policy = container.restart_policy
    if policy is None or not policy.enabled or exit_status.exit_code in policy.ignored_exit_codes:
        return False
    return container.restart_backoff is not None or not is_short(container, clock)


def pause(container: Container) -> float:
    """Seconds before the next run: none after a long one, else doubled with each short one in a row, up to the most.

    Half of it is jitter, so that what failed together does not come back together. It is drawn from the run's id: the
    same run always has the same pause.
    """
    backoff = container.restart_backoff
    if backoff is None or container.short_runs == 0:
        return 0.0
    return backoff_pause(backoff, container.short_runs, container.run_id or "")


def backoff_pause(backoff: Backoff, short_runs: int, last: str) -> float:
    """Seconds before what comes after so many short runs in a row, the last of which has that id."""
    full = min(backoff.first * 2.0 ** min(short_runs - 1, 64), backoff.most)
    digest = hashlib.blake2s(last.encode(), digest_size=4, person=b"jitter").digest()
    return full * (0.5 + int.from_bytes(digest) / 2**33)
