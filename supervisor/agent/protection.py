"""Protection: a task that wants to finish its work first is left alone by drains of the host, until a time.

It asks for itself (``inside``), or its owner does (``service``). StopTask does not ask.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from supervisor.agent.draft import Draft
from supervisor.agent.engine import Engine
from supervisor.clock import Clock
from supervisor.log import get_logger
from supervisor.model import DesiredStatus, Task

_MINUTE = 60.0

_log = get_logger("agent")


async def protect(engine: Engine, clock: Clock, ids: Collection[str], minutes: int | None) -> dict[str, Task]:
    """Those of the tasks that can be protected, as they are from now on; ``minutes`` None ends the protection."""

    def change(draft: Draft) -> dict[str, Task]:
        until = None if minutes is None else round(clock.wall() + minutes * _MINUTE, 3)
        found = filter(None, map(draft.task, ids))
        return {
            task.task_id: draft.put(msgspec.structs.replace(task, protected_until=until), [])
            for task in found
            if task.desired_status is DesiredStatus.RUNNING
        }

    changed = await engine.submit(change)
    for task in changed.values():
        _log.info("task_protection_changed", task=task.task_id, minutes=minutes)
    return changed
