"""Version 1: resources to files and values, and the statistics' formats.  No I/O.

Every controller has a hierarchy of its own.  The limits are OCI's as they are,
since the specification was written for v1.

See Also:
    Documentation/admin-guide/cgroup-v1; runc, libcontainer/cgroups/fs
"""

from toolkit.core.errors import InvalidError
from toolkit.linux.cgroup.devices import check_v1
from toolkit.linux.cgroup.resources import Setting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from toolkit.linux.cgroup.resources import BlockIO, Cpu, Device, Memory, Network, Rdma, Resources


def settings(resources: "Resources", *, memory_limit: int | None = None) -> list[Setting]:
    """Return what to write, in an order that the kernel accepts.

    Args:
        resources: the limits.
        memory_limit: bytes, the present limit of a group that is being updated.
    """
    return [
        *_devices(resources.get("devices", [])),
        *_memory(resources.get("memory", {}), memory_limit),
        *_cpu(resources.get("cpu", {})),
        *_pids(resources.get("pids", {}).get("limit", 0)),
        *_blkio(resources.get("blockIO", {})),
        *(
            Setting("hugetlb", f"hugetlb.{limit['pageSize']}.limit_in_bytes", str(limit["limit"]))
            for limit in resources.get("hugepageLimits", [])
        ),
        *rdma(resources.get("rdma", {})),
        *_network(resources.get("network", {})),
    ]


def _memory(memory: "Memory", present: int | None) -> list[Setting]:
    limit, swap = memory.get("limit", 0), memory.get("swap", 0)
    if limit == -1 and not swap:
        swap = -1
    if limit > 0 and 0 < swap < limit:
        message = f"memory and swap together ({swap}) cannot be less than memory alone ({limit})"
        raise InvalidError(message, hint="--memory-swap counts both; -1 is no limit")
    pair = [("memory.limit_in_bytes", limit), ("memory.memsw.limit_in_bytes", swap)]
    # The kernel keeps limit <= memsw at every moment, so which of them goes first
    # depends on where they stand now.
    if limit and swap and (swap == -1 or (present is not None and present < swap)):
        pair.reverse()
    found = [Setting("memory", file, str(value)) for file, value in pair if value]
    if reservation := memory.get("reservation", 0):
        found.append(Setting("memory", "memory.soft_limit_in_bytes", str(reservation)))
    for key, file in (("kernel", "memory.kmem.limit_in_bytes"), ("kernelTCP", "memory.kmem.tcp.limit_in_bytes")):
        if value := memory.get(key):
            found.append(Setting("memory", file, str(value)))
    if memory.get("disableOOMKiller"):
        found.append(Setting("memory", "memory.oom_control", "1"))
    swappiness = memory.get("swappiness", -1)
    if swappiness > 100:
        message = f"invalid memory swappiness: {swappiness}"
        raise InvalidError(message, hint="it goes from 0 to 100")
    if swappiness >= 0:
        found.append(Setting("memory", "memory.swappiness", str(swappiness)))
    return found


def _cpu(cpu: "Cpu") -> list[Setting]:
    files = (
        ("cpu", "cpu.rt_period_us", cpu.get("realtimePeriod") or None),
        ("cpu", "cpu.rt_runtime_us", cpu.get("realtimeRuntime")),
        ("cpu", "cpu.shares", cpu.get("shares") or None),
        ("cpu", "cpu.cfs_period_us", cpu.get("period") or None),
        ("cpu", "cpu.cfs_quota_us", cpu.get("quota") or None),
        # A burst may not exceed the quota: after it.  Of these and of realtimeRuntime, 0 is a value.
        ("cpu", "cpu.cfs_burst_us", cpu.get("burst")),
        ("cpu", "cpu.idle", cpu.get("idle")),
        ("cpuset", "cpuset.cpus", cpu.get("cpus") or None),
        ("cpuset", "cpuset.mems", cpu.get("mems") or None),
    )
    return [Setting(controller, file, str(value)) for controller, file, value in files if value is not None]


def _pids(limit: int) -> list[Setting]:
    if not limit:
        return []
    return [Setting("pids", "pids.max", "max" if limit < 0 else str(limit))]


def rdma(devices: "dict[str, Rdma]") -> list[Setting]:
    """Return the limits of InfiniBand devices, in which the versions do not differ."""
    found: list[Setting] = []
    for name, limit in devices.items():
        words = (("hca_handle", limit.get("hcaHandles")), ("hca_object", limit.get("hcaObjects")))
        value = " ".join([name, *(f"{word}={value}" for word, value in words if value is not None)])
        found.append(Setting("rdma", "rdma.max", value))
    return found


def _network(network: "Network") -> list[Setting]:
    found = [
        Setting("net_prio", "net_prio.ifpriomap", f"{each['name']} {each['priority']}")
        for each in network.get("priorities", [])
    ]
    if class_id := network.get("classID"):
        found.append(Setting("net_cls", "net_cls.classid", str(class_id)))
    return found


def _blkio(block: "BlockIO") -> list[Setting]:
    found: list[Setting] = []
    for key in _WEIGHTS:
        if weight := block.get(key):
            found += [_weight(key, "", str(weight))]
    for device in block.get("weightDevice", []):
        number = f"{device.get('major')}:{device.get('minor')}"
        found += [_weight(key, "_device", f"{number} {weight}") for key in _WEIGHTS if (weight := device.get(key))]
    throttles = (
        ("blkio.throttle.read_bps_device", block.get("throttleReadBpsDevice", [])),
        ("blkio.throttle.write_bps_device", block.get("throttleWriteBpsDevice", [])),
        ("blkio.throttle.read_iops_device", block.get("throttleReadIOPSDevice", [])),
        ("blkio.throttle.write_iops_device", block.get("throttleWriteIOPSDevice", [])),
    )
    for file, devices in throttles:
        found += (Setting("blkio", file, f"{each['major']}:{each['minor']} {each['rate']}") for each in devices)
    return found


_WEIGHTS: "tuple[Literal['weight'], Literal['leafWeight']]" = ("weight", "leafWeight")


def _weight(key: str, suffix: str, value: str) -> Setting:
    """Return a weight for the BFQ scheduler, or for the one before it (CFQ, until Linux 5.0)."""
    if key == "leafWeight":  # which BFQ does not have
        return Setting("blkio", f"blkio.leaf_weight{suffix}", value)
    older = Setting("blkio", f"blkio.weight{suffix}", value)
    return Setting("blkio", f"blkio.bfq.weight{suffix}", value, (older,))


def _devices(rules: "list[Device]") -> list[Setting]:
    if rules:
        check_v1(rules)
    return [
        Setting("devices", "devices.allow" if rule.get("allow") else "devices.deny", device_rule(rule))
        for rule in rules
    ]


def device_rule(rule: "Device") -> str:
    """Return a rule in the words of devices.allow: "c 1:3 rwm", "b *:* m", "a"."""
    kind = rule.get("type") or "a"
    if kind == "a":
        return "a"
    major, minor = ("*" if number in (None, -1) else number for number in (rule.get("major"), rule.get("minor")))
    return f"{kind} {major}:{minor} {rule.get('access') or 'rwm'}"
