"""The end of old records: stopped tasks, their logs, and the journal's events, when they have been kept long enough."""

from __future__ import annotations

import asyncio
import shutil

from supervisor.agent.engine import Engine
from supervisor.clock import Clock
from supervisor.errors import StoreError
from supervisor.log import get_logger

_INTERVAL = 3600.0
_BATCH = 100
"""Records a transaction: a small one, since commits of stops wait for it."""
_DAY = 86400.0

_log = get_logger("agent")


async def prune(engine: Engine, clock: Clock, keep_days: float, log_dir: str) -> None:
    """Drop what is too old, now and every hour, until cancelled."""
    while True:
        try:
            dropped = await _prune_once(engine, clock.wall() - keep_days * _DAY, log_dir)
        except StoreError as exc:
            _log.error("history_not_pruned", error=str(exc))
        else:
            if dropped:
                _log.info("history_pruned", tasks=dropped)
        await asyncio.sleep(_INTERVAL)


async def _prune_once(engine: Engine, before: float, log_dir: str) -> int:
    dropped = 0
    while ids := await engine.prune(before, _BATCH):
        dropped += len(ids)
        for task_id in ids:
            await asyncio.to_thread(shutil.rmtree, f"{log_dir}/{task_id}", ignore_errors=True)
    while await engine.prune_events(before, _BATCH):
        pass
    return dropped
