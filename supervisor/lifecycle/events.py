"""What can happen to a task (events), and what is to be done then (effects)."""

from __future__ import annotations

import msgspec

from supervisor.model import ExitStatus, HealthStatus, Identity, PastRun, StopCode


class Event(msgspec.Struct, frozen=True):
    """A past fact that enters ``step``."""


class Created(Event, frozen=True):
    """The task was accepted: start what waits for nothing."""


class StopRequested(Event, frozen=True):
    """Somebody wants the task stopped. ``timeout``: seconds for each container, None for its own.

    ``budget``: seconds in which the whole task is to be stopped, None where only the task itself may say so.
    """

    code: StopCode
    reason: str
    timeout: float | None = None
    budget: float | None = None


class OfRun(Event, frozen=True):
    """It concerns one run, and no other run of the same container."""

    run_id: str


class _Clocked(OfRun, frozen=True, kw_only=True):
    clock: float = 0.0
    """The same instant as ``at``, monotonic."""


class RunEvent(_Clocked, frozen=True):
    """What the keeper saw of one run. ``at``: Unix time."""

    at: float


class Spawned(RunEvent, frozen=True):
    """The exec succeeded."""

    identity: Identity


class SpawnFailed(RunEvent, frozen=True):
    """A stage between fork and exec failed; the text says which and why."""

    reason: str


class Signalled(RunEvent, frozen=True):
    """A signal was sent. ``deadline``: monotonic. ``left``: after a repeated SIGKILL, what does not die and why."""

    signum: int
    deadline: float
    left: str | None = None
    window: float | None = None
    """Seconds from the stop signal to the deadline."""


class Hastened(RunEvent, frozen=True):
    """The deadline was brought forward, or told first where a pre-stop command comes before the signal.

    ``window``: seconds from the beginning of the stop to the deadline.
    """

    deadline: float
    window: float


class Looked(RunEvent, frozen=True):
    """What was left shortly before the deadline was looked at; ``finding``: why it had not stopped."""

    finding: str


class Exited(RunEvent, frozen=True):
    """The main process is over. ``out_of_memory``: the kernel had killed it, or others of its run, for want of it.

    ``unknown``: why nobody can tell how; neither member of ``exit`` is set then.
    """

    exit: ExitStatus
    out_of_memory: bool = False
    unknown: str = ""


class Emptied(RunEvent, frozen=True):
    """No process of the run is left."""


class Lost(RunEvent, frozen=True):
    """The run is over without a keeper to tell how: the host was restarted, or it was never begun."""

    reason: str


class HealthChanged(RunEvent, frozen=True):
    """Health checks of the run have come to another verdict; ``output``: the end of what the last one wrote."""

    health: HealthStatus
    output: str = ""
    exit_code: int | None = None
    """Of the check; None where it had to be killed."""


class RestartDue(OfRun, frozen=True):
    """The pause after that run is over: time for the next."""


class RuntimeExceeded(OfRun, frozen=True):
    """The run has lasted ``supervisor.max-runtime``."""


class StartTimedOut(Event, frozen=True):
    """The container's ``startTimeout`` is over: what waits for more of it than its start waits no longer."""

    container: str


class DependencyFailed(Event, frozen=True):
    """A consequence, not sent by anybody: a container waits for what can never be. ``why``: a clause on the other."""

    container: str
    dependency: str
    why: str = "did not start"


class Spawn(msgspec.Struct, frozen=True):
    """Effect: ask the keeper to start this run of this container.

    ``living``: its main process, which was started before; it is to be taken up again, and not started. Zeros where it
    was perhaps started: it is looked for, and started if it is not there.
    """

    container: str
    run_id: str
    living: Identity | None = None


class Stop(msgspec.Struct, frozen=True):
    """Effect: ask the keeper to stop this run."""

    run_id: str
    timeout: float | None = None


class Keep(msgspec.Struct, frozen=True):
    """Effect: keep this run, which is over, in the history, together with the task as it is now."""

    run: PastRun


Effect = Spawn | Stop | Keep
