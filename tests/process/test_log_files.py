"""Files of logs on a real file system: told of by the kernel, marked, and freed at their beginning."""

from __future__ import annotations

import asyncio
import errno
import os
import select
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from supervisor.agent import log_files, log_marks
from supervisor.agent.log_files import Kept, LogFiles
from supervisor.model import LastStatus, Task
from supervisor.posix import files
from supervisor.posix.inotify import Inotify
from tests.conftest import PATIENCE
from tests.process import observed
from tests.unit.shapes.samples import TASK_ID, container, register, run

pytestmark = pytest.mark.process

BOUND = 64 * 1024


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / TASK_ID).mkdir()
    path = tmp_path / TASK_ID / "main.log"
    path.touch()
    return path


@pytest.fixture
def inotify() -> Iterator[Inotify]:
    inotify = Inotify()
    yield inotify
    inotify.close()


def write(path: Path, size: int) -> None:
    with path.open("ab") as file:
        file.write(b"x" * (size - 1) + b"\n")


def allocated(path: Path) -> int:
    return os.stat(path).st_blocks * 512


# the kernel


def test_the_first_write_is_told_and_no_other(path: Path, inotify: Inotify) -> None:
    watch = inotify.add(str(path))
    assert inotify.add(str(path)) == watch
    assert inotify.read() == []
    write(path, 10)
    assert select.select([inotify], [], [], PATIENCE)[0]
    assert set(inotify.read()) == {watch}
    write(path, 10)
    assert inotify.read() == []
    inotify.remove(watch)  # over already, which does no harm
    assert inotify.add(str(path)) != watch


def test_a_watch_that_is_removed_tells_of_no_write(path: Path, inotify: Inotify) -> None:
    inotify.remove(inotify.add(str(path)))
    inotify.read()  # of its end
    write(path, 10)
    assert inotify.read() == []


def test_what_cannot_be_watched(path: Path, inotify: Inotify) -> None:
    with pytest.raises(FileNotFoundError):
        inotify.add(f"{path}.missing")


def test_a_part_of_a_file_is_freed_and_its_writer_goes_on(path: Path) -> None:
    with path.open("a+b") as file:
        file.write(b"x" * BOUND)
        file.flush()
        os.fsync(file.fileno())
        before = allocated(path)
        files.free(file.fileno(), 0, BOUND // 2)
        assert allocated(path) == before - BOUND // 2
        assert os.stat(path).st_size == BOUND
        assert [files.data_from(file.fileno(), place) for place in (0, BOUND - 1, BOUND)] == [
            BOUND // 2,
            BOUND - 1,
            None,
        ]
        file.write(b"y")
        file.flush()
        assert os.pread(file.fileno(), 2, BOUND // 2 - 1) == b"\0x"
        assert os.pread(file.fileno(), 2, BOUND - 1) == b"xy"


def test_what_cannot_be_freed(path: Path) -> None:
    output, held = os.pipe()
    with pytest.raises(OSError, match="Illegal seek"):
        files.free(held, 0, 10)
    os.close(output)
    os.close(held)


# one file


def test_a_look_frees_the_beginning_down_to_three_quarters_of_the_bound(path: Path) -> None:
    kept = Kept(str(path), BOUND)
    write(path, BOUND)
    kept.look()
    assert allocated(path) == BOUND
    write(path, 4096)
    kept.look()
    assert allocated(path) == BOUND * 3 // 4
    write(path, BOUND // 8)
    kept.look()
    assert allocated(path) == BOUND * 7 // 8  # nothing to be freed yet
    assert os.stat(path).st_size == BOUND + 4096 + BOUND // 8


def test_the_faster_it_grows_the_sooner_it_is_looked_at_again(path: Path) -> None:
    kept = Kept(str(path), BOUND)
    assert kept.look() is None
    kept.wake()
    write(path, 100 * BOUND)
    assert kept.look() == log_files.LEAST_PAUSE
    kept._looked_at = time.monotonic() - 1
    write(path, BOUND // 2)
    pause = kept.look()
    assert pause is not None
    assert 0.4 < pause < 0.9
    kept._looked_at = time.monotonic() - 1
    write(path, 10)
    assert kept.look() == log_files.PAUSE
    assert kept.look() is None
    unbounded = Kept(str(path), None)
    write(path, 100 * BOUND)
    assert unbounded.look() == log_files.PAUSE


def test_marks_are_made_once_a_second_and_at_the_end_of_what_was_written(path: Path) -> None:
    kept = Kept(str(path), BOUND)
    write(path, 10)
    kept.look()
    write(path, 10)
    kept.look()
    assert [mark.size for mark in log_marks.load(str(path)).marks] == [10]
    assert kept.look() is None
    marks = log_marks.load(str(path)).marks
    assert [mark.size for mark in marks] == [10, 20]
    assert marks[-1].at == pytest.approx(os.stat(path).st_mtime, abs=0.001)
    assert kept.look() is None
    assert log_marks.load(str(path)).marks == marks


def test_marks_are_taken_up_again(path: Path) -> None:
    write(path, 10)
    Kept(str(path), None).look()
    assert Kept(str(path), None).look() is None
    write(path, 10)
    assert Kept(str(path), None).look() is not None
    assert [mark.size for mark in log_marks.load(str(path)).marks] == [10, 20]


def test_marks_of_a_file_that_somebody_has_emptied_are_no_good(path: Path) -> None:
    kept = Kept(str(path), None)
    write(path, 100)
    kept.look()
    os.truncate(path, 0)
    write(path, 5)
    kept.look()
    assert [mark.size for mark in log_marks.load(str(path)).marks] == [5]


def test_there_are_never_too_many_marks(path: Path) -> None:
    write(path, log_marks.MOST * 2)
    log_marks.rewrite(
        str(path), log_marks.Marks([log_marks.Mark(float(at), at) for at in range(1, log_marks.MOST + 1)])
    )
    Kept(str(path), None).look()
    assert len(log_marks.load(str(path)).marks) < log_marks.MOST


def test_where_nothing_can_be_freed_it_is_said_once(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def cannot(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(files, "free", cannot)
    kept = Kept(str(path), BOUND)
    for _ in range(3):
        write(path, 2 * BOUND)
        kept.look()
    assert allocated(path) == 6 * BOUND
    assert kept.bound is None


# all files


LOG = {"logDriver": "file", "options": {"max-size": "64k"}}


def task_of(status: LastStatus = LastStatus.RUNNING, started_at: float | None = 1.0) -> Task:
    task = run(register(container(name="main", logConfiguration=LOG)))
    containers = tuple(msgspec.structs.replace(one, started_at=started_at) for one in task.containers)
    return msgspec.structs.replace(task, containers=containers, last_status=status)


def live(path: Path, story: Callable[[LogFiles], Awaitable[None]]) -> None:
    """Tell the story to the keeper of the files while it runs."""
    definition = register(
        container(name="main", logConfiguration={"logDriver": "file", "options": {"max-size": "64k"}})
    )

    async def tell() -> None:
        kept = LogFiles(str(path.parents[1]), lambda *_: definition)
        running = asyncio.ensure_future(kept.run())
        async with asyncio.timeout(PATIENCE):
            await story(kept)
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()

    asyncio.run(tell())


async def until(fact: Callable[[], bool]) -> None:
    while not fact():  # noqa: ASYNC110  nothing tells of it
        await asyncio.sleep(observed.POLL)


def marked(path: Path) -> int:
    return log_marks.load(str(path)).size


def test_a_file_is_kept_from_the_first_word_of_its_task_to_the_last(path: Path) -> None:
    async def story(kept: LogFiles) -> None:
        kept.observe(task_of(LastStatus.PENDING, None))
        assert not kept._kept
        kept.observe(task_of())
        write(path, 10)
        await until(lambda: marked(path) == 10)
        for _ in range(3):
            write(path, 100 * BOUND)
            await until(lambda: allocated(path) <= BOUND)
        write(path, 100 * BOUND)
        kept.observe(task_of(LastStatus.STOPPED))
        await until(lambda: allocated(path) <= BOUND)
        await until(lambda: marked(path) == 400 * BOUND + 10)
        assert not kept._kept

    live(path, story)


def test_when_the_agent_ends_each_file_is_looked_at_once_more(path: Path) -> None:
    async def story(kept: LogFiles) -> None:
        kept.observe(task_of())
        write(path, 10)
        await until(lambda: marked(path) == 10)
        write(path, 100 * BOUND)

    live(path, story)
    assert allocated(path) <= BOUND
    assert os.stat(path).st_size == 100 * BOUND + 10


def test_a_file_that_nobody_writes_to_has_no_timer(path: Path) -> None:
    async def story(kept: LogFiles) -> None:
        kept.observe(task_of())
        write(path, 10)
        await until(lambda: marked(path) == 10 and watched(kept))
        # nothing is due but this test's own patience: only the kernel can wake the loop
        loop = asyncio.get_running_loop()
        assert len([timer for timer in loop._scheduled if not timer.cancelled()]) == 1  # type: ignore[attr-defined]
        write(path, 10)
        await until(lambda: marked(path) == 20)

    def watched(kept: LogFiles) -> bool:
        return kept._watches is not None and bool(kept._watches._waiting)

    live(path, story)


def test_a_file_that_is_gone_and_tasks_without_files_do_no_harm(path: Path) -> None:
    async def story(kept: LogFiles) -> None:
        os.unlink(path)
        kept.observe(task_of())
        kept.observe(msgspec.structs.replace(task_of(), task_id="f" * 32))
        await until(kept._new.empty)
        kept.observe(task_of(LastStatus.STOPPED))

    live(path, story)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE])
def test_without_watches_files_are_looked_at_now_and_then(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(log_files, "UNWATCHED_PAUSE", 0.01)
    monkeypatch.setattr(Inotify, "add" if number == errno.ENOSPC else "__init__", refuse)

    async def story(kept: LogFiles) -> None:
        kept.observe(task_of())
        write(path, 100 * BOUND)
        await until(lambda: allocated(path) <= BOUND)
        write(path, 100 * BOUND)
        await until(lambda: allocated(path) <= BOUND)

    live(path, story)


def test_a_directory_that_cannot_be_written_to_is_no_reason_to_give_up(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = True

    def append(log_path: str, mark: log_marks.Mark) -> None:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        really(log_path, mark)

    really = log_marks.append
    monkeypatch.setattr(log_marks, "append", append)
    monkeypatch.setattr(log_files, "UNWATCHED_PAUSE", 0.01)

    async def story(kept: LogFiles) -> None:
        nonlocal full
        kept.observe(task_of())
        write(path, 100 * BOUND)
        await until(lambda: allocated(path) <= BOUND)
        full = False
        write(path, 10)
        await until(lambda: marked(path) == 100 * BOUND + 10)

    live(path, story)
