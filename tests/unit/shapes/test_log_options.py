from __future__ import annotations

import pytest

from supervisor.model import LogConfiguration
from supervisor.shapes import is_file_driver, log_bound
from supervisor.shapes.log_options import MOST_SIZE

from .samples import container, refusal, register

PATH = "containerDefinitions[0].logConfiguration.options"


def logging(driver: str = "json-file", **options: str) -> dict[str, object]:
    named = {name.replace("_", "-"): value for name, value in options.items()}
    return container(logConfiguration={"logDriver": driver, "options": named})


def bound(driver: str = "json-file", **options: str) -> int | None:
    return log_bound(register(logging(driver, **options)).container_definitions[0].log_configuration)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("16384", 16384),
        ("16k", 16384),
        ("512K", 524288),
        ("10m", 10485760),
        ("10MB", 10485760),
        ("10 MiB", 10485760),
        ("1g", 1 << 30),
        ("1t", 1 << 40),
        ("16384b", 16384),
    ],
)
def test_sizes_as_docker_has_them(text: str, size: int) -> None:
    assert bound(max_size=text) == size


def test_all_files_of_docker_are_one_of_ours() -> None:
    assert bound(max_size="10m", max_file="3") == 30 << 20
    assert bound("file", max_size="10m", max_file="1") == 10 << 20


def test_nothing_said_is_no_bound() -> None:
    assert log_bound(None) is None
    assert bound() is None


def test_the_options_are_given_back_word_for_word() -> None:
    log = register(logging(max_size="10M", max_file="03")).container_definitions[0].log_configuration
    assert log == LogConfiguration("json-file", {"max-size": "10M", "max-file": "03"})


def test_which_drivers_write_files() -> None:
    assert is_file_driver(None)
    drivers = ("json-file", "file", "journald", "inherit", "none")
    assert [is_file_driver(LogConfiguration(driver)) for driver in drivers] == [True, True, False, False, False]


@pytest.mark.parametrize("text", ["", "10x", "-1", "1.5m", "ten", "m", "10  m", "１0m", "9" * 20])
def test_what_is_no_size(text: str) -> None:
    expected = "expected a number of bytes, or one with k, m or g, such as 10m, got "
    assert refusal(logging(max_size=text)) == f"{PATH}['max-size']: {expected}{text!r}"


@pytest.mark.parametrize("text", ["0", "15k", "16383", f"{MOST_SIZE + 1}", "9" * 18 + "t"])
def test_a_size_that_is_too_small_or_too_large(text: str) -> None:
    assert refusal(logging(max_size=text)) == (
        f"{PATH}['max-size']: expected at least 16k and at most 1048576t, got {text}"
    )


@pytest.mark.parametrize("text", ["0", "1001", "-1", "two", "", "1.0"])
def test_what_is_no_number_of_files(text: str) -> None:
    assert refusal(logging(max_size="1m", max_file=text)) == f"{PATH}['max-file']: expected 1 to 1000, got {text!r}"


def test_a_number_of_files_says_nothing_alone() -> None:
    assert refusal(logging(max_file="3")) == (
        f"{PATH}['max-file']: it multiplies max-size; give max-size too, or remove it"
    )


def test_other_drivers_have_no_size() -> None:
    assert refusal(logging("journald", max_size="1m")) == f"{PATH}['max-size']: journald does not support it; remove it"
