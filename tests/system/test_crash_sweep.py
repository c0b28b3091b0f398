"""kill -9 at some of the steps of the supervisor, spread over all of them; ``make sweep`` takes every one.

====================================== ==========================================================================
``SUPERVISOR_TEST_SWEEP``              points for each victim and tracking (3)
``SUPERVISOR_TEST_SEED``               the order of requests and where the points begin; unset: printed
====================================== ==========================================================================
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.conftest import PATIENCE, SEED
from tests.machine import REPOSITORY, usable

pytestmark = pytest.mark.system

POINTS = int(os.environ.get("SUPERVISOR_TEST_SWEEP", "3"))


@pytest.mark.parametrize("tracking", ["cgroup", "descent"])
def test_some_points_of_the_crash_sweep(tracking: str) -> None:
    usable(tracking)
    argv = [sys.executable, "-m", "tests.sweep", "--tracking", tracking, "--points", str(POINTS)]
    swept = subprocess.run(
        [*argv, "--seed", SEED] if SEED else argv,
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        timeout=6 * PATIENCE * max(POINTS, 1),
        check=False,
    )
    print(swept.stdout)
    assert swept.returncode == 0
    told = re.search(
        r"swept (\d+) points: agent (\d+), keeper (\d+), both (\d+), birth (\d+); 0 violations", swept.stdout
    )
    assert told is not None
    assert all(int(number) >= POINTS - 1 for number in told.groups()), "the last one may not have been reached"
