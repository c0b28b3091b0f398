"""``supervisor demo``: a stop on real processes, shown and recorded, and nothing left behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PATIENCE

pytestmark = pytest.mark.system


def test_demo_shows_three_ways_to_end_and_cleans_up(tmp_path: Path) -> None:
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "supervisor", "demo"],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=6 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "-I -m supervisor.keeper" in done.stdout
    told, _, report = done.stdout.partition("==> The record:")[2].partition("==> supervisor stop-report")
    record = json.loads(told)["task"]
    ends = {one["name"]: (one["exitCode"], "reason" in one) for one in record["containers"]}
    assert ends == {"graceful": (0, False), "stubborn": (137, True), "parent": (0, True)}
    assert record["stoppedReason"] == "end of the demo"
    assert "graceful: exited 0 after" in done.stderr
    assert "stubborn: killed after 3." in done.stderr
    assert re.search(r"\nstubborn: killed 3\.\d s after SIGTERM: \d+ \(sh\) ignores SIGTERM", report)
    assert done.stdout.rstrip().endswith("Left behind: nothing.")
    assert not list(tmp_path.iterdir()), "the private agent's directory is gone"
