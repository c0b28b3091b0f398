"""How patient tests are, and how far hypothesis looks. No fixtures: each directory has its own.

====================================== ==========================================================================
``SUPERVISOR_TEST_TIME_FACTOR``        stretches every wait for a fact on a slow machine (1)
``SUPERVISOR_TEST_EXAMPLES``           examples a property; unset: 50, the same at every run
``SUPERVISOR_TEST_SEED``               where the examples begin, to see a failure again
====================================== ==========================================================================
"""

from __future__ import annotations

import os

import hypothesis
import pytest

from tests import tally

PATIENCE = 10.0 * float(os.environ.get("SUPERVISOR_TEST_TIME_FACTOR", "1"))
"""Seconds after which a fact that a test waits for is given up. Nothing is ever waited for that long on purpose."""

EXAMPLES = os.environ.get("SUPERVISOR_TEST_EXAMPLES")
SEED = os.environ.get("SUPERVISOR_TEST_SEED")

# No deadline: a loaded machine is no defect. No database: what failed once is written down as a test.
hypothesis.settings.register_profile(
    "ci", derandomize=True, max_examples=50, deadline=None, database=None, print_blob=True
)
hypothesis.settings.register_profile(
    "explore", max_examples=int(EXAMPLES or "1000"), deadline=None, database=None, print_blob=True
)
hypothesis.settings.load_profile("explore" if EXAMPLES or SEED else "ci")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Hands the seed to hypothesis's plugin, which reads its own option only."""
    if SEED:
        config.option.hypothesis_seed = SEED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says how much was tried, and from where on."""
    for line in tally.lines():
        terminalreporter.write_line(f"seed {SEED or 'fixed'}, {line}")
