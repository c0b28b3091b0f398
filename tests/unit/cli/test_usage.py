from __future__ import annotations

import signal
import sys
import types
from typing import Any

import click
import pytest

from supervisor.cli.client import Client
from supervisor.cli.main import supervisor
from supervisor.errors import ConfigError, StoreError
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_agent import FakeAgent


def command_lines() -> list[tuple[str, ...]]:
    """Every command there is, and the groups."""
    context = click.Context(supervisor)
    lines: list[tuple[str, ...]] = [()]
    for name in supervisor.list_commands(context):
        command = supervisor.get_command(context, name)
        lines.append((name,))
        if isinstance(command, click.Group):
            inner = {one: command.get_command(context, one) for one in command.list_commands(context)}
            lines.extend((name, one) for one, found in inner.items() if found and not found.hidden)
    return lines


@pytest.mark.parametrize("line", command_lines(), ids=" ".join)
def test_help_of_every_command(no_agent: str, run: Run, line: tuple[str, ...]) -> None:
    result = run(*line, "--help")
    assert (result.status, result.err) == (0, "")
    assert result.out.startswith(f"Usage: {' '.join(('supervisor', *line))} [OPTIONS]")
    if line == ("completion",):
        assert "source <(supervisor completion bash)" in result.out
    elif line not in [(), ("wait",), ("demo",)]:  # these take nothing that an example could show
        assert f"Example:\n    {' '.join(('supervisor', *line))} --" in result.out


def test_help_describes_every_option(run: Run) -> None:
    for line in command_lines():
        command: click.Command | None = supervisor
        for name in line:
            assert isinstance(command, click.Group)
            command = command.get_command(click.Context(command), name)
        assert command is not None
        assert all(option.help for option in command.params if isinstance(option, click.Option)), line


def test_version(run: Run) -> None:
    from supervisor import __version__

    assert run("--version") == (0, f"graceful-supervisor {__version__}\n", "")


@pytest.mark.parametrize(
    ("line", "where", "error"),
    [
        ("", "", "missing command"),
        ("wait", " wait", "missing command"),
        ("stop-tsk", "", "no such command 'stop-tsk' (did you mean 'stop-task'?)"),
        ("fly", "", "no such command 'fly'"),
        ("wait tasks-stoped", " wait", "no such command 'tasks-stoped' (did you mean 'tasks-stopped'?)"),
        ("stop-task", " stop-task", "missing option '--task'"),
        ("stop-task --task", " stop-task", "option '--task' requires an argument"),
        ("stop-task --taks x", " stop-task", "no such option '--taks' (did you mean '--task'?)"),
        ("stop-task -x", " stop-task", "no such option '-x'"),
        ("stop-task --task x y", " stop-task", "got unexpected extra argument (y)"),
        ("stop-task --wait=1 --task x", " stop-task", "option '--wait' does not take a value"),
        (
            "stop-task --task x --timeout -1",
            " stop-task",
            "invalid value for '--timeout': -1.0 is not in the range x>=0",
        ),
        ("stop-task --task x --force --timeout 1", " stop-task", "'--force' is '--timeout 0': give one of the two"),
        (
            "stop-task --task x --output xml",
            " stop-task",
            "invalid value for '--output': 'xml' is not one of 'json', 'yaml', 'text', 'table'",
        ),
        ("stop-task --task \udcff", " stop-task", "invalid value for '--task': it is not UTF-8"),
        ("stop-report \udcff", " stop-report", "invalid value for 'TASK': it is not UTF-8"),
        ("history --cluster \udcff x", " history", "invalid value for '--cluster': it is not UTF-8"),
        ("logs \udcff", " logs", "invalid value for 'TASK': it is not UTF-8"),
        ("logs --container \udcff x", " logs", "invalid value for '--container': it is not UTF-8"),
        ("events --task \udcff", " events", "invalid value for '--task': it is not UTF-8"),
        (
            "logs --since x y",
            " logs",
            "invalid value for '--since': 'x' is no time as 2026-01-31T12:00:00Z, no Unix time, no duration as 1h30m",
        ),
        ("agent --config", " agent", "option '--config' requires an argument"),
        (
            'stop-task --cli-input-json {"taks":1}',
            " stop-task",
            "unknown member 'taks' in '--cli-input-json' (did you mean 'task'?)",
        ),
        ('stop-task --cli-input-json {"task":null}', " stop-task", "missing option '--task'"),
        (
            "stop-task --cli-input-json [1]",
            " stop-task",
            "invalid value for '--cli-input-json': it must be a JSON object such as {…}, not [1]",
        ),
        ("describe-tasks --tasks", " describe-tasks", "option '--tasks' requires at least one value"),
        ("describe-tasks --tasks --cluster x", " describe-tasks", "option '--tasks' requires at least one value"),
        ("describe-tasks -- a", " describe-tasks", "got unexpected extra argument (a)"),
        (
            "register-task-definition",
            " register-task-definition",
            "missing options '--family' and '--container-definitions'",
        ),
        ("run-task --count x", " run-task", "invalid value for '--count': 'x' is not a valid integer"),
        (
            "wait tasks-running --tasks a --timeout 0",
            " wait tasks-running",
            "invalid value for '--timeout': 0.0 is not in the range x>0",
        ),
    ],
)
def test_wrong_usage_is_one_line(agent: FakeAgent, run: Run, line: str, where: str, error: str) -> None:
    result = run(*line.split())
    assert (result.status, result.out) == (2, "")
    assert result.err == f"supervisor{where}: {error}; see 'supervisor{where} --help'\n"
    assert agent.requests == []


def test_a_refusal_is_one_line_in_the_words_of_aws(agent: FakeAgent, run: Run) -> None:
    error = {"__type": "InvalidParameterException", "message": "The referenced task was not found."}
    agent.answers.append((400, error))
    assert run("stop-task", "--task", "x") == (
        1,
        "",
        (
            "supervisor: An error occurred (InvalidParameterException) when calling the StopTask operation: "
            "The referenced task was not found.\n"
        ),
    )


def test_a_message_of_many_lines_stays_one_line(agent: FakeAgent, run: Run) -> None:
    agent.answers.append((500, {"__type": "ServerException", "message": "a\nb\x1b[2Jc"}))
    assert run("list-tasks").err.endswith(" operation: a b [2Jc\n")


def test_no_agent_names_the_socket_and_what_to_do(no_agent: str, run: Run) -> None:
    assert run("list-tasks") == (
        3,
        "",
        (
            f"supervisor: cannot reach the agent at {no_agent}: no such file or directory; start it with "
            "'supervisor agent', or name its socket with --socket or SUPERVISOR_SOCKET\n"
        ),
    )


def raising(error: BaseException) -> Any:
    def call(*_: object) -> None:
        raise error

    return call


def test_the_unexpected_is_one_line_and_no_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "call", raising(RuntimeError("a\nb")))
    result = run("list-tasks")
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith("supervisor: cannot go on: RuntimeError: a b (test_usage.py:")
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt(), 130), (BrokenPipeError(32, "pipe"), 141)])
def test_an_interrupt_and_a_closed_pipe_are_quiet(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int
) -> None:
    monkeypatch.setattr(Client, "call", raising(error))
    result = run("list-tasks")
    assert (result.status, result.out, result.err.strip()) == (status, "", "")


def test_output_that_cannot_be_written(agent: FakeAgent, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    agent.answers.append((200, {"taskArns": []}))
    monkeypatch.setattr(click, "echo", lambda text, err=False: None if not err else sys.stderr.write(text + "\n"))
    echo = click.echo

    def full(text: str, err: bool = False, nl: bool = True) -> None:
        if not err:
            raise OSError(28, "No space left on device")
        echo(text, err=True)

    monkeypatch.setattr(click, "echo", full)
    assert run("list-tasks") == (1, "", "supervisor: cannot write to standard output: No space left on device\n")


class TestAgent:
    def start(self, monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> list[tuple[Any, ...]]:
        """A daemon that keeps how it was started."""
        calls: list[tuple[Any, ...]] = []

        def start(*options: Any) -> None:
            calls.append(options)
            if error is not None:
                raise error

        daemon = types.ModuleType("supervisor.daemon")
        daemon.start = start  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "supervisor.daemon", daemon)
        monkeypatch.setattr(signal, "pthread_sigmask", lambda *_: set())  # the tests' own signals stay as they are
        return calls

    def test_hands_over_what_the_line_says(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = self.start(monkeypatch)
        monkeypatch.setenv("SUPERVISOR_SOCKET", "/env.sock")
        assert run("agent").status == 0
        line = ["--config", "c", "--state-dir", "d", "--socket", "s", "--listen", "l", "--task", "a", "--task", "b"]
        assert run("agent", *line).status == 0
        assert calls == [(None, None, None, None, ()), ("c", "d", "s", "l", ("a", "b"))]

    def test_a_wrong_configuration_is_wrong_usage(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        self.start(monkeypatch, ConfigError("cannot use agent.toml: unknown key"))
        assert run("agent") == (2, "", "supervisor: cannot use agent.toml: unknown key\n")

    def test_another_failure_is_one_line(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        self.start(monkeypatch, StoreError("cannot open the store"))
        assert run("agent") == (1, "", "supervisor: cannot open the store\n")
