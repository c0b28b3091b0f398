from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import ClientError, InvalidParameterError
from supervisor.shapes import one_page, read_token
from supervisor.shapes.pages import check_max_results, write_token


@given(position=st.tuples(st.floats(0, 1e12), st.text(max_size=40)))
def test_a_position_comes_back_as_it_was(position: tuple[float, str]) -> None:
    assert read_token(write_token(position), tuple[float, str]) == position


@given(token=st.text())
def test_what_is_no_token_is_refused_and_nothing_worse(token: str) -> None:
    try:
        read_token(token, tuple[float, str])
    except ClientError as error:
        assert isinstance(error, InvalidParameterError)  # noqa: PT017


@pytest.mark.parametrize("token", [write_token(("a", 1)), write_token("a"), "[" * 100_000, "x", "ä"])
def test_a_token_of_another_list(token: str) -> None:
    with pytest.raises(InvalidParameterError, match=r"^nextToken: not from a reply of this operation; leave it out"):
        read_token(token, tuple[float, str])


@pytest.mark.parametrize("token", [None, ""])
def test_no_token_is_the_beginning(token: str | None) -> None:
    assert read_token(token, str) is None


def test_a_page_has_a_token_only_where_there_is_more() -> None:
    positions: list[Any] = [("a", 1), ("b", 2)]
    assert one_page(positions, 2) == (positions, {})
    assert one_page(positions, 1) == (positions[:1], {"nextToken": write_token(("a", 1))})
    assert one_page([], 1) == ([], {})


def test_how_many() -> None:
    assert [check_max_results(count) for count in (None, 1, 100)] == [100, 1, 100]
    for count in (0, 101, -1):
        with pytest.raises(InvalidParameterError, match=f"^maxResults: expected 1 to 100, got {count}$"):
            check_max_results(count)
