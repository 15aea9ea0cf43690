"""OCI's `linux.resources`: the shape of the JSON, and the controllers it asks for.

See Also:
    runtime-spec, config-linux.md, "Control groups"
"""

from toolkit.core.record import NamedTuple, TypedDict


class Memory(TypedDict, total=False):
    """Bytes; -1 is "no limit"; `swap` is memory and swap together, as in v1."""

    limit: int
    reservation: int
    swap: int
    kernel: int
    kernelTCP: int
    swappiness: int
    disableOOMKiller: bool
    useHierarchy: bool
    checkBeforeUpdate: bool


class Cpu(TypedDict, total=False):
    """Microseconds, but for `shares` (2 to 262144, 1024 is an equal part) and the lists."""

    shares: int
    quota: int
    burst: int
    period: int
    realtimeRuntime: int
    realtimePeriod: int
    cpus: str
    mems: str
    idle: int


class Pids(TypedDict):
    """How many tasks; -1 is "no limit"."""

    limit: int


class WeightDevice(TypedDict, total=False):
    """A block device and its part of the disk's time (10 to 1000)."""

    major: int
    minor: int
    weight: int
    leafWeight: int


class ThrottleDevice(TypedDict):
    """A block device and its limit, in bytes or operations a second."""

    major: int
    minor: int
    rate: int


class BlockIO(TypedDict, total=False):
    """Weights (10 to 1000) and throttles of block devices."""

    weight: int
    leafWeight: int
    weightDevice: list[WeightDevice]
    throttleReadBpsDevice: list[ThrottleDevice]
    throttleWriteBpsDevice: list[ThrottleDevice]
    throttleReadIOPSDevice: list[ThrottleDevice]
    throttleWriteIOPSDevice: list[ThrottleDevice]


class HugepageLimit(TypedDict):
    """Bytes of huge pages of one size ("2MB")."""

    pageSize: str
    limit: int


class Rdma(TypedDict, total=False):
    """How many handles and objects of one InfiniBand device may be open."""

    hcaHandles: int
    hcaObjects: int


class Priority(TypedDict):
    """The priority of what is sent by one network interface; version 1 only."""

    name: str
    priority: int


class Network(TypedDict, total=False):
    """A number on every packet, for tc(8), and priorities; version 1 only, where v2 has eBPF instead."""

    classID: int
    priorities: list[Priority]


class Device(TypedDict, total=False):
    """A rule on who may open which device; the last one that matches counts."""

    allow: bool
    type: str
    major: int
    minor: int
    access: str


class Resources(TypedDict, total=False):
    """What a container may use."""

    devices: list[Device]
    memory: Memory
    cpu: Cpu
    pids: Pids
    blockIO: BlockIO
    hugepageLimits: list[HugepageLimit]
    rdma: dict[str, Rdma]
    network: Network
    unified: dict[str, str]


class Setting(NamedTuple):
    """One value for one file of one controller, before it is known where that is mounted."""

    controller: str
    file: str
    value: str
    alternatives: "tuple[Setting, ...]" = ()
    """The same for kernels that have another file for it."""


_CAN_BE_ZERO = ("burst", "idle", "realtimeRuntime")
"""CPU settings where 0 is a value to write, not the absence of one."""
_NOT_LIMITS = ("useHierarchy", "checkBeforeUpdate")


def _cpu_is_limited(cpu: Cpu) -> bool:
    bandwidth = ("shares", "quota", "period", "realtimePeriod")
    return any(cpu.get(key) is not None for key in _CAN_BE_ZERO) or any(cpu.get(key) for key in bandwidth)


def memory_is_limited(memory: Memory) -> bool:
    """Return whether any of it is to be written; a swappiness of 0 is, one of -1 is not."""
    if memory.get("swappiness", -1) == 0:
        return True
    return any(value for key, value in memory.items() if key not in _NOT_LIMITS and (key, value) != ("swappiness", -1))


def controllers(resources: Resources) -> dict[str, str]:
    """Return the controllers that these limits cannot do without, and what each is wanted for."""
    cpu, network = resources.get("cpu", {}), resources.get("network", {})
    asked = (
        ("memory", "a memory limit", memory_is_limited(resources.get("memory", {}))),
        ("cpu", "a CPU limit", _cpu_is_limited(cpu)),
        ("cpuset", "a choice of CPUs or memory nodes", cpu.get("cpus") or cpu.get("mems")),
        ("pids", "a limit on processes", resources.get("pids", {}).get("limit")),
        ("blkio", "a limit on block I/O", any(resources.get("blockIO", {}).values())),
        ("hugetlb", "a limit on huge pages", resources.get("hugepageLimits")),
        ("rdma", "a limit on InfiniBand devices", resources.get("rdma")),
        ("net_cls", "a class of network packets", network.get("classID")),
        ("net_prio", "a priority of network packets", network.get("priorities")),
    )
    wanted = {controller: purpose for controller, purpose, is_asked in asked if is_asked}
    for file in resources.get("unified", {}):
        controller = file.partition(".")[0]
        if controller != "cgroup":
            wanted.setdefault("blkio" if controller == "io" else controller, f"the unified resource {file}")
    return wanted


def without_swap(resources: Resources) -> Resources:
    """Return the same limits but for swap, for a kernel that cannot limit it."""
    memory = resources.get("memory", {})
    if "swap" not in memory:
        return resources
    kept: Memory = {**memory}
    del kept["swap"]
    return {**resources, "memory": kept}
