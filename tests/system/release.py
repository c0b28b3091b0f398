"""A release of its own for a daemon to be started from, and to be replaced by another: a copy of the package."""

from __future__ import annotations

import os
import re
import shutil
import sys
import sysconfig
from pathlib import Path

import supervisor


class Release:
    """An environment with a copy of the package as it is; each change of it is an installation of another version."""

    def __init__(self, directory: Path) -> None:
        base = Path(os.path.realpath(sys.executable))
        packages = directory / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
        self.python = directory / "bin/python3"
        self.python.parent.mkdir(parents=True)
        self.python.symlink_to(base)
        (directory / "pyvenv.cfg").write_text(f"home = {base.parent}\ninclude-system-site-packages = false\n")
        self._package = packages / "supervisor"
        self._original = Path(supervisor.__file__).parent
        shutil.copytree(self._original, self._package)
        # Behind its own: what the package needs is there, and another copy of it that is never found.
        ours = [sysconfig.get_path("purelib"), *(path for path in sys.path if path.endswith("site-packages"))]
        (packages / "others.pth").write_text("\n".join(dict.fromkeys(ours)) + "\n")

    @property
    def command(self) -> list[str]:
        """What ``supervisor`` is there."""
        return [str(self.python), "-I", "-m", "supervisor"]

    def install(self, version: str) -> None:
        """That version, and else the same."""
        text = re.sub(r'__version__ = ".*"', f'__version__ = "{version}"', self._read("__init__.py"))
        self._write("__init__.py", text)

    def begin_with(self, name: str, code: str) -> None:
        """A version of which that file begins with this code."""
        text = (self._original / name).read_text()
        docstring = text.index('"""', 3) + 3
        future = "from __future__ import annotations\n"
        at = text.index(future) + len(future) if future in text else docstring
        self._write(name, f"{text[:at]}\n{code}\n{text[at:]}")

    def repair(self, name: str) -> None:
        """A version of which that file is as it was."""
        self._write(name, (self._original / name).read_text())

    def _read(self, name: str) -> str:
        return (self._package / name).read_text()

    def _write(self, name: str, text: str) -> None:
        path = self._package / name
        # What was compiled of it counts as long as size and second of the change are the same.
        shutil.rmtree(path.parent / "__pycache__", ignore_errors=True)
        path.write_text(text)
