"""The task definitions in config/tasks are accepted as they stand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from supervisor import shapes
from supervisor.shapes.requests import RegisterTaskDefinition

EXAMPLES = sorted((Path(__file__).parents[2] / "config/tasks").iterdir())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_can_be_registered_and_says_its_family(path: Path) -> None:
    request = shapes.parse_request("RegisterTaskDefinition", path.read_bytes())
    assert isinstance(request, RegisterTaskDefinition)
    names = shapes.Names("local", "000000000000", "default")
    definition = shapes.definition_from(request, names=names, revision=1, registered_at=0.0, registered_by=None)
    assert definition.family == path.stem
    written = json.loads(path.read_text())["containerDefinitions"]
    assert [each.name for each in definition.container_definitions] == [each["name"] for each in written]
    assert all(Path(each["entryPoint"][0]) == Path("/bin/sh") for each in written), "runs on any host with a shell"
