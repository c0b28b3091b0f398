"""The documented table of operations against ECS's model and the program."""

from __future__ import annotations

import re
from pathlib import Path

from supervisor.shapes import OPERATIONS
from tests.conformance import service_model

PAGE = Path(__file__).parents[2] / "docs/ecs-compatibility.md"
ROW = re.compile(r"^\| (\w+) \| (\w+) \| (.+) \|$", re.MULTILINE)


def rows() -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = ROW.findall(PAGE.read_text())
    return [row for row in found if row[0] != "operation"]


def test_every_operation_of_ecs_has_its_row() -> None:
    assert [name for name, _, _ in rows()] == sorted(service_model().operation_names)


def test_what_is_said_to_be_there_is_there_and_the_rest_is_not() -> None:
    assert {name for name, here, _ in rows() if here == "yes"} == set(OPERATIONS)
    assert {here for _, here, _ in rows()} == {"yes", "no"}
    assert all(truth.endswith(".") for _, _, truth in rows())
