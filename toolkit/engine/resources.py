"""From a container's options to the OCI `linux.resources`; pure."""

from toolkit.engine.devices import NOTHING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.engine.devices import HostDevices
    from toolkit.engine.options import BlockDevice, ContainerOptions
    from toolkit.linux.cgroup.resources import BlockIO, Cpu, Device, Memory, Resources, ThrottleDevice

_OPEN_DEVICES = ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2))
"""null, zero, full, random, urandom, tty, console, ptmx."""
_DEVICE_RULES: "list[Device]" = [
    {"allow": False, "access": "rwm"},
    {"allow": True, "type": "c", "access": "m"},
    {"allow": True, "type": "b", "access": "m"},
    {"allow": True, "type": "c", "major": 136, "access": "rwm"},
]
for _major, _minor in _OPEN_DEVICES:
    _DEVICE_RULES.append({"allow": True, "type": "c", "major": _major, "minor": _minor, "access": "rwm"})


def resources(options: "ContainerOptions", host: "HostDevices" = NOTHING) -> "Resources":
    """Return the limits that were asked for.

    Args:
        options: what was asked for.
        host: the devices among it; without them the limits say which controllers
            they need, but not all that is to be written there.
    """
    made: Resources = {}
    memory = _memory(options)
    if memory:
        made["memory"] = memory
    cpu = _cpu(options)
    if cpu:
        made["cpu"] = cpu
    if options.pids_limit > 0:
        made["pids"] = {"limit": options.pids_limit}
    block = _block(options, host)
    if block:
        made["blockIO"] = block
    if not options.privileged:
        made["devices"] = [*_DEVICE_RULES, *host.rules]
    return made


def _memory(options: "ContainerOptions") -> "Memory":
    made: Memory = {}
    if options.memory_bytes:
        made["limit"] = options.memory_bytes
        made["swap"] = options.memory_swap_bytes or 2 * options.memory_bytes
    if options.memory_reservation_bytes:
        made["reservation"] = options.memory_reservation_bytes
    if options.memory_swappiness >= 0:
        made["swappiness"] = options.memory_swappiness
    if options.oom_kill_disable:
        made["disableOOMKiller"] = True
    return made


def _cpu(options: "ContainerOptions") -> "Cpu":
    made: Cpu = {}
    if options.nano_cpus:
        made["period"] = 100_000
        made["quota"] = options.nano_cpus // 10_000
    if options.cpu_period_us:
        made["period"] = options.cpu_period_us
    if options.cpu_quota_us:
        made["quota"] = options.cpu_quota_us
    if options.cpu_rt_period_us:
        made["realtimePeriod"] = options.cpu_rt_period_us
    if options.cpu_rt_runtime_us:
        made["realtimeRuntime"] = options.cpu_rt_runtime_us
    if options.cpu_shares:
        made["shares"] = options.cpu_shares
    if options.cpuset_cpus:
        made["cpus"] = options.cpuset_cpus
    if options.cpuset_mems:
        made["mems"] = options.cpuset_mems
    return made


def _block(options: "ContainerOptions", host: "HostDevices") -> "BlockIO":
    made: BlockIO = {}
    if options.blkio_weight:
        made["weight"] = options.blkio_weight
    if options.blkio_weight_devices:
        made["weightDevice"] = [
            {"major": each["major"], "minor": each["minor"], "weight": each["rate"]}
            for each in _rates(options.blkio_weight_devices, host)
        ]
    if options.device_read_bps:
        made["throttleReadBpsDevice"] = _rates(options.device_read_bps, host)
    if options.device_write_bps:
        made["throttleWriteBpsDevice"] = _rates(options.device_write_bps, host)
    if options.device_read_iops:
        made["throttleReadIOPSDevice"] = _rates(options.device_read_iops, host)
    if options.device_write_iops:
        made["throttleWriteIOPSDevice"] = _rates(options.device_write_iops, host)
    return made


def _rates(devices: "tuple[BlockDevice, ...]", host: "HostDevices") -> "list[ThrottleDevice]":
    numbers = ((host.numbers.get(each.path, (0, 0)), each.value) for each in devices)
    return [{"major": major, "minor": minor, "rate": value} for (major, minor), value in numbers]
