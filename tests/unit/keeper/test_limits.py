"""Limits, as they are written into directories that look like cgroups; what a kernel makes of them is not seen here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from supervisor import wire
from supervisor.keeper import limits, verbs
from supervisor.keeper.cgroup_tracking import CgroupTracking
from supervisor.keeper.limits import LEAF, Place
from tests.unit.keeper.samples import FakeHost, FakeRun

RUN, TASK = "a" * 32, "b" * 32
BOTH = frozenset({"memory", "cpu"})


def group(path: Path, controllers: str = "cpu io memory pids", procs: str = "") -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "cgroup.controllers").write_text(controllers + "\n")
    (path / "cgroup.procs").write_text(procs)
    (path / "cgroup.subtree_control").write_text("")
    for name in ("memory.max", "memory.low", "cpu.weight"):
        (path / name).write_text("")
    return path


def handed_on(path: Path) -> str:
    return (path / "cgroup.subtree_control").read_text()


def test_alone_in_its_group_the_keeper_goes_into_a_leaf(tmp_path: Path) -> None:
    own = group(tmp_path / "own", procs=f"{os.getpid()}\n")
    group(own / LEAF)
    assert limits.find(str(own), service=False) == Place(str(own), BOTH, "cpu, memory", made_leaf=True)
    assert handed_on(own) == "+cpu +memory"
    assert (own / LEAF / "cgroup.procs").read_text() == "0"


def test_in_the_leaf_that_systemd_made_it_stays(tmp_path: Path) -> None:
    own = group(tmp_path / "unit" / LEAF, procs=f"{os.getpid()}\n12\n")
    unit = group(tmp_path / "unit", "memory pids")
    assert limits.find(str(own), service=True) == Place(str(unit), frozenset({"memory"}), "memory")
    assert handed_on(unit) == "+memory"
    assert (own / "cgroup.procs").read_text() != "0"


@pytest.mark.parametrize(
    ("controllers", "procs", "service", "why"),
    [
        ("hugetlb", "me", False, "own has no memory and no cpu controller"),
        ("memory cpu", "me", True, "the unit does not say DelegateSubgroup=supervisor-keeper"),
        ("memory cpu", "me\n1", False, "other processes are in"),
    ],
)
def test_a_group_that_is_not_its_own_is_not_touched(
    tmp_path: Path, controllers: str, procs: str, service: bool, why: str
) -> None:
    own = group(tmp_path / "own", controllers, procs.replace("me", str(os.getpid())))
    place = limits.find(str(own), service=service)
    assert (place.directory, place.controllers) == (str(own), frozenset())
    assert place.why.startswith("recorded only: ")
    assert why in place.why
    assert handed_on(own) == ""
    assert not (own / LEAF).exists()


def test_what_cannot_be_handed_on_is_left_as_it_was(tmp_path: Path) -> None:
    own = group(tmp_path / "own", procs=f"{os.getpid()}\n")
    group(own / LEAF)
    (own / "cgroup.subtree_control").unlink()
    place = limits.find(str(own), service=False)
    assert place.why == f"recorded only: cannot hand on the controllers of {own}: No such file or directory"
    assert not place.made_leaf
    assert (own / "cgroup.procs").read_text().startswith("0")


def spawn(**members: Any) -> wire.Spawn:
    spec = wire.Spawn(RUN, TASK, "web", ["true"], {}, "/", None, [], "none", "web", [(15, 0.0)], "main", 30.0)
    return spec._replace(**members)


LIMITED = spawn(
    memory_max=1, memory_low=2, cpu_weight=3, task_memory_max=4, task_memory_low=5, task_cpu_weight=6
)  # told apart by their numbers


def limited(tmp_path: Path, controllers: frozenset[str], spec: wire.Spawn) -> dict[str, str]:
    """What was written where, for one run."""
    paths = {name: tmp_path / "ours" / rest for name, rest in (("root", "."), ("task", TASK), ("run", f"{TASK}/{RUN}"))}
    for path in paths.values():
        group(path)
    CgroupTracking(Place(str(tmp_path), controllers, ""), "ours", tuple).limit(spec)
    files = ("cgroup.subtree_control", "memory.max", "memory.low", "cpu.weight")
    return {
        f"{name} {file}": text for name, path in paths.items() for file in files if (text := (path / file).read_text())
    }


def test_limits_of_a_run_and_of_its_task(tmp_path: Path) -> None:
    assert limited(tmp_path, BOTH, LIMITED) == {
        "root cgroup.subtree_control": "+cpu +memory",
        "task cgroup.subtree_control": "+cpu +memory",
        "root memory.low": "max",
        "task memory.max": "4",
        "task memory.low": "5",
        "task cpu.weight": "6",
        "run memory.max": "1",
        "run memory.low": "2",
        "run cpu.weight": "3",
    }


def test_only_what_is_asked_for_and_can_be_had_is_limited(tmp_path: Path) -> None:
    assert limited(tmp_path / "0", frozenset(), LIMITED) == {}
    assert limited(tmp_path / "1", frozenset({"cpu"}), LIMITED).keys() == {
        "root cgroup.subtree_control",
        "task cgroup.subtree_control",
        "task cpu.weight",
        "run cpu.weight",
    }
    assert limited(tmp_path / "2", BOTH, spawn()).keys() == {
        "root cgroup.subtree_control",
        "task cgroup.subtree_control",
        "root memory.low",
    }


def test_how_often_memory_ran_out(tmp_path: Path) -> None:
    tracking = CgroupTracking(Place(str(tmp_path), BOTH, ""), "ours", tuple)
    path = group(tmp_path / "ours" / TASK / RUN)
    run = FakeRun(RUN, TASK)
    assert tracking.oom_kills(run) == 0
    (path / "memory.events").write_text("low 0\nhigh 0\nmax 7\noom 1\noom_kill 2\noom_group_kill 0\n")
    assert tracking.oom_kills(run) == 2


@pytest.mark.parametrize(
    "members",
    [
        {"memory_max": 0},
        {"memory_low": -1},
        {"task_memory_max": 2**60 + 1},
        {"task_memory_low": 0},
        {"cpu_weight": 0},
        {"task_cpu_weight": 10001},
    ],
)
def test_limits_out_of_bounds_are_refused_at_the_door(members: dict[str, Any]) -> None:
    host = FakeHost()
    verbs.handle(host, LIMITED)
    assert host.runs.refused == []
    verbs.handle(host, LIMITED._replace(**members))
    assert host.runs.refused == ["request"]
