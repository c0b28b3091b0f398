"""How long a StopTask takes beside 100 connections that say nothing, or say it slowly.

Usage: ``make bench-connections``. One agent, started here and ended here; three settings, interleaved round by round,
so that what else the machine does meets all of them alike: alone, beside 100 idle connections, beside 100 that send
a byte of a request four times a second. Each is measured once its connections have been accepted. A line for each:
median and 99th percentile, and the ratio of the median to that of ``alone``.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator

from supervisor.cli.client import Client

CONNECTIONS = 100
INTERVAL = 0.25
"""Seconds between two bytes of a slow sender."""
HEAD = b"POST / HTTP/1.1\r\nHost: agent\r\nContent-Length: 100000\r\n\r\n"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    rounds = parser.parse_args().rounds
    took: dict[str, list[float]] = {"alone": [], "idle": [], "slow": []}
    with tempfile.TemporaryDirectory() as directory, agent(directory) as path:
        client = Client(path)
        definition = {"family": "sleeper", "containerDefinitions": [{"name": "main", "command": ["sleep", "1000"]}]}
        client.call("RegisterTaskDefinition", definition)
        for _ in range(rounds):
            for name, company in (("alone", nobody), ("idle", idle), ("slow", slow)):
                task = client.call("RunTask", {"taskDefinition": "sleeper"})["tasks"][0]["taskArn"]
                with company(path):
                    client.call("DescribeTasks", {"tasks": [task]})  # comes in behind them
                    begun = time.perf_counter()
                    client.call("StopTask", {"task": task})
                    took[name].append((time.perf_counter() - begun) * 1000)
    alone = statistics.median(took["alone"])
    sys.stdout.write(f"StopTask, order to answer, {rounds} rounds, {CONNECTIONS} connections beside it\n")
    for name, times in took.items():
        median, late = statistics.median(times), statistics.quantiles(times, n=100)[98]
        sys.stdout.write(f"  {name:<6} median {median:6.2f} ms   p99 {late:6.2f} ms   {median / alone:5.2f} × alone\n")
    return 0


@contextlib.contextmanager
def agent(directory: str) -> Iterator[str]:
    """A private agent that is ready; the path of its socket."""
    path = f"{directory}/supervisor.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, open(f"{directory}/log", "wb") as log:
        ready.bind(f"{directory}/notify")
        ready.settimeout(30)
        argv = [sys.executable, "-m", "supervisor", "agent", "--state-dir", f"{directory}/state", "--socket", path]
        running = subprocess.Popen(argv, stderr=log, env={**os.environ, "NOTIFY_SOCKET": f"{directory}/notify"})
        try:
            ready.recv(100)
            yield path
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait()


@contextlib.contextmanager
def nobody(_: str) -> Iterator[None]:
    """No company."""
    yield


@contextlib.contextmanager
def idle(path: str) -> Iterator[None]:
    """Connections that say nothing."""
    with contextlib.ExitStack() as stack:
        for _ in range(CONNECTIONS):
            stack.enter_context(socket.socket(socket.AF_UNIX)).connect(path)
        yield


@contextlib.contextmanager
def slow(path: str) -> Iterator[None]:
    """Connections that have begun a request and take their time over it."""
    done = threading.Event()
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(CONNECTIONS)]
        for sock in socks:
            sock.connect(path)
            sock.sendall(HEAD)

        def drip() -> None:
            while not done.wait(INTERVAL):
                for sock in socks:
                    sock.send(b".")

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            yield
        finally:
            done.set()
            dripping.join()


if __name__ == "__main__":
    sys.exit(main())
