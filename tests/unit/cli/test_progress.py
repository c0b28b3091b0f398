from __future__ import annotations

from typing import Any

import pytest

from supervisor.cli.progress import StopProgress
from tests.unit.cli.fake_agent import container_of, line_of, task_of


def stop_of(*lines: tuple[float, dict[str, Any], tuple[float, float] | None]) -> StopProgress:
    """A stop of the container ``web``, asked for at 100.0; each line: instant, container, window."""
    progress = StopProgress(task_of("RUNNING", container_of("web")), 100.0)
    for now, container, window in lines:
        status = container["lastStatus"]
        windows = line_of(windows={"web": window} if window else None)["windows"]
        progress.take(task_of(status, container), windows, now)
    return progress


RUNNING = container_of("web")


def ended(**members: Any) -> dict[str, Any]:
    return container_of("web", "STOPPED", **members)


@pytest.mark.parametrize(
    ("end", "at", "text"),
    [
        (ended(exitCode=0), 100.4, "exited 0 after 0.4 s"),
        (ended(exitCode=143), 100.04, "exited 143 after 0.0 s"),
        (ended(exitCode=137), 103.0, "killed after 3.0 s (137)"),
        (ended(exitCode=137, reason="Killed 3.0 s after the stop signal"), 103.0, "killed after 3.0 s (137)"),
        (ended(exitCode=137), 102.95, "killed after 3.0 s (137)"),
        (ended(exitCode=137), 101.0, "exited 137 after 1.0 s"),
        (ended(exitCode=137, reason="Killed 1.0 s after the stop signal"), 101.0, "killed after 1.0 s (137)"),
        (ended(exitCode=0, reason="Killed 1.0 s after"), 101.0, "exited 0, what it left was killed after 1.0 s"),
        (ended(exitCode=0), 103.0, "exited 0, what it left was killed after 3.0 s"),
        (ended(), 100.2, "ended after 0.2 s, exit code not known"),
        (ended(exitCode=1, reason="bad\nnews"), 100.2, "exited 1 after 0.2 s: bad news"),
    ],
)
def test_how_it_ended(end: dict[str, Any], at: float, text: str) -> None:
    progress = stop_of((100.0, RUNNING, (3.0, 3.0)), (at, end, None))
    assert progress.done
    assert progress.containers[0].describe(at) == text


def test_the_time_is_counted_from_the_signal_and_not_from_when_we_heard_of_it() -> None:
    progress = stop_of((102.0, RUNNING, (3.0, 1.5)), (102.5, ended(exitCode=0), None))
    assert progress.containers[0].ended == "exited 0 after 2.0 s"


def test_without_a_window_the_time_is_counted_from_the_request() -> None:
    assert stop_of((100.3, ended(exitCode=0), None)).containers[0].ended == "exited 0 after 0.3 s"


def test_whose_signal_has_not_come_says_what_it_waits_for() -> None:
    progress = StopProgress(task_of("RUNNING", RUNNING), 100.0)
    [web] = progress.containers
    progress.take(task_of("RUNNING", RUNNING), [], 100.0, [{"containerName": "web", "waitsFor": ["app", "a\nb"]}])
    assert web.describe(101.0) == "waits for app, a b to stop"
    progress.take(task_of("RUNNING", RUNNING), [], 101.0, [{"containerName": "web", "waitsFor": []}])
    assert web.describe(101.0) == "pre-stop command runs"
    progress.take(task_of("RUNNING", RUNNING), line_of(windows={"web": (3, 3)})["windows"], 102.0)
    assert web.describe(102.0) == "stopping, SIGKILL in 3.0 s"


def test_who_was_never_started_is_not_said_to_have_ended() -> None:
    over = ended(reason="CannotStartContainerError: no such file")
    progress = StopProgress(task_of("RUNNING", over, container_of("db", "PENDING")), 100.0)
    web, db = progress.containers
    assert web.describe(100.0) == "was not running: CannotStartContainerError: no such file"
    progress.take(task_of("STOPPED", over, container_of("db", "STOPPED")), [], 100.1)
    assert db.describe(100.1) == "never started"


def test_a_second_stop_brings_the_deadline_forward() -> None:
    progress = stop_of(
        (100.0, RUNNING, (30.0, 30.0)), (101.0, RUNNING, (30.0, 1.0)), (102.0, ended(exitCode=137), None)
    )
    assert progress.containers[0].ended == "killed after 2.0 s (137)"


def test_the_end_is_taken_once() -> None:
    progress = stop_of((100.5, ended(exitCode=0), None), (109.0, ended(exitCode=0), None))
    assert progress.containers[0].ended == "exited 0 after 0.5 s"


def test_a_main_process_that_left_others_behind() -> None:
    [web] = stop_of((100.0, RUNNING, (3.0, 3.0)), (101.0, container_of("web", exitCode=0), (3.0, 2.0))).containers
    assert web.describe(101.0) == "main process exited 0, what it left is being stopped, SIGKILL in 2.0 s"


def test_the_window_never_has_less_than_nothing_left() -> None:
    [web] = stop_of((100.0, RUNNING, (3.0, 3.0))).containers
    assert web.remaining(101.0) == 2.0
    assert web.remaining(104.0) == 0.0
