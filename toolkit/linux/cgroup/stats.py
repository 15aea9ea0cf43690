"""What a group has used: one value for both versions, made from the text of its files.  No I/O."""

from toolkit.core.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Find = Callable[[str, str], str | None]
    """(controller, file) -> its text, or None where there is no such file."""

_NO_LIMIT = 1 << 62
"""v1 says "no limit" with the largest multiple of a page below 2**63."""


class Pressure(NamedTuple):
    """How much of the last 10, 60 and 300 seconds tasks lost waiting, in percent, and the sum.

    See Also:
        Documentation/accounting/psi.rst
    """

    avg10: float
    avg60: float
    avg300: float
    total_us: int


class BlockStats(NamedTuple):
    """What went to and from one block device."""

    major: int
    minor: int
    read_bytes: int
    write_bytes: int
    reads: int
    writes: int


class MemoryStats(NamedTuple):
    """Bytes; a limit of None is no limit, a peak of None is not counted here."""

    usage_bytes: int
    peak_bytes: int | None
    limit_bytes: int | None
    swap_bytes: int
    oom_kills: int
    failures: int
    details: dict[str, int]
    """memory.stat as it is; its words differ between v1 and v2."""

    @property
    def working_bytes(self) -> int:
        """Return the usage without the page cache that could go at once, which `docker stats` shows."""
        inactive = self.details.get("total_inactive_file", self.details.get("inactive_file", 0))
        return max(self.usage_bytes - inactive, 0)


class CpuStats(NamedTuple):
    """Nanoseconds, and how often the quota held the group back."""

    usage_ns: int
    user_ns: int
    system_ns: int
    periods: int
    throttled_periods: int
    throttled_ns: int
    limit_cpus: float | None = None
    """How many CPUs' time the quota gives in each period; None is no limit."""


class PidsStats(NamedTuple):
    """Tasks now and at most; None is no limit."""

    current: int
    limit: int | None
    failures: int
    """How often a fork was refused."""


class Stats(NamedTuple):
    """What a group has used so far; None for what its controllers do not count."""

    memory: MemoryStats | None
    cpu: CpuStats | None
    pids: PidsStats | None
    block: tuple[BlockStats, ...] | None
    pressure: dict[str, dict[str, Pressure]]
    """"cpu", "memory", "io" -> "some", "full"; empty where the kernel counts none."""


def pairs(text: str) -> dict[str, int]:
    """Return the numbers of a "name value" file."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if value.lstrip("-").isdigit():
            found[name] = int(value)
    return found


def _number(text: str | None) -> int | None:
    if text is None or text.strip() == "max":
        return None
    value = int(text)
    return None if value >= _NO_LIMIT else value


def parse_pressure(text: str) -> dict[str, Pressure]:
    """Return the lines of a PSI file: "some avg10=0.00 avg60=0.00 avg300=0.00 total=0"."""
    found: dict[str, Pressure] = {}
    for line in text.splitlines():
        word, *fields = line.split()
        values = [field.partition("=")[2] for field in fields]
        found[word] = Pressure(float(values[0]), float(values[1]), float(values[2]), int(values[3]))
    return found


def memory_v1(find: "Find") -> MemoryStats | None:
    """Return what the v1 controller counts."""
    usage = _number(find("memory", "memory.usage_in_bytes"))
    if usage is None:
        return None
    both = _number(find("memory", "memory.memsw.usage_in_bytes"))
    control = pairs(find("memory", "memory.oom_control") or "")
    return MemoryStats(
        usage,
        _number(find("memory", "memory.max_usage_in_bytes")),
        _number(find("memory", "memory.limit_in_bytes")),
        max(both - usage, 0) if both is not None else 0,
        control.get("oom_kill", 0),
        _number(find("memory", "memory.failcnt")) or 0,
        pairs(find("memory", "memory.stat") or ""),
    )


def memory_v2(find: "Find") -> MemoryStats | None:
    """Return what the v2 controller counts."""
    usage = _number(find("memory", "memory.current"))
    if usage is None:
        return None
    events = pairs(find("memory", "memory.events") or "")
    return MemoryStats(
        usage,
        _number(find("memory", "memory.peak")),
        _number(find("memory", "memory.max")),
        _number(find("memory", "memory.swap.current")) or 0,
        events.get("oom_kill", 0),
        events.get("max", 0),
        pairs(find("memory", "memory.stat") or ""),
    )


def cpu_limit(find: "Find") -> float | None:
    """Return the quota in CPUs: of v2's "50000 100000", or of v1's two files; None is no limit."""
    text = find("cpu", "cpu.max")
    if text is None:
        text = f"{find('cpu', 'cpu.cfs_quota_us') or 'max'} {find('cpu', 'cpu.cfs_period_us') or 100_000}"
    quota, period = text.split()
    return None if quota in ("max", "-1") else int(quota) / int(period)


def cpu(find: "Find") -> CpuStats | None:
    """Return the CPU time: from the v2 group (hybrid has it too) or from cpuacct; throttling from either."""
    base = pairs(find("", "cpu.stat") or "")
    limited = pairs(find("cpu", "cpu.stat") or "")
    throttled_ns = limited.get("throttled_time", limited.get("throttled_usec", 0) * 1000)
    throttling = (limited.get("nr_periods", 0), limited.get("nr_throttled", 0), throttled_ns, cpu_limit(find))
    if "usage_usec" in base:
        times = (base["usage_usec"], base["user_usec"], base["system_usec"])
        return CpuStats(times[0] * 1000, times[1] * 1000, times[2] * 1000, *throttling)
    usage = _number(find("cpuacct", "cpuacct.usage"))
    if usage is None:
        return None
    user = _number(find("cpuacct", "cpuacct.usage_user")) or 0
    return CpuStats(usage, user, _number(find("cpuacct", "cpuacct.usage_sys")) or 0, *throttling)


def pids(find: "Find") -> PidsStats | None:
    """Return the tasks; both versions use the same files."""
    current = _number(find("pids", "pids.current"))
    if current is None:
        return None
    failures = pairs(find("pids", "pids.events") or "").get("max", 0)
    return PidsStats(current, _number(find("pids", "pids.max")), failures)


def block_v1(find: "Find") -> tuple[BlockStats, ...] | None:
    """Return the block I/O from the two throttle files: "8:0 Read 4096"."""
    served = find("blkio", "blkio.throttle.io_service_bytes_recursive")
    if served is None:
        return None
    counted: dict[str, dict[str, int]] = {}
    for prefix, text in (("b", served), ("n", find("blkio", "blkio.throttle.io_serviced_recursive") or "")):
        for line in text.splitlines():
            fields = line.split()
            if len(fields) == 3:
                counted.setdefault(fields[0], {})[prefix + fields[1]] = int(fields[2])
    return tuple(
        _block(device, c.get("bRead", 0), c.get("bWrite", 0), c.get("nRead", 0), c.get("nWrite", 0))
        for device, c in counted.items()
    )


def block_v2(find: "Find") -> tuple[BlockStats, ...] | None:
    """Return the block I/O from io.stat: "8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0"."""
    text = find("io", "io.stat")
    if text is None:
        return None
    found: list[BlockStats] = []
    for line in text.splitlines():
        device, *fields = line.split()
        c = {name: int(value) for name, _, value in (field.partition("=") for field in fields) if value.isdigit()}
        found.append(_block(device, c.get("rbytes", 0), c.get("wbytes", 0), c.get("rios", 0), c.get("wios", 0)))
    return tuple(found)


def _block(device: str, read_bytes: int, write_bytes: int, reads: int, writes: int) -> BlockStats:
    major, _, minor = device.partition(":")
    return BlockStats(int(major), int(minor), read_bytes, write_bytes, reads, writes)
