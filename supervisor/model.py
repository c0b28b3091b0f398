"""What is supervised and what is recorded of it: definitions, tasks, containers, exits.

All records are immutable; a change makes a new one (``msgspec.structs.replace``). Field names are ECS's in JSON
(``lastStatus``) and Python's in code (``last_status``). Instants end in ``_at`` and are Unix time in seconds with
milliseconds; they stamp records and never drive a timeout. A ``deadline`` is an instant of the monotonic clock.
"""

from __future__ import annotations

import enum
from typing import Any

import msgspec

MAX_REASON = 255
"""Characters in ``stoppedReason`` and in a container's ``reason`` (aws-ecs-stop-task)."""

LABEL_PREFIX = "supervisor."
"""``dockerLabels`` under this prefix carry what ECS has no member for."""


class LastStatus(enum.StrEnum):
    """What is so. PENDING → RUNNING → STOPPED, nothing else; STOPPED means every process was seen to be gone."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"

    @property
    def rank(self) -> int:
        """0, 1 or 2: a task's status is that of its container with the least rank."""
        return _RANKS[self]


_RANKS = {LastStatus.PENDING: 0, LastStatus.RUNNING: 1, LastStatus.STOPPED: 2}


class DesiredStatus(enum.StrEnum):
    """What was asked."""

    RUNNING = "RUNNING"
    STOPPED = "STOPPED"


class StopCode(enum.StrEnum):
    """Why a task stopped (ECS ``stopCode``)."""

    TASK_FAILED_TO_START = "TaskFailedToStart"
    ESSENTIAL_CONTAINER_EXITED = "EssentialContainerExited"
    USER_INITIATED = "UserInitiated"
    TERMINATION_NOTICE = "TerminationNotice"


class StopScope(enum.StrEnum):
    """Who gets the stop signal first: the main process (as ``docker stop``), or all of the container."""

    MAIN = "main"
    GROUP = "group"


class HealthStatus(enum.StrEnum):
    """ECS ``healthStatus``; UNKNOWN where no check is defined."""

    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    UNKNOWN = "UNKNOWN"


class Condition(enum.StrEnum):
    """``dependsOn[].condition``: what the other container must have reached."""

    START = "START"
    """Its main process was started."""
    COMPLETE = "COMPLETE"
    """It is over, however it ended."""
    SUCCESS = "SUCCESS"
    """It is over, with exit code 0."""
    HEALTHY = "HEALTHY"
    """Its health check has passed."""


class DefinitionStatus(enum.StrEnum):
    """Of a task definition revision."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    DELETE_IN_PROGRESS = "DELETE_IN_PROGRESS"
    """Gone with the last task of it that is not STOPPED."""


class ClusterStatus(enum.StrEnum):
    """Of a cluster; a deleted one stays describable as INACTIVE."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"


class InstanceStatus(enum.StrEnum):
    """Of the host: whether it takes tasks."""

    ACTIVE = "ACTIVE"
    DRAINING = "DRAINING"


class Record(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Base of what is stored: immutable, ECS's spelling in JSON, defaults left out."""


class Identity(Record, frozen=True):
    """Which process: a pid alone can be reused, together with its start time it cannot (within one boot)."""

    pid: int
    start_time: int
    """Field 22 of ``/proc/PID/stat``: clock ticks since boot."""


class ExitStatus(Record, frozen=True):
    """How a main process ended. One of ``code`` and ``signal`` is set; neither where nobody could tell."""

    code: int | None = None
    signal: int | None = None

    @property
    def exit_code(self) -> int | None:
        """As ECS shows it: the status, or 128 + signal."""
        if self.signal is not None:
            return 128 + self.signal
        return self.code


class KeyValuePair(Record, frozen=True):
    """A ``{"name": …, "value": …}`` pair: an environment variable."""

    name: str
    value: str = msgspec.field(default="")


class Secret(Record, frozen=True):
    """``secrets[]``: an environment variable, and where its value is; never the value."""

    name: str
    value_from: str


class Tag(Record, frozen=True):
    """A ``{"key": …, "value": …}`` pair."""

    key: str
    value: str = ""


class Ulimit(Record, frozen=True):
    """``ulimits[]``: a resource limit by its ECS name; -1 means unlimited."""

    name: str
    soft_limit: int
    hard_limit: int


class LogConfiguration(Record, frozen=True):
    """``logConfiguration``: driver and its options."""

    log_driver: str
    options: dict[str, str] = {}


class ContainerDependency(Record, frozen=True):
    """``dependsOn[]``."""

    container_name: str
    condition: Condition


class RestartPolicy(Record, frozen=True, omit_defaults=False):
    """``restartPolicy``: whether a container that exits is started again."""

    enabled: bool
    ignored_exit_codes: tuple[int, ...] = ()
    """Those after which it is not."""
    restart_attempt_period: int = 300
    """Seconds that a run must have lasted; what exits sooner is not started again (without a backoff)."""


class Backoff(Record, frozen=True):
    """``supervisor.restart-backoff``: the pauses before runs that follow on short ones, doubled each time."""

    first: float
    """Seconds."""
    most: float
    """Seconds."""


class HealthCheck(Record, frozen=True, omit_defaults=False):
    """``healthCheck``; all times in seconds."""

    command: tuple[str, ...]
    """Led by ``CMD`` (a program and its arguments) or ``CMD-SHELL`` (one text for ``/bin/sh -c``)."""
    interval: int = 30
    timeout: int = 5
    retries: int = 3
    """Failures in a row that make a container UNHEALTHY."""
    start_period: int = 0
    """After the start, failures do not count for so long."""


class PortMapping(Record, frozen=True):
    """``portMappings[]``: a process host does not translate ports, so both ports are the same number."""

    container_port: int
    host_port: int = 0
    protocol: str = "tcp"

    @property
    def on_host(self) -> int:
        """The port of the host: ECS lets it be left open, and here it is the container's."""
        return self.host_port or self.container_port


class NetworkBinding(Record, frozen=True):
    """``networkBindings[]``."""

    bind_ip: str = msgspec.field(name="bindIP")
    container_port: int
    host_port: int
    protocol: str


class ContainerDefinition(Record, frozen=True):
    """How one container is run. Only what a process host obeys; ``echo`` holds the accepted rest, word for word."""

    name: str
    image: str | None = None
    entry_point: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: tuple[KeyValuePair, ...] = ()
    secrets: tuple[Secret, ...] = ()
    working_directory: str | None = None
    user: str | None = None
    essential: bool = True
    stop_timeout: int | None = None
    """Seconds; None or 0 means the agent's ``stop.timeout`` (ECS treats 0 so)."""
    ulimits: tuple[Ulimit, ...] = ()
    docker_labels: dict[str, str] = {}
    docker_security_options: tuple[str, ...] = ()
    log_configuration: LogConfiguration | None = None
    depends_on: tuple[ContainerDependency, ...] = ()
    start_timeout: int | None = None
    """Seconds within which it must have reached what others wait for, COMPLETE, SUCCESS or HEALTHY; None or 0: any."""
    restart_policy: RestartPolicy | None = None
    health_check: HealthCheck | None = None
    """None also for ``["NONE"]``."""
    port_mappings: tuple[PortMapping, ...] = ()
    cpu: int = 0
    memory: int | None = None
    memory_reservation: int | None = None
    echo: dict[str, Any] = {}


class TaskDefinition(Record, frozen=True):
    """An immutable recipe, ``family:revision``."""

    task_definition_arn: str
    family: str
    revision: int
    container_definitions: tuple[ContainerDefinition, ...]
    registered_at: float
    registered_by: str | None = None
    status: DefinitionStatus = DefinitionStatus.ACTIVE
    deregistered_at: float | None = None
    delete_requested_at: float | None = None
    cpu: str | None = None
    memory: str | None = None
    tags: tuple[Tag, ...] = ()
    echo: dict[str, Any] = {}


class Cluster(Record, frozen=True):
    """A name that tasks are run under; the host is in every one."""

    name: str
    status: ClusterStatus = ClusterStatus.ACTIVE
    tags: tuple[Tag, ...] = ()
    echo: dict[str, Any] = {}
    """``settings`` and ``configuration``, word for word."""


class ContainerInstance(Record, frozen=True):
    """This host: one record, which is seen in every cluster under an ARN of that cluster."""

    instance_id: str
    registered_at: float
    inside_key: str = ""
    """Secret, in hex: what the addresses that tasks find the agent under are made from. Never shown."""
    begun: dict[str, str] = {}
    """By ``startedBy`` of a task that the configuration asks for: the life of the supervisor that has begun it."""
    boot_id: str = ""
    """The kernel's name for the boot that the records are of; not shown."""
    status: InstanceStatus = InstanceStatus.ACTIVE
    tags: tuple[Tag, ...] = ()
    version: int = 1
    """Grows by one with every change that a client can see."""


class ContainerOverride(Record, frozen=True):
    """``overrides.containerOverrides[]``."""

    name: str
    command: tuple[str, ...] | None = None
    environment: tuple[KeyValuePair, ...] = ()
    cpu: int | None = None
    memory: int | None = None
    memory_reservation: int | None = None


class Container(Record, frozen=True, kw_only=True):
    """One supervised process group of a task: what was planned for it, and what became of it."""

    name: str
    container_arn: str
    # planned (copied from the definition, so that the record stands alone)
    essential: bool = True
    depends_on: tuple[ContainerDependency, ...] = msgspec.field(default=(), name="dependencies")
    """What must have happened before it is started; it is stopped before any of these."""
    start_timeout: float | None = None
    restart_policy: RestartPolicy | None = None
    """None unless it is enabled."""
    restart_backoff: Backoff | None = None
    health_check: HealthCheck | None = None
    max_runtime: float | None = None
    """Seconds after which a run is stopped."""
    stop_timeout: float
    image: str | None = None
    cpu: str = "0"
    memory: str | None = None
    memory_reservation: str | None = None
    port_mappings: tuple[PortMapping, ...] = ()
    # what became of it
    last_status: LastStatus = LastStatus.PENDING
    run_id: str | None = None
    """The run that the keeper was asked for last, 32 hex digits; None until then. ECS ``runtimeId``."""
    run_number: int = 0
    """Of that run: 1 for the first."""
    restarts: int = 0
    """How many runs were asked for after the first."""
    short_runs: int = 0
    """How many runs in a row did not last ``restart_attempt_period``: the next pause of a backoff follows from it."""
    will_restart: bool = False
    """Its main process has exited, and another run follows when nothing is left of this one."""
    restart_deadline: float | None = None
    """Monotonic instant of the next run, while it waits for that: nothing of it runs until then."""
    start_deadline: float | None = None
    """Monotonic instant until which those that depend on it wait."""
    running_since: float | None = None
    """Monotonic instant at which the present run was started."""
    stop_asked: bool = False
    """The keeper was asked to stop the present run; with an order among containers not all are at once."""
    stuck: bool = False
    """SIGKILL did not end it: those that wait for its end wait no longer."""
    finding: str | None = None
    """Why it did not stop: what was seen shortly before its deadline."""
    health_status: HealthStatus = HealthStatus.UNKNOWN
    health_since: float | None = None
    """When it became so."""
    health_output: str | None = None
    """What the check that made it so had written, its end."""
    health_exit_code: int | None = None
    """Of that check; None where it had to be killed."""
    identity: Identity | None = None
    exit: ExitStatus | None = None
    """Of the main process; None until it exited, and if it never started."""
    reason: str | None = None
    started_at: float | None = None
    """When the present run was."""
    signalled_at: float | None = None
    """When the stop signal was sent."""
    asked_timeout: float | None = None
    """The shortest window that a stop has asked for; None for ``stop_timeout``."""
    deadline: float | None = None
    """Monotonic instant of the SIGKILL, while a stop runs; as told by the keeper."""
    window: float | None = None
    """Seconds from the stop signal to that deadline; as told by the keeper, and kept in the record."""
    exited_at: float | None = None
    killed_at: float | None = None
    """When SIGKILL was first sent; None for a graceful exit."""
    signal_clock: float | None = None
    """Monotonic instant of ``signalled_at``."""
    kill_clock: float | None = None
    """Monotonic instant of ``killed_at``: what lies between the two must not change with the wall clock."""
    stopped_at: float | None = None


class PastRun(Record, frozen=True, kw_only=True):
    """One run of a container that is over, as it is kept for ``supervisor history``."""

    task_id: str
    container: str
    number: int
    """1 for the first."""
    run_id: str
    pid: int | None = None
    """None if it never started."""
    started_at: float | None = None
    signalled_at: float | None = None
    window: float | None = None
    exited_at: float | None = None
    killed_at: float | None = None
    stopped_at: float | None = None
    exit: ExitStatus | None = None
    reason: str | None = None
    restarted: bool = False
    """Another run followed."""


class Moment(Record, frozen=True, kw_only=True):
    """Something that the keeper told of a stop, as it is kept for the stop report."""

    task_id: str
    container: str
    run_id: str
    at: float
    """Unix time."""
    clock: float
    """The same instant on the monotonic clock: differences of these are true also if the wall clock stepped."""
    kind: str
    """Name of the frame: HookStarted, HookEnded, Signalled, Hastened, Looked, Exited, Emptied."""
    facts: dict[str, Any] = {}
    """The frame's other members; of Looked, ``facts`` is the list of what was seen, a dict for each process."""


class Task(Record, frozen=True, kw_only=True):
    """One run of a task definition."""

    task_id: str
    task_arn: str
    cluster_arn: str
    task_definition_arn: str
    container_instance_arn: str
    family: str
    group: str
    created_at: float
    containers: tuple[Container, ...]
    overrides: tuple[ContainerOverride, ...] = ()
    task_overrides: dict[str, Any] = {}
    """What ``overrides`` says of the task as a whole (cpu, memory, roles), word for word."""
    last_status: LastStatus = LastStatus.PENDING
    desired_status: DesiredStatus = DesiredStatus.RUNNING
    launch_type: str = "EXTERNAL"
    started_by: str | None = None
    started_at: float | None = None
    stopping_at: float | None = None
    execution_stopped_at: float | None = None
    stopped_at: float | None = None
    stop_code: StopCode | None = None
    stopped_reason: str | None = None
    version: int = 1
    """Grows by one with every change that a client can see."""
    cpu: str | None = None
    memory: str | None = None
    tags: tuple[Tag, ...] = ()
    client_token: str | None = None
    """Of the RunTask that made it: the same token again answers with the same tasks."""
    request_digest: str | None = None
    """Of that RunTask: tells the same request from another one with the same token."""
    reserved_cpu: int = 0
    """CPU units of the host that are the task's until it is STOPPED."""
    reserved_memory: int = 0
    """MiB of the host that are the task's until it is STOPPED."""
    stop_budget: float | None = None
    """Seconds within which the whole task must have stopped (``supervisor.stop-budget``); None for no such bound."""
    stop_deadline: float | None = None
    """Monotonic instant at which they end, once a stop runs; a drain can bring it forward."""
    protected_until: float | None = None
    """Unix time until which it asked to be left alone; StopTask does not ask."""

    @property
    def cluster(self) -> str:
        """The name of its cluster."""
        return self.cluster_arn.rpartition("/")[2]

    @property
    def revision(self) -> int:
        """Of its task definition."""
        return int(self.task_definition_arn.rpartition(":")[2])

    @property
    def health_status(self) -> HealthStatus:
        """Of its essential containers the worst: UNHEALTHY, UNKNOWN, HEALTHY (ECS ``Task.healthStatus``)."""
        found = {container.health_status for container in self.containers if container.essential}
        worst_first = (HealthStatus.UNHEALTHY, HealthStatus.UNKNOWN, HealthStatus.HEALTHY)
        return next(status for status in worst_first if status in found)

    def is_protected(self, now: float) -> bool:
        """Whether whatever would stop it unasked is to leave it alone at that Unix time. Never while it stops."""
        running = self.desired_status is DesiredStatus.RUNNING
        return running and self.protected_until is not None and now < self.protected_until

    def container(self, name: str) -> Container:
        """The container of that name; ``KeyError`` if there is none."""
        for container in self.containers:
            if container.name == name:
                return container
        raise KeyError(name)

    def container_of_run(self, run_id: str) -> Container | None:
        """The container whose present run this is, or None: an old run never touches a new one."""
        for container in self.containers:
            if container.run_id == run_id:
                return container
        return None
