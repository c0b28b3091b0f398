from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from supervisor.cli import client, views
from supervisor.cli.client import Client
from supervisor.cli.progress import StopProgress
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_agent import ARN, FakeAgent, Stream, container_of, line_of, task_of


def untimed(text: str) -> list[str]:
    """The lines without seconds, which a loaded machine adds to; ``test_progress`` has them to the letter."""
    return re.sub(r"\d+\.\d s", "N s", text).splitlines()


REPLY = {"task": task_of("RUNNING", desiredStatus="STOPPED")}


def test_sends_what_the_line_says_and_prints_the_reply(agent: FakeAgent, run: Run) -> None:
    agent.answers.append((200, REPLY))

    result = run("stop-task", "--cluster", "default", "--task", ARN, "--reason", "new release")

    assert result == (0, json.dumps(REPLY, indent=4) + "\n", "")
    [request] = agent.requests
    assert request.path == "/"
    assert request.target == "AmazonEC2ContainerServiceV20141113.StopTask"
    assert request.body == {"cluster": "default", "task": ARN, "reason": "new release"}


def test_what_is_not_given_is_not_sent(agent: FakeAgent, run: Run) -> None:
    agent.answers.append((200, REPLY))
    assert run("stop-task", "--task", "1", "--output", "json").status == 0
    assert agent.bodies == [{"task": "1"}]


def test_an_empty_reason_and_one_that_looks_like_an_option_are_sent_word_for_word(agent: FakeAgent, run: Run) -> None:
    agent.answers.extend([(200, REPLY)] * 2)
    run("stop-task", "--task", "1", "--reason", "")
    run("stop-task", "--reason", "--task", "--task", "1")
    assert agent.bodies == [{"task": "1", "reason": ""}, {"task": "1", "reason": "--task"}]


def test_socket_on_the_line_wins_over_the_environment(
    agent: FakeAgent, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUPERVISOR_SOCKET", "/nowhere")
    agent.answers.append((200, REPLY))
    assert run("stop-task", "--task", "1", "--socket", agent.path).status == 0


def test_input_as_json_text(agent: FakeAgent, run: Run) -> None:
    agent.answers.append((200, REPLY))
    assert run("stop-task", "--cli-input-json", '{"task": "1", "reason": "text"}').status == 0
    assert agent.bodies == [{"task": "1", "reason": "text"}]


def test_input_from_a_file_and_the_line_wins(agent: FakeAgent, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "stop.json"
    file.write_text('{"task": "1", "reason": "grüße"}', encoding="utf-8")
    agent.answers.extend([(200, REPLY)] * 2)

    run("stop-task", "--cli-input-json", f"file://{file}")
    run("stop-task", "--cli-input-json", f"file://{file}", "--reason", "line")

    assert agent.bodies == [{"task": "1", "reason": "grüße"}, {"task": "1", "reason": "line"}]


def test_the_skeleton_needs_no_agent_and_no_required_option(no_agent: str, run: Run) -> None:
    result = run("stop-task", "--generate-cli-skeleton")
    assert result.status == 0
    assert json.loads(result.out) == {"cluster": "", "task": "", "reason": ""}


def test_the_skeleton_performs_nothing(agent: FakeAgent, run: Run) -> None:
    assert run("stop-task", "--task", "1", "--generate-cli-skeleton").status == 0
    assert agent.requests == []


def test_text_is_printed_as_it_is(agent: FakeAgent, run: Run) -> None:
    agent.answers.append((200, {"task": {"stoppedReason": "grüße ✓"}}))
    assert '"grüße ✓"' in run("stop-task", "--task", "1").out


def test_text_is_escaped_where_stdout_cannot_encode_it(
    agent: FakeAgent, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = io.BytesIO()
    agent.answers.append((200, {"task": {"stoppedReason": "grüße"}}))
    with io.TextIOWrapper(raw, encoding="ascii", write_through=True) as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert run("stop-task", "--task", "1").status == 0
        assert rb'"gr\u00fc\u00dfe"' in raw.getvalue()


@pytest.mark.parametrize(
    ("options", "headers"),
    [
        ((), {}),
        (("--force",), {"x-supervisor-stop-timeout": "0.000"}),
        (("--timeout", "0"), {"x-supervisor-stop-timeout": "0.000"}),
        (("--timeout", "90"), {"x-supervisor-stop-timeout": "90.000"}),
        (("--timeout", "0.25"), {"x-supervisor-stop-timeout": "0.250"}),
    ],
)
def test_the_time_for_this_stop_is_said_in_a_header_and_the_body_stays_ecs_s(
    agent: FakeAgent, run: Run, options: tuple[str, ...], headers: dict[str, str]
) -> None:
    agent.answers.append((200, REPLY))
    assert run("stop-task", "--task", "1", *options).status == 0
    [request] = agent.requests
    assert request.headers == headers
    assert request.body == {"task": "1"}


def test_a_stop_that_is_sent_again_says_its_time_again(agent: FakeAgent, run: Run) -> None:
    agent.answers.extend([None, (200, REPLY)])
    run("stop-task", "--task", "1", "--timeout", "5")
    assert [request.headers for request in agent.requests] == [{"x-supervisor-stop-timeout": "5.000"}] * 2


class TestWait:
    def test_a_window_that_is_cut_short_jumps(self, agent: FakeAgent, run: Run) -> None:
        told = "Killed 1.0 s after the stop signal: the main process did not exit in time"
        final = task_of("STOPPED", container_of("web", "STOPPED", exitCode=137, reason=told))
        running = task_of("RUNNING", container_of("web"))
        agent.answers.append((200, {"task": running}))
        before = line_of(running, windows={"web": (30, 29)})
        agent.streams.append(Stream([before, line_of(running, windows={"web": (1, 0)}), line_of(final)], "hold"))
        result = run("stop-task", "--task", "1", "--wait", "--force")
        assert result.status == 0
        assert result.err.splitlines()[-1] == "web: killed after 1.0 s (137)"

    def test_says_each_change_once_and_prints_the_last_record(self, agent: FakeAgent, run: Run) -> None:
        final = task_of(
            "STOPPED", container_of("web", "STOPPED", exitCode=0), container_of("db", "STOPPED", exitCode=3)
        )
        agent.answers.append((200, {"task": task_of("RUNNING", container_of("web"), container_of("db"))}))
        both = line_of(
            task_of("RUNNING", container_of("web"), container_of("db")), windows={"web": (30, 30), "db": (30, 30)}
        )
        one = line_of(
            task_of("RUNNING", container_of("web", "STOPPED", exitCode=0), container_of("db")), windows={"db": (30, 29)}
        )
        agent.streams.append(Stream([both, b"\n", both, one, line_of(final)], "hold"))

        result = run("stop-task", "--task", "0123", "--cluster", "default", "--wait")

        assert result.status == 0
        assert json.loads(result.out) == {"task": final}
        assert untimed(result.err) == [
            "web: running",
            "db: running",
            "web: stopping, SIGKILL in N s",
            "db: stopping, SIGKILL in N s",
            "web: exited 0 after N s",
            "db: exited 3 after N s",
        ]
        assert agent.requests[1].path == "/v1/tasks/watch?cluster=default&task=" + ARN.replace(":", "%3A").replace(
            "/", "%2F"
        )

    def test_goes_on_when_the_stream_breaks(self, agent: FakeAgent, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(client, "STREAM_PAUSE", 0.0)
        final = task_of("STOPPED", container_of("web", "STOPPED", exitCode=143))
        agent.answers.append((200, {"task": task_of("RUNNING", container_of("web"))}))
        before = line_of(task_of("RUNNING", container_of("web")), windows={"web": (30, 30)})
        agent.streams.extend([Stream([before], "cut"), Stream([before]), Stream([line_of(final)])])

        result = run("stop-task", "--task", "1", "--wait")

        assert (result.status, json.loads(result.out)) == (0, {"task": final})
        assert untimed(result.err) == [
            "web: running",
            "web: stopping, SIGKILL in N s",
            "web: exited 143 after N s",
        ]

    def test_a_task_that_is_stopped_already_is_not_watched(self, agent: FakeAgent, run: Run) -> None:
        reply = {"task": task_of("STOPPED", container_of("web", "STOPPED", exitCode=7))}
        agent.answers.append((200, reply))
        result = run("stop-task", "--task", "1", "--wait")
        assert (result.status, json.loads(result.out)) == (0, reply)
        assert result.err == "web: had ended before, exit code 7\n"

    def test_a_record_that_is_gone_ends_it(self, agent: FakeAgent, run: Run) -> None:
        agent.answers.append((200, {"task": task_of("RUNNING")}))
        agent.streams.append(Stream([{"tasks": [], "failures": [{"arn": ARN, "reason": "MISSING"}]}], "hold"))
        assert run("stop-task", "--task", "1", "--wait") == (
            1,
            "",
            f"supervisor: cannot follow the stop of {ARN}: the agent no longer has a record of it\n",
        )

    @pytest.mark.parametrize(
        ("options", "said"), [((), f"--tasks {ARN}"), (("--cluster", "prod"), f"--cluster prod --tasks {ARN}")]
    )
    def test_ctrl_c_ends_the_showing_and_says_so(
        self, agent: FakeAgent, run: Run, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], said: str
    ) -> None:
        def interrupted(*_: Any) -> Any:
            raise KeyboardInterrupt

        monkeypatch.setattr(Client, "watch", interrupted)
        agent.answers.append((200, {"task": task_of("RUNNING")}))
        assert run("stop-task", "--task", "1", "--wait", *options) == (
            130,
            "",
            f"supervisor: the stop goes on; 'supervisor wait tasks-stopped {said}' waits for its end\n",
        )


class TestDrawing:
    def draw(self, progress: StopProgress, now: float, **settings: Any) -> str:
        out = io.StringIO()
        console = Console(file=out, force_terminal=True, width=100, **settings)
        with views.drawn(progress, lambda: now, console) as view:
            view.refresh()
        return out.getvalue()

    def stopping(self) -> StopProgress:
        running = task_of("RUNNING", container_of("web"), container_of("[red]db"))
        progress = StopProgress(running, 100.0)
        windows = line_of(running, windows={"web": (4, 4)})["windows"]
        progress.take(running, windows, 100.0)
        return progress

    def test_shows_the_window_running_down_and_names_as_they_are(self) -> None:
        text = self.draw(self.stopping(), 101.0, color_system=None)
        assert "web" in text
        assert "3.0 s left" in text
        three_quarters = "━" * (views.BAR_WIDTH * 3 // 4)
        assert three_quarters + " " in text
        assert three_quarters + "━" not in text
        assert "[red]db" in text

    def test_shows_whose_turn_has_not_come(self) -> None:
        progress = self.stopping()
        running = task_of("RUNNING", container_of("web"), container_of("[red]db"))
        windows = line_of(running, windows={"web": (4, 3)})["windows"]
        progress.take(running, windows, 101.0, [{"containerName": "[red]db", "waitsFor": ["web"]}])
        assert "waits for web to stop" in self.draw(progress, 101.0, color_system=None)

    def test_shows_a_main_process_that_left_others_behind(self) -> None:
        progress = self.stopping()
        running = task_of("RUNNING", container_of("web", exitCode=0))
        progress.take(running, line_of(running, windows={"web": (4, 3)})["windows"], 101.0)
        assert "3.0 s left, main process exited 0" in self.draw(progress, 101.0, color_system=None)

    def test_shows_how_it_ended(self) -> None:
        progress = self.stopping()
        progress.take(task_of("STOPPED", container_of("web", "STOPPED", exitCode=137)), [], 104.0)
        text = self.draw(progress, 104.0, color_system=None)
        assert "STOPPED" in text
        assert "killed after 4.0 s (137)" in text
        assert "left" not in text

    def test_no_color_is_obeyed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        coloured = self.draw(self.stopping(), 101.0, color_system="truecolor")
        monkeypatch.setenv("NO_COLOR", "1")
        plain = self.draw(self.stopping(), 101.0, color_system="truecolor")
        assert "\x1b[38;" in coloured
        assert "\x1b[38;" not in plain

    @pytest.mark.parametrize(
        ("tty", "term", "drawn"),
        [(True, "xterm", True), (True, "dumb", False), (True, None, False), (False, "xterm", False)],
    )
    def test_is_for_terminals_that_can(
        self, monkeypatch: pytest.MonkeyPatch, tty: bool, term: str | None, drawn: bool
    ) -> None:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: tty)
        monkeypatch.delenv("TERM", raising=False)
        if term is not None:
            monkeypatch.setenv("TERM", term)
        assert views.can_draw() is drawn
