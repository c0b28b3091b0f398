"""A container of a task as the keeper is asked to start it."""

from __future__ import annotations

from supervisor import wire
from supervisor.model import ContainerDefinition, Task, TaskDefinition
from supervisor.shapes import stop_policy

_FILE_DRIVERS = ("file", "json-file")


def spawn_request(
    task: Task, definition: TaskDefinition, container_name: str, run_id: str, environ: dict[str, str]
) -> wire.Spawn:
    """The request for that run: the definition with the task's overrides applied, and the agent's ``environ``."""
    container = task.container(container_name)
    defined = next(one for one in definition.container_definitions if one.name == container_name)
    policy = stop_policy(defined, container.stop_timeout)
    log = defined.log_configuration
    driver = "file" if log is None or log.log_driver in _FILE_DRIVERS else log.log_driver
    tag = log.options.get("tag", container_name) if log is not None else container_name
    return wire.Spawn(
        run=run_id,
        task=task.task_id,
        container=container_name,
        argv=_argv(task, defined),
        environ=_environ(task, defined) | environ,
        cwd=defined.working_directory or "/",
        user=defined.user,
        ulimits=[(limit.name, limit.soft_limit, limit.hard_limit) for limit in defined.ulimits],
        log_driver=driver,
        log_tag=tag,
        stop_signal=policy.signal,
        stop_scope=policy.scope.value,
        stop_timeout=container.stop_timeout,
    )


def _argv(task: Task, defined: ContainerDefinition) -> list[str]:
    command = defined.command
    for override in task.overrides:
        if override.name == defined.name and override.command is not None:
            command = override.command
    return [*defined.entry_point, *command]


def _environ(task: Task, defined: ContainerDefinition) -> dict[str, str]:
    """What the definition says, what the task overrides, and who it is; the keeper adds the user's own."""
    environ = {pair.name: pair.value for pair in defined.environment}
    for override in task.overrides:
        if override.name == defined.name:
            environ |= {pair.name: pair.value for pair in override.environment}
    return environ | {
        "SUPERVISOR_CLUSTER": task.cluster_arn.rpartition("/")[2],
        "SUPERVISOR_TASK_ARN": task.task_arn,
        "SUPERVISOR_TASK_DEFINITION": task.task_definition_arn.rpartition("/")[2],
        "SUPERVISOR_CONTAINER_NAME": defined.name,
        "SUPERVISOR_STOP_TIMEOUT": f"{task.container(defined.name).stop_timeout:g}",
    }
