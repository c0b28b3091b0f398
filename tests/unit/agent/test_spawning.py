"""What the keeper is asked to limit and how it is to stop, out of what a definition and its overrides say."""

from __future__ import annotations

import signal
from typing import Any

from supervisor import wire
from supervisor.agent.spawning import spawn_request
from supervisor.model import TaskDefinition
from tests.unit.shapes.samples import container, register, run

MIB = 1024 * 1024


def limits(definition: TaskDefinition, **members: Any) -> dict[str, int | None]:
    """Those of the first container's run."""
    spec = spawn_request(run(definition, **members), definition, "web", "a" * 32, {})._asdict()
    return {name: spec[name] for name in spec if name.endswith(("_max", "_low", "_weight")) and spec[name] is not None}


def test_who_says_nothing_is_not_limited() -> None:
    assert limits(register()) == {}


def test_a_container_and_its_task() -> None:
    definition = register(
        container(memory=64, memoryReservation=32, cpu=512), container(name="b", memoryReservation=8, cpu=256)
    )
    assert limits(definition) == {
        "memory_max": 64 * MIB,
        "memory_low": 32 * MIB,
        "cpu_weight": 50,
        "task_memory_low": 40 * MIB,
        "task_cpu_weight": 75,
    }


def test_only_a_limit_of_the_task_itself_is_one_of_the_task() -> None:
    assert limits(register(cpu="1 vCPU", memory="0.5 GB")) == {"task_memory_max": 512 * MIB, "task_cpu_weight": 100}
    assert limits(register(memory="512"), overrides={"memory": "256"})["task_memory_max"] == 256 * MIB


def test_overrides_of_a_container_count() -> None:
    override = {"name": "web", "memory": 16, "cpu": 2048}
    told = limits(register(container(memory=64)), overrides={"containerOverrides": [override]})
    assert (told["memory_max"], told["cpu_weight"]) == (16 * MIB, 200)


def test_weights_stay_in_the_kernels_bounds() -> None:
    assert limits(register(container(cpu=1)))["cpu_weight"] == 1
    assert limits(register(container(cpu=2**31 - 1)))["cpu_weight"] == 10000


def test_what_the_agent_adds_to_an_environment_is_not_to_be_replaced() -> None:
    definition = register(container(environment=[{"name": "A", "value": "theirs"}]))
    assert spawn_request(run(definition), definition, "web", "a" * 32, {"A": "ours"}).environ["A"] == "ours"


def test_how_a_run_is_stopped() -> None:
    spec = stop_of(register(container(stopTimeout=7)))
    assert (spec.stop_signals, spec.stop_scope, spec.stop_timeout) == ([(signal.SIGTERM, 0.0)], "main", 7.0)
    assert (spec.pre_stop, spec.beside, spec.lifetime) == ([], None, None)


def test_a_sequence_of_signals_and_a_hook() -> None:
    labels = {
        "supervisor.stop-signal": "TERM:20,INT:5",
        "supervisor.stop-scope": "group",
        "supervisor.pre-stop": '["/bin/drain", "now"]',
    }
    spec = stop_of(register(container(dockerLabels=labels)))
    assert (spec.stop_signals, spec.stop_timeout) == ([(signal.SIGTERM, 0.0), (signal.SIGINT, 0.8)], 25.0)
    assert (spec.stop_scope, spec.pre_stop, spec.pre_stop_share) == ("group", ["/bin/drain", "now"], 0.5)
    assert spec.environ["SUPERVISOR_STOP_TIMEOUT"] == "25"


def test_the_last_signal_of_a_sequence_has_what_is_left_of_the_agents_window() -> None:
    spec = stop_of(register(container(dockerLabels={"supervisor.stop-signal": "TERM:15,INT"})))
    assert (spec.stop_signals, spec.stop_timeout) == ([(signal.SIGTERM, 0.0), (signal.SIGINT, 0.5)], 30.0)


def test_where_secrets_are_is_asked_for_and_no_value() -> None:
    secrets = [{"name": "A", "valueFrom": "file:db/a"}, {"name": "B", "valueFrom": "file:/run/b"}]
    spec = stop_of(register(container(secrets=secrets, dockerSecurityOptions=["no-new-privileges"])))
    assert (spec.secrets, spec.no_new_privileges) == ({"A": "db/a", "B": "/run/b"}, True)
    assert not {"A", "B"} & set(spec.environ)


def stop_of(definition: TaskDefinition) -> wire.Spawn:
    """The request for the first container's run, as it arrives at the keeper."""
    decoder = wire.Decoder.at_keeper()
    decoder.feed(wire.encode(spawn_request(run(definition), definition, "web", "a" * 32, {})))
    (arrived,) = decoder.messages()
    assert isinstance(arrived, wire.Spawn)
    return arrived
