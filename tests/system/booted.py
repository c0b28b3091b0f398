"""A machine whose PID 1 is systemd, with the package and its units installed as docs/systemd.md says.

It is a container of systemd-nspawn on an overlay over this host's root: all that is written in it goes to memory. The
mounts are in a mount namespace of its own and its cgroups in one of the test's, so that its end takes everything along.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

from supervisor.cli.client import Client
from supervisor.posix import cgroup, process
from tests.conftest import PATIENCE
from tests.machine import REPOSITORY, cannot_test
from tests.process import observed

UNIT = "graceful-supervisor.service"
PREFIX = "/opt/graceful-supervisor"
SUPERVISOR = f"{PREFIX}/bin/supervisor"
USER, UID = "ada", 4711
"""Somebody without any rights."""

_MASKED = ("timers.target", "docker.socket", "getty.target", "systemd-networkd.socket", "ldconfig.service")
_BOOT = """
set -e
echo $$ >"$GROUP/cgroup.procs"
mount -t tmpfs -o mode=0755 tmpfs "$TOP"
cp -a "$ADDED" "$TOP/upper"
mkdir "$TOP/work" "$TOP/root"
mount -t overlay -o "lowerdir=/,upperdir=$TOP/upper,workdir=$TOP/work" overlay "$TOP/root"
exec systemd-nspawn --boot --register=no --keep-unit --private-network --notify-ready=yes --console=read-only \\
    --link-journal=no --resolv-conf=off --timezone=off --machine="$NAME" --directory="$TOP/root" $BINDS \\
    systemd.unit=basic.target
"""

Json = dict[str, Any]
E = TypeVar("E")


class Machine:
    """``with Machine() as machine``: booted, and at the end gone without a trace."""

    def __init__(self) -> None:
        self._directory = tempfile.mkdtemp(prefix="supervisor-machine-")
        self._added = Path(f"{self._directory}/added")
        os.chmod(self._directory, 0o755)
        name = os.path.basename(self._directory)
        own = cgroup.own()
        if own is None:
            cannot_test("no cgroup v2 is mounted")
        self._group = f"{own}/{name}"
        self._name = re.sub("[^a-z0-9-]", "x", name.lower())
        self._popen: subprocess.Popen[bytes] | None = None
        self.leader = 0
        """The pid of its PID 1, as we see it."""

    def __enter__(self) -> Self:
        try:
            self._install()
            self._boot()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # what is in it before it boots

    def _install(self) -> None:
        """The package in an environment of its own, the files of ``systemd/``, and a user without rights."""
        prefix = Path(f"{self._added}{PREFIX}")
        self._make_reachable(sys.base_prefix)
        python = getattr(sys, "_base_executable", sys.executable)
        subprocess.run([python, "-m", "venv", "--without-pip", prefix], check=True)
        site_packages = next(prefix.glob("lib/python3*/site-packages"))
        for name in re.findall(r"^([\w.-]+)==", (REPOSITORY / "requirements.lock").read_text(), re.MULTILINE):
            _copy_distribution(name, site_packages)
        self._install_package(prefix)
        system, user = self._etc("systemd/system"), self._etc("systemd/user")
        for mask in _MASKED:
            (system / mask).symlink_to("/dev/null")
        units = REPOSITORY / "systemd"
        for unit in units.glob("graceful-supervisor.s*t"):
            shutil.copy(unit, system)
        shutil.copy(units / UNIT, system)
        shutil.copy(units / "user" / UNIT, user)
        shutil.copy(units / "sysusers.conf", self._etc("sysusers.d") / "graceful-supervisor.conf")
        shutil.copy(units / "tmpfiles.conf", self._etc("tmpfiles.d") / "graceful-supervisor.conf")
        shutil.copy(REPOSITORY / "config/agent.toml", self._etc("supervisor"))
        (self._etc("sysusers.d") / "user.conf").write_text(f'u {USER} {UID} "" /home/{USER} /bin/sh\n')
        (self._etc("tmpfiles.d") / "user.conf").write_text(f"d /home/{USER} 0700 {USER} {USER} -\n")

    def _install_package(self, prefix: Path) -> None:
        source = f"{self._directory}/source"
        shutil.copytree(REPOSITORY / "supervisor", f"{source}/supervisor", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(REPOSITORY / name, source)
        build = "from setuptools.build_meta import build_wheel; print(build_wheel('.'))"
        said = subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True, text=True)
        wheel = f"{source}/{said.stdout.splitlines()[-1]}"
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
        into = ["--python", f"{prefix}/bin/python", "install", "--no-deps", "--no-index"]
        subprocess.run([*pip, *into, wheel], check=True)
        script = prefix / "bin/supervisor"
        script.write_text(script.read_text().replace(str(prefix), PREFIX))

    def _etc(self, name: str) -> Path:
        directory = self._added / "etc" / name
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def _make_reachable(self, directory: str) -> None:
        """An interpreter in a directory of root's alone is root's alone to run: in the machine it is everybody's."""
        for path in [*reversed(Path(directory).parents), Path(directory)][1:]:
            if not path.stat().st_mode & 0o001:
                for above in [*reversed(path.parents), path][1:]:
                    (self._added / above.relative_to("/")).mkdir(mode=0o755, parents=True, exist_ok=True)

    # its life

    def _boot(self) -> None:
        top = f"{self._directory}/top"
        os.mkdir(top)
        os.mkdir(self._group)
        base = sys.base_prefix
        binds = "" if os.stat(base).st_dev == os.stat("/").st_dev else f"--bind-ro={base}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified, open(self._console, "wb") as console:
            notified.bind(f"{self._directory}/notify")
            environ = {
                "TOP": top,
                "ADDED": str(self._added),
                "GROUP": self._group,
                "NAME": self._name,
                "BINDS": binds,
                "NOTIFY_SOCKET": f"{self._directory}/notify",
                "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
            }
            test = os.getpid()
            self._popen = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "sh", "-c", _BOOT],
                env={**os.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                preexec_fn=lambda: process.die_with_parent(test),  # noqa: PLW1509  the tests have one thread
            )
            pidfd = os.pidfd_open(self._popen.pid)
            try:
                self._wait_for_ready(notified, pidfd)
            finally:
                os.close(pidfd)
        self.client = Client(f"/proc/{self.leader}/root/run/supervisor/supervisor.sock")

    def _wait_for_ready(self, notified: socket.socket, pidfd: int) -> None:
        patient_until = time.monotonic() + 3 * PATIENCE
        told = ""
        while "READY=1" not in told:
            either: list[Any] = [notified, pidfd]
            ready, _, _ = select.select(either, [], [], max(patient_until - time.monotonic(), 0))
            if notified not in ready:
                console = Path(self._console).read_text(errors="replace")
                if self.leader:
                    raise AssertionError(f"systemd never became ready:\n{console}")
                cannot_test(f"systemd-nspawn cannot run here: {console.strip()[-500:]}")
            told = notified.recv(4096).decode()
            if (found := re.search(r"X_NSPAWN_LEADER_PID=(\d+)", told)) is not None:
                self.leader = int(found[1])

    @property
    def _console(self) -> str:
        return f"{self._directory}/console"

    def close(self) -> None:
        """Its PID 1 takes everything along that runs in it."""
        if self._popen is not None:
            if self._popen.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.leader or self._popen.pid, 9)
            try:
                self._popen.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()
        for group in (self._group, f"/sys/fs/cgroup/systemd/{os.path.basename(self._group)}"):
            if os.path.exists(group):
                observed.until(functools.partial(_is_empty, group), "empty cgroups")
                cgroup.remove(group)
        shutil.rmtree(self._directory, ignore_errors=True)

    # commands in it

    def run(self, *argv: str, user: bool = False, status: int | None = 0) -> str:
        """What a command in it says; it must end with that status, if any."""
        identity, environ = [], {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "PAGER": "cat"}
        if user:
            identity = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"]
            environ |= {"XDG_RUNTIME_DIR": f"/run/user/{UID}", "HOME": f"/home/{USER}"}
        done = subprocess.run(
            ["nsenter", "--target", str(self.leader), "--all", *identity, *argv],
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=6 * PATIENCE,
            check=False,
        )
        assert status is None or done.returncode == status, f"{argv}: {done}\n{self.journal()}"
        return done.stdout

    def systemctl(self, *argv: str, **options: Any) -> str:
        """``systemctl``, of the user's own manager with ``user=True``."""
        return self.run("systemctl", *(["--user"] if options.get("user") else []), *argv, **options)

    def show(self, name: str, **options: Any) -> str:
        """A property of the service."""
        return self.systemctl("show", "--value", f"--property={name}", UNIT, **options).strip()

    def journal(self) -> str:
        """What the service has said, for people."""
        argv = ["nsenter", "--target", str(self.leader), "--all", "journalctl", "--no-pager", "--lines=60"]
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout

    def entries(self, *match: str) -> list[Json]:
        """The entries of the journal that match."""
        text = self.run("journalctl", "--output=json", "--all", "--no-pager", "--quiet", *match)
        return [json.loads(line) for line in text.splitlines()]

    def path(self, inside: str) -> Path:
        """A file of the machine, as we reach it."""
        return Path(f"/proc/{self.leader}/root{inside}")

    def until(self, fact: Callable[[], E | None], what: str) -> E:
        """Look until ``fact`` gives something; only for what no descriptor tells of."""
        patient_until = time.monotonic() + 2 * PATIENCE
        while not (found := fact()):
            assert time.monotonic() < patient_until, f"never came: {what}\n{self.journal()}"
            time.sleep(observed.POLL)
        return found


def _is_empty(group: str) -> bool:
    return not cgroup.pids(group)


def _copy_distribution(name: str, to: Path) -> None:
    """Install a distribution as it is installed here, which is by the lock file's hash."""
    for file in importlib.metadata.distribution(name).files or ():
        here = Path(str(file.locate()))
        if ".." not in file.parts and here.exists():
            (to / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(here, to / file)  # with its time, which what was compiled of it has noted
