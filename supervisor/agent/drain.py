"""The end: no new tasks, every task asked to stop, all in parallel; who was late is named."""

from __future__ import annotations

from collections.abc import Callable

from supervisor.agent.draft import Draft
from supervisor.agent.engine import Engine
from supervisor.clock import Clock
from supervisor.lifecycle import StopRequested
from supervisor.log import get_logger
from supervisor.model import DesiredStatus, StopCode, Task

REASON = "The supervisor is shutting down"

_log = get_logger("agent")


def stop_live(draft: Draft, event: StopRequested, now: float, spared: Callable[[Task], bool] = lambda _: False) -> None:
    """Have every task stopped that is not stopping yet nor spared, each container by its own window."""
    for task in draft.live().values():
        if task.desired_status is DesiredStatus.RUNNING and not spared(task):
            draft.follow(task, event, now)


async def drain(engine: Engine, clock: Clock, budget: float | None = None) -> None:
    """Returns when every task is STOPPED, stored, and the keeper knows. The keeper holds the deadlines.

    ``budget``: seconds for each task as a whole; along chains of containers it is shared.
    """
    engine.draining = True
    ids: set[str] = set()

    def stop_all(draft: Draft) -> None:
        ids.update(draft.live())
        stop_live(draft, StopRequested(StopCode.TERMINATION_NOTICE, REASON, budget=budget), clock.wall())

    await engine.submit(stop_all)
    _log.info("tasks_stopping", tasks=len(ids))
    await engine.emptied.wait()
    killed = [
        {"task": task.task_id, "container": container.name, "reason": container.reason}
        for task in engine.tasks(ids).values()
        for container in task.containers
        if container.killed_at is not None
    ]
    _log.info("drain_finished", tasks=len(ids), killed=killed)
