"""The cgroup below which limits work: ours, with its controllers handed on to the groups in it.

A group that hands controllers on may hold no processes itself (cgroups(7), "no internal processes"), so the keeper goes
into a leaf of its own first. It does that only in a group where nobody else is. Under systemd it does not do it at all:
a service whose tasks outlive the keeper could then not be started again, since systemd would put the new keeper into a
group that may hold none. There the unit says ``DelegateSubgroup=``, and systemd puts every keeper into the leaf itself.
"""

from __future__ import annotations

import contextlib
import os
from typing import NamedTuple

from supervisor.posix import cgroup

LEAF = "supervisor-keeper"
CONTROLLERS = frozenset({"memory", "cpu"})


class Place(NamedTuple):
    """Where groups are made."""

    directory: str
    controllers: frozenset[str]
    """Those that can limit; empty where limits are recorded only."""
    why: str
    """For the log."""
    made_leaf: bool = False
    """Whether the keeper went into the leaf by itself, and has to leave it."""


def find(own: str, *, service: bool) -> Place:
    """The place for our groups. ``own`` is the keeper's cgroup, ``service`` whether systemd runs it as one."""
    base = os.path.dirname(own) if os.path.basename(own) == LEAF else own
    wanted = CONTROLLERS & cgroup.controllers(base)
    if not wanted:
        return _none(own, f"{base} has no memory and no cpu controller")
    if base == own and service:
        return _none(own, f"the unit does not say DelegateSubgroup={LEAF} (systemd 254 and later obey it)")
    if base == own and cgroup.members(own) != [os.getpid()]:
        return _none(own, f"other processes are in {own}")
    alone = base == own
    try:
        if alone:
            cgroup.make(f"{own}/{LEAF}")
            cgroup.enter(f"{own}/{LEAF}")
        cgroup.hand_on(base, wanted)
    except OSError as exc:
        leave(Place(base, wanted, "", alone))
        return _none(own, f"cannot hand on the controllers of {base}: {exc.strerror}")
    return Place(base, wanted, ", ".join(sorted(wanted)), alone)


def leave(place: Place) -> None:
    """Go back from the leaf at the end, so that nothing of ours is left; where that cannot be, it stays as it is."""
    if not place.made_leaf:
        return
    directory = place.directory
    with contextlib.suppress(OSError):
        cgroup.take_back(directory, CONTROLLERS)
        cgroup.enter(directory)
        cgroup.remove_if_empty(f"{directory}/{LEAF}")


def _none(own: str, why: str) -> Place:
    return Place(own, frozenset(), f"recorded only: {why}")
