"""The record of a stopped task against the documented output of ``aws ecs stop-task``, field by field."""

from __future__ import annotations

import pytest

from supervisor.shapes import render_task
from tests.page import DOCUMENTED_OUTPUT, assert_documented

from .samples import stopped, wire


def test_a_stopped_task_has_every_member_of_the_page_with_its_type() -> None:
    assert_documented(DOCUMENTED_OUTPUT, wire(render_task(stopped())), "task")


def test_the_page_check_can_fail() -> None:
    task = wire(render_task(stopped()))
    del task["containers"][0]["networkBindings"][0]["bindIP"]
    with pytest.raises(AssertionError, match=r"bindIP is missing"):
        assert_documented(DOCUMENTED_OUTPUT, task, "task")
