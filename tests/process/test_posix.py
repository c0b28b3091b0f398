"""The kernel as ``supervisor.posix`` shows it: identity before signal, one owner, sockets, writes that never wait."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.posix import cgroup, proc, process, remains, service
from tests.conftest import PATIENCE
from tests.machine import REPOSITORY, cannot_test
from tests.process import observed

pytestmark = pytest.mark.process


@contextlib.contextmanager
def _sleeper(program: str = "/bin/sleep") -> Iterator[subprocess.Popen[bytes]]:
    popen = subprocess.Popen([program, "1000"])
    try:
        yield popen
    finally:
        popen.kill()
        popen.wait()


def _stat(pid: int) -> proc.Stat:
    found = proc.read_stat(pid)
    assert found is not None
    return found


# identity


def test_a_signal_reaches_the_process_that_is_meant() -> None:
    with _sleeper() as sleeper:
        assert process.send_identified(sleeper.pid, _stat(sleeper.pid).start_time, signal.SIGKILL)
        assert sleeper.wait(PATIENCE) == -signal.SIGKILL


def test_a_signal_does_not_reach_another_process_that_has_the_pid() -> None:
    with _sleeper() as sleeper:
        for wrong in (-1, 1):
            assert not process.send_identified(sleeper.pid, _stat(sleeper.pid).start_time + wrong, signal.SIGKILL)
        assert process.send_identified(sleeper.pid, _stat(sleeper.pid).start_time, signal.SIGTERM)
        assert sleeper.wait(PATIENCE) == -signal.SIGTERM, "one of the others has arrived"


def test_who_is_gone_is_not_signalled() -> None:
    with _sleeper() as sleeper:
        start_time = _stat(sleeper.pid).start_time
        sleeper.kill()
        sleeper.wait()
    assert proc.read_stat(sleeper.pid) is None
    assert process.open_identified(sleeper.pid, start_time) is None
    assert not process.send_identified(sleeper.pid, start_time, signal.SIGTERM)


def test_a_look_at_an_end_leaves_the_zombie_and_reaping_takes_it() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(5)
    pidfd = os.pidfd_open(pid)
    try:
        observed.until(lambda: process.peek(pidfd) is not None, "its end")
        assert process.peek(pidfd) == process.Wait(5, None)
        assert _stat(pid).state == "Z"
        assert process.reap(pid)
        assert proc.read_stat(pid) is None
        assert not process.reap(pid)
    finally:
        os.close(pidfd)


def test_the_name_of_a_program_does_not_confuse_what_is_read_of_it(tmp_path: Path) -> None:
    program = tmp_path / "a) Z 1 (b"
    shutil.copy("/bin/sleep", program)
    with _sleeper(str(program)) as sleeper:
        found = _stat(sleeper.pid)
        assert (found.ppid, found.state in "RSD", found.session) == (os.getpid(), True, os.getsid(0))


def test_marks_are_read() -> None:
    limit = 2**48 + 17
    become = (
        f"import os, resource; resource.setrlimit({process.RLIMIT_LOCKS}, ({limit}, {limit})); "
        "os.execve('/bin/sleep', ['sleep', '1000'], {'A': '1', 'B': ''})"
    )
    with subprocess.Popen([sys.executable, "-c", become]) as popen:
        try:
            observed.until(lambda: proc.read_environ(popen.pid) == {b"A": b"1", b"B": b""}, "its environment")
            assert proc.read_file_locks_limit(popen.pid) == limit
        finally:
            popen.kill()
    assert proc.read_environ(popen.pid) == {}
    assert proc.read_file_locks_limit(popen.pid) is None


def test_the_children_of_a_process_are_listed_until_they_are_reaped() -> None:
    with _sleeper() as sleeper:
        assert sleeper.pid in proc.children_of(os.getpid())
        assert proc.snapshot()[sleeper.pid].ppid == os.getpid()
        sleeper.kill()
        observed.until(lambda: observed.state(sleeper.pid) == "Z", "a zombie")
        assert sleeper.pid in proc.children_of(os.getpid())
    assert sleeper.pid not in proc.children_of(os.getpid())
    assert proc.children_of(sleeper.pid) == []


@pytest.mark.parametrize("text", ["no-such-user", "root:no-such-group", ""])
def test_an_unknown_user_or_group_is_named(text: str) -> None:
    with pytest.raises(LookupError, match=text.rpartition(":")[2] or "''"):
        process.find_user(text)


def test_users_are_found_by_name_and_number() -> None:
    root = process.find_user("root")
    assert (root.uid, root.gid) == (0, 0)
    assert process.find_user("0") == root
    assert process.find_user("4000000000").name == "4000000000", "who is not in the database can run tasks"


# cgroups


def test_it_is_said_why_a_cgroup_cannot_be_used(tmp_path: Path) -> None:
    assert "No such file" in str(cgroup.why_unusable("/nonexistent"))
    assert "cgroup.kill" in str(cgroup.why_unusable(str(tmp_path)))
    assert list(tmp_path.iterdir()) == []


def test_a_cgroup_holds_kills_and_goes() -> None:
    own = cgroup.own()
    if own is None or cgroup.why_unusable(own) is not None:
        cannot_test("no cgroup v2 can be used here")
    group = f"{own}/supervisor-test-{os.getpid()}"
    cgroup.make(f"{group}/below")
    enter = f"from supervisor.posix import cgroup; cgroup.enter({f'{group}/below'!r}); print('in', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", enter], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as popen:
        assert popen.stdout is not None
        assert popen.stdout.readline() == b"in\n"
        assert cgroup.pids(group) == [popen.pid]
        assert cgroup.contains(group, popen.pid)
        assert not cgroup.contains(group[:-1], popen.pid), "a name that begins alike is another group"
        assert not cgroup.contains(group, os.getpid())
        events = cgroup.open_events(group)
        assert cgroup.read_events(events) == (True, False)
        cgroup.remove(group)
        assert os.path.exists(group), "a group with somebody in it stays"
        cgroup.kill(group)
        assert popen.wait(PATIENCE) == -signal.SIGKILL
    observed.until(lambda: not cgroup.read_events(events)[0], "an empty group")
    cgroup.remove(group)
    assert not os.path.exists(group)
    assert cgroup.read_events(events) == (False, False)
    os.close(events)


# what the one who started us expects


def test_a_directory_has_one_owner_and_names_it(tmp_path: Path) -> None:
    directory = str(tmp_path / "state")
    held = service.lock_directory(directory)
    assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700
    assert not os.get_inheritable(held), "whom we start must not own it with us"
    with pytest.raises(BlockingIOError, match=f"pid {os.getpid()}$"):
        service.lock_directory(directory)
    os.close(held)
    os.close(service.lock_directory(directory))


def test_a_directory_of_a_dead_owner_is_free(tmp_path: Path) -> None:
    lock = f"from supervisor.posix import service; service.lock_directory({str(tmp_path)!r})"
    owner = f"{lock}; print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", owner], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as popen:
        assert popen.stdout is not None
        assert popen.stdout.readline() == b"1\n"
        with pytest.raises(BlockingIOError, match=f"pid {popen.pid}$"):
            service.lock_directory(str(tmp_path))
        popen.kill()
    os.close(service.lock_directory(str(tmp_path)))


def test_a_socket_that_nobody_listens_on_is_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "made" / "socket")
    service.listen_unix(path, 0o600, None).close()
    assert os.path.exists(path)
    with service.listen_unix(path, 0o660, None) as listening, socket.socket(socket.AF_UNIX) as client:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
        client.connect(path)
        listening.accept()[0].close()


def test_a_socket_that_somebody_listens_on_is_refused_and_unharmed(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with service.listen_unix(path, 0o600, None) as listening:
        with pytest.raises(OSError, match="another agent listens there") as caught:
            service.listen_unix(path, 0o600, None)
        assert caught.value.errno == errno.EADDRINUSE
        listening.accept()[0].close()  # the probe
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            listening.accept()[0].close()


OWNER = """
import os, signal, sys, time
from supervisor.posix import service
service.lock_directory(sys.argv[1])
listening = service.listen_unix(sys.argv[1] + "/socket", 0o600, None)
if os.fork() == 0:
    print(1, flush=True)
    time.sleep(0.2)
    os._exit(0)
signal.pause()
"""
"""Its child holds what it held a little longer."""


@pytest.mark.parametrize("taken", ["lock", "socket"])
def test_what_a_dead_owner_left_behind_holds_is_waited_for(tmp_path: Path, taken: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], cwd=REPOSITORY, stdout=subprocess.PIPE
    ) as popen:
        assert popen.stdout is not None
        assert popen.stdout.readline() == b"1\n"
        popen.kill()
        os.waitid(os.P_PID, popen.pid, os.WEXITED | os.WNOWAIT)
        if taken == "lock":
            os.close(service.lock_directory(str(tmp_path)))
        else:
            service.listen_unix(str(tmp_path / "socket"), 0o600, None).close()
        assert popen.stdout.read() == b"", "the child is gone by now"


def test_what_a_dead_owner_left_behind_for_good_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remains, "PATIENCE", 0.05)
    stays = OWNER.replace("time.sleep(0.2)", "signal.pause()")
    with subprocess.Popen(
        [sys.executable, "-c", stays, str(tmp_path)], cwd=REPOSITORY, stdout=subprocess.PIPE
    ) as popen:
        assert popen.stdout is not None
        assert popen.stdout.readline() == b"1\n"
        (left,) = proc.children_of(popen.pid)
        popen.kill()
        os.waitid(os.P_PID, popen.pid, os.WEXITED | os.WNOWAIT)
        try:
            with pytest.raises(BlockingIOError, match=f"pid {popen.pid}$"):
                service.lock_directory(str(tmp_path))
            with pytest.raises(OSError, match="another agent listens there"):
                service.listen_unix(str(tmp_path / "socket"), 0o600, None)
        finally:
            observed.end_all([left])


def test_what_is_no_socket_is_refused_and_unharmed(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("precious")
    with pytest.raises(OSError, match="is not a socket"):
        service.listen_unix(str(path), 0o600, None)
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(OSError, match="is not a socket"):
        service.listen_unix(str(link), 0o600, None)
    assert path.read_text() == "precious"


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_the_service_manager_is_notified(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify") if kind == "path" else "")
        name = manager.getsockname()
        monkeypatch.setenv("NOTIFY_SOCKET", name if isinstance(name, str) else "@" + name[1:].decode())
        service.notify("READY=1")
        manager.setblocking(False)
        assert manager.recv(100) == b"READY=1"


def test_a_service_manager_that_does_not_listen_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        for _ in range(2000):
            service.notify("STATUS=full")
    service.notify("STATUS=gone")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nonexistent"))
    service.notify("STATUS=nobody")


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_full_standard_error_makes_no_writer_wait(kind: str) -> None:
    write = (
        "from supervisor.posix.service import Stderr; s = Stderr()\nfor i in range(2000): s.write('x' * 999 + '\\n')"
    )
    if kind == "pipe":
        ours, theirs = os.pipe()
    else:
        ours, theirs = (sock.detach() for sock in socket.socketpair())
    try:
        subprocess.run([sys.executable, "-c", write], cwd=REPOSITORY, stderr=theirs, check=True, timeout=PATIENCE)
        assert not fcntl.fcntl(theirs, fcntl.F_GETFL) & os.O_NONBLOCK, "others have this description too"
        os.close(theirs)
        with open(ours, "rb", closefd=False) as file:
            got = file.read()
        assert got.startswith(b"x" * 999 + b"\n")
        assert len(got) < 2_000_000, "it was never full"
    finally:
        with contextlib.suppress(OSError):
            os.close(theirs)
        os.close(ours)
