"""How a task moves. Pure: events in, the task as it is then and effects out.

============ =====================================================================
`events`     what can happen, and what is to be done then
`step`       the table of transitions, and the function that follows it
`containers` what an event makes of one container
`order`      which container starts after which, and stops before which
`restarts`   whether another run follows on one that has ended
`reasons`    how a container ended, in words
============ =====================================================================
"""

from .containers import run_id_of, run_of
from .events import (
    Created,
    DependencyFailed,
    Effect,
    Emptied,
    Event,
    Exited,
    Hastened,
    HealthChanged,
    Keep,
    Looked,
    Lost,
    OfRun,
    RestartDue,
    RunEvent,
    RuntimeExceeded,
    Signalled,
    Spawn,
    Spawned,
    SpawnFailed,
    StartTimedOut,
    Stop,
    StopRequested,
)
from .order import in_the_way
from .reasons import OUT_OF_MEMORY
from .step import (
    ESSENTIAL_EXITED,
    FAILED_TO_START,
    STOPPED_BY_USER,
    TRANSITIONS,
    step,
    timers,
)

__all__ = [
    "ESSENTIAL_EXITED",
    "FAILED_TO_START",
    "OUT_OF_MEMORY",
    "STOPPED_BY_USER",
    "TRANSITIONS",
    "Created",
    "DependencyFailed",
    "Effect",
    "Emptied",
    "Event",
    "Exited",
    "Hastened",
    "HealthChanged",
    "Keep",
    "Looked",
    "Lost",
    "OfRun",
    "RestartDue",
    "RunEvent",
    "RuntimeExceeded",
    "Signalled",
    "Spawn",
    "SpawnFailed",
    "Spawned",
    "StartTimedOut",
    "Stop",
    "StopRequested",
    "in_the_way",
    "run_id_of",
    "run_of",
    "step",
    "timers",
]
