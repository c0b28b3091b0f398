"""What labels say of a stop, through the whole daemon: a command before the signal, and one signal after another."""

from __future__ import annotations

import pytest

from tests.conftest import PATIENCE
from tests.system.daemon import AMPLE, SOON, Daemon, Json

pytestmark = pytest.mark.system


def timeline(daemon: Daemon, arn: str) -> list[Json]:
    report = daemon.client.look("GetStopReport", "/v1/report", task=arn)
    entries: list[Json] = report["containers"][0]["timeline"]
    return entries


def test_a_command_comes_before_the_signal_and_its_window_is_seen(shared: Daemon) -> None:
    label = {"supervisor.pre-stop": 'echo "before $SUPERVISOR_CONTAINER_NAME"; echo "hook $$" >"$READY"; sleep 1000'}
    arn, main = shared.begin("graceful.py", "0", dockerLabels=label)
    shared.stop(arn)
    (hook,) = shared.hear("hook")
    for reply in shared.client.watch(None, [arn], PATIENCE):
        if reply["windows"]:
            assert AMPLE - SOON <= reply["windows"][0]["remaining"] <= AMPLE == reply["windows"][0]["stopTimeout"]
            break
    assert main.alive, "the signal waits for the command"
    hook.signal(9)
    task = shared.wait(arn)
    assert task["containers"][0]["exitCode"] == 0
    assert [entry["what"] for entry in timeline(shared, arn)] == [
        *("hook-started", "hook-ended", "signalled", "exited", "emptied")
    ]
    assert shared.cli("logs", arn).stdout == "before main\n"
    (line,) = shared.logged("hook_ended", task=arn[-32:])
    assert (line["exit_code"], line["level"]) == (137, "warning")


def test_one_signal_follows_on_another(shared: Daemon) -> None:
    arn, _ = shared.begin(
        "interrupted.py", dockerLabels={"supervisor.stop-signal": "SIGTERM:0.4,SIGINT:30"}, stopTimeout=0
    )
    shared.stop(arn)
    task = shared.wait(arn)
    assert 0.4 <= task["stoppedAt"] - task["stoppingAt"] + 0.01 < 0.4 + SOON
    sent = [entry["signal"] for entry in timeline(shared, arn) if entry["what"] == "signalled"]
    assert sent == ["SIGTERM", "SIGINT"]
    assert "reason" not in task["containers"][0]
