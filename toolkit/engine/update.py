"""Changing what a container may use, while it runs or before it starts again.

See Also:
    moby, container/container_unix.go, UpdateContainer
"""

from typing import Any

from toolkit.core.errors import ConflictError, EngineError, InvalidError
from toolkit.engine import discard, limits, restart
from toolkit.engine.resources import resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.core.state import Document
    from toolkit.engine.container import Container
    from toolkit.engine.options import ContainerOptions
    from toolkit.linux.cgroup.resources import Cpu, Memory, Resources

_CPU = ("nano_cpus", "cpu_shares", "cpu_period_us", "cpu_quota_us", "cpu_rt_period_us", "cpu_rt_runtime_us")
_CPUSET = ("cpuset_cpus", "cpuset_mems")
_MEMORY = ("memory_bytes", "memory_swap_bytes", "memory_reservation_bytes")
_RESTART = ("restart_policy", "restart_retries")
FIELDS = frozenset((*_CPU, *_CPUSET, *_MEMORY, *_RESTART, "pids_limit", "blkio_weight"))
"""The options that can be changed."""
_EXCLUSIVE = (
    ("nano_cpus", "cpu_period_us", "Nano CPUs", "CPU Period"),
    ("nano_cpus", "cpu_quota_us", "Nano CPUs", "CPU Quota"),
    ("cpu_period_us", "nano_cpus", "CPU Period", "NanoCPUs"),
    ("cpu_quota_us", "nano_cpus", "CPU Quota", "NanoCPUs"),
)


def update(one: "Container", changes: dict[str, Any]) -> "tuple[Document, tuple[str, ...]]":
    """Change a container's options, and its groups where it runs; return its new document and docker's warnings.

    Raises:
        InvalidError: values that mean nothing, or contradict each other or what it has.
        ConflictError: the kernel does not take them at this moment; nothing is changed then.
    """
    changes = {field: value for field, value in changes.items() if value not in (0, "") or field == "restart_retries"}
    unknown = changes.keys() - FIELDS
    if unknown:
        raise InvalidError(f"cannot be changed after a container was created: {', '.join(sorted(unknown))}")
    if "restart_policy" in changes:
        changes.setdefault("restart_retries", 0)
    old = one.options
    _refuse(one, old, changes)
    wanted = old._replace(**changes)
    limits.check(wanted)
    _check_restart(one, wanted)
    warnings: tuple[str, ...] = ()
    if "blkio_weight" in changes:
        wanted, warnings = discard.discard(wanted, one.cgroups)
    if one.read_status().is_alive:
        _apply(one, old, wanted, changes)
    stored = {field: getattr(wanted, field) for field in changes}
    doc = one.engine.state.amend("container", one.id, lambda doc: {**doc, "options": {**doc["options"], **stored}})
    if "restart_policy" in changes:
        restart.change(one, wanted.restart_policy, wanted.restart_retries)
    return doc, warnings


def _refuse(one: "Container", old: "ContainerOptions", changes: dict[str, Any]) -> None:
    for field, other, name, present in _EXCLUSIVE:
        if changes.get(field) and getattr(old, other) and other not in changes:
            message = f"conflicting options: {name} cannot be updated as {present} has already been set"
            raise _cannot(one, InvalidError(message, hint="change that one"))
    has_swap = old.memory_swap_bytes or 2 * old.memory_bytes
    if changes.get("memory_bytes", 0) > has_swap != -1 and "memory_swap_bytes" not in changes:
        message = (
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
        )
        raise _cannot(one, InvalidError(message, hint="add --memory-swap, with -1 for no limit"))


def _check_restart(one: "Container", wanted: "ContainerOptions") -> None:
    if wanted.auto_remove and wanted.restart_policy not in ("", "no"):
        message = "Restart policy cannot be updated because AutoRemove is enabled for the container"
        raise _cannot(one, ConflictError(message))
    restart.check(wanted)


def _apply(one: "Container", old: "ContainerOptions", wanted: "ContainerOptions", changes: dict[str, Any]) -> None:
    """Write the limits that are new; put the old ones back where the kernel refuses one of them."""
    try:
        one.cgroups.update(one.id, _resources(wanted, changes))
    except EngineError as exc:
        try:
            one.cgroups.update(one.id, _resources(old, changes))
        except EngineError:
            pass  # some were never set: what could be put back is
        if isinstance(exc, OSError):
            raise _cannot(one, ConflictError(exc.message, hint=exc.hint)) from exc
        raise


def _cannot(one: "Container", exc: EngineError) -> EngineError:
    return type(exc)(f"Cannot update container {one.id}: {exc.message}", hint=exc.hint)


def _resources(options: "ContainerOptions", changes: dict[str, Any]) -> "Resources":
    """Return the limits that changed, and those that must be written together with them."""
    everything, made = resources(options), dict[str, Any]()
    cpu: Cpu = {}
    if not changes.keys().isdisjoint(_CPU):
        cpu.update({key: value for key, value in everything.get("cpu", {}).items() if key not in ("cpus", "mems")})  # type: ignore[typeddict-item]  # a part of the same type
    if options.cpuset_cpus and "cpuset_cpus" in changes:
        cpu["cpus"] = options.cpuset_cpus
    if options.cpuset_mems and "cpuset_mems" in changes:
        cpu["mems"] = options.cpuset_mems
    if cpu:
        made["cpu"] = cpu
    if not changes.keys().isdisjoint(_MEMORY):
        made["memory"] = _memory(everything.get("memory", {}), changes)
    if "pids_limit" in changes:
        made["pids"] = {"limit": options.pids_limit if options.pids_limit > 0 else -1}
    if "blkio_weight" in changes and options.blkio_weight:
        made["blockIO"] = {"weight": options.blkio_weight}
    found: Resources = made  # type: ignore[assignment]  # built key by key
    return found


def _memory(everything: "Memory", changes: dict[str, Any]) -> "Memory":
    """A limit on memory and the one on memory and swap hold each other: both are written where one changes."""
    made: Memory = {}
    if "memory_bytes" in changes or "memory_swap_bytes" in changes:
        made["limit"], made["swap"] = everything.get("limit", -1), everything.get("swap", -1)
    if "memory_reservation_bytes" in changes:
        made["reservation"] = everything.get("reservation", -1)
    return made
