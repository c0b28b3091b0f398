"""Whose rights we have: those of another user for a moment, or for good."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import NamedTuple

LAST_ID = 2**32 - 2
"""The highest uid or gid. The one after it means "unchanged" to the kernel: who asked for it would stay who we are."""


class Ids(NamedTuple):
    """All that the kernel asks about."""

    uid: int
    gid: int
    groups: list[int]


def become(ids: Ids) -> None:
    """Have these rights and no others, for good. Nothing to do where we have them and may not change groups.

    The kernel forgets, with that, which signal the death of our parent was to be (prctl(2) PR_SET_PDEATHSIG).
    """
    if os.geteuid() != 0 and (ids.uid, ids.gid) == (os.geteuid(), os.getegid()):
        return
    if not 0 <= ids.uid <= LAST_ID or not all(0 <= gid <= LAST_ID for gid in (ids.gid, *ids.groups)):
        raise OSError(errno.EINVAL, f"there are no users and groups beyond {LAST_ID}")
    os.setgroups(ids.groups)
    os.setresgid(ids.gid, ids.gid, ids.gid)
    os.setresuid(ids.uid, ids.uid, ids.uid)


@contextlib.contextmanager
def acting_as(ids: Ids | None) -> Iterator[None]:
    """Have the rights of that user over files for a while: what it may not touch, the kernel refuses to us too.

    So nothing that it has planted leads us further than itself. None: our own. For root, and a process of one thread.
    """
    if ids is None:
        yield
        return
    uid, gid, groups = os.geteuid(), os.getegid(), os.getgroups()
    try:
        os.setgroups(ids.groups)
        os.setegid(ids.gid)
        os.seteuid(ids.uid)
        yield
    finally:
        os.seteuid(uid)
        os.setegid(gid)
        os.setgroups(groups)
