"""OCI's `linux.resources`: the shape of the JSON, and the controllers it asks for.

See Also:
    runtime-spec, config-linux.md, "Control groups"
"""

from typing import NamedTuple, TypedDict


class Memory(TypedDict, total=False):
    """Bytes; -1 is "no limit"; `swap` is memory and swap together, as in v1."""

    limit: int
    reservation: int
    swap: int
    swappiness: int
    disableOOMKiller: bool


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
    unified: dict[str, str]


class Setting(NamedTuple):
    """One value for one file of one controller, before it is known where that is mounted."""

    controller: str
    file: str
    value: str


def controllers(resources: Resources) -> dict[str, str]:
    """Return the controllers that these limits cannot do without, and what each is wanted for."""
    cpu = resources.get("cpu", {})
    bandwidth = ("shares", "quota", "burst", "period", "realtimeRuntime", "realtimePeriod", "idle")
    wanted: dict[str, str] = {}
    if any(value for value in resources.get("memory", {}).values()):
        wanted["memory"] = "a memory limit"
    if any(cpu.get(key) for key in bandwidth):
        wanted["cpu"] = "a CPU limit"
    if cpu.get("cpus") or cpu.get("mems"):
        wanted["cpuset"] = "a choice of CPUs or memory nodes"
    if resources.get("pids", {}).get("limit"):
        wanted["pids"] = "a limit on processes"
    if any(value for value in resources.get("blockIO", {}).values()):
        wanted["blkio"] = "a limit on block I/O"
    if resources.get("hugepageLimits"):
        wanted["hugetlb"] = "a limit on huge pages"
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
