"""A docker engine of the tests' own: a ``dockerd`` without network and registry, an image made of what this host has.

Base images are imported, not pulled: the interpreter that runs the tests with its library, a static busybox, and the
wheels that ``requirements.lock`` names, which ``pip`` in the image takes from there instead of from an index. On such a
base the shipped ``Containerfile`` is built as it stands.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from supervisor.posix import proc
from tests.conftest import PATIENCE
from tests.machine import REPOSITORY, cannot_test
from tests.process.observed import Process

Json = dict[str, Any]

BASE, IMAGE, IMAGE_OF_USER = "base", "graceful-supervisor", "graceful-supervisor:1000"

_APPLETS = ("sh", "sleep", "cat", "kill", "mkdir", "chown", "chmod", "id", "ps", "echo", "setsid", "rm", "ls", "mount")
_NOT_NEEDED = {
    "site-packages",
    "dist-packages",
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "turtledemo",
    "lib2to3",
    "pydoc_data",
}

_PARTS_OF_LIBC = ("libpthread.so.0", "libdl.so.2", "librt.so.1", "libm.so.6", "libutil.so.1")
"""Asked for by wheels that were built for an older libc."""

_WHEELS_OF_DEBIAN = "/usr/share/python-wheels"
"""Where Debian's venv has its pip."""


class Engine:
    """``with Engine() as engine``: serving; at the end nothing of it is left, neither containers nor mounts."""

    def __init__(self) -> None:
        self.directory = tempfile.mkdtemp(prefix="supervisor-docker-")
        self._log = f"{self.directory}/dockerd.log"
        self._before = set(proc.children())
        self._popen: subprocess.Popen[bytes] | None = None
        path = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
        self._environ = {"PATH": path, "HOME": self.directory, "DOCKER_BUILDKIT": "0"}
        self._environ["DOCKER_HOST"] = f"unix://{self.directory}/docker.sock"
        for program in ("dockerd", "docker"):
            if shutil.which(program, path=path) is None:
                cannot_test(f"{program} is missing: apt-get install docker.io")

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self) -> None:
        here = self.directory
        argv = ["dockerd", "--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"]
        argv += ["--host", self._environ["DOCKER_HOST"], "--data-root", f"{here}/data", "--exec-root", f"{here}/exec"]
        argv += [
            "--cgroup-parent",
            f"/{os.path.basename(here)}",
            "--pidfile",
            f"{here}/dockerd.pid",
            "--config-file",
            f"{here}/none.json",
        ]
        Path(f"{here}/none.json").write_text("{}")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified, open(self._log, "ab") as log:
            notified.bind("")
            environ = {**self._environ, "NOTIFY_SOCKET": "@" + notified.getsockname()[1:].decode()}
            self._popen = subprocess.Popen(argv, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            either: list[Any] = [notified, Process(self._popen.pid)]
            select.select(either, [], [], 6 * PATIENCE)
            if not select.select([notified], [], [], 0)[0]:
                cannot_test(f"dockerd does not start here:\n{Path(self._log).read_text()[-2000:]}")

    def __exit__(self, *_: object) -> None:
        if self._popen is not None:
            if ids := self.docker("ps", "--all", "--quiet").split():
                self.docker("rm", "--force", "--volumes", *ids)
            self._popen.terminate()
            self._popen.wait(6 * PATIENCE)
        for pid in set(proc.children()) - self._before:  # the shims: whoever inherits orphans is their parent
            Process(pid).death()
            os.waitpid(pid, 0)
        for mount in self._mounts():
            subprocess.run(["umount", "--lazy", mount], check=False)
        name = os.path.basename(self.directory)
        for group in [*Path("/sys/fs/cgroup").glob(name), *Path("/sys/fs/cgroup").glob(f"*/{name}")]:
            with contextlib.suppress(OSError):  # one in which somebody else has made one of theirs
                group.rmdir()
        shutil.rmtree(self.directory)

    def _mounts(self) -> list[str]:
        lines = Path("/proc/self/mounts").read_text().splitlines()
        return [path for path in (line.split()[1] for line in reversed(lines)) if path.startswith(self.directory)]

    def docker(self, *args: str, status: int | None = 0, feed: bytes = b"") -> str:
        """One command line, which must exit with that status (None: any); its standard output."""
        done = subprocess.run(
            ["docker", *args], env=self._environ, input=feed, capture_output=True, timeout=30 * PATIENCE, check=False
        )
        assert status in (None, done.returncode), (
            f"{args}: {done.returncode}\n{done.stderr.decode()}{done.stdout.decode()}"
        )
        return done.stdout.decode()

    def start(self, *args: str, image: str = IMAGE, command: tuple[str, ...] = ()) -> Container:
        """A container, without network. ``args`` are of ``docker run``."""
        return Container(self, self.docker("run", "--detach", "--network", "none", *args, image, *command).strip())

    @contextlib.contextmanager
    def output(self, *args: str) -> Iterator[int]:
        """What a command writes, on both streams, to be read from this descriptor while it goes on."""
        with subprocess.Popen(
            ["docker", *args],
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as popen:
            assert popen.stdout is not None
            try:
                yield popen.stdout.fileno()
            finally:
                popen.kill()


class Container:
    """One container of the engine."""

    def __init__(self, engine: Engine, container_id: str) -> None:
        self._engine = engine
        self.id = container_id

    @property
    def pid(self) -> int:
        """Of its PID 1, as this host counts."""
        return int(self.inspect("{{.State.Pid}}"))

    def inspect(self, what: str) -> str:
        """A fact, in docker's template language."""
        return self._engine.docker("inspect", "--format", what, self.id).strip()

    def logs(self) -> str:
        """What ``docker logs`` shows of both streams."""
        with self._engine.output("logs", self.id) as fd:
            return b"".join(iter(lambda: os.read(fd, 65536), b"")).decode()

    def hear(self, word: str, count: int = 1) -> str:
        """Wait until it has written that so many times; all that it has written."""
        said = b""
        patient_until = time.monotonic() + 2 * PATIENCE
        with self._engine.output("logs", "--follow", self.id) as fd:
            while said.decode(errors="replace").count(word) < count:
                left = patient_until - time.monotonic()
                assert left > 0, f"never said {word!r}:\n{said.decode()}"
                if select.select([fd], [], [], left)[0]:
                    data = os.read(fd, 65536)
                    assert data, f"over, and never said {word!r}:\n{said.decode()}"
                    said += data
        return said.decode()

    def logged(self, event: str) -> list[Json]:
        """The lines of that event."""
        lines = [json.loads(line) for line in self.logs().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == event]

    def run(self, *argv: str, status: int | None = 0, user: str = "") -> str:
        """``docker exec``; its standard output."""
        options = ["--user", user] if user else []
        return self._engine.docker("exec", *options, self.id, *argv, status=status)

    def supervisor(self, *argv: str, status: int | None = 0, user: str = "") -> Any:
        """A command of ours in it, and its JSON."""
        text = self.run("supervisor", *argv, "--output", "json", status=status, user=user)
        return json.loads(text) if text else None

    def stop(self, timeout: int | None = None) -> tuple[int, float]:
        """``docker stop``: the exit status, and the seconds that it took. Without a timeout it has the container's."""
        began = time.monotonic()
        self._engine.docker("stop", *(() if timeout is None else ("--time", str(timeout))), self.id)
        return int(self.inspect("{{.State.ExitCode}}")), time.monotonic() - began

    def wait(self) -> int:
        """Wait until it has ended; its exit status."""
        return int(self._engine.docker("wait", self.id))

    def kill(self) -> None:
        """``docker kill``, and wait until nothing of it is left."""
        self._engine.docker("kill", self.id)
        self.wait()

    def start_again(self) -> None:
        """``docker start``."""
        self._engine.docker("start", self.id)


def build_images(engine: Engine) -> None:
    """``BASE`` from this host, and on it the shipped image, for root and for a user of its own."""
    if shutil.which("busybox") is None:
        cannot_test("busybox is missing: apt-get install busybox-static")
    wheels = f"{engine.directory}/wheels"
    lock = f"{REPOSITORY}/requirements.lock"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download", "--require-hashes"]
    subprocess.run([*pip, "--only-binary", ":all:", "--requirement", lock, "--dest", wheels], check=True)
    path = f"{os.path.dirname(_interpreter())}:/usr/sbin:/usr/bin:/sbin:/bin"
    with tempfile.TemporaryFile() as tar:
        _pack(tar, wheels)
        tar.seek(0)
        engine.docker("import", "--change", f"ENV PATH={path}", "-", BASE, feed=tar.read())
    build = ["build", "--network", "none", "--build-arg", f"BASE={BASE}", "--file", f"{REPOSITORY}/Containerfile"]
    engine.docker(*build, "--tag", IMAGE, str(REPOSITORY))
    engine.docker(*build, "--tag", IMAGE_OF_USER, "--build-arg", "OWNER=1000", str(REPOSITORY))


def _interpreter() -> str:
    """The one that virtual environments here are made from."""
    base: str = sys._base_executable  # type: ignore[attr-defined]
    return os.path.realpath(base)


def _pack(file: Any, wheels: str) -> None:
    """A root file system: python3 where it is on this host, busybox, the wheels, and who is who."""
    interpreter = _interpreter()
    stdlib = sysconfig.get_path("stdlib")
    with tarfile.open(fileobj=file, mode="w") as tar:
        for library in sorted(_libraries(interpreter, *map(str, Path(stdlib, "lib-dynload").glob("*.so")))):
            tar.add(os.path.realpath(library), library)
        tar.add(interpreter, interpreter)
        _link(tar, f"{os.path.dirname(interpreter)}/python3", os.path.basename(interpreter))
        tar.add(stdlib, stdlib, filter=_needed)
        if os.path.isdir(_WHEELS_OF_DEBIAN):
            tar.add(_WHEELS_OF_DEBIAN, _WHEELS_OF_DEBIAN)
        tar.add(wheels, "/wheels")
        tar.add(os.path.realpath(shutil.which("busybox") or ""), "/bin/busybox")
        for applet in _APPLETS:
            _link(tar, f"/bin/{applet}", "busybox")
        _text(tar, "/etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/tmp:/bin/sh\n")
        _text(tar, "/etc/group", "root:x:0:\napp:x:1000:\n")
        _text(tar, "/etc/pip.conf", "[global]\nno-index = true\nfind-links = /wheels\n")
        for directory, mode in (("/tmp", 0o1777), ("/root", 0o755), ("/run", 0o755), ("/var/lib", 0o755)):
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)


def _needed(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    name = os.path.basename(entry.name)
    if name in _NOT_NEEDED or name.startswith("config-") or name.endswith(".a"):
        return None
    entry.uid = entry.gid = 0
    return entry


def _libraries(*programs: str) -> set[str]:
    """The shared libraries that these are loaded with, under the names that they are looked for by."""
    told = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False).stdout
    found = set(re.findall(r"(?:=> |^\s+)(/\S+) \(0x", told, re.MULTILINE))
    beside_libc = {f"{os.path.dirname(path)}/{name}" for path in found for name in _PARTS_OF_LIBC if "/libc.so" in path}
    return found | set(filter(os.path.exists, beside_libc))


def _link(tar: tarfile.TarFile, path: str, target: str) -> None:
    entry = tarfile.TarInfo(path)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    tar.addfile(entry)


def _text(tar: tarfile.TarFile, path: str, text: str) -> None:
    entry = tarfile.TarInfo(path)
    entry.size = len(text.encode())
    tar.addfile(entry, io.BytesIO(text.encode()))
