"""Any life of a task in which agent, keeper and host end at any moment. What is so: ``tests.world``, ``mortal``."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given, settings

from supervisor.model import Task
from tests import tally
from tests.lives import tasks
from tests.mortal import MortalWorld
from tests.world import CHOICES


@settings(max_examples=6 * settings().max_examples)  # they are quick, and the corners far
@given(tasks(), CHOICES)
def test_whoever_ends_nothing_is_lost_or_started_twice(task: Task, choices: Iterator[int]) -> None:
    tally.count("recovery", lives=1)
    world = MortalWorld(task)
    world.live(choices)
    world.check_end()
