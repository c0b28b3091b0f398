"""The addresses by which the processes of a task find the agent."""

from __future__ import annotations

import pytest

from supervisor.agent.inside import Addresses, UnknownAddressError
from tests.unit.shapes.samples import TASK_ID, container, register, run

ADDRESSES = Addresses(4711, b"k" * 32)
TASK = run(register(container(), container(name="b")))


def token(name: str, addresses: Addresses = ADDRESSES) -> str:
    return addresses.environ(TASK, name)["ECS_CONTAINER_METADATA_URI_V4"].rpartition("/")[2]


def test_each_container_has_an_address_of_its_own_and_always_the_same() -> None:
    assert ADDRESSES.environ(TASK, "b") == {
        "ECS_CONTAINER_METADATA_URI_V4": f"http://127.0.0.1:4711/v4/{token('b')}",
        "ECS_AGENT_URI": f"http://127.0.0.1:4711/api/{token('b')}",
    }
    assert [ADDRESSES.parse(token(name)) for name in ("web", "b")] == [(TASK_ID, 0), (TASK_ID, 1)]


def test_it_cannot_be_made_without_the_key() -> None:
    assert token("b") != token("b", Addresses(4711, b"l" * 32))
    with pytest.raises(UnknownAddressError):
        ADDRESSES.parse(token("b", Addresses(4711, b"l" * 32)))


@pytest.mark.parametrize("change", [("-1-", "-0-"), ("-1-", "-²-"), ("-1-", "--"), ("-", ""), (TASK_ID, "0" * 32)])
def test_one_that_was_changed_is_nobodys(change: tuple[str, str]) -> None:
    with pytest.raises(UnknownAddressError):
        ADDRESSES.parse(token("b").replace(*change, 1))


@pytest.mark.parametrize("text", ["", "-", "--", "a-1-é", "\udcff-0-", "x" * 10_000])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UnknownAddressError):
        ADDRESSES.parse(text)
