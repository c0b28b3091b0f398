from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from supervisor.cli.members import members_of, sample
from supervisor.shapes import OPERATIONS
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_agent import FakeAgent

REGISTER = ("register-task-definition", "--family", "web")
CONTAINER = {"name": "web", "command": ["sleep", "1"]}
TAGS = [{"key": "team", "value": "a,b"}, {"key": "env", "value": ""}]


def sent(agent: FakeAgent, run: Run, *args: str) -> dict[str, Any]:
    agent.answers.append((200, {}))
    result = run(*args)
    assert result == (0, "", "")
    body: dict[str, Any] = agent.bodies[-1]
    return body


@pytest.mark.parametrize(
    "args",
    [
        ("--tasks", "a", "b", "c"),
        ("--tasks", "a", "--tasks", "b", "c"),
        ("--tasks=a", "--tasks", "b", "--tasks", "c"),
        ("--tasks", '["a", "b", "c"]'),
        ("--tasks", "a", "b", "c", "--include", "TAGS"),
    ],
)
def test_lists_of_text(agent: FakeAgent, run: Run, args: tuple[str, ...]) -> None:
    assert sent(agent, run, "describe-tasks", *args)["tasks"] == ["a", "b", "c"]


def test_a_value_that_looks_like_a_list_option_is_a_value(agent: FakeAgent, run: Run) -> None:
    body = sent(agent, run, "describe-tasks", "--cluster", "--tasks", "--tasks", "a", "b")
    assert body == {"cluster": "--tasks", "tasks": ["a", "b"]}


@pytest.mark.parametrize(
    "args",
    [
        ("--tags", 'key=team,value="a,b"', "key=env,value="),
        ("--tags", "key=team,value='a,b'", "--tags", "key=env,value="),
        ("--tags", json.dumps(TAGS)),
        ("--tags", json.dumps(TAGS[0]), "key=env,value="),
    ],
)
def test_lists_of_structures(agent: FakeAgent, run: Run, args: tuple[str, ...]) -> None:
    assert sent(agent, run, "run-task", "--task-definition", "web", *args)["tags"] == TAGS


def test_one_structure(agent: FakeAgent, run: Run) -> None:
    line = ("run-task", "--task-definition", "web", "--overrides")
    overrides = {"containerOverrides": [{"name": "web", "command": ["x"]}]}
    assert sent(agent, run, *line, json.dumps(overrides))["overrides"] == overrides
    assert sent(agent, run, *line, "cpu=512,memory=64")["overrides"] == {"cpu": "512", "memory": "64"}


def test_integers_in_shorthand(agent: FakeAgent, run: Run) -> None:
    line = (*REGISTER, "--container-definitions", json.dumps(CONTAINER))
    assert sent(agent, run, *line, "--ephemeral-storage", "sizeInGiB=21")["ephemeralStorage"] == {"sizeInGiB": 21}
    body = sent(agent, run, *REGISTER, "--container-definitions", "name=web,essential=true,stopTimeout=3")
    assert body["containerDefinitions"] == [{"name": "web", "essential": True, "stopTimeout": 3}]


def test_a_file_of_containers(agent: FakeAgent, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "containers.json").write_text(json.dumps([CONTAINER]))
    body = sent(agent, run, *REGISTER, "--container-definitions", "file://~/containers.json")
    assert body == {"family": "web", "containerDefinitions": [CONTAINER]}


def test_integers_and_switches(agent: FakeAgent, run: Run) -> None:
    line = ("run-task", "--task-definition", "web", "--client-token", "t")
    body = sent(agent, run, *line, "--count", "3", "--enable-ecs-managed-tags", "--no-enable-execute-command")
    assert body == {
        "taskDefinition": "web",
        "clientToken": "t",
        "count": 3,
        "enableECSManagedTags": True,
        "enableExecuteCommand": False,
    }


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("key=a,valu=b", "unknown member 'valu' (did you mean 'value'?)"),
        ("key=a,key=b", "'key' is given twice"),
        ("team", "cannot read 'team': it must be key=value,key=value, or JSON"),
        ("key=a value=b,=", "cannot read '=': it must be key=value,key=value, or JSON"),
        ("key=[a]", "cannot read 'key=[a]': it must be key=value,key=value, or JSON"),
        ("{", "cannot read it as JSON: line 1, column 2: expecting property name enclosed in double quotes"),
        ('[{"key": NaN}]', "cannot read it as JSON: NaN is no JSON number"),
        ("[" * 100_000, "cannot read it as JSON: it is nested too deeply"),
    ],
)
def test_values_that_are_no_structures(no_agent: str, run: Run, text: str, error: str) -> None:
    result = run("run-task", "--task-definition", "web", "--tags", text)
    assert result.status == 2
    assert result.err == f"supervisor run-task: invalid value for '--tags': {error}; see 'supervisor run-task --help'\n"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("name=a,stopTimeout=x", "'stopTimeout' must be an integer, not 'x'"),
        ("name=a,essential=yes", "'essential' must be true or false, not 'yes'"),
        ("name=a,command=x", "'command' has parts inside, which only JSON can say"),
    ],
)
def test_shorthand_knows_the_types(no_agent: str, run: Run, text: str, error: str) -> None:
    result = run(*REGISTER, "--container-definitions", text)
    assert result.status == 2
    assert f"invalid value for '--container-definitions': {error};" in result.err


def test_files_that_cannot_be_read(no_agent: str, run: Run, tmp_path: Path) -> None:
    latin = tmp_path / "latin.json"
    latin.write_bytes(b'{"family": "\xfc"}')
    broken = tmp_path / "broken.json"
    broken.write_text('{"family": "web",\n "cpu": }')
    for path, error in [
        (tmp_path / "none.json", f"cannot read {tmp_path}/none.json: No such file or directory"),
        (tmp_path, f"cannot read {tmp_path}: Is a directory"),
        (latin, f"cannot read {latin}: byte 13 is not UTF-8"),
        (broken, f"cannot read it as JSON: {broken}, line 2, column 9: expecting value"),
    ]:
        result = run("register-task-definition", "--cli-input-json", f"file://{path}")
        assert result.status == 2
        assert f"invalid value for '--cli-input-json': {error};" in result.err
        assert result.err.count("\n") == 1


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_skeleton_is_an_input_of_the_right_types(operation: str) -> None:
    import msgspec

    shape = OPERATIONS[operation]
    msgspec.convert({member.name: sample(member.type) for member in members_of(shape)}, shape)


def test_a_skeleton_shows_what_is_inside(no_agent: str, run: Run) -> None:
    skeleton = json.loads(run("register-task-definition", "--generate-cli-skeleton").out)
    [container] = skeleton["containerDefinitions"]
    assert container["dockerLabels"] == {"KeyName": ""}
    assert container["environment"] == [{"name": "", "value": ""}]
    assert container["stopTimeout"] == 0
    assert container["essential"] is True
