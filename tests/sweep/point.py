"""One point of a sweep: the supervisor lives through the story, is killed at that point, and is judged at the end."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import threading
import time
import traceback
from pathlib import Path

from tests.sweep.observer import Observer, SweptDaemon
from tests.sweep.points import Plan
from tests.sweep.story import Story, Violated
from tests.sweep.verdict import Verdict


@dataclasses.dataclass
class Outcome:
    """What came of one point."""

    plan: Plan
    reached: str
    """Its name; empty where the process came to its end without it."""
    violations: list[str]
    points: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    """The names of the points of each life that ended by itself: ``agent-1``, ``keeper-1``, …"""
    log: str = ""


def live(plan: Plan, seed: int, tracking: str) -> Outcome:
    """Live through one point, in a process that is for it alone: it becomes init to what is started."""
    daemon = SweptDaemon(tracking)
    Path(daemon.directory, "plan").write_text(json.dumps(plan))
    violations: list[str] = []
    observer = Observer(daemon)
    try:
        _live(observer, plan, seed, violations)
    except (AssertionError, Violated) as exc:
        violations.append(str(exc).partition("\n")[0])
    except Exception:  # noqa: BLE001  the sweep goes on, and tells of it
        violations.append(traceback.format_exc())
    finally:
        points = {path.name: path.read_text().splitlines() for path in Path(daemon.directory).glob("*-[0-9]")}
        killed = observer.killed()
        reached = killed[-1] if killed and len(killed) == len(plan.at) else ""
        outcome = Outcome(plan, reached, violations, points, _logs(daemon) if violations else "")
        daemon.abort()
        shutil.rmtree(daemon.runtime)
        observer.close()
    return outcome


def _live(observer: Observer, plan: Plan, seed: int, violations: list[str]) -> None:
    story = Story(observer, seed, time.monotonic)
    told = threading.Event()

    def tell() -> None:
        try:
            story.tell()
        except (AssertionError, Violated) as exc:
            violations.append(str(exc))
        except Exception:  # noqa: BLE001
            violations.append(traceback.format_exc())
        told.set()
        os.kill(os.getpid(), signal.SIGCHLD)  # wakes the observer

    observer.start()
    observer.serve(lambda: observer.ready)
    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    observer.serve(told.is_set)
    teller.join()
    _end(observer)
    if left := observer.daemon.left():
        violations.append(f"left behind: {left}")
    if observer.daemon.group and os.path.exists(observer.daemon.group):
        violations.append(f"cgroups are left behind: {os.listdir(observer.daemon.group)}")
    if left_in_memory := os.listdir(observer.daemon.runtime):
        violations.append(f"files are left behind: {left_in_memory}")
    if len(doors := _doors(observer.daemon)) > 1:
        violations.append(f"tasks find the agent at another address now: {doors}")
    violations += [f"it complains: {line}" for line in _logs(observer.daemon).splitlines() if _is_complaint(line)]
    violations += Verdict(observer, story.ran, plan.victim).violations()


def _end(observer: Observer) -> None:
    """Tell the supervisor to end, also the one that follows on one killed at its end."""
    while True:
        observer.serve(lambda: observer.ready)
        life = observer.lives[-1]
        observer.daemon.terminate()
        observer.serve(lambda life=life: life.ended_at is not None)  # type: ignore[misc]
        if life.status == 0:
            observer.daemon.popen = None
            return
        assert life.status == -signal.SIGKILL, f"told to end, it ended with status {life.status}"
        observer.start()


def _doors(daemon: SweptDaemon) -> set[str]:
    """Where the processes of tasks were told to find the agent."""
    lines = [json.loads(line) for line in _logs(daemon).splitlines() if line.startswith("{")]
    return {line["door"] for line in lines if line["event"] == "door_opened" and line["purpose"] == "inside"}


def _is_complaint(line: str) -> bool:
    """Whether it tells of a defect: what a kill brings about is told as such."""
    if not line.startswith("{"):
        return not line.startswith("-- ")
    told = json.loads(line)
    if told["event"] == "agent_failed":
        return bool("the keeper is gone" not in told["error"])
    return told["level"] in ("error", "critical") or told["event"] in ("step_failed", "frame_refused", "ledger_failed")


def _logs(daemon: SweptDaemon) -> str:
    logs = sorted(Path(daemon.directory).glob("*.log"))
    return "".join(f"-- {path.name} --\n{path.read_text(errors='replace')}" for path in logs)
