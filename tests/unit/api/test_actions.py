"""The table of actions and the table of requests name the same operations."""

from __future__ import annotations

from supervisor.api.actions import ACTIONS, Access
from supervisor.shapes import OPERATIONS


def test_every_operation_has_its_action_and_none_is_left_over() -> None:
    assert ACTIONS.keys() == OPERATIONS.keys()


def test_what_only_looks_needs_no_right_to_change() -> None:
    reading = {name for name, action in ACTIONS.items() if action.access is Access.READ}
    assert reading == {name for name in OPERATIONS if name.startswith(("Describe", "Get", "List"))}
