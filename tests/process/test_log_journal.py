"""Entries of journald as ``journalctl`` tells them; a script stands in for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from supervisor import wire
from supervisor.agent.log_journal import Entries
from supervisor.errors import ClientError
from supervisor.shapes import LogsAsked
from tests.conftest import PATIENCE

pytestmark = pytest.mark.process

RUN = "f" * 32
ASKED = LogsAsked("0" * 32, (), None, None, False, {})
OPTIONS = "--output=json --all --no-pager --quiet"

Script = Callable[[str], None]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Makes ``journalctl`` a script of these lines; it finds its arguments in ``$*``, and the usual programs."""

    def make(text: str) -> None:
        path = tmp_path / "journalctl"
        path.write_text(f"#!/bin/sh\necho $* >> {tmp_path}/asked\n{text}\n")
        path.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return make


def entry(cursor: str, text: object, **fields: object) -> str:
    body = {"_PID": "42", "__REALTIME_TIMESTAMP": "1500000", **fields, "__CURSOR": cursor, "MESSAGE": text}
    return "cat <<'END'\n" + json.dumps(body) + "\nEND\n"


def entries(runs: dict[str, int | None] | None = None, **asked: Any) -> Entries:
    return Entries(ASKED._replace(**asked), "main", "web main", lambda: runs or {RUN: 42}, (3600.5, None))


async def texts(told: AsyncIterator[list[dict[str, Any]]]) -> list[str]:
    return [line["line"] async for some in told for line in some]


def read(source: Entries) -> list[str]:
    return asyncio.run(texts(source.read()))


def test_a_line_says_when_it_was_and_where_the_next_begins(script: Script) -> None:
    script(entry("s=1;i=2", "hello"))

    async def first() -> list[dict[str, Any]]:
        async with contextlib.aclosing(entries().read()) as told:
            return await anext(told)

    assert asyncio.run(first()) == [{"container": "main", "line": "hello", "at": 1.5, "next": "s=1;i=2"}]


def test_an_entry_is_of_a_run_by_its_cgroup_its_main_process_or_its_stream(script: Script) -> None:
    script(
        entry("1", "main process")
        + entry("2", "child", _PID="43", _SYSTEMD_CGROUP=f"/supervisor/task/{RUN}/inner", _STREAM_ID="7")
        + entry("3", "same stream", _PID="44", _STREAM_ID="7")
        + entry("4", "other stream", _PID="44", _STREAM_ID="8")
        + entry("5", "gone before it was looked at", _PID="45", _SYSTEMD_UNIT=f"supervisor-{RUN}.service")
        + entry("6", "pre-stop command", _PID="46", _SYSTEMD_CGROUP=f"/supervisor/task/{wire.hook_run(RUN)}")
        + entry("7", "other run gone", _PID="47", _SYSTEMD_UNIT="supervisor-" + "e" * 32 + ".service")
        + entry("8", "same pid in another run", _SYSTEMD_CGROUP="/supervisor/task/" + "e" * 32)
        + entry("9", "and gone", _SYSTEMD_UNIT="supervisor-" + "e" * 32 + ".service")
        + entry("10", "other run", _PID=None, _SYSTEMD_CGROUP="/supervisor/task/" + "e" * 32)
    )
    of_any = ["child", "same stream", "gone before it was looked at", "pre-stop command"]
    assert read(entries()) == ["main process", *of_any]
    assert read(entries({RUN: None})) == of_any


def test_what_was_written_without_text(script: Script) -> None:
    script(entry("1", None) + entry("2", [104, 105, 255]))
    assert read(entries()) == ["", "hi\N{REPLACEMENT CHARACTER}"]


def test_what_is_asked(script: Script, tmp_path: Path) -> None:
    script("")
    for asked in ({}, {"since": 2.25}, {"since": 2.25, "places": {"main": "s=1", "x": "s=2"}}):
        read(entries(**asked))
    assert (tmp_path / "asked").read_text().splitlines() == [
        f"{OPTIONS} --since=@0.500000 SYSLOG_IDENTIFIER=web main",
        f"{OPTIONS} --since=@2.250000 SYSLOG_IDENTIFIER=web main",
        f"{OPTIONS} --after-cursor=s=1 SYSLOG_IDENTIFIER=web main",
    ]


def test_of_a_task_that_is_over_nothing_is_asked_that_came_long_after(script: Script, tmp_path: Path) -> None:
    script("")
    read(Entries(ASKED, "main", "x", dict, (7200.0, 7300.0)))
    asked = (tmp_path / "asked").read_text()
    assert asked == f"{OPTIONS} --since=@3600.000000 --until=@10900.000000 SYSLOG_IDENTIFIER=x\n"


@pytest.mark.parametrize(("tail", "lines"), [(0, []), (1, ["b"]), (5, ["a", "b"])])
def test_the_last_lines(script: Script, tail: int, lines: list[str]) -> None:
    script(entry("1", "a") + entry("2", "b"))
    assert read(entries(tail=tail)) == lines


def test_following_ends_when_it_is_told_to(script: Script, tmp_path: Path) -> None:
    begin, more = entry("1", "a") + entry("2", "b"), entry("3", "c")
    script(f'case "$*" in *--follow*--after-cursor=2*) {more} exec sleep 1000;; *) {begin} ;; esac')

    async def follow() -> list[str]:
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        found = []
        async with asyncio.timeout(PATIENCE):
            async for (line,) in entries(tail=1).follow(ended):
                found.append(line["line"])
                if line["line"] == "c":
                    ended.set_result(None)
        return found

    assert asyncio.run(follow()) == ["b", "c"]


def test_who_is_no_longer_listened_to_is_ended(script: Script, tmp_path: Path) -> None:
    script(f"echo $$ > {tmp_path}/pid\n{entry('1', 'a')}\nexec sleep 1000")

    async def listen() -> None:
        told = entries().read()
        assert (await anext(told))[0]["line"] == "a"
        waiting = asyncio.ensure_future(anext(told, []))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])

    asyncio.run(listen())
    assert not os.path.exists(f"/proc/{(tmp_path / 'pid').read_text().strip()}")


def refusal(source: Entries) -> str:
    with pytest.raises(ClientError) as refused:
        read(source)
    return str(refused.value)


def test_where_there_is_no_journalctl_the_command_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refusal(entries()) == (
        "cannot read the journal: journalctl: No such file or directory; "
        "the lines are those of: journalctl 'SYSLOG_IDENTIFIER=web main'"
    )


@pytest.mark.parametrize(
    ("text", "why"), [("exit 3", "it has ended with status 3"), ("echo nonsense", "it has said what is no entry")]
)
def test_a_journalctl_that_fails(script: Script, text: str, why: str) -> None:
    script(text)
    assert f"cannot read the journal: journalctl: {why}" in refusal(entries())
