from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import click
import pytest
from click.shell_completion import ShellComplete

from supervisor.cli import suggestions
from supervisor.cli.completion import Bash
from supervisor.cli.main import COMPLETION, supervisor
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_agent import FakeAgent

IDS = ["1" * 32, "2" * 32]
ARN = "arn:aws:ecs:local:000000000000:task/default/"
DEFINITION = "arn:aws:ecs:local:000000000000:task-definition/web:3"


def suggested(line: str) -> list[str]:
    *words, incomplete = line.split(" ")
    complete = ShellComplete(supervisor, {}, "supervisor", COMPLETION)
    return [item.value for item in complete.get_completions(words, incomplete)]


def two_tasks(agent: FakeAgent) -> None:
    described = [
        {"taskArn": ARN + IDS[0], "lastStatus": "RUNNING", "taskDefinitionArn": DEFINITION},
        {"taskArn": ARN + IDS[1], "lastStatus": "STOPPED", "taskDefinitionArn": DEFINITION},
    ]
    replies: list[dict[str, Any]] = [{"taskArns": [ARN + IDS[0]]}, {"taskArns": [ARN + IDS[1]]}, {"tasks": described}]
    agent.answers.extend((200, reply) for reply in replies)


def test_commands_and_options() -> None:
    assert suggested("st") == ["start-task", "stop-task", "stop-report"]
    assert suggested("wait tasks") == ["tasks-running", "tasks-stopped"]
    assert "--force" in suggested("stop-task ")
    assert suggested("stop-task --ti") == ["--timeout"]
    assert suggested("list-tasks --output ") == ["json", "yaml", "text", "table"]
    assert suggested("completion ") == ["bash", "zsh", "fish"]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("stop-task --task ", IDS[:1]),
        ("describe-tasks --tasks ", IDS),
        ("describe-tasks --tasks 2", IDS[1:]),
        ("describe-tasks --tasks x ", IDS),
        ("describe-tasks --tasks arn", [ARN + one for one in IDS]),
        ("wait tasks-stopped --tasks x y 1", IDS[:1]),
        ("stop-report ", IDS),
        ("history --output json 2", IDS[1:]),
        ("logs ", IDS),
    ],
)
def test_tasks_are_asked_of_the_agent(agent: FakeAgent, line: str, found: list[str]) -> None:
    two_tasks(agent)
    assert suggested(line) == found


def test_the_socket_on_the_line_is_asked(agent: FakeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISOR_SOCKET", "/nowhere")
    two_tasks(agent)
    assert suggested(f"stop-task --socket {agent.path} --task ") == IDS[:1]


def test_families_and_revisions(agent: FakeAgent) -> None:
    agent.answers.extend([(200, {"families": ["web", "worker"]}), (200, {"taskDefinitionArns": [DEFINITION]})])
    assert suggested("run-task --task-definition w") == ["web", "worker"]
    assert suggested("run-task --task-definition web:") == ["web:3"]
    assert agent.bodies == [{"familyPrefix": "w"}, {"familyPrefix": "web", "sort": "DESC"}]


def test_no_agent_no_suggestion_and_no_word(no_agent: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert suggested("stop-task --task ") == []
    assert capsys.readouterr() == ("", "")


def test_an_agent_that_refuses_is_silent(agent: FakeAgent) -> None:
    agent.answers.append((400, {"__type": "UnsupportedFeatureException", "message": "no"}))
    assert suggested("run-task --task-definition w") == []


def test_an_agent_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All requests share the time: when the first has used it up, there is no second."""
    monkeypatch.setattr(suggestions, "PATIENCE", 0.01)
    path = str(tmp_path / "hung.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        assert suggested(f"stop-task --socket {path} --task ") == []
        listener.setblocking(False)
        listener.accept()[0].close()
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_files(tmp_path: Path) -> None:
    for name in ("task.json", "tasks/web.json", ".hidden"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    line = "run-task --cli-input-json "
    assert suggested(line) == ["file://"]
    assert suggested(line + "fi") == ["file://"]
    assert suggested(line + "{") == []
    assert suggested(f"{line}file://{tmp_path}/") == [f"file://{tmp_path}/task.json", f"file://{tmp_path}/tasks/"]
    assert suggested(f"{line}file://{tmp_path}/.h") == [f"file://{tmp_path}/.hidden"]
    assert suggested(f"run-task --tags file://{tmp_path}/tasks/w") == [f"file://{tmp_path}/tasks/web.json"]
    assert suggested(f"{line}file://{tmp_path}/missing/") == []


@pytest.mark.parametrize(
    ("line", "incomplete", "value", "told"),
    [
        ("supervisor st", "st", "stop-task", "stop-task"),
        ("supervisor stop-task ", "", "--task", "--task"),
        ("supervisor x --a file:///u", "file:///u", "file:///usr/", "///usr/"),
        ("supervisor x --a=file:///u", "--a=file:///u", "file:///usr/", "///usr/"),
        ("supervisor x --t arn:aws:e", "arn:aws:e", "arn:aws:ecs:x", "ecs:x"),
        ("supervisor x --t 'two w", "two w", "two words", "two words"),
    ],
)
def test_bash_is_told_what_it_will_replace(
    monkeypatch: pytest.MonkeyPatch, line: str, incomplete: str, value: str, told: str
) -> None:
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_WORDBREAKS", " \t\n\"'><=;|&(:")
    bash = Bash(supervisor, {}, "supervisor", COMPLETION)
    assert bash.get_completion_args()[1] == incomplete
    assert bash.format_completion(click.shell_completion.CompletionItem(value)) == f"plain,{told}"


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_script(no_agent: str, run: Run, shell: str) -> None:
    result = run("completion", shell)
    assert (result.status, result.err) == (0, "")
    assert f"{COMPLETION}={shell}_complete" in result.out
