"""What a container uses, in the manner of ``docker stats``. What cannot be known is left out.

Where the container has a cgroup the numbers are the group's, which has also counted processes that have ended. What the
group's controllers do not count, and everything without a group, is added up over the processes that live.
"""

from __future__ import annotations

from typing import Any

from supervisor import procinfo
from supervisor.model import Container
from supervisor.posix import cgroup, proc

_NS = 1_000_000_000


def measure(container: Container) -> dict[str, Any] | None:
    """None where the main process is gone."""
    identity = container.identity
    stat = proc.read_stat(identity.pid) if identity is not None else None
    if identity is None or stat is None or stat.start_time != identity.start_time:
        return None
    group = cgroup.of(identity.pid)
    if group is not None and group.rpartition("/")[2] != container.run_id:
        group = None  # the keeper tracks by descent: the group is not the container's own
    living, host = procinfo.measure(identity.pid), procinfo.measure_host()
    if living is None:
        return None
    count = group and cgroup.read(group, "pids.current")
    io = _io(group)
    return {
        "pids_stats": {"current": int(count) if count else living.processes},
        "cpu_stats": {
            "cpu_usage": _cpu(living, group),
            "system_cpu_usage": int(host.cpu_time * _NS),
            "online_cpus": host.cpus,
        },
        "memory_stats": _memory(living, host.memory, group),
        **({"blkio_stats": {"io_service_bytes_recursive": io}} if io else {}),
    }


def _cpu(living: procinfo.Usage, group: str | None) -> dict[str, int]:
    counted = cgroup.read_table(group, "cpu.stat") if group else {}
    user, kernel = (counted.get(f"{mode}_usec", 0) * 1000 for mode in ("user", "system"))
    if not counted:
        user, kernel = int(living.user * _NS), int(living.system * _NS)
    return {"total_usage": user + kernel, "usage_in_kernelmode": kernel, "usage_in_usermode": user}


def _memory(living: procinfo.Usage, host: int, group: str | None) -> dict[str, Any]:
    """Where no limit is set, it is what the host has, as docker tells it."""
    current = group and cgroup.read(group, "memory.current")
    if not group or not current:
        return {"usage": living.resident, "limit": host}
    limit, peak = cgroup.read(group, "memory.max"), cgroup.read(group, "memory.peak")
    return {
        "usage": int(current),
        **({"max_usage": int(peak)} if peak else {}),
        "stats": cgroup.read_table(group, "memory.stat"),
        "limit": int(limit) if limit is not None and limit.isdigit() else host,
    }


def _io(group: str | None) -> list[dict[str, Any]]:
    """Bytes read and written, by device, out of ``io.stat``."""
    told = []
    for line in ((group and cgroup.read(group, "io.stat")) or "").splitlines():
        device, *pairs = line.split()
        major, _, minor = device.partition(":")
        counted = dict(pair.split("=") for pair in pairs)
        for op, key in (("read", "rbytes"), ("write", "wbytes")):
            if key in counted:
                told.append({"major": int(major), "minor": int(minor), "op": op, "value": int(counted[key])})
    return told
