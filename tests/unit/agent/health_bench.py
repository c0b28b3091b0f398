"""A schedule of health checks on a bench: a clock that leaps, and a keeper that says what a test has it say."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from supervisor import wire
from supervisor.agent.health import Health
from supervisor.lifecycle import run_id_of
from supervisor.model import Container, HealthCheck, HealthStatus, Identity, LastStatus, Task
from tests import leaping
from tests.fake_clock import FakeClock

UNKNOWN, HEALTHY, UNHEALTHY = HealthStatus.UNKNOWN, HealthStatus.HEALTHY, HealthStatus.UNHEALTHY
CHECK = HealthCheck(("CMD", "probe", "--quick"), interval=30, timeout=5, retries=1)

End = tuple[int | None, int | None]
"""Code and signal."""
KILLED: End = (None, 9)

change = msgspec.structs.replace


def task(number: int = 1, check: HealthCheck | None = CHECK, run: int = 1, **container: Any) -> Task:
    """A task whose one container was started at 1000.0, which is when the clock begins."""
    task_id, arn = f"{number:032x}", "arn:aws:ecs:local:000000000000:"
    main = Container(
        name="main",
        container_arn=f"{arn}container/{number}",
        stop_timeout=30,
        health_check=check,
        last_status=LastStatus.RUNNING,
        run_id=run_id_of(task_id, "main", run),
        identity=Identity(4242, 77),
        running_since=1000.0,
    )
    return Task(
        task_id=task_id,
        task_arn=f"{arn}task/default/{task_id}",
        cluster_arn=f"{arn}cluster/default",
        task_definition_arn=f"{arn}task-definition/web:1",
        container_instance_arn=f"{arn}container-instance/default/1",
        family="web",
        group="family:web",
        created_at=1000,
        containers=(change(main, **container),),
    )


def run_of(one: Task) -> str:
    run_id = one.containers[0].run_id
    assert run_id is not None
    return run_id


def own_request(one: Task, container: str, run_id: str) -> wire.Spawn:
    """What the container itself is started with."""
    return wire.Spawn(
        run=run_id,
        task=one.task_id,
        container=container,
        argv=["serve"],
        environ={"PORT": "80"},
        cwd="/srv",
        user="web",
        ulimits=[("nofile", 64, 64)],
        log_driver="journald",
        log_tag="main",
        stop_signals=[(3, 0.0), (15, 0.5)],
        stop_scope="group",
        stop_timeout=30.0,
        memory_max=1,
        memory_low=2,
        cpu_weight=3,
        task_memory_max=4,
        task_memory_low=5,
        task_cpu_weight=6,
        pre_stop=["drain"],
        beside=None,
        lifetime=None,
    )


class Bench:
    """A schedule, and its keeper: each check ends after ``takes`` seconds as ``end`` says, or by the test's hand."""

    def __init__(self, log_dir: Path) -> None:
        self.clock = FakeClock()
        self.log_dir = log_dir
        self.spawns: list[wire.Spawn] = []
        self.begun: list[float] = []
        """Seconds after the clock's begin, for each of them."""
        self.reports: list[tuple[str, HealthStatus, str, int | None]] = []
        self.end: End | None = (0, None)
        """None: it hangs."""
        self.takes = 0.0
        self.request: Callable[[Task, str, str], wire.Spawn] = own_request
        self.seq = 0
        self.new_agent()

    def new_agent(self) -> None:
        """One that knows nothing."""
        self.health = Health(self.clock, self.send, self.ask, self.hear, str(self.log_dir))

    def ask(self, one: Task, container: str, run_id: str) -> wire.Spawn:
        return self.request(one, container, run_id)

    def hear(self, *told: Any) -> None:
        self.reports.append(told)

    def send(self, request: wire.Request) -> None:
        assert isinstance(request, wire.Spawn)
        self.spawns.append(request)
        self.begun.append(round(self.clock.monotonic() - 1000.0, 6))
        if self.end is not None:
            asyncio.get_running_loop().call_later(self.takes, functools.partial(self.exit, request.run, self.end))

    def exit(self, run: str, end: End) -> None:
        """The check ends, and nothing is left of it."""
        assert self.tell(wire.Spawned, run=run, pid=1, start_time=1)
        assert self.tell(wire.Exited, run=run, code=end[0], signal=end[1])
        assert self.tell(wire.Emptied, run=run)

    def refuse(self, run: str, stage: str) -> None:
        """The keeper does not start it, or cannot."""
        detail = "No such file or directory"
        assert self.tell(wire.SpawnFailed, run=run, stage=stage, errno=errno.ENOENT, detail=detail)

    def tell(self, kind: type[Any], **members: Any) -> bool:
        self.seq += 1
        return self.health.take(kind(seq=self.seq, at=self.clock.wall(), **members))

    def write(self, one: Task, text: bytes) -> None:
        """What the checks of the task have written."""
        (self.log_dir / one.task_id).mkdir(exist_ok=True)
        (self.log_dir / one.task_id / "main.check").write_bytes(text)

    async def until(self, seconds: float) -> None:
        """Time passes until so many seconds after the clock's begin."""
        await asyncio.sleep(1000.0 + seconds - self.clock.monotonic())


Story = Callable[[Bench], Awaitable[None]]
Play = Callable[[Story], None]


def play(log_dir: Path, story: Story) -> None:
    """The story, while the schedule runs."""
    bench = Bench(log_dir)

    async def live() -> None:
        running = asyncio.ensure_future(bench.health.run())
        await story(bench)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    leaping.run(bench.clock, live())
