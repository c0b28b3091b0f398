"""A hostile agent gets nothing that the keeper was not told to allow: users, strangers, memory. The test is the agent.

``test_hostile_paths`` has what it could plant in files; ``test_agent_loss`` frames that are none.
"""

from __future__ import annotations

import errno
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from supervisor import wire
from supervisor.posix import proc, process
from tests.conftest import PATIENCE
from tests.process import observed
from tests.process.conftest import StartKeeper, whatever_the_tracking
from tests.process.harness import Keeper
from tests.process.hostile import Place, hostile, place, refused, start_hostile
from tests.separate import AGENT

__all__ = ["hostile", "place"]

pytestmark = pytest.mark.process

NOBODY = process.find_user("nobody")
NOT_ALLOWED = [
    *(None, "root", "0", "00", "0:0", "root:root", f"root:{NOBODY.gid}", f"0:{NOBODY.gid}"),
    *(AGENT, str(process.find_user(AGENT).uid), f"{AGENT}:{NOBODY.gid}"),
    *("nobody:0", "nobody:root", "nobody:shadow", "nobody:12345", "12345", "12345:0", "12345:12345"),
    # -1 is "unchanged" to setresuid(2): who asks for it would stay root.
    *("4294967295", "4294967295:4294967295", "nobody:4294967295", "4294967296", "nobody:4294967296", "9" * 5000),
    *("", ":", ":0", "nobody:nobody:0", "nobody\0", "-1", "+0", " 0", "0 ", "0x0", "\u0660", "nobody:-1"),
]
"""Users, with ``allowed_users = ["*"]`` and an agent of another user."""


@whatever_the_tracking
def test_the_rights_that_the_agent_does_not_have_cannot_be_asked_for(hostile: Keeper) -> None:
    for user in NOT_ALLOWED:
        assert refused(hostile, "user", "/bin/sleep", "1000", user=user).errno in (errno.EPERM, errno.EINVAL), user
    spawned = hostile.wait(wire.Spawned, hostile.start("/bin/sleep", "1000", user="nobody"))
    found = observed.status(spawned.pid)
    assert found["Uid"].split() == [str(NOBODY.uid)] * 4
    assert sorted(map(int, found["Groups"].split())) == sorted(NOBODY.groups)
    assert hostile.find(wire.Spawned) == [spawned]


@whatever_the_tracking
def test_an_allowed_list_is_kept_to_the_letter(start_keeper: StartKeeper, place: Place) -> None:
    keeper = start_hostile(start_keeper, place, allowed_users=["nobody"])
    for user in (None, "root", "0", AGENT, "nobody:0", "bin", "4294967295"):
        assert refused(keeper, "user", "/bin/sleep", "1000", user=user).errno in (errno.EPERM, errno.EINVAL), user
    keeper.wait(wire.Spawned, keeper.start("/bin/sleep", "1000", user="nobody"))


@whatever_the_tracking
@pytest.mark.parametrize("user", ["4294967295", "4294967295:4294967295", "nobody:4294967295", "1:4294967296"])
def test_a_number_that_means_unchanged_is_nobodys(start_keeper: StartKeeper, user: str) -> None:
    assert refused(start_keeper(), "user", user=user).errno == errno.EINVAL


@whatever_the_tracking
def test_root_is_allowed_where_it_is_named(start_keeper: StartKeeper, place: Place) -> None:
    keeper = start_hostile(start_keeper, place, allowed_users=["*", "root"])
    keeper.wait(wire.Spawned, keeper.start("/bin/sleep", "1000"))
    refused(keeper, "user", user=AGENT)


@whatever_the_tracking
def test_the_agent_has_the_rights_of_its_user_and_can_gain_none(hostile: Keeper) -> None:
    found = observed.status(hostile.agent.pid)
    agent = process.find_user(AGENT)
    assert (found["Uid"].split(), found["Gid"].split()) == ([str(agent.uid)] * 4, [str(agent.gid)] * 4)
    assert sorted(map(int, found["Groups"].split())) == sorted(agent.groups)
    assert [int(found[key], 16) for key in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == [0] * 4
    assert found["NoNewPrivs"] == "1"


@contextmanager
def _stranger(**options: object) -> Iterator[tuple[int, int]]:
    """Pid and start time of a process that is no task's."""
    with subprocess.Popen(["/bin/sleep", "1000"], **options) as popen:  # type: ignore[call-overload]
        stat = proc.read_stat(popen.pid)
        assert stat is not None
        try:
            yield popen.pid, stat.start_time
        finally:
            assert popen.poll() is None, "it was signalled"
            popen.kill()


def test_a_stranger_is_not_adopted_and_not_signalled(hostile: Keeper) -> None:
    init = proc.read_stat(1)
    assert init is not None
    with _stranger() as plain, _stranger(start_new_session=True) as leader, _stranger() as third:
        agent = proc.read_stat(hostile.agent.pid)
        assert agent is not None
        living = [plain, leader, (1, init.start_time), (hostile.agent.pid, agent.start_time)]
        living += [(third[0], third[1] + 1), (third[0], 0), (-1, 0), (2**62, 1), (-(2**62), 1)]
        for one in living:
            spec = hostile.spec("/bin/sleep", "1000", user="nobody", living=one, stop_timeout=0.0)
            hostile.send(spec, wire.Stop(spec.run, 0.0))
            hostile.until(lambda run=spec.run: _is_over(hostile, run), f"the end of {one}")  # type: ignore[misc]
            ends = hostile.find(wire.Exited, spec.run)
            assert [(end.code, end.signal) for end in ends] in ([], [(None, None)])
            assert not [told for told in hostile.find(wire.Signalled, spec.run) if told.pids]
        assert hostile.agent.alive
        assert not hostile.logged("frame_refused")


def _is_over(keeper: Keeper, run: str) -> bool:
    return bool(keeper.find(wire.Emptied, run) or keeper.find(wire.SpawnFailed, run))


@whatever_the_tracking
def test_helpers_are_of_the_task_that_they_are_beside(hostile: Keeper) -> None:
    run = hostile.start("/bin/sleep", "1000", user="nobody", timeout=0.0)
    hostile.wait(wire.Spawned, run)
    failed = refused(hostile, "beside", log_driver="check", beside=run, lifetime=5.0)
    assert "another task" in failed.detail


@whatever_the_tracking
def test_what_was_never_started_can_be_stopped_and_forgotten_and_nothing_happens(hostile: Keeper) -> None:
    run, main = hostile.begin("graceful.py", "7", user="nobody")
    for unknown in ("f" * 32, "", "../" + run, run.upper() + "x", "*"):
        hostile.send(wire.Stop(unknown, 0.0))
    hostile.send(*(wire.Forget(through) for through in (-1, 0, -(2**63), 2**63 - 1)))
    assert hostile.listed().runs == [run]
    assert main.alive
    hostile.stop(run, 1e308)
    assert hostile.wait(wire.Exited, run).code == 7, "what happened after a forged Forget is told"


@whatever_the_tracking
@pytest.mark.parametrize(
    "limit", [("nofile", 2**62, 2**62), ("nofile", -5, -5), ("nproc", 10, 5), ("core", 5, -7), ("locks", 7, 7)]
)
def test_a_limit_is_set_or_the_run_does_not_begin(hostile: Keeper, limit: tuple[str, int, int]) -> None:
    run = hostile.start("/bin/sleep", "1000", user="nobody", ulimits=[limit], timeout=0.0)
    hostile.until(lambda: bool(hostile.find(wire.Spawned, run) or hostile.find(wire.SpawnFailed, run)), "an answer")
    assert [failed.stage for failed in hostile.find(wire.SpawnFailed, run)] in ([], ["ulimits"])
    if limit[0] == "locks":  # where the tag of a run is, by which its processes are found
        told = Path(f"/proc/{hostile.wait(wire.Spawned, run).pid}/limits").read_text()
        assert next(line for line in told.splitlines() if line.startswith("Max file locks")).split()[3] != "7"


@whatever_the_tracking
def test_a_run_that_gains_no_privileges_says_so_to_the_kernel(hostile: Keeper) -> None:
    for asked in (True, False):
        run = hostile.start("/bin/sleep", "1000", user="nobody", no_new_privileges=asked, timeout=0.0)
        assert observed.status(hostile.wait(wire.Spawned, run).pid)["NoNewPrivs"] == str(int(asked))


@whatever_the_tracking
def test_output_that_is_inherited_is_all_that_is_inherited(hostile: Keeper) -> None:
    pid = hostile.wait(wire.Spawned, hostile.start("/bin/sleep", "1000", user="nobody", log_driver="inherit")).pid
    observed.until(lambda: set(observed.descriptors(pid)) == {0, 1, 2}, "three descriptors")


# memory and time


def _memory(pid: int) -> int:
    return int(observed.status(pid)["VmRSS"].split()[0])


@whatever_the_tracking
def test_an_agent_that_reads_no_answers_is_heard_no_further(hostile: Keeper) -> None:
    link, hostile.link = hostile.link, None  # from now on nobody reads what comes
    assert link is not None
    link.setblocking(False)
    frame = wire.encode(wire.List())
    before, left, rests = _memory(hostile.popen.pid), memoryview(frame * 400_000), 0
    while left and rests < 3:
        took, left = len(left), _push(link, left)
        rests = rests + 1 if len(left) == took and hostile.is_idle_for(0.2) else 0
    assert left, "it has taken everything in"
    assert _memory(hostile.popen.pid) - before < 16 * 1024, "answers that nobody reads take no room"
    asked = len(frame) * 400_000 - len(left)
    rest = -asked % len(frame)
    hostile.link, broken = link, left[:rest]  # and whoever reads again gets every answer
    while broken:
        hostile.turn(PATIENCE)
        broken = _push(link, broken)
    link.setblocking(True)
    hostile.until(lambda: len(hostile.find(wire.Listed)) == (asked + rest) // len(frame) or None, "every answer")


def _push(link: socket.socket, left: memoryview) -> memoryview:
    try:
        while left:
            left = left[link.send(left) :]
    except BlockingIOError:
        pass
    return left


@whatever_the_tracking
def test_checks_that_wait_are_bounded_and_each_is_answered(hostile: Keeper) -> None:
    specs = [hostile.spec("/bin/true", user="nobody", beside="f" * 32, lifetime=1.0) for _ in range(3000)]
    hostile.send(*specs)
    hostile.until(lambda: len(hostile.find(wire.SpawnFailed)) == len(specs) or None, "an answer to each")
    assert {failed.errno for failed in hostile.find(wire.SpawnFailed)} == {errno.ESRCH, errno.EAGAIN}


@whatever_the_tracking
def test_stops_are_on_time_whatever_the_agent_floods_the_keeper_with(hostile: Keeper) -> None:
    run, main = hostile.begin("ignores.py", user="nobody", timeout=0.5)
    hostile.stop(run)
    told = hostile.wait(wire.Signalled, run, signum=signal.SIGTERM)
    assert hostile.link is not None
    flood = wire.encode(wire.Stop("e" * 32, 0.0)) * 20_000
    while main.alive:
        hostile.send_bytes(flood)
        hostile.turn(0.0)
    killed = hostile.wait(wire.Signalled, run, signum=signal.SIGKILL)
    assert 0 <= killed.clock - told.deadline < 0.25
    hostile.wait(wire.Emptied, run)
