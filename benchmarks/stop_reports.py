"""Whether looking at why processes do not stop makes the kill of 200 of them, due at one time, later.

Usage: ``make bench-reports``. Keepers that look and keepers that do not take turns, so that what else the machine
does meets both alike. In each turn 200 programs that ignore SIGTERM are told to stop in one write; the moment
that each dies is seen from outside, by pidfds, and set against the deadline that the keeper told beforehand. A line
for each kind: median, 99th percentile and latest, in milliseconds after the deadline, and the ratio of the two.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from supervisor import wire
from tests.process import observed
from tests.process.harness import Keeper

PROCESSES = 200
TASKS = 20
WINDOW = 1.5
"""Seconds: time enough for all of them to be told before the first is killed."""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--tracking", choices=["cgroup", "descent", "auto"], default="auto")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # 200 programs are not to be left behind
    late: dict[str, list[float]] = {"without": [], "with": []}
    seen, tracking = 0, chosen.tracking
    with tempfile.TemporaryDirectory(prefix="bench-reports-") as directory, observed.subreaper():
        program = f"{directory}/stubborn"
        subprocess.run(["gcc", "-O1", "-o", program, Path(__file__).with_name("stubborn.c")], check=True)
        for number in range(chosen.rounds):
            for name in late if number % 2 else reversed(late):
                keeper = Keeper(chosen.tracking, look=name == "with")
                try:
                    keeper.greet()
                    tracking = keeper.listed().tracking
                    lateness, looked = stop_all(keeper, program)
                    keeper.end()
                except BaseException:
                    keeper.abort()
                    raise
                late[name] += lateness
                seen += looked
    sys.stdout.write(f"SIGKILL of {PROCESSES} processes, {chosen.rounds} rounds, {tracking}: death after deadline\n")
    base = figures(late["without"])
    for name, times in late.items():
        columns = (f"{what} {ms:6.2f} ms ({ms / base[what]:4.2f} ×)" for what, ms in figures(times).items())
        sys.stdout.write(f"  {name:<8} reports   {'   '.join(columns)}\n")
    sys.stdout.write(f"  seen before their kill: {seen} of {len(late['with'])}\n")
    return 0


def figures(times: list[float]) -> dict[str, float]:
    """What is told of a keeper."""
    return {"median": statistics.median(times), "p99": statistics.quantiles(times, n=100)[98], "max": max(times)}


def stop_all(keeper: Keeper, program: str) -> tuple[list[float], int]:
    """Start them, stop them; how late each was, in milliseconds, and how many of them were seen before."""
    tasks = [os.urandom(16).hex() for _ in range(TASKS)]
    runs = [
        keeper.start(program, task=tasks[number % TASKS], container=f"c{number}", log_driver="none", timeout=WINDOW)
        for number in range(PROCESSES)
    ]
    pids = {run: keeper.wait(wire.Spawned, run).pid for run in runs}
    for pid in pids.values():
        observed.until(lambda pid=pid: ignores(pid, signal.SIGTERM), "a program that is ready")  # type: ignore[misc]
    died_at = watch(list(pids.values()), lambda: keeper.send(*(wire.Stop(run, None) for run in runs)))
    for run in runs:
        keeper.wait(wire.Emptied, run)
    deadlines = {run: keeper.find(wire.Signalled, run)[0].deadline for run in runs}
    looked = {event.run: len(json.loads(event.facts)) for event in keeper.find(wire.Looked)}
    lateness = [(died_at[pids[run]] - deadlines[run]) * 1000 for run in runs]
    return lateness, sum(looked.values())


def ignores(pid: int, signum: int) -> bool:
    """Whether the process ignores that signal by now."""
    return bool(int(observed.status(pid)["SigIgn"], 16) >> (signum - 1) & 1)


def watch(pids: list[int], begin: Callable[[], None]) -> dict[int, float]:
    """Begin, and wait for all of them to die; the instant of each death."""
    epoll, pidfds = select.epoll(), {os.pidfd_open(pid): pid for pid in pids}
    for pidfd in pidfds:
        epoll.register(pidfd, select.EPOLLIN)
    begin()
    died_at: dict[int, float] = {}
    while pidfds:
        ready = epoll.poll(WINDOW + 10)
        now = time.monotonic()
        assert ready, f"{len(pidfds)} did not die"
        for pidfd, _ in ready:
            epoll.unregister(pidfd)
            os.close(pidfd)
            died_at[pidfds.pop(pidfd)] = now
    epoll.close()
    return died_at


if __name__ == "__main__":
    sys.exit(main())
