"""Version 2: resources to files and values.  No I/O.

One hierarchy holds every controller, and OCI's v1 numbers need converting.

See Also:
    Documentation/admin-guide/cgroup-v2.rst; runc, libcontainer/cgroups/fs2
"""

from toolkit.core.errors import InvalidError
from toolkit.linux.cgroup import v1
from toolkit.linux.cgroup.resources import Setting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.linux.cgroup.resources import BlockIO, Cpu, Memory, Resources


def settings(resources: "Resources") -> list[Setting]:
    """Return what to write, in an order that the kernel accepts."""
    return [
        *_memory(resources.get("memory", {})),
        *_cpu(resources.get("cpu", {})),
        *_pids(resources.get("pids", {}).get("limit", 0)),
        *_io(resources.get("blockIO", {})),
        *(
            Setting("hugetlb", f"hugetlb.{limit['pageSize']}.max", str(limit["limit"]))
            for limit in resources.get("hugepageLimits", [])
        ),
        *v1.rdma(resources.get("rdma", {})),
        *(Setting(file.partition(".")[0], file, value) for file, value in resources.get("unified", {}).items()),
    ]


def _limit(value: int) -> str:
    return "max" if value == -1 else str(value)


def swap_max(swap: int, limit: int) -> int | None:
    """Return memory.swap.max for OCI's memory-and-swap; None where it stays as it is, -1 for "max".

    Raises:
        InvalidError: less than the memory alone, or no memory limit to subtract.
    """
    if limit == -1 and swap == 0:
        return -1
    if swap == 0:
        return None
    if swap == -1:
        return -1
    if limit <= 0:
        message = "a limit on swap needs a limit on memory"
        raise InvalidError(message, hint="--memory-swap counts both; give --memory too")
    if swap < limit:
        message = f"memory and swap together ({swap}) cannot be less than memory alone ({limit})"
        raise InvalidError(message, hint="--memory-swap counts both; -1 is no limit")
    return swap - limit


def _memory(memory: "Memory") -> list[Setting]:
    limit = memory.get("limit", 0)
    swap = swap_max(memory.get("swap", 0), limit)
    found: list[Setting] = []
    if swap is not None:
        found.append(Setting("memory", "memory.swap.max", _limit(swap)))
    if limit:
        found.append(Setting("memory", "memory.max", _limit(limit)))
    if reservation := memory.get("reservation", 0):
        found.append(Setting("memory", "memory.low", _limit(reservation)))
    return found


def weight_of_shares(shares: int) -> int:
    """Return cpu.weight (1 to 10000) for v1's cpu.shares (2 to 262144).

    Three points are fixed: the least, the most, and that 1024 shares, an equal
    part in v1, is the equal part of v2, 100.  (The line between the ends that was
    used before made 39 of it: a container had less than its neighbours.)

    See Also:
        opencontainers/cgroups, utils.go, ConvertCPUSharesToCgroupV2Value
    """
    import math

    if shares <= 2:
        return 1
    if shares >= 262144:
        return 10000
    power = math.log2(shares)
    exponent = (power * power + 125 * power) / 612.0 - 7.0 / 34.0
    return math.ceil(10**exponent)


def _cpu(cpu: "Cpu") -> list[Setting]:
    found: list[Setting] = []
    if shares := cpu.get("shares"):
        found.append(Setting("cpu", "cpu.weight", str(weight_of_shares(shares))))
    quota, period = cpu.get("quota", 0), cpu.get("period", 0)
    if quota or period:
        found.append(Setting("cpu", "cpu.max", f"{quota if quota > 0 else 'max'} {period or 100_000}"))
    for key, file in (("burst", "cpu.max.burst"), ("idle", "cpu.idle")):
        value = cpu.get(key)
        if value is not None:
            found.append(Setting("cpu", file, str(value)))
    if cpus := cpu.get("cpus"):
        found.append(Setting("cpuset", "cpuset.cpus", cpus))
    if mems := cpu.get("mems"):
        found.append(Setting("cpuset", "cpuset.mems", mems))
    return found


def _pids(limit: int) -> list[Setting]:
    return [Setting("pids", "pids.max", _limit(limit))] if limit else []


def weight_of_blkio(weight: int) -> int:
    """Return io.weight (1 to 10000) for v1's blkio.weight (10 to 1000)."""
    return 1 + (weight - 10) * 9999 // 990


def _weight(device: str, weight: int) -> Setting:
    """Return a weight for the BFQ scheduler (in v1's numbers) where it is loaded, else for the kernel's cost model."""
    costs = Setting("io", "io.weight", f"{device} {weight_of_blkio(weight)}")
    return Setting("io", "io.bfq.weight", f"{device} {weight}", (costs,))


def _io(block: "BlockIO") -> list[Setting]:
    found: list[Setting] = []
    if weight := block.get("weight"):
        found = [_weight("default", weight)]
    found += (
        _weight(f"{device.get('major')}:{device.get('minor')}", weight)
        for device in block.get("weightDevice", [])
        if (weight := device.get("weight"))
    )
    throttles = (
        ("rbps", block.get("throttleReadBpsDevice", [])),
        ("wbps", block.get("throttleWriteBpsDevice", [])),
        ("riops", block.get("throttleReadIOPSDevice", [])),
        ("wiops", block.get("throttleWriteIOPSDevice", [])),
    )
    for word, devices in throttles:
        # v1's "no limit" is 0, which v2 does not take.
        limits = ((f"{each['major']}:{each['minor']}", each["rate"] or "max") for each in devices)
        found += (Setting("io", "io.max", f"{device} {word}={rate}") for device, rate in limits)
    return found
