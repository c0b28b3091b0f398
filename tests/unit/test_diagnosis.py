"""From what was seen of processes to words: each way of not stopping, who is most to blame, and what fits a reason."""

from __future__ import annotations

import signal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.diagnosis import Finding, Kind, Sight, diagnose, summarize

TERM = 1 << signal.SIGTERM - 1
INT = 1 << signal.SIGINT - 1
WINCH = 1 << signal.SIGWINCH - 1
MAIN = 100
OLD = 60.0


def seen(pid: int = MAIN, ppid: int = 1, **members: Any) -> Sight:
    defaults: dict[str, Any] = {"start_time": 1, "session": MAIN, "name": "python3", "state": "S", "age": OLD}
    return Sight(pid=pid, ppid=ppid, **(defaults | members))


def child(pid: int = 101, ppid: int = MAIN, **members: Any) -> Sight:
    defaults: dict[str, Any] = {"name": "worker"}
    return seen(pid, ppid, **(defaults | members))


def handling(syscall: str = "", pid: int = MAIN, **members: Any) -> Sight:
    defaults: dict[str, Any] = {"caught": TERM, "syscall": syscall}
    return seen(pid, **(defaults | members))


def found(*sights: Sight, signums: tuple[int, ...] = (signal.SIGTERM,), main_over: bool = False) -> list[Finding]:
    return diagnose(sights, signums, MAIN, main_over=main_over)


OF_ONE = {
    "frozen": (seen(caught=TERM, frozen=True), Kind.FROZEN, "is frozen by its cgroup, and cannot act on SIGTERM"),
    "stopped": (seen(caught=TERM, state="T"), Kind.STOPPED, "is stopped (SIGSTOP, or a signal like it)"),
    "in a tracer's stop": (
        seen(caught=TERM, state="t", tracer=7, tracer_name="gdb"),
        Kind.TRACED,
        "is held by its tracer 7 (gdb)",
    ),
    "a tracer that holds the signal back": (
        seen(tracer=7, tracer_name="gdb", pending=TERM),
        Kind.TRACED,
        "is held by its tracer 7 (gdb)",
    ),
    "a tracer that passes signals on": (seen(ignored=TERM, tracer=7), Kind.IGNORES, "ignores SIGTERM"),
    "uninterruptible, on a file": (
        seen(state="D", syscall="read", target="/mnt/nfs/file", wchan="nfs_wait_bit", stack=("rpc_wait", "nfs_read")),
        Kind.UNINTERRUPTIBLE,
        "is in uninterruptible I/O on /mnt/nfs/file in nfs_wait_bit, which no signal ends",
    ),
    "uninterruptible, by its stack": (
        seen(state="D", stack=("fuse_get_req", "fuse_lookup")),
        Kind.UNINTERRUPTIBLE,
        "is in uninterruptible I/O in fuse_get_req, which no signal ends",
    ),
    "uninterruptible for a moment": (
        handling("write", state="D", io_rate=5e6),
        Kind.WORKING,
        "was still working (5 MB/s) after SIGTERM",
    ),
    "in vfork": (
        handling(state="D", stack=("kernel_clone", "__do_sys_vfork")),
        Kind.VFORK,
        "has called vfork, and no handler runs before a child has exec'ed or is over",
    ),
    "owed to its tracer": (
        seen(state="Z", tracer=7, tracer_name="gdb"),
        Kind.OWED,
        "is over, and its tracer 7 (gdb) has not taken notice",
    ),
    "not reaped": (seen(state="Z"), Kind.OWED, "is over, and its parent 1 has not reaped it"),
    "ignored": (seen(ignored=TERM, syscall="pause"), Kind.IGNORES, "ignores SIGTERM"),
    "blocked": (seen(blocked=TERM, pending=TERM), Kind.BLOCKS, "blocks SIGTERM, sent and still pending"),
    "taken by signalfd": (handling("read", caught=0, blocked=TERM, target="[signalfd]"), Kind.EVENTS, None),
    "in sigwait": (handling("rt_sigtimedwait", caught=0), Kind.SIGNAL, "handles SIGTERM, and waits for another signal"),
    "PID 1 of a namespace": (
        seen(is_init=True),
        Kind.INIT,
        "is PID 1 of a PID namespace and has no handler for SIGTERM, which does nothing to it then",
    ),
    "PID 1 with a handler": (handling("pause", is_init=True), Kind.SIGNAL, None),
    "exec'ed after the signal": (
        seen(),
        Kind.LATE,
        "was started, or has exec'ed, after SIGTERM had been sent",
    ),
    "about to end": (seen(pending=TERM), Kind.LATE, "has SIGTERM pending, and was about to end"),
    "busy": (handling(state="R", cpu_rate=0.98, io_rate=12e6), Kind.WORKING, None),
    "writes": (handling("write", io_rate=200e3), Kind.WORKING, "was still working (200 kB/s) after SIGTERM"),
    "runs": (handling(state="R"), Kind.WORKING, "handles SIGTERM, and was running"),
    "futex": (handling("futex"), Kind.LOCK, "handles SIGTERM, and waits for a lock (futex)"),
    "futex among threads": (
        handling("futex", threads=5),
        Kind.LOCK,
        "handles SIGTERM, and waits for a lock or another of its 5 threads (futex)",
    ),
    "flock": (
        handling("flock", target="/run/x.lock"),
        Kind.LOCK,
        "handles SIGTERM, and waits for a lock on /run/x.lock",
    ),
    "lockf": (
        handling("fcntl", target="/run/x.lock", stack=("fcntl_setlk", "do_fcntl")),
        Kind.LOCK,
        "handles SIGTERM, and waits for a lock on /run/x.lock",
    ),
    "wait4": (handling("wait4"), Kind.CHILD, "handles SIGTERM, and waits for a child"),
    "recv": (
        handling("recvfrom", target="tcp 10.0.0.1:5432"),
        Kind.NETWORK,
        "handles SIGTERM, and waits for the network (recvfrom on tcp 10.0.0.1:5432)",
    ),
    "read of a unix socket": (
        handling("read", target="unix /run/x"),
        Kind.NETWORK,
        "handles SIGTERM, and waits for the network (read on unix /run/x)",
    ),
    "accept": (
        handling("accept4", target="tcp listening on :80"),
        Kind.NETWORK,
        "handles SIGTERM, and waits for a caller (accept4, tcp listening on :80)",
    ),
    "pipe": (handling("read", target="pipe"), Kind.PIPE, "handles SIGTERM, and waits for a writer to a pipe"),
    "full pipe": (handling("write", target="pipe"), Kind.PIPE, "handles SIGTERM, and waits for a reader of a pipe"),
    "named pipe": (
        handling("read", target="/run/fifo", stack=("pipe_read", "vfs_read")),
        Kind.PIPE,
        "handles SIGTERM, and waits for a writer to the pipe /run/fifo",
    ),
    "open of a FIFO": (
        handling("openat", stack=("wait_for_partner", "fifo_open")),
        Kind.PIPE,
        "handles SIGTERM, and waits for somebody to open the other end of a FIFO",
    ),
    "fsync": (handling("fsync", target="/data/wal"), Kind.DISK, None),
    "journal": (handling(wchan="jbd2_log_wait_commit"), Kind.DISK, None),
    "terminal": (
        handling("read", target="/dev/pts/3"),
        Kind.INPUT,
        "handles SIGTERM, and waits for its terminal on /dev/pts/3",
    ),
    "sleep": (handling("clock_nanosleep"), Kind.TIME, "handles SIGTERM, and waits for time to pass (it sleeps)"),
    "restarted sleep": (handling("restart_syscall", stack=("hrtimer_nanosleep",)), Kind.TIME, None),
    "events": (handling("epoll_wait"), Kind.EVENTS, "handles SIGTERM, and waits for events (epoll_wait)"),
    "connections": (
        handling("epoll_wait", connections=("tcp 10.0.0.1:5", "tcp 10.0.0.2:6")),
        Kind.CONNECTIONS,
        "handles SIGTERM, and waits for 2 open connections: tcp 10.0.0.1:5, tcp 10.0.0.2:6",
    ),
    "many connections": (
        handling("poll", connections=tuple(f"tcp 10.0.0.1:{port}" for port in range(8))),
        Kind.CONNECTIONS,
        "handles SIGTERM, and waits for at least 8 open connections: tcp 10.0.0.1:0, tcp 10.0.0.1:1, tcp 10.0.0.1:2, …",
    ),
    "pause": (handling("pause"), Kind.SIGNAL, "handles SIGTERM, and waits for another signal"),
    "nothing known": (handling(), Kind.UNKNOWN, "handles SIGTERM, and did not end"),
    "a call without a name": (
        handling(wchan="do_strange"),
        Kind.UNKNOWN,
        "handles SIGTERM, and did not end (in do_strange)",
    ),
}
"""Of the main process, alone."""


@pytest.mark.parametrize(("sight", "kind", "text"), OF_ONE.values(), ids=OF_ONE)
def test_a_main_process_alone(sight: Sight, kind: Kind, text: str | None) -> None:
    (finding,) = found(sight)
    assert (finding.pid, finding.name, finding.kind) == (MAIN, "python3", kind)
    if text is not None:
        assert finding.text == text
    assert finding.advice


@pytest.mark.parametrize(
    ("wchan", "kind"),
    [
        ("futex_wait_queue", Kind.LOCK),
        ("locks_lock_inode_wait", Kind.LOCK),
        ("do_wait", Kind.CHILD),
        ("anon_pipe_read", Kind.PIPE),
        ("unix_stream_read_generic", Kind.NETWORK),
        ("sk_wait_data", Kind.NETWORK),
        ("inet_csk_accept", Kind.NETWORK),
        ("do_epoll_wait", Kind.EVENTS),
        ("do_select", Kind.EVENTS),
        ("poll_schedule_timeout.constprop.0", Kind.EVENTS),
        ("hrtimer_nanosleep", Kind.TIME),
        ("sigsuspend", Kind.SIGNAL),
        ("do_sigtimedwait.isra.0", Kind.SIGNAL),
    ],
)
def test_of_another_users_process_the_kernels_function_tells(wchan: str, kind: Kind) -> None:
    assert found(handling(wchan=wchan))[0].kind is kind


def test_what_no_handler_means_depends_on_the_signal() -> None:
    (finding,) = found(seen(), signums=(signal.SIGWINCH,))
    assert finding.kind is Kind.NO_EFFECT
    assert finding.text == "has no handler for SIGWINCH, which does nothing without one"


def test_of_several_stop_signals_all_must_be_ignored() -> None:
    both = (signal.SIGTERM, signal.SIGINT)
    assert found(seen(ignored=TERM | INT), signums=both)[0].text == "ignores SIGTERM and SIGINT"
    assert found(handling("pause", caught=INT, ignored=TERM), signums=both)[0].text.startswith("handles SIGINT, and")
    assert found(seen(blocked=TERM, pending=TERM, ignored=INT), signums=both)[0].kind is Kind.BLOCKS


# several processes


def test_a_shell_that_waits_for_its_child_is_to_blame() -> None:
    shell = handling("wait4", name="sh")
    first, second = found(child(), shell)
    assert first.kind is Kind.SHELL
    assert first.text == "is a shell that waits for its child 101 (worker), to which it forwards no signal"
    assert "exec" in first.advice
    assert (second.kind, second.pid) == (Kind.NOT_TOLD, 101)


def test_a_script_is_a_shell_by_the_program_that_runs_it() -> None:
    script = handling("wait4", name="start.sh", command="/bin/dash ./start.sh")
    first, second = found(child(caught=TERM, syscall="epoll_wait"), script)
    assert (first.pid, first.kind) == (MAIN, Kind.SHELL)
    assert "exec" in first.advice
    assert second.advice == "", "what helps is the shell's to do"


def test_a_shell_whose_child_has_a_handler_may_have_told_it() -> None:
    first, _ = found(handling("wait4", name="bash"), child(caught=TERM, syscall="epoll_wait"))
    assert (
        first.text
        == "is a shell that waits for its child 101 (worker), and forwards no signal to it unless its trap does"
    )


def test_a_shell_whose_child_ignores_the_signal_is_less_to_blame() -> None:
    first, second = found(handling("wait4", name="sh"), child(ignored=TERM))
    assert (first.pid, first.kind) == (101, Kind.IGNORES)
    assert second.text == "handles SIGTERM, and waits for its child 101 (worker)"


def test_a_shell_as_pid_1_is_told_to_exec() -> None:
    first, _ = found(seen(name="sh", syscall="wait4", is_init=True), child())
    assert first.kind is Kind.INIT
    assert "exec" in first.advice


def test_who_waits_for_a_late_child_is_less_to_blame_than_the_child() -> None:
    first, second = found(handling("wait4"), child(caught=TERM, syscall="recvfrom", target="tcp 10.0.0.1:5432"))
    assert (first.pid, first.kind) == (101, Kind.NETWORK)
    assert second.kind is Kind.CHILD
    assert first.advice
    assert second.advice == "", "what helps is the child's to do"


def test_the_last_of_a_chain_of_waiting_processes_is_first() -> None:
    chain = [handling("wait4"), child(101, 100, caught=TERM, syscall="wait4"), child(102, 101, ignored=TERM)]
    assert [one.pid for one in found(*chain)] == [102, 100, 101]


def test_who_waits_for_a_child_that_it_has_not_told_is_to_blame() -> None:
    first, second, _ = found(handling("wait4"), child(), child(102))
    assert first.kind is Kind.NOT_FORWARDED
    assert first.text == "waits for its children 101 (worker), 102 (worker), to which it did not forward SIGTERM"
    assert "stop-scope" in second.advice


def test_who_waits_for_something_else_is_to_blame_before_its_children() -> None:
    first, _ = found(handling("flock", target="/run/x"), child(ignored=TERM))
    assert (first.pid, first.kind) == (MAIN, Kind.LOCK)


def test_a_main_process_that_ignores_the_signal_is_to_blame_before_its_children() -> None:
    assert [one.pid for one in found(child(ignored=TERM), seen(ignored=TERM))] == [MAIN, 101]


def test_who_is_left_behind_is_called_so() -> None:
    (finding,) = found(child(ppid=1, ignored=TERM), main_over=True)
    assert finding.text == "ignores SIGTERM, and was left behind by the main process"


def test_after_the_main_process_everybody_has_been_told() -> None:
    assert found(child(ppid=1), main_over=True)[0].kind is Kind.LATE


def test_a_chain_of_forks_is_known_by_its_youth() -> None:
    (finding,) = found(child(ppid=1, ignored=TERM, age=0.004), main_over=True)
    assert finding.kind is Kind.FORKS
    assert found(handling("wait4"), child(ignored=TERM, age=0.004))[0].kind is Kind.IGNORES


def test_who_came_and_went_is_to_blame_only_where_nobody_else_was_seen() -> None:
    gone = child(ppid=0, name="?", state="X")
    assert [one.kind for one in found(gone, seen(ignored=TERM))] == [Kind.IGNORES, Kind.GONE]
    assert (
        summarize(found(gone))
        == "101 (?) came and went while it was looked at: processes fork and exit again and again"
    )


def test_a_zombie_is_owed_by_its_parent_and_last() -> None:
    first, last = found(child(state="Z"), handling("pause"))
    assert first.kind is Kind.SIGNAL
    assert last.text == "is over, and its parent 100 (python3) has not reaped it"


def test_vfork_names_the_child() -> None:
    first, _ = found(handling("vfork", state="D"), child())
    assert first.text == "has called vfork, and no handler runs before child 101 (worker) has exec'ed or is over"


# advice


@pytest.mark.parametrize(
    ("name", "command", "advice"),
    [
        ("nginx", "nginx: worker process is shutting down", "SIGQUIT"),
        ("postgres", "/usr/lib/postgresql/15/bin/postgres -D /data", "SIGINT"),
        ("apache2", "/usr/sbin/apache2 -DFOREGROUND", "SIGWINCH"),
        ("uwsgi", "uwsgi --ini app.ini", "die-on-term"),
        ("php-fpm8.2", "php-fpm: master process", "SIGQUIT"),
        ("haproxy", "haproxy -W", "SIGUSR1"),
        ("jupyter-noteboo", "/usr/bin/python3 /usr/bin/jupyter-notebook", "SIGINT"),
        ("gunicorn", "/usr/bin/python3 /usr/bin/gunicorn app:app", "stopTimeout"),
        ("python3", "/usr/bin/python3 /usr/bin/celery worker", "warm shutdown"),
        ("npm start", "npm start", "node server.js"),
        ("java", "java -jar app.jar", "shutdown hooks"),
        ("python3", "python3", "an interactive python ends on the end of its input"),
        ("python3.11", "/usr/bin/python3.11 -i", "an interactive python"),
        ("bash", "bash -i", "SIGHUP"),
        ("sh", "-sh", "SIGHUP"),
        ("worker", "/srv/worker --log python", "close idle connections"),
        ("sed", "sed -i", "close idle connections"),
        ("python3", "python3 server.py", "close idle connections"),
    ],
)
def test_advice_knows_programs(name: str, command: str, advice: str) -> None:
    sight = handling("epoll_wait", name=name, command=command, connections=("tcp 10.0.0.1:5",))
    (finding,) = found(sight)
    assert finding.kind is Kind.CONNECTIONS, "a name gives advice, and never a finding"
    assert advice in finding.advice


def test_advice_is_not_what_was_done_already() -> None:
    sight = handling("pause", name="nginx", caught=1 << signal.SIGQUIT - 1)
    assert "SIGQUIT" not in found(sight, signums=(signal.SIGQUIT,))[0].advice


def test_advice_of_what_befalls_any_program_is_not_the_program_s() -> None:
    assert "cgroup" in found(seen(name="nginx", frozen=True))[0].advice


# the summary


def test_a_summary_names_the_first_and_counts_the_rest() -> None:
    findings = found(seen(4711, ignored=TERM), child(ignored=TERM), child(102, ignored=TERM))
    assert summarize(findings) == "4711 (python3) ignores SIGTERM, and 2 more"
    assert summarize(findings[:1]) == "4711 (python3) ignores SIGTERM"
    assert summarize(findings[:1] * 32) == "4711 (python3) ignores SIGTERM, and at least 31 more"
    assert summarize([]) == ""


def test_a_summary_that_is_too_long_is_cut_before_the_count() -> None:
    long = Finding(pid=1, name="x" * 15, kind=Kind.UNKNOWN, text="y" * 500)
    assert len(summarize([long])) == 200
    assert summarize([long, long]).endswith("y…, and 1 more")


CALLS = ["", "futex", "flock", "wait4", "read", "write", "epoll_wait", "pause", "vfork"]
SIGHTS = st.lists(
    st.builds(
        Sight,
        pid=st.integers(0, 6) | st.integers(),
        ppid=st.integers(0, 6) | st.integers(),
        start_time=st.integers(),
        session=st.integers(),
        name=st.text(max_size=40) | st.sampled_from(["sh", "bash", "nginx"]),
        command=st.text(max_size=300) | st.sampled_from(["python3", "npm start"]),
        state=st.sampled_from("RSDTtZXI?") | st.text(max_size=2),
        syscall=st.text(max_size=10) | st.sampled_from(CALLS),
        target=st.text(max_size=300) | st.sampled_from(["pipe", "tcp 10.0.0.1:1", "socket", "/x"]),
        wchan=st.text(max_size=30) | st.sampled_from(["do_wait", "pipe_read"]),
        connections=st.lists(st.text(max_size=60), max_size=9).map(tuple),
        age=st.floats(),
        cpu_rate=st.floats(),
        io_rate=st.floats(),
    ),
    max_size=8,
)


@given(SIGHTS, st.lists(st.integers() | st.sampled_from([15, 2, 28]), max_size=4), st.integers(0, 6), st.booleans())
def test_whatever_was_seen_each_process_has_a_finding(
    sights: list[Sight], signums: list[int], main_pid: int, main_over: bool
) -> None:
    findings = diagnose(sights, signums, main_pid, main_over=main_over)
    assert sorted(one.pid for one in findings) == sorted(one.pid for one in sights)
    assert all(one.text for one in findings)
    for start in range(len(findings) + 1):
        assert len(summarize(findings[start:])) <= 200
    assert msgspec.json.decode(msgspec.json.encode(findings), type=list[Finding]) == findings
