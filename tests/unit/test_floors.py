"""Imports go down only (design: floors), and each outside thing has one door."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import supervisor

PACKAGE = Path(supervisor.__file__).parent

FLOOR = {
    "__init__": 0,
    "errors": 0,
    "model": 0,
    "lifecycle": 0,
    "report": 0,
    "stopping": 0,
    "recovery": 0,
    "health": 0,
    "agenda": 0,
    "wire": 0,
    "diagnosis": 0,
    "shapes": 0,
    "posix": 1,
    "procinfo": 1,
    "store": 1,
    "config": 1,
    "clock": 1,
    "log": 1,
    "keeper": 2,
    "agent": 3,
    "api": 4,
    "daemon": 5,
    "cli": 5,
    "__main__": 5,
}

ROADS_NOT_IMPORTS = {
    ("agent", "keeper"): "frames",
    ("cli", "agent"): "HTTP",
    ("cli", "api"): "HTTP",
    ("cli", "keeper"): "the daemon",
}

KEEPER_MAY_IMPORT = {"__init__", "agenda", "errors", "stopping", "wire", "posix", "keeper"}
"""Of ours; beside it the standard library alone, for all of them."""

IMPURE = {"os", "time", "asyncio", "socket", "select", "subprocess", "threading", "logging", "random"}
"""Not on floor 0: what decides is handed time and facts, and does nothing. (`signal` is a list of names, too.)"""

DOORS = {
    "psutil": {"procinfo"},
    "sqlite3": {"store"},
    "tomli": {"config"},
    "structlog": {"log"},
    "ctypes": {"posix"},
    "starlette": {"api", "daemon"},
    "uvicorn": {"api", "daemon"},
    "click": {"cli"},
    "rich": {"cli"},
    "jmespath": {"cli"},
    "yaml": {"cli"},
}

KERNEL_CALLS = {
    "os": {"fork", "forkpty", "kill", "killpg", "waitpid", "waitid", "wait", "wait3", "wait4", "pidfd_open"},
    "signal": {"pidfd_send_signal"},
}
"""Only `posix` says them."""

MODULES = sorted(PACKAGE.rglob("*.py"))


def top(path: Path) -> str:
    """The name that a file has on the table: the module or package right under `supervisor`."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """(package, first name in it) of each import, also of those for type checking or inside functions."""
    package = ["supervisor", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield split(alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield split(f"{module}.{alias.name}")


def split(dotted: str) -> tuple[str, str]:
    first, *rest = dotted.split(".")
    if first != "supervisor":
        return first, rest[0] if rest else ""
    return first, rest[0] if rest and rest[0] in FLOOR else "__init__"


def ours(path: Path) -> set[str]:
    return {name for package, name in imported(path) if package == "supervisor"}


def outside(path: Path) -> set[str]:
    return {package for package, _ in imported(path) if package not in {"supervisor", "__future__"}}


def test_the_package_is_seen() -> None:
    assert {"errors", "model", "store", "config", "clock", "log"} <= {top(path) for path in MODULES}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_has_a_floor(path: Path) -> None:
    assert top(path) in FLOOR, f"{name_of(path)} stands on no floor: put it into one of the packages of the table"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_down(path: Path) -> None:
    me = top(path)
    for other in ours(path):
        assert FLOOR[other] <= FLOOR[me], f"{me} imports {other}, which is above it"
        road = ROADS_NOT_IMPORTS.get((me, other))
        assert road is None, f"{me} imports {other}; it reaches it by {road}"


@pytest.mark.parametrize("path", [path for path in MODULES if FLOOR.get(top(path)) == 1], ids=name_of)
def test_floor_1_has_one_outside_thing_each(path: Path) -> None:
    peers = {other for other in ours(path) if FLOOR[other] == 1} - {top(path)}
    assert not peers, f"{name_of(path)} imports its neighbours {sorted(peers)}"


@pytest.mark.parametrize("path", [path for path in MODULES if top(path) in KEEPER_MAY_IMPORT], ids=name_of)
def test_the_keeper_is_standard_library_only(path: Path) -> None:
    assert ours(path) <= KEEPER_MAY_IMPORT
    assert outside(path) <= sys.stdlib_module_names


@pytest.mark.parametrize("path", [path for path in MODULES if FLOOR.get(top(path)) == 0], ids=name_of)
def test_floor_0_is_pure(path: Path) -> None:
    assert outside(path).isdisjoint(IMPURE)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_each_outside_thing_has_one_door(path: Path) -> None:
    for package in outside(path) & DOORS.keys():
        assert top(path) in DOORS[package], f"{name_of(path)} imports {package}: ask {sorted(DOORS[package])}"


@pytest.mark.parametrize("path", [path for path in MODULES if top(path) != "posix"], ids=name_of)
def test_only_posix_speaks_to_processes(path: Path) -> None:
    said = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(ast.parse(path.read_text(), str(path)))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.attr in KERNEL_CALLS.get(node.value.id, set())
    }
    assert not said, f"{name_of(path)} says {sorted(said)}: give posix a function for it"


def test_a_relative_import_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    (tmp_path / "agent").mkdir()
    path = tmp_path / "agent" / "engine.py"
    path.write_text(
        "from ..keeper.loop import run\nfrom .. import store, __version__\nfrom . import link\nimport os.path\n"
    )
    assert ours(path) == {"keeper", "store", "__init__", "agent"}
    assert outside(path) == {"os"}
