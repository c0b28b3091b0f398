"""How replies are printed. What is expected of ``json`` and ``text`` was printed by aws-cli 1.46.3's own formatters."""

from __future__ import annotations

import io
import json
import re
import sys
from typing import Any

import pytest
import yaml

from supervisor.cli.formats import FORMATS, Page
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_agent import FakeAgent

REPLY = {
    "tasks": [
        {
            "attachments": [],
            "containers": [
                {"name": "web", "exitCode": 137, "networkBindings": [{"containerPort": 80, "bindIP": "0.0.0.0"}]},
                {"name": "grüße", "reason": "not started"},
            ],
            "createdAt": 1563421494.186,
            "enableExecuteCommand": False,
            "overrides": {"containerOverrides": [{"name": "web", "command": ["sh", "-c"]}, {"name": "grüße"}]},
            "taskArn": "arn:1",
            "version": 3,
        },
        {"taskArn": "arn:2", "stoppedReason": "two\twords", "overrides": {}},
    ],
    "failures": [{"arn": "arn:3", "reason": "MISSING"}, {"arn": "arn:4", "reason": "MISSING"}],
}
TEXT = (
    "FAILURES\tarn:3\tMISSING\nFAILURES\tarn:4\tMISSING\nTASKS\t1563421494.186\tFalse\t\tarn:1\t3\nCONTAINERS\t137\tweb\t\n"
    "NETWORKBINDINGS\t0.0.0.0\t80\nCONTAINERS\t\tgrüße\tnot started\nCONTAINEROVERRIDES\tweb\nCOMMAND\tsh\n"
    "COMMAND\t-c\nCONTAINEROVERRIDES\tgrüße\nTASKS\t\t\ttwo\twords\tarn:2\t\n"
)
TABLE = """\
tasks
┌──────────────────────┬────────────────┐
│ createdAt            │ 1563421494.186 │
│ enableExecuteCommand │ False          │
│ taskArn              │ arn:1          │
│ version              │ 3              │
└──────────────────────┴────────────────┘
  containers
  ┌──────────┬─────┐
  │ name     │ web │
  │ exitCode │ 137 │
  └──────────┴─────┘
    networkBindings
    ┌───────────────┬─────────┐
    │ containerPort │ 80      │
    │ bindIP        │ 0.0.0.0 │
    └───────────────┴─────────┘
  containers
  ┌────────┬─────────────┐
  │ name   │ grüße       │
  │ reason │ not started │
  └────────┴─────────────┘
  containerOverrides
  ┌──────┬─────┐
  │ name │ web │
  └──────┴─────┘
    command
    ┌────┐
    │ sh │
    │ -c │
    └────┘
  containerOverrides
  ┌──────┬───────┐
  │ name │ grüße │
  └──────┴───────┘
tasks
┌───────────────┬───────────┐
│ taskArn       │ arn:2     │
│ stoppedReason │ two words │
└───────────────┴───────────┘
failures
┌───────┬─────────┐
│ arn   │ reason  │
├───────┼─────────┤
│ arn:3 │ MISSING │
│ arn:4 │ MISSING │
└───────┴─────────┘
"""


def formatted(output: str, value: Any, *, ascii_only: bool = False, width: int | None = None) -> str:
    return FORMATS[output](value, Page("ListTasks", ascii_only, width))


@pytest.mark.parametrize(
    ("value", "text", "as_json"),
    [
        (["a", "b"], "a\tb\n", '[\n    "a",\n    "b"\n]\n'),
        (
            {"taskArns": ["a", "b"]},
            "TASKARNS\ta\nTASKARNS\tb\n",
            '{\n    "taskArns": [\n        "a",\n        "b"\n    ]\n}\n',
        ),
        ({"taskArns": []}, "", '{\n    "taskArns": []\n}\n'),
        (None, "None\n", "null\n"),
        ("x", "x\n", '"x"\n'),
        ([], "", "[]\n"),
        ({}, "", ""),
        (True, "True\n", "true\n"),
        ([["a", 1], ["b", None]], "a\t1\nb\tNone\n", None),
        ([[["a"], ["b"]], "c"], "c\na\nb\n", None),
        ({"NextToken": {"NextToken": "t"}}, "NEXTTOKEN\tt\n", None),
        ([{"a": {}}, {"a": 1, "b": 2}], "{}\t\n1\t2\n", None),
        (REPLY, TEXT, json.dumps(REPLY, indent=4, ensure_ascii=False) + "\n"),
    ],
)
def test_json_and_text_are_the_bytes_of_aws(value: Any, text: str, as_json: str | None) -> None:
    assert formatted("text", value) == text
    if as_json is not None:
        assert formatted("json", value) == as_json


def test_a_list_of_all_sorts_is_told_all_the_same() -> None:
    """Here the stock formatter fails."""
    assert formatted("text", [{"a": 1}, "b", ["c"]]) == "1\nb\nc\n"


def test_yaml_is_read_back_as_it_was_and_keeps_the_order() -> None:
    text = formatted("yaml", REPLY)
    assert yaml.safe_load(text) == REPLY
    assert text.startswith("tasks:\n- attachments: []\n  containers:\n  - name: web\n")
    assert "name: grüße\n" in text
    assert formatted("yaml", "x") == '"x"\n'
    assert "gr\\xFC" in formatted("yaml", REPLY, ascii_only=True)


def test_tables() -> None:
    assert formatted("table", REPLY) == TABLE
    assert formatted("table", {"taskArns": ["a"]}, ascii_only=True) == "taskArns\n+---+\n| a |\n+---+\n"
    assert (
        formatted("table", [["a", 1], ["b"]], ascii_only=True)
        == "ListTasks\n+-------+\n| a | 1 |\n| b |   |\n+-------+\n"
    )
    assert formatted("table", "x", ascii_only=True) == "ListTasks\n+---+\n| x |\n+---+\n"
    assert formatted("table", {"taskArns": []}) == ""
    assert formatted("table", None) == ""


def test_a_table_fits_the_terminal_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    drawn = formatted("table", {"taskArns": ["x" * 70]}, ascii_only=True, width=40)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", drawn).splitlines()
    assert max(map(len, lines)) <= 40
    assert "".join(lines).count("x") == 70


def test_no_control_character_reaches_the_terminal_through_a_table() -> None:
    assert "\x1b" not in formatted("table", {"taskArns": ["a\x1b[31mb"]})


class TestCommands:
    @pytest.mark.parametrize("output", ["json", "text", "yaml", "table"])
    def test_output_on_the_line(self, agent: FakeAgent, run: Run, output: str) -> None:
        agent.answers.append((200, REPLY))
        result = run("describe-tasks", "--tasks", "1", "--output", output)
        assert (result.status, result.out, result.err) == (0, formatted(output, REPLY), "")

    def test_output_from_the_environment_and_the_line_wins(
        self, agent: FakeAgent, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SUPERVISOR_OUTPUT", "text")
        agent.answers.extend([(200, REPLY)] * 2)
        assert run("describe-tasks", "--tasks", "1").out == TEXT
        assert run("describe-tasks", "--tasks", "1", "--output", "json").out.startswith("{\n")

    def test_a_wrong_word_in_the_environment_is_wrong_usage(
        self, agent: FakeAgent, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SUPERVISOR_OUTPUT", "xml")
        result = run("describe-tasks", "--tasks", "1")
        assert result.status == 2
        assert "'xml' is not one of 'json', 'yaml', 'text', 'table'" in result.err
        assert agent.requests == []

    @pytest.mark.parametrize("output", ["text", "yaml", "table"])
    def test_what_stdout_cannot_encode_is_escaped(
        self, agent: FakeAgent, run: Run, monkeypatch: pytest.MonkeyPatch, output: str
    ) -> None:
        raw = io.BytesIO()
        agent.answers.append((200, {"task": {"stoppedReason": "grüße"}}))
        with io.TextIOWrapper(raw, encoding="ascii", write_through=True) as stdout:
            monkeypatch.setattr(sys, "stdout", stdout)
            assert run("stop-task", "--task", "1", "--output", output).status == 0
            assert rb"gr\xfc" in raw.getvalue().lower()

    def test_a_skeleton_is_json_whatever_the_output(self, no_agent: str, run: Run) -> None:
        assert json.loads(run("stop-task", "--generate-cli-skeleton", "--output", "text").out)["task"] == ""
