"""What is made from the code is as the code is now."""

from __future__ import annotations

import runpy

from tests.machine import REPOSITORY


def test_the_state_diagram_is_that_of_the_table() -> None:
    made = runpy.run_path(str(REPOSITORY / "docs/states.py"))["page"]()
    assert (REPOSITORY / "docs/states.md").read_text() == made, "stale: make docs"
