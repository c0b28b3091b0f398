"""Points at which a process may be killed, numbered as it reaches them, in each of its lives anew.

The directory of a sweep has the plan, and afterwards what was reached. Standard library only: the keeper loads this.
"""

from __future__ import annotations

import atexit
import functools
import itertools
import json
import mmap
import os
import signal
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

REPOSITORY = str(Path(__file__).parents[2])
REACHED = "reached"
"""The file that has the point at which something was killed."""

PLACES = {"agent": "agent", "keeper": "keeper", "both": "agent", "birth": "child"}
"""Who is killed → in whose steps. With the keeper its agent ends too; ``both`` kills them in steps of the agent, and
``birth`` the keeper in steps of a child that it has forked and that has not come to its exec."""


class Plan(NamedTuple):
    """Whom to kill: ``at[0]`` is the number of the point in the first life of the process, and so on; 0 for none."""

    victim: str
    at: list[int]


def argv_of(module: str, directory: str) -> list[str]:
    """The command line of one of our launchers. It finds the tests also in Python's isolated mode."""
    code = f"import sys; sys.path.insert(0, {REPOSITORY!r}); from tests.sweep.{module} import main; sys.exit(main())"
    return [sys.executable, "-I", "-c", code, directory]


class Points:
    """The points of this process. ``around`` puts two around a function: before it and after it."""

    def __init__(self, place: str) -> None:
        self._directory = sys.argv[1]
        self._place = place
        plan = Plan(*json.loads(Path(self._directory, "plan").read_text()))
        self._victim = plan.victim
        life = self._count_life()
        mine = PLACES[plan.victim] == place and life <= len(plan.at)
        self._at = plan.at[life - 1] if mine else 0
        self._pid = os.getpid()
        self._numbers = itertools.count(1)
        self._names: list[str] = []
        self._children = _Shared()
        birth = PLACES[plan.victim] == "child" and place == "keeper" and life <= len(plan.at)
        self._at_birth = plan.at[life - 1] if birth else 0
        atexit.register(self._tell, Path(self._directory, f"{place}-{life}"))

    def _count_life(self) -> int:
        for life in itertools.count(1):
            try:
                os.close(os.open(f"{self._directory}/{self._place}-{life}", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                continue
            return life
        raise AssertionError

    def _tell(self, path: Path) -> None:
        if os.getpid() == self._pid:
            path.write_text("\n".join(self._names))
            if self._place == "keeper":
                path.with_name(path.name.replace("keeper", "child")).write_text("\n" * self._children.value)

    def reach(self, name: str) -> None:
        """The process is at that point. In a fork of it nothing is numbered."""
        if os.getpid() != self._pid:
            return
        number = next(self._numbers)  # one step, whichever thread takes it
        self._names.append(name)
        if number == self._at:
            self._note(f"{self._place}'s {number}: {name}")
            if self._victim == "both":
                os.kill(os.getppid(), signal.SIGKILL)
            os.kill(self._pid, signal.SIGKILL)

    def reach_in_child(self, name: str) -> None:
        """A child of ours is at that point, one of all of them together. It goes on when its parent has been killed."""
        if os.getpid() == self._pid:
            return
        self._children.value += 1
        if self._children.value == self._at_birth:
            self._note(f"child's {self._at_birth}: {name}")
            os.kill(self._pid, signal.SIGKILL)

    def _note(self, text: str) -> None:
        with open(f"{self._directory}/{REACHED}", "a") as file:
            file.write(f"{text}\n")

    def around(self, owner: Any, name: str, called: str | Callable[..., str], *, in_child: bool = False) -> None:
        """Two points at each call. ``called``: its name, or what makes one of its arguments (empty: no points)."""
        step = getattr(owner, name)
        reach = self.reach_in_child if in_child else self.reach

        @functools.wraps(step)
        def stepped(*args: Any, **kwargs: Any) -> Any:
            told = called if isinstance(called, str) else called(*args)
            if not told:
                return step(*args, **kwargs)
            reach(f"before {told}")
            result = step(*args, **kwargs)
            reach(f"after {told}")
            return result

        setattr(owner, name, stepped)


class _Shared:
    """A number that the forks of this process share with it. One counts at a time, or a number is told twice."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)

    @property
    def value(self) -> int:
        return int(struct.unpack_from("=Q", self._memory)[0])

    @value.setter
    def value(self, value: int) -> None:
        struct.pack_into("=Q", self._memory, 0, value)
