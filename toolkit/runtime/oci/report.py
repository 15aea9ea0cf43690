"""What is told about containers: list, ps, statistics as `events` prints them."""

from typing import Any

from toolkit.core.errors import ConflictError
from toolkit.linux import cgroup
from toolkit.runtime.oci import cgroups
from toolkit.runtime.oci.state import shown
from toolkit.runtime.oci.store import STOPPED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.linux.cgroup.hierarchy import Hierarchy
    from toolkit.runtime.oci.store import Record, Store


def containers(store: "Store") -> list[dict[str, Any]]:
    """Return what `list` shows of every container."""
    return [shown(record, store.status(record)) for record in store.records()]


def pids(record: "Record") -> list[int]:
    """Return the host's numbers of a container's processes."""
    if not record.cgroup:
        return [record.pid]
    return sorted(cgroups.of_record(record, cgroup.detect()).pids(record.cgroup))


def statistics(store: "Store", record: "Record") -> dict[str, Any]:
    """Return what a container uses, in the form of runc's `events --stats`.

    Raises:
        ConflictError: it has ended, or has no group.

    See Also:
        runc, types/events.go
    """
    if store.status(record) == STOPPED:
        raise ConflictError(f"container with id {record.id} is not running")
    if not record.cgroup:
        raise ConflictError(f"container {record.id} has no cgroup of its own that could be counted")
    hierarchy = cgroups.of_record(record, cgroup.detect())
    used = hierarchy.stats(record.cgroup)
    data: dict[str, Any] = {
        "cpu": _cpu(hierarchy, record.cgroup, used.cpu),
        "cpuset": {},
        "memory": _memory(used.memory),
        "pids": {"current": used.pids.current, "limit": used.pids.limit or 0} if used.pids else {},
        "blkio": _block(used.block),
        "hugetlb": {},
        "intel_rdt": {},
        "network_interfaces": None,
    }
    return {"type": "stats", "id": record.id, "data": data}


def _cpu(hierarchy: "Hierarchy", name: str, cpu: Any) -> dict[str, Any]:
    if cpu is None:
        return {}
    usage: dict[str, Any] = {"total": cpu.usage_ns, "kernel": cpu.system_ns, "user": cpu.user_ns}
    if "cpuacct" in hierarchy.v1:
        with open(f"{hierarchy.path(name, 'cpuacct')}/cpuacct.usage_percpu") as file:
            usage["percpu"] = [int(field) for field in file.read().split()]
    throttling = {
        "periods": cpu.periods,
        "throttledPeriods": cpu.throttled_periods,
        "throttledTime": cpu.throttled_ns,
    }
    return {"usage": usage, "throttling": {key: value for key, value in throttling.items() if value}}


def _memory(memory: Any) -> dict[str, Any]:
    if memory is None:
        return {}
    usage = {
        "limit": memory.limit_bytes if memory.limit_bytes is not None else (1 << 63) - 4096,
        "usage": memory.usage_bytes,
        "max": memory.peak_bytes or 0,
        "failcnt": memory.failures,
    }
    raw = dict(memory.details)
    return {
        "cache": raw.get("cache", raw.get("file", 0)),
        "usage": usage,
        "swap": {"limit": 0, "usage": memory.swap_bytes, "failcnt": 0},
        "kernel": {"limit": 0, "failcnt": 0},
        "kernelTCP": {"limit": 0, "failcnt": 0},
        "raw": raw,
    }


def _block(devices: Any) -> dict[str, Any]:
    found: dict[str, list[dict[str, Any]]] = {"ioServiceBytesRecursive": [], "ioServicedRecursive": []}
    for device in devices or ():
        sums = (
            ("ioServiceBytesRecursive", (("Read", device.read_bytes), ("Write", device.write_bytes))),
            ("ioServicedRecursive", (("Read", device.reads), ("Write", device.writes))),
        )
        for key, values in sums:
            found[key] += (
                {"major": device.major, "minor": device.minor, "op": op, "value": value} for op, value in values
            )
    return {key: value for key, value in found.items() if value}


def oom_kills(record: "Record") -> int:
    """Return how often the kernel has killed one of the container's processes for lack of memory."""
    memory = cgroups.of_record(record, cgroup.detect()).stats(record.cgroup).memory
    return memory.oom_kills if memory is not None else 0
