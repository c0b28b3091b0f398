"""What the keeper's door lets through, where no process is needed to see it."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor import wire
from supervisor.errors import WireError
from supervisor.keeper import verbs
from tests.unit.keeper.samples import FakeHost
from tests.unit.keeper.test_limits import LIMITED


@pytest.mark.parametrize(
    "members",
    [
        {"living": (-1, 5)},
        {"living": (2**22 + 1, 5)},
        {"living": (2**62, 5)},
        {"living": (5, -1)},
        {"secrets": {f"V{n}": "x" for n in range(201)}},
    ],
)
def test_what_is_out_of_bounds_is_refused(members: dict[str, Any]) -> None:
    host = FakeHost()
    verbs.handle(host, LIMITED._replace(**members))
    assert host.runs.refused == ["request"]


def test_who_forgets_nothing_gets_nothing_more() -> None:
    host = FakeHost()
    verbs.handle(host, LIMITED)
    host.owed = 100_001
    with pytest.raises(WireError, match="100001 events have not been forgotten"):
        verbs.handle(host, LIMITED)
    verbs.handle(host, wire.Forget(1))
