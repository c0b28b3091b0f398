"""What is made from the code is as the code is now."""

from __future__ import annotations

import re
import runpy

from tests.machine import REPOSITORY


def test_the_state_diagram_is_that_of_the_table() -> None:
    made = runpy.run_path(str(REPOSITORY / "docs/states.py"))["page"]()
    assert (REPOSITORY / "docs/states.md").read_text() == made, "stale: make docs"


def test_the_tests_that_promises_name_are_there() -> None:
    page = (REPOSITORY / "docs/reliability.md").read_text()
    rows = [line.split(" | ")[-1] for line in page[: page.index("## When")].splitlines() if ".py`" in line]
    assert len(rows) > 20
    for row in rows:
        for path, named in re.findall(r"`([\w/]+\.py)`(?: \(([^)]*)\))?", row):
            text = (REPOSITORY / "tests" / path).read_text()
            for name in re.findall(r"`…(\w+)", named):
                assert re.search(rf"def test_\w*{name}", text), (path, name)
