"""The end: no new tasks, every task asked to stop, all in parallel; who was late is named."""

from __future__ import annotations

import contextlib

from supervisor.agent.draft import Draft
from supervisor.agent.engine import Engine
from supervisor.clock import Clock
from supervisor.errors import StoreError
from supervisor.lifecycle import StopRequested
from supervisor.log import get_logger
from supervisor.model import StopCode

REASON = "The supervisor is shutting down"

_log = get_logger("agent")


async def drain(engine: Engine, clock: Clock, budget: float | None = None) -> None:
    """Returns when every task is STOPPED, stored, and the keeper knows. The keeper holds the deadlines.

    ``budget``: seconds for each task as a whole; along chains of containers it is shared.
    """
    engine.draining = True
    ids: set[str] = set()
    now = clock.wall()

    def stop_all(draft: Draft) -> None:
        ids.update(draft.live())
        event = StopRequested(StopCode.TERMINATION_NOTICE, REASON, budget=budget)
        for task in draft.live().values():  # also those that are stopping: they have to share the budget, too
            draft.follow(task, event, now)

    with contextlib.suppress(StoreError):  # they are being stopped all the same, and recorded when that can be done
        await engine.submit(stop_all, urgent=True)
    _log.info("tasks_stopping", tasks=len(ids))
    await engine.emptied.wait()
    killed = [
        {"task": task.task_id, "container": container.name, "reason": container.reason}
        for task in engine.tasks(ids).values()
        for container in task.containers
        if container.killed_at is not None
    ]
    _log.info("drain_finished", tasks=len(ids), killed=killed)
