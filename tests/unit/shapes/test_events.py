"""The event of a version of a task, and where a reader of the journal says it wants to begin."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest

from supervisor.errors import InvalidParameterError
from supervisor.shapes import iso_time, parse_after, parse_since, render_event, render_task
from tests.unit.shapes.samples import stopped

AT = 1_700_000_000.25


def test_the_envelope_is_that_of_ecs() -> None:
    task = stopped()
    event = render_event(task, AT)
    assert list(event) == [
        "version",
        "id",
        "detail-type",
        "source",
        "account",
        "time",
        "region",
        "resources",
        "detail",
    ]
    assert (event["version"], event["detail-type"], event["source"]) == ("0", "ECS Task State Change", "aws.ecs")
    assert f":{event['region']}:{event['account']}:" in task.task_arn
    assert event["resources"] == [task.task_arn]
    assert event["time"] == event["detail"]["updatedAt"] == "2023-11-14T22:13:20.250Z"


def test_the_detail_is_the_task_without_health_and_with_iso_times() -> None:
    task = stopped()
    described = render_task(task, include_tags=True)
    detail = render_event(task, AT)["detail"]
    assert detail.keys() == described.keys() - {"healthStatus"} | {"updatedAt"}
    for name, value in described.items():
        if name.endswith("At"):
            assert dt.datetime.fromisoformat(detail[name]).timestamp() == value
        elif name not in ("healthStatus", "containers"):
            assert detail[name] == value
    for told, container in zip(detail["containers"], described["containers"], strict=True):
        assert told == {name: value for name, value in container.items() if name != "healthStatus"}


def test_the_id_is_of_the_version() -> None:
    task = stopped()
    later = msgspec.structs.replace(task, version=task.version + 1)
    assert render_event(task, AT)["id"] == render_event(task, AT + 1)["id"]
    assert render_event(task, AT)["id"] != render_event(later, AT)["id"]


def test_times_have_milliseconds_and_a_z() -> None:
    assert iso_time(0) == "1970-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("0", 0),
        ("1700000000.5", 1_700_000_000.5),
        ("2023-11-14T22:13:20Z", 1_700_000_000),
        ("2023-11-14T22:13:20", 1_700_000_000),
        ("2023-11-15T00:13:20+02:00", 1_700_000_000),
        ("2023-11-14", 1_699_920_000),
    ],
)
def test_since_is_a_time(text: str, at: float) -> None:
    assert parse_since(text) == at


@pytest.mark.parametrize("text", ["", "yesterday", "nan", "inf", "-1e300", "2023-13-01", "2023-11-14T22:13:20Z\n\n"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameterError, match="since: expected Unix time or a time as 2026-01-31T12:00:00Z, got"):
        parse_since(text)


@pytest.mark.parametrize(("text", "number"), [(None, 0), ("0", 0), ("17", 17)])
def test_after_is_a_number(text: str | None, number: int) -> None:
    assert parse_after(text) == number


@pytest.mark.parametrize("text", ["", "-1", "1.5", "x", "٣", "9" * 19])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameterError, match="after: expected the seq of an event, got"):
        parse_after(text)
