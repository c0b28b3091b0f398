"""The keeper's table of verbs: every message that the decoder gives is carried out or refused, and nothing else."""

from __future__ import annotations

import math
import random
import typing
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor import stopping, wire
from supervisor.errors import WireError
from supervisor.keeper import verbs
from supervisor.keeper.held import Run
from tests import tally
from tests.conftest import EXAMPLES, SEED
from tests.frames import Frames, verdict
from tests.unit.test_wire import TO_KEEPER, messages

FRAMES = int(EXAMPLES or "50") * 100

RUN = "0123456789abcdef" * 2
SPAWN = wire.Spawn(
    run=RUN,
    task=RUN[::-1],
    container="main",
    argv=["true"],
    environ={"A": "b"},
    cwd="/",
    user=None,
    ulimits=[("nofile", 64, 64)],
    log_driver="none",
    log_tag="",
    stop_signals=[(15, 0.0), (2, 0.5)],
    stop_scope="main",
    stop_timeout=30.0,
    memory_max=1 << 20,
    cpu_weight=100,
    pre_stop=["true"],
    beside=None,
    lifetime=None,
)
SOUND: list[wire.Message] = [
    *(SPAWN, SPAWN._replace(beside=RUN[::-1], lifetime=1.0), SPAWN._replace(living=(42, 77))),
    *(wire.Hello(wire.VERSION), wire.List(), wire.Forget(1), wire.Stop(RUN, None), wire.Stop(RUN, 5.0)),
    *(wire.Describe(RUN), wire.Pong(1), wire.Prove(), wire.Reexec()),
]


def asked(message: Any) -> Any:
    """What the keeper is asked to do for it."""
    host = Mock(draining=False, owed=0)
    verbs.handle(host, message)
    return host


@given(messages(TO_KEEPER))
def test_any_message_is_carried_out_or_refused(message: Any) -> None:
    tally.count("verbs", messages=1)
    try:
        asked(message)
    except WireError as exc:
        assert str(exc).startswith("cannot ")  # noqa: PT017  not every message is refused


@pytest.mark.parametrize("message", SOUND, ids=lambda message: type(message).__name__)
def test_what_an_agent_of_ours_sends_is_not_refused_for_its_members(message: wire.Message) -> None:
    if type(message) not in verbs.VERBS:
        with pytest.raises(WireError, match="this keeper has no answer to it"):
            asked(message)
    else:
        asked(message)
        assert verdict(wire.encode(message)).messages == [message]


def test_the_table_is_for_requests_alone() -> None:
    assert set(verbs.VERBS) <= set(typing.get_args(wire.Request))


NUMBERS = st.sampled_from([0.0, 5e-324, 0.25, 1.0, 30.0, 1e15, 1e308]) | st.floats(0.0, 1e308)


@given(
    NUMBERS,
    st.none() | NUMBERS,
    st.lists(st.floats(0.0, 1.0), max_size=7).map(sorted),
    st.floats(0.0, 1.0),
    st.floats(0.0, 1e9),
)
def test_every_run_that_is_accepted_can_be_stopped(
    own: float, asked_for: float | None, shares: list[float], hook_share: float, now: float
) -> None:
    """However long its window: the plan ends in a kill at the deadline, by instants that a clock can reach."""
    signals = [(15, 0.0), *((2, share) for share in shares)]
    spec = SPAWN._replace(stop_timeout=own, stop_signals=signals, pre_stop_share=hook_share)
    (call,) = asked(spec).runs.spawn.call_args_list
    plan, _ = stopping.started(Run(call.args[0], 42, 3, 4, 7).plan, now)
    plan, _ = stopping.request(plan, now, asked_for)
    window = own if asked_for is None else asked_for
    at = now
    for _ in range(len(signals) + 2):
        assert plan.next_at is not None
        assert math.isfinite(plan.next_at)
        at = max(plan.next_at, now)
        plan, orders = stopping.tick(plan, at)
        if any(isinstance(order, stopping.Kill) for order in orders):
            break
    assert plan.kills == 1
    assert at == now + window


def test_any_frame_is_carried_out_or_refused() -> None:
    """The same frames as a real keeper gets (``tests/process/test_wire_fuzz.py``), many more of them."""
    rng = random.Random(int(SEED or "0"))
    frames = Frames(rng, lambda: rng.choice(SOUND))
    for _ in range(FRAMES):
        made = verdict(frames.draw())
        tally.count("wire, in process", frames=1, refused=int(made.refused), half=int(made.rest))
