"""Any life of any task, with every order of events that a keeper could produce. What is always so: ``tests.world``."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given

from supervisor.model import Task
from tests.lives import tasks
from tests.world import CHOICES, World


@given(tasks(), CHOICES)
def test_every_life_is_told_properly(task: Task, choices: Iterator[int]) -> None:
    world = World(task)
    world.live(choices)
    world.check_end()
