"""``check-stop`` before there is an agent, and one run of it against a small agent of our own."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from supervisor.cli import check_run, check_stop, private
from supervisor.cli.check_run import Plan, check_once
from supervisor.cli.client import Client
from supervisor.cli.failures import AgentNotStarted, CommandError
from supervisor.cli.private import PrivateAgent
from supervisor.cli.readiness import LogProbe, Probe
from supervisor.cli.verdict import CheckedRun, Verdict
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_agent import ARN, FakeAgent, Stream, container_of, line_of, task_of


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("", "missing argument '-- COMMAND...'"),
        ("--", "missing argument '-- COMMAND...'"),
        ("--timeout 0 -- x", "invalid value for '--timeout': '0' is no number of seconds above 0 and up to 86400"),
        ("--timeout nan -- x", "invalid value for '--timeout': 'nan' is no number of seconds above 0 and up to 86400"),
        ("--timeout 1e9 -- x", "invalid value for '--timeout': '1e9' is no number of seconds above 0 and up to 86400"),
        ("--ready-timeout x -- x", "invalid value for '--ready-timeout': 'x' is no number of seconds above 0"),
        ("--signal SIGFOO -- x", "invalid value for '--signal': 'SIGFOO' is no signal"),
        ("--signal KILL -- x", "invalid value for '--signal': 'KILL' cannot be handled"),
        ("--ready-tcp http -- x", "invalid value for '--ready-tcp': 'http' has no port from 1 to 65535"),
        ("--ready-http localhost -- x", "invalid value for '--ready-http': 'localhost' is no URL of a server"),
        ("--ready-log ( -- x", "invalid value for '--ready-log': '(' is no regular expression"),
        ("--ready-log x --ready-tcp 1 -- x", "exclude each other; give one of them"),
        ("--ready-log x --ready-after 1 -- x", "exclude each other; give one of them"),
        ("--runs 0 -- x", "invalid value for '--runs': 0 is not in the range 1<=x<=1000"),
        ("--exit-code 256 -- x", "invalid value for '--exit-code': 256 is not in the range 0<=x<=255"),
        ("--output xml -- x", "invalid value for '--output': 'xml' is not one of 'text', 'json'"),
        ("--junit /no/such/file -- x", "invalid value for '--junit': '/no/such/file' is no file in a directory that"),
        ("--junit /tmp -- x", "invalid value for '--junit': '/tmp' is no file in a directory that exists"),
        ("--redy-tcp 1 -- x", "no such option '--redy-tcp' (did you mean '--ready-tcp'?)"),
    ],
)
def test_wrong_usage_names_the_option(run: Run, line: str, error: str) -> None:
    result = run("check-stop", *line.split())
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith("supervisor check-stop: ")
    assert error in result.err
    assert result.err.endswith("see 'supervisor check-stop --help'\n")


def test_an_empty_name_is_refused(run: Run) -> None:
    result = run("check-stop", "--", "")
    assert result.status == 2
    assert "the program's name is empty" in result.err


def test_an_argument_that_cannot_be_passed_on(run: Run) -> None:
    result = run("check-stop", "--", "echo", os.fsdecode(b"\xff"))
    assert result.status == 3
    assert r"cannot pass on the argument '\udcff': it is not UTF-8" in result.err


def test_text_is_utf_8_whatever_the_locale_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsencode", lambda text: text.encode("latin-1"))
    monkeypatch.setattr(os, "environ", {"A": "hÃ¤llo"})
    (container,) = check_stop._definition(["echo"], "SIGQUIT", 5.0)["containerDefinitions"]
    assert container["environment"] == [{"name": "A", "value": "hällo"}]


def test_the_definition_has_what_the_caller_has(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = {"PATH": "/bin", "EMPTY": "", "ODD": os.fsdecode(b"\xff"), "SUPERVISOR_X": "1", "SUPERVISOR_SOCKET": "/s"}
    monkeypatch.setattr(os, "environ", environ)
    definition = check_stop._definition(["echo", "--help"], "SIGQUIT", 5.0)
    (container,) = definition["containerDefinitions"]
    assert container["command"] == ["echo", "--help"]
    assert container["environment"] == [{"name": "PATH", "value": "/bin"}, {"name": "EMPTY", "value": ""}]
    assert container["workingDirectory"] == os.getcwd()
    assert container["dockerLabels"] == {"supervisor.stop-signal": "SIGQUIT"}
    assert container["stopTimeout"] == 5
    told = capsys.readouterr().err.splitlines()
    assert told == [
        "supervisor: left out of the command's environment: 'SUPERVISOR_X' (SUPERVISOR_* is the agent's)",
        "supervisor: left out of the command's environment: 'ODD' (not UTF-8)",
    ]


def test_an_environment_that_is_too_large(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"A": "1", "BIG": "x" * 2**20})
    result = run("check-stop", "--", "true")
    assert (result.status, result.out) == (3, "")
    assert "at most 1048576 are taken; the largest variable is BIG" in result.err


def test_a_result_that_cannot_be_told_is_no_verdict(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: str) -> None:
        raise CommandError("cannot write to standard output: No space left on device")

    monkeypatch.setattr(check_stop, "private_agent", NoAgent)
    monkeypatch.setattr(check_stop, "print_line", refuse)
    result = run("check-stop", "--", "true")
    assert (result.status, result.err) == (3, "supervisor: cannot write to standard output: No space left on device\n")


@pytest.mark.parametrize("timeout", [None, 0.5])
def test_a_window_that_ecs_cannot_say_is_the_agents(timeout: float | None) -> None:
    (container,) = check_stop._definition(["true"], "SIGTERM", timeout)["containerDefinitions"]
    assert "stopTimeout" not in container


# one run

REPORT = {"taskArn": ARN, "containers": [{"name": "command", "outcome": "graceful", "exitCode": 0, "seconds": 0.1}]}


@pytest.fixture
def private_one(agent: FakeAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PrivateAgent:
    monkeypatch.setattr(check_run, "STUCK_TIMEOUT", 0.01)
    return PrivateAgent(1, Client(agent.path, pause=lambda _: None), str(tmp_path))


def plan(probe: Probe | None = None, *, ready_timeout: float = 10.0, program: str = "server") -> Plan:
    definition = {"containerDefinitions": [{"command": [program]}]}
    return Plan(definition, "SIGTERM", frozenset(), probe, 0.001, ready_timeout)


def record(status: str, desired: str = "RUNNING", **container: Any) -> dict[str, Any]:
    return task_of(status, container_of("command", status, **container), desiredStatus=desired)


def written(agent: PrivateAgent, text: str) -> None:
    path = Path(agent.log_file(ARN, "command"))
    path.parent.mkdir(parents=True)
    path.write_text(text)


def answer(agent: FakeAgent, *lines: dict[str, Any], when_stopped: list[Any] | None = None) -> None:
    """RunTask and StopTask, the stream, and the report."""
    agent.answers.extend([(200, {"tasks": [record("PENDING")]}), (200, {"task": record("RUNNING", "STOPPED")})])
    agent.streams.append(Stream(list(lines), "hold", when_stopped or []))
    agent.streams.append((200, REPORT))


def test_a_run_is_started_stopped_and_judged(agent: FakeAgent, private_one: PrivateAgent) -> None:
    over = line_of(record("STOPPED", "STOPPED", exitCode=0))
    stopping = line_of(record("RUNNING", "STOPPED"), windows={"command": (30.0, 29.9)})
    answer(agent, line_of(record("PENDING")), line_of(record("RUNNING")), when_stopped=[stopping, over])
    written(private_one, "ready\n" + "".join(f"line {number}\n" for number in range(30)))
    done = check_once(plan(LogProbe.parse("ready")), private_one, 1)
    assert (done.verdict, done.reason, done.seconds) == (Verdict.GRACEFUL, "exited with code 0", 0.1)
    assert done.ready_after is not None
    assert list(done.log) == [f"line {number}" for number in range(10, 30)]
    assert [request.target.rpartition(".")[2] for request in agent.requests if request.method == "POST"] == [
        "RunTask",
        "StopTask",
    ]
    assert agent.requests[-1].path.startswith("/v1/report?task=arn")


def test_what_does_not_go_is_judged_as_it_is(agent: FakeAgent, private_one: PrivateAgent) -> None:
    stopping = line_of(record("RUNNING", "STOPPED"), windows={"command": (0.01, 0.01)})
    answer(agent, line_of(record("RUNNING")), when_stopped=[stopping])
    agent.streams[-1] = (200, {"containers": [{"name": "command", "outcome": "running"}]})
    done = check_once(plan(), private_one, 1)
    assert (done.verdict, done.reason) == (Verdict.NOT_GRACEFUL, "not even SIGKILL has ended it so far")


def early(agent: FakeAgent, private_one: PrivateAgent, **plan_of: Any) -> CheckedRun:
    agent.streams[0] = agent.streams[0]._replace(after="end")  # type: ignore[union-attr]
    return check_once(plan(LogProbe.parse("ready"), **plan_of), private_one, 1)


@pytest.mark.parametrize(
    ("container", "program", "reason"),
    [
        ({"exitCode": 1}, "server", "exited with code 1 before it was ready"),
        (
            {"exitCode": 0},
            "server",
            "exited with code 0 before it was ready; if it goes into the background, have it stay in the foreground",
        ),
        (
            {"exitCode": 137, "reason": "OutOfMemory"},
            "server",
            "exited with code 137 before it was ready (OutOfMemory)",
        ),
        ({"reason": "exec: ENOENT"}, "server", "'server' was not started: exec: ENOENT"),
        (
            {"reason": "exec: ENOENT"},
            "server -x",
            f"'server -x' was not started: exec: ENOENT; {check_run.SHELL_HINT}",
        ),
        ({}, "server", "'server' was not started: no reason is recorded"),
    ],
)
def test_an_early_end(
    agent: FakeAgent, private_one: PrivateAgent, container: dict[str, Any], program: str, reason: str
) -> None:
    answer(agent, line_of(record("STOPPED", "STOPPED", **container)))
    written(private_one, "hm\n")
    done = early(agent, private_one, program=program)
    assert (done.verdict, done.reason, done.exit_code) == (Verdict.NOT_TRIED, reason, container.get("exitCode"))
    assert done.log == ["hm"]


def test_never_ready(agent: FakeAgent, private_one: PrivateAgent) -> None:
    answer(agent, line_of(record("RUNNING")))
    written(private_one, "hm\n")
    done = check_once(plan(LogProbe.parse("ready"), ready_timeout=0.001), private_one, 1)
    assert (done.verdict, done.log) == (Verdict.NOT_TRIED, ["hm"])
    assert done.reason == "not ready within 0.001 s: no line of its output matched 'ready'"


def test_never_started(agent: FakeAgent, private_one: PrivateAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_run, "START_TIMEOUT", 0.001)
    answer(agent, line_of(record("PENDING")))
    done = check_once(plan(), private_one, 1)
    assert (done.verdict, done.reason) == (Verdict.NOT_TRIED, "not started within 0.001 s")


def test_no_room_for_the_task(agent: FakeAgent, private_one: PrivateAgent) -> None:
    agent.answers.append((200, {"tasks": [], "failures": [{"reason": "RESOURCE:MEMORY"}]}))
    with pytest.raises(CommandError, match="cannot start the command: RESOURCE:MEMORY"):
        check_once(plan(), private_one, 1)


def test_an_agent_that_goes_away_is_told(agent: FakeAgent, private_one: PrivateAgent) -> None:
    answer(agent)
    agent.streams.clear()
    agent.streams.extend([Stream([])] * 12)
    with pytest.raises(CommandError, match="it keeps closing the stream"):
        check_once(plan(), private_one, 1)


# all of them


class NoAgent:
    def __init__(self, *_: object) -> None:
        raise AgentNotStarted("cannot start a private agent: no memory")


def test_an_agent_that_does_not_start_is_told_in_every_format(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(check_stop, "private_agent", NoAgent)
    result = run("check-stop", "--output", "json", "--junit", str(tmp_path / "x.xml"), "--runs", "2", "--", "true")
    assert result.status == 3
    document = json.loads(result.out)
    assert (document["verdict"], document["exitStatus"]) == ("not-tried", 3)
    assert document["runs"][0]["reason"] == "cannot start a private agent: no memory"
    assert b'<error message="cannot start a private agent: no memory"' in (tmp_path / "x.xml").read_bytes()
    result = run("check-stop", "--", "true")
    assert result.out.splitlines() == [
        "run 1: NOT TRIED: cannot start a private agent: no memory",
        "NOT TRIED: 1 of 1 run",
    ]


# where the private agent lives


def test_a_directory_whose_sockets_would_have_too_long_a_path_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(long))
    monkeypatch.setattr(private, "OTHER_PLACES", ("/nonexistent", "/tmp"))
    made = Path(private._make_directory())
    assert made.parent == Path("/tmp")
    assert made.stat().st_mode & 0o777 == 0o700
    made.rmdir()
    monkeypatch.setattr(private, "OTHER_PLACES", ("/nonexistent",))
    with pytest.raises(AgentNotStarted, match=r"/nonexistent: No such file.*; set TMPDIR to .* of up to 71 bytes"):
        private._make_directory()
    monkeypatch.setattr(private, "OTHER_PLACES", ())
    with pytest.raises(AgentNotStarted, match="x is too long for the path of a unix socket"):
        private._make_directory()
