"""Containers of one task in their order: started one after the other, stopped the other way round, run again."""

from __future__ import annotations

import itertools
import time

import pytest

from tests.conftest import PATIENCE
from tests.system.conftest import StartDaemon
from tests.system.daemon import MS, SOON, Daemon, Json

pytestmark = pytest.mark.system

NOW_AND_THEN = {"supervisor.restart-backoff": "0.2:0.4"}
POLICY = {"enabled": True}


def after(name: str, condition: str = "START") -> list[Json]:
    return [{"containerName": name, "condition": condition}]


def ends(daemon: Daemon, arn: str) -> dict[str, float]:
    """When each container of a stopped task was gone, by the runs that are kept."""
    runs = daemon.client.look("GetHistory", "/v1/history", task=arn)["runs"]
    return {run["container"]: run["stoppedAt"] for run in runs}


def test_a_container_waits_for_the_success_of_another(shared: Daemon) -> None:
    arn = shared.run(
        shared.container("graceful.py", "0", dependsOn=after("migrate", "SUCCESS")),
        shared.container("exits.py", "0", name="migrate", essential=False),
    )
    shared.hear("main", 2)
    task = shared.wait(arn, "RUNNING")
    assert [(one["lastStatus"], one.get("exitCode")) for one in task["containers"]] == [
        ("RUNNING", None),
        ("STOPPED", 0),
    ]
    shared.stop(arn)
    shared.wait(arn)


@pytest.mark.parametrize(("condition", "code"), [("SUCCESS", 3), ("COMPLETE", 3)])
def test_a_failure_is_an_end_and_no_success(shared: Daemon, condition: str, code: int) -> None:
    arn = shared.run(
        shared.container("graceful.py", "0", dependsOn=after("migrate", condition)),
        shared.container("exits.py", str(code), name="migrate", essential=False),
    )
    if condition == "COMPLETE":
        shared.wait(arn, "RUNNING")
        shared.stop(arn)
        shared.wait(arn)
        return
    task = shared.wait(arn)
    main, _ = task["containers"]
    assert task["stopCode"] == "TaskFailedToStart"
    assert main["reason"].endswith("container 'migrate', which it depends on, exited 3")
    assert "exitCode" not in main


def test_what_is_not_ready_in_time_is_not_waited_for(shared: Daemon) -> None:
    asked_at = time.monotonic()
    arn = shared.run(
        shared.container("graceful.py", "0", dependsOn=after("slow", "COMPLETE")),
        shared.container("graceful.py", "0", name="slow", essential=False, startTimeout=1),
    )
    task = shared.wait(arn)
    assert 1.0 - MS <= time.monotonic() - asked_at < 1.0 + SOON
    main, slow = task["containers"]
    assert "was not ready within its startTimeout of 1 s" in main["reason"]
    assert (task["stopCode"], slow["exitCode"]) == ("TaskFailedToStart", 0)


def chain(daemon: Daemon, **members: object) -> str:
    """web → app → db, and a branch; the ARN of the task, of which all containers run."""
    arn = daemon.run(
        daemon.container("graceful.py", "0", name="web", dependsOn=after("app"), **members),
        daemon.container("graceful.py", "0", name="app", dependsOn=after("db"), **members),
        daemon.container("graceful.py", "0", name="db", **members),
        daemon.container("graceful.py", "0", name="side", essential=False, dependsOn=after("db"), **members),
    )
    daemon.hear("main", 4)
    return arn


def test_a_stop_goes_the_other_way_round(shared: Daemon) -> None:
    arn = chain(shared)
    shared.stop(arn)
    task = shared.wait(arn)
    assert task["stoppedAt"] - task["stoppingAt"] < SOON, "nobody waits for more than the end of another"
    signalled = {line["container"]: line["timestamp"] for line in shared.logged("container_signalled", task=arn[-32:])}
    stopped = {line["container"]: line["timestamp"] for line in shared.logged("container_stopped", task=arn[-32:])}
    assert stopped["web"] <= signalled["app"]
    assert max(stopped["app"], stopped["side"]) <= signalled["db"]


def test_who_waits_for_a_stop_is_told_what_a_container_waits_for(shared: Daemon) -> None:
    arn = shared.run(
        shared.container("ignores.py", name="web", dependsOn=after("db"), stopTimeout=1),
        shared.container(
            "graceful.py", "0", name="db", stopTimeout=2, dockerLabels={"supervisor.pre-stop": "exec sleep 1000"}
        ),
    )
    shared.hear("main", 2)
    shared.stop(arn)
    told = []
    for reply in shared.client.watch(None, [arn], PATIENCE):
        told += [(one["containerName"], one["waitsFor"]) for one in reply["waiting"] if one["containerName"] == "db"]
        if reply["tasks"][0]["lastStatus"] == "STOPPED":
            break
    assert told[0] == ("db", ["web"])
    assert told[-1] == ("db", []), "its pre-stop command, which is given half of the window"


def test_a_budget_bounds_the_whole_task(shared: Daemon) -> None:
    budget = {"supervisor.stop-budget": "1.2"}
    arn = shared.run(
        shared.container("ignores.py", name="web", dependsOn=after("app"), dockerLabels=budget),
        shared.container("ignores.py", name="app", dependsOn=after("db")),
        shared.container("ignores.py", name="db"),
    )
    shared.hear("main", 3)
    shared.stop(arn)
    task = shared.wait(arn)
    assert 1.2 - 3 * MS <= task["stoppedAt"] - task["stoppingAt"] < 1.2 + SOON
    assert [one["exitCode"] for one in task["containers"]] == [137] * 3
    order = ends(shared, arn)
    assert sorted(order, key=order.__getitem__) == ["web", "app", "db"]


def test_the_end_of_the_supervisor_goes_by_the_same_order_within_its_budget(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(agent={"shutdown_timeout": 3})
    daemon.run(
        daemon.container("ignores.py", name="web", dependsOn=after("db")), daemon.container("ignores.py", name="db")
    )
    daemon.hear("main", 2)
    daemon.terminate()
    daemon.has_ended()
    web, db = (daemon.logged("container_stopped", container=name)[0]["timestamp"] for name in ("web", "db"))
    assert web < daemon.logged("container_signalled", container="db")[0]["timestamp"] < db


def test_a_stop_under_way_has_to_share_the_budget_of_the_end_of_the_supervisor(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(agent={"shutdown_timeout": 3})
    arn = daemon.run(
        daemon.container("ignores.py", name="web", dependsOn=after("db")), daemon.container("graceful.py", name="db")
    )
    daemon.hear("main", 2)
    daemon.stop(arn)
    daemon.terminate()
    daemon.has_ended()
    stopped = {one["container"]: one["exit_code"] for one in daemon.logged("container_stopped")}
    assert stopped == {"web": 137, "db": 7}


def test_a_run_that_ends_is_followed_by_others_until_a_stop(daemon: Daemon) -> None:
    arn = daemon.run(daemon.container("exits.py", "4", restartPolicy=POLICY, dockerLabels=NOW_AND_THEN))
    daemon.hear("main", 2)
    daemon.kill_agent()  # it takes up what was to be done, and starts nothing twice
    daemon.hear("main", 2)
    daemon.stop(arn)
    task = daemon.wait(arn)
    assert task["containers"][0]["exitCode"] in (4, 143), "the stop can come between two runs, or in the last"
    runs = daemon.client.look("GetHistory", "/v1/history", task=arn)["runs"]
    assert [run["number"] for run in runs] == list(range(1, len(runs) + 1))
    assert len(runs) >= 4
    assert {run["exitCode"] for run in runs[:-1]} == {4}
    assert [run["restarted"] for run in runs[:-1]] == [True] * (len(runs) - 1)
    for earlier, later in itertools.pairwise(runs):
        assert later["startedAt"] >= earlier["stoppedAt"], "one after the other"


def test_a_stop_ends_the_pause_before_a_run(shared: Daemon) -> None:
    labels = {"supervisor.restart-backoff": "600:600"}
    arn = shared.run(shared.container("exits.py", "4", restartPolicy=POLICY, dockerLabels=labels))
    shared.until(lambda: shared.logged("container_restarting", task=arn[-32:]) or None, "a restart that waits")
    assert shared.task(arn)["lastStatus"] == "RUNNING"
    shared.stop(arn)
    task = shared.wait(arn, timeout=PATIENCE)
    assert task["stoppedAt"] - task["stoppingAt"] < SOON
    assert task["containers"][0]["exitCode"] == 4


def test_a_run_that_has_lasted_long_enough_is_stopped(shared: Daemon) -> None:
    arn = shared.run(shared.container("graceful.py", "0", dockerLabels={"supervisor.max-runtime": "0.5"}))
    task = shared.wait(arn)
    assert 0.5 - MS <= task["executionStoppedAt"] - task["startedAt"] < 0.5 + SOON
    (main,) = task["containers"]
    assert main["exitCode"] == 0
    assert main["reason"] == "Stopped after 0.5 s, its supervisor.max-runtime"
