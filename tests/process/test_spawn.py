"""What a main process finds when it begins, and what is said where it cannot begin."""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from supervisor import wire
from supervisor.keeper import child
from supervisor.posix import cgroup, proc, process
from tests.machine import cannot_test
from tests.process import observed
from tests.process.conftest import StartKeeper, whatever_the_tracking
from tests.process.harness import KEEPER, Keeper

pytestmark = pytest.mark.process

SLEEPER = ["/bin/sleep", "1000"]


def _log_path(keeper: Keeper, spec: wire.Spawn) -> Path:
    return Path(f"{keeper.settings.log_dir}/{spec.task}/{spec.container}.log")


def test_the_environment_is_exactly_what_the_user_and_the_definition_give(keeper: Keeper) -> None:
    run = keeper.start(*SLEEPER, environ={"COLOUR": "blue", "SHELL": "/bin/false", child.MARKER: "forged"})
    pid = keeper.wait(wire.Spawned, run).pid
    user = process.find_user(None)
    assert proc.read_environ(pid) == {
        b"PATH": b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        b"HOME": user.home.encode(),
        b"USER": user.name.encode(),
        b"SHELL": b"/bin/false",
        b"LANG": b"C.UTF-8",
        b"COLOUR": b"blue",
        b"SUPERVISOR_CONTAINER_ID": run.encode(),
    }


def test_there_are_three_descriptors(keeper: Keeper) -> None:
    keeper.begin("graceful.py")  # the descriptors of another run are not this one's
    spec = keeper.spec(*SLEEPER)
    keeper.send(spec)
    log = str(_log_path(keeper, spec))
    pid = keeper.wait(wire.Spawned, spec.run).pid
    three = {0: "/dev/null", 1: log, 2: log}
    observed.until(lambda: observed.descriptors(pid) == three, "these three, once its libraries are loaded")


@whatever_the_tracking
def test_no_signal_is_ignored_blocked_or_handled(keeper: Keeper) -> None:
    pid = keeper.wait(wire.Spawned, keeper.start(*SLEEPER)).pid
    found = observed.status(pid)
    assert {int(found[key], 16) for key in ("SigIgn", "SigBlk", "SigCgt", "SigPnd", "ShdPnd")} == {0}


def test_the_main_process_leads_a_session_and_is_the_keepers_child(keeper: Keeper) -> None:
    spawned = keeper.wait(wire.Spawned, keeper.start(*SLEEPER))
    found = proc.read_stat(spawned.pid)
    assert found is not None
    assert (found.session, found.ppid, found.start_time) == (spawned.pid, keeper.popen.pid, spawned.start_time)
    assert os.getpgid(spawned.pid) == spawned.pid


@whatever_the_tracking
def test_directory_umask_and_limits_are_set(keeper: Keeper) -> None:
    limits = [("nofile", 100, 200), ("core", 0, 0)]
    pid = keeper.wait(wire.Spawned, keeper.start(*SLEEPER, cwd="/usr", ulimits=limits)).pid
    assert os.readlink(f"/proc/{pid}/cwd") == "/usr"
    assert observed.status(pid)["Umask"] == "0022"
    told = Path(f"/proc/{pid}/limits").read_text().splitlines()
    assert next(line for line in told if line.startswith("Max open files")).split()[3:5] == ["100", "200"]
    assert next(line for line in told if line.startswith("Max core file size")).split()[4:6] == ["0", "0"]


@whatever_the_tracking
def test_without_a_limit_of_its_own_the_descriptors_are_limited_as_the_keepers_were(start_keeper: StartKeeper) -> None:
    command = ["/bin/sh", "-c", 'ulimit -Sn 200; ulimit -Hn 300; exec "$@"', "sh", sys.executable, *KEEPER]
    keeper = start_keeper(command=command)
    pid = keeper.wait(wire.Spawned, keeper.start(*SLEEPER)).pid
    told = Path(f"/proc/{pid}/limits").read_text().splitlines()
    assert next(line for line in told if line.startswith("Max open files")).split()[3:5] == ["200", "300"]


def test_a_run_has_a_cgroup_of_its_own_only_where_it_is_tracked_so(keeper: Keeper, tracking: str) -> None:
    spec = keeper.spec(*SLEEPER)
    keeper.send(spec)
    pid = keeper.wait(wire.Spawned, spec.run).pid
    group = f"{cgroup.own()}/{keeper.settings.cgroup}/{spec.task}/{spec.run}"
    assert cgroup.contains(group, pid) is (tracking == "cgroup")


@whatever_the_tracking
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a task as somebody else")
@pytest.mark.parametrize("form", ["name", "number", "name:group", "number:number"])
def test_it_runs_as_the_user_asked_for(keeper: Keeper, form: str) -> None:
    nobody, root = process.find_user("nobody"), process.find_user("root")
    user, gid, groups = {
        "name": ("nobody", nobody.gid, nobody.groups),
        "number": (str(nobody.uid), nobody.gid, nobody.groups),
        "name:group": ("nobody:root", root.gid, [root.gid]),
        "number:number": (f"{nobody.uid}:12345", 12345, [12345]),
    }[form]
    pid = keeper.wait(wire.Spawned, keeper.start(*SLEEPER, user=user)).pid
    found = observed.status(pid)
    assert found["Uid"].split() == [str(nobody.uid)] * 4
    assert found["Gid"].split() == [str(gid)] * 4
    assert sorted(map(int, found["Groups"].split())) == sorted(groups)
    assert int(found["CapEff"], 16) == 0
    environ = proc.read_environ(pid)
    assert (environ[b"USER"], environ[b"HOME"]) == (b"nobody", nobody.home.encode())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a task as somebody else")
def test_who_runs_as_somebody_else_is_stopped_all_the_same(keeper: Keeper) -> None:
    script = 'trap "" TERM; echo "main $$" >"$READY"; while :; do sleep 1000; done'
    run, main = keeper.begin("/bin/sh", "-c", script, user="nobody", timeout=0.0)
    keeper.stop(run)
    keeper.wait(wire.Emptied, run)
    assert not main.alive


# output


@whatever_the_tracking
def test_output_is_appended_to_a_file_that_only_its_owner_writes(keeper: Keeper) -> None:
    first = keeper.spec("says.py")
    second = keeper.spec("says.py", task=first.task)
    for spec in (first, second):
        keeper.send(spec)
        keeper.wait(wire.Emptied, spec.run)
    path = _log_path(keeper, first)
    assert path.read_text() == "to standard output\nto standard error\n" * 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750


@whatever_the_tracking
def test_a_log_is_not_written_through_a_link(keeper: Keeper) -> None:
    spec = keeper.spec("says.py")
    path = _log_path(keeper, spec)
    path.parent.mkdir(parents=True)
    victim = Path(f"{keeper.directory}/victim")
    victim.write_text("precious")
    path.symlink_to(victim)
    keeper.send(spec)
    failed = keeper.wait(wire.SpawnFailed, spec.run)
    assert (failed.stage, failed.errno) == ("log", errno.ELOOP)
    assert victim.read_text() == "precious"


@whatever_the_tracking
def test_the_driver_none_drops_output(keeper: Keeper) -> None:
    pid = keeper.wait(wire.Spawned, keeper.start(*SLEEPER, log_driver="none")).pid
    assert observed.descriptors(pid) == dict.fromkeys((0, 1, 2), "/dev/null")


@whatever_the_tracking
def test_the_driver_inherit_gives_the_keepers_own_output(start_keeper: StartKeeper) -> None:
    output, held = os.pipe()
    with open(output) as lines:
        keeper = start_keeper(stdout=held)
        os.close(held)
        keeper.start("says.py", log_driver="inherit")
        assert lines.readline() == "to standard output\n"


@whatever_the_tracking
def test_the_driver_journald_speaks_journalds_protocol(start_keeper: StartKeeper, tmp_path: Path) -> None:
    path = str(tmp_path / "journal")
    main = (
        f"import sys; from supervisor.keeper import child, __main__ as keeper; child._JOURNAL = {path!r}; "
        "sys.exit(keeper.main())"
    )
    with socket.socket(socket.AF_UNIX) as journal:
        journal.bind(path)
        journal.listen()
        keeper = start_keeper(command=[sys.executable, "-P", "-c", main])
        run = keeper.start("says.py", log_driver="journald", log_tag="family/main")
        assert _lines(journal) == [*_header(run), "to standard output", "to standard error"]
        run, _ = keeper.begin("graceful.py", log_driver="journald", log_tag="family/main", pre_stop=["/bin/echo", "x"])
        keeper.stop(run)
        assert _lines(journal) == _header(run)
        assert _lines(journal) == [*_header(run), "x"], "the pre-stop command's are the run's"


def _header(run: str) -> list[str]:
    """Identifier, unit, priority, level prefix, no forwarding."""
    return ["family/main", f"supervisor-{run}.service", "6", "1", "0", "0", "0"]


def _lines(journal: socket.socket) -> list[str]:
    stream, _ = journal.accept()
    with stream, stream.makefile() as lines:
        return lines.read().splitlines()


# what cannot begin


def _file(keeper: Keeper, text: str, mode: int) -> str:
    path = Path(f"{keeper.directory}/program")
    path.write_text(text)
    path.chmod(mode)
    return str(path)


WITHOUT_JOURNALD = pytest.mark.skipif(os.path.exists("/run/systemd/journal/stdout"), reason="journald runs here")


@whatever_the_tracking
def test_a_script_whose_interpreter_is_missing_is_not_said_to_be_missing(keeper: Keeper) -> None:
    script = _file(keeper, "#!/nonexistent\n", 0o755)
    detail = keeper.wait(wire.SpawnFailed, keeper.start(script)).detail
    assert detail == f"No such file or directory: what the first line of {script!r} names"


@pytest.mark.parametrize(
    ("members", "stage", "number"),
    [
        pytest.param({"argv": ["/nonexistent/program"]}, "exec", errno.ENOENT, id="missing"),
        pytest.param({"argv": ["no-such-program"]}, "exec", errno.ENOENT, id="missing-in-PATH"),
        pytest.param({"argv": ("#!/bin/sh\n", 0o644)}, "exec", errno.EACCES, id="not-executable"),
        pytest.param({"argv": ("#!/nonexistent\n", 0o755)}, "exec", errno.ENOENT, id="missing-interpreter"),
        pytest.param({"argv": ("neither text nor program", 0o755)}, "exec", errno.ENOEXEC, id="no-program"),
        pytest.param({"argv": ["/bin/true", "\0"]}, "exec", errno.EINVAL, id="NUL"),
        pytest.param({"environ": {"A=B": ""}}, "exec", errno.EINVAL, id="environment"),
        pytest.param({"cwd": "/nonexistent"}, "workingDirectory", errno.ENOENT, id="directory"),
        pytest.param({"user": "no-such-user"}, "user", errno.EINVAL, id="user"),
        pytest.param({"user": "root:no-such-group"}, "user", errno.EINVAL, id="group"),
        pytest.param({"ulimits": [("nofile", 20, 10)]}, "ulimits", errno.EINVAL, id="ulimits"),
        pytest.param({"task": "f" * 32}, "log", errno.ENOTDIR, id="log"),
        pytest.param({"log_driver": "journald"}, "journald", errno.ENOENT, id="journald", marks=WITHOUT_JOURNALD),
    ],
)
def test_a_failure_names_its_stage_and_errno_and_leaves_nothing(
    keeper: Keeper, members: dict[str, Any], stage: str, number: int
) -> None:
    if stage == "log":
        Path(keeper.settings.log_dir).mkdir()
        Path(f"{keeper.settings.log_dir}/{members['task']}").write_text("no directory")
    if isinstance(members.get("argv"), tuple):
        members = {"argv": [_file(keeper, *members["argv"])]}
    run = keeper.start("/bin/true", **members)
    failed = keeper.wait(wire.SpawnFailed, run)
    assert (failed.stage, failed.errno) == (stage, number)
    assert failed.detail
    keeper.forget_all()
    assert keeper.listed().runs == []
    assert [type(event) for event in keeper.events if getattr(event, "run", "") == run] == [wire.SpawnFailed]
    assert proc.read_environ(keeper.popen.pid)  # it lives
    assert [pid for pid, one in proc.snapshot().items() if one.ppid == keeper.popen.pid] == [keeper.agent.pid]


@whatever_the_tracking
def test_an_unknown_user_is_named(keeper: Keeper) -> None:
    run = keeper.start("/bin/true", user="no-such-user")
    assert "no-such-user" in keeper.wait(wire.SpawnFailed, run).detail


def test_a_stop_that_comes_with_a_start_that_fails_signals_nobody(keeper: Keeper) -> None:
    spec = keeper.spec("/nonexistent")
    keeper.send(spec, wire.Stop(spec.run, None))
    keeper.wait(wire.SpawnFailed, spec.run)
    keeper.listed()
    assert [type(event) for event in keeper.events] == [wire.SpawnFailed, wire.Listed]


@whatever_the_tracking
@pytest.mark.parametrize(
    ("allowed", "refused"), [([], True), (["nobody"], True), (["{uid}"], False), (["{name}"], False)]
)
def test_only_allowed_users_run_tasks(start_keeper: StartKeeper, allowed: list[str], refused: bool) -> None:
    user = process.find_user(None)
    if user.name == "nobody":
        cannot_test("nobody is not somebody else")
    keeper = start_keeper(allowed_users=[one.format(uid=user.uid, name=user.name) for one in allowed])
    run = keeper.start(*SLEEPER)
    if refused:
        failed = keeper.wait(wire.SpawnFailed, run)
        assert (failed.stage, failed.errno) == ("user", errno.EPERM)
        assert "tasks.allowed_users" in failed.detail
    else:
        keeper.wait(wire.Spawned, run)


def test_a_run_asked_for_twice_is_started_once(keeper: Keeper) -> None:
    spec = keeper.spec("graceful.py")
    keeper.send(spec, spec)
    main = keeper.hear_main(spec.run)
    keeper.send(spec)
    keeper.listed()
    assert [event.pid for event in keeper.find(wire.Spawned)] == [main.pid]
    assert [pid for pid, one in proc.snapshot().items() if one.ppid == keeper.popen.pid] == sorted(
        [keeper.agent.pid, main.pid]
    )


def test_who_has_no_descriptor_left_refuses_and_lives_on(start_keeper: StartKeeper) -> None:
    command = ["/bin/sh", "-c", 'ulimit -n 64; exec "$@"', "sh", sys.executable, *KEEPER]
    keeper = start_keeper(command=command)
    runs = [keeper.start("/bin/sleep", "1000", timeout=0.0) for _ in range(40)]
    for run in runs:
        keeper.until(
            lambda run=run: bool(keeper.find(wire.Spawned, run) or keeper.find(wire.SpawnFailed, run)),  # type: ignore[misc]
            "an answer",
        )
    started, refused = keeper.find(wire.Spawned), keeper.find(wire.SpawnFailed)
    assert len(started) + len(refused) == len(runs)
    assert {failed.errno for failed in refused} == {errno.EMFILE}
    assert started
    for spawned in started:
        keeper.stop(spawned.run)
    for spawned in started:
        keeper.wait(wire.Emptied, spawned.run)
    again = keeper.start("exits.py")
    keeper.wait(wire.Emptied, again)
    assert keeper.wait(wire.Exited, again).code == 0
