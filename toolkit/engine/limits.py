"""Refusing limits that mean nothing or are above the machine's, in docker's words.

See Also:
    moby, daemon/daemon_unix.go, verifyPlatformContainerResources
"""

import os

from toolkit.core.errors import InvalidError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from toolkit.engine.options import ContainerOptions

_MIN_MEMORY_BYTES = 6 * 1024 * 1024  # moby, daemon/daemon_unix.go, linuxMinMemory
_MIN_NANO_CPUS = 10_000_000
_CPU_PERIODS_US = range(1000, 1_000_001)
_BLKIO_WEIGHTS = range(10, 1001)


def check(options: "ContainerOptions") -> None:
    """Refuse limits that contradict each other or the machine.

    Raises:
        InvalidError: with the cure.
    """
    _check_memory(options)
    _check_cpus(options)
    _check_bandwidth(options)
    _check_block(options)
    parent = options.cgroup_parent.strip("/").split("/")
    if options.cgroup_parent and not all(part.strip(".") for part in parent):
        raise InvalidError(f'invalid cgroup parent: "{options.cgroup_parent}"', hint='a path such as "/group"')
    from toolkit.engine.devices import parse_rule

    for rule in options.device_cgroup_rules:
        parse_rule(rule)


def _check_memory(options: "ContainerOptions") -> None:
    if options.memory_bytes and options.memory_bytes < _MIN_MEMORY_BYTES:
        raise InvalidError("minimum memory limit allowed is 6MB", hint="give --memory 6m or more")
    if options.memory_swap_bytes > 0 and not options.memory_bytes:
        raise InvalidError("you should always set the memory limit when using the swap limit", hint="add --memory")
    if 0 < options.memory_swap_bytes < options.memory_bytes:
        raise InvalidError(
            "minimum memoryswap limit should be larger than memory limit", hint="--memory-swap counts memory plus swap"
        )
    if options.memory_bytes and options.memory_reservation_bytes > options.memory_bytes:
        raise InvalidError(
            "minimum memory limit can not be less than memory reservation limit", hint="reserve less than --memory"
        )
    if 0 < options.memory_reservation_bytes < _MIN_MEMORY_BYTES:
        raise InvalidError("minimum memory reservation allowed is 6MB", hint="give --memory-reservation 6m or more")
    if not -1 <= options.memory_swappiness <= 100:
        message = f"invalid value: {options.memory_swappiness}, valid memory swappiness range is 0-100"
        raise InvalidError(message, hint="choose one in it")
    if options.shm_size_bytes < 0:
        raise InvalidError("SHM size can not be less than 0", hint="give a size such as 64m")


def _check_cpus(options: "ContainerOptions") -> None:
    cpus = os.cpu_count() or 1
    if options.nano_cpus > cpus * 1_000_000_000:
        raise InvalidError(
            f"range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available", hint="ask for fewer"
        )
    if options.nano_cpus and options.nano_cpus < _MIN_NANO_CPUS:
        raise InvalidError(f"range of CPUs is from 0.01 to {cpus}.00", hint="ask for more")
    if options.cpu_shares < 0:
        raise InvalidError(f"invalid CPU shares: {options.cpu_shares}", hint="2 or more; 1024 is an equal part")
    for text, file, what in (
        (options.cpuset_cpus, "cpu", "CPUs"),
        (options.cpuset_mems, "node", "memory nodes"),
    ):
        if text:
            _check_set(text, f"/sys/devices/system/{file}/online", what)


def _check_set(text: str, online_file: str, what: str) -> None:
    try:
        with open(online_file) as file:
            online = file.read().strip()
    except FileNotFoundError:
        online = "0"  # a kernel without NUMA has one node and no file
    missing = set(_numbers(text, what)) - set(_numbers(online, what))
    if missing:
        raise InvalidError(
            f"requested {what} are not available - requested {text}, available: {online}", hint="choose among these"
        )


def _numbers(text: str, what: str) -> "Iterator[int]":
    """Yield the numbers of a list such as 0-3,5."""
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not part.isascii() or not first.isdecimal() or (dash and not last.isdecimal()) or len(part) > 20:
            raise InvalidError(f"invalid list of {what}: '{text}'", hint="write it as 0-3,5")
        yield from range(int(first), min(int(last or first), int(first) + 65536) + 1)


def _check_bandwidth(options: "ContainerOptions") -> None:
    for value, what in ((options.cpu_period_us, "Period"), (options.cpu_quota_us, "Quota")):
        if options.nano_cpus and value:
            message = f"conflicting options: Nano CPUs and CPU {what} cannot both be set"
            raise InvalidError(message, hint=f"give --cpus or --cpu-{what.lower()}")
    if options.cpu_period_us and options.cpu_period_us not in _CPU_PERIODS_US:
        message = "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"
        raise InvalidError(message, hint="it is in microseconds")
    if options.cpu_quota_us and 0 < options.cpu_quota_us < _CPU_PERIODS_US.start:
        raise InvalidError("CPU cfs quota can not be less than 1ms (i.e. 1000)", hint="it is in microseconds")
    if 0 < options.cpu_rt_period_us < options.cpu_rt_runtime_us:
        message = "cpu real-time runtime cannot be higher than cpu real-time period"
        raise InvalidError(message, hint="both are in microseconds")


def _check_block(options: "ContainerOptions") -> None:
    if options.blkio_weight and options.blkio_weight not in _BLKIO_WEIGHTS:
        raise InvalidError("range of blkio weight is from 10 to 1000", hint="500 is an equal part")
    for device in options.blkio_weight_devices:
        if device.value not in _BLKIO_WEIGHTS:
            raise InvalidError(f"invalid weight for device {device.path}: {device.value}", hint="it is 10 to 1000")
