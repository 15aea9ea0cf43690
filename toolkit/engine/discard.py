"""What docker discards, with a warning, where the kernel cannot do it: settings that change how well, not how safely.

A limit that cannot be kept is another matter: that is an error.

See Also:
    moby, daemon/daemon_unix.go, verifyPlatformContainerResources
"""

from toolkit.core.errors import UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from toolkit.engine.cgroups import Cgroups
    from toolkit.engine.options import ContainerOptions

_LACKS = "Your kernel does not support"
_OOM_WITHOUT_LIMIT = (
    "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out "
    "of resources."
)


def may_be_needed(options: "ContainerOptions") -> bool:
    """Tell whether there is anything that may have to be discarded: nothing need be looked at otherwise."""
    return bool(
        options.oom_kill_disable
        or options.cpu_rt_period_us
        or options.cpu_rt_runtime_us
        or options.memory_swappiness >= 0
        or options.blkio_weight
        or options.blkio_weight_devices
    )


def discard(options: "ContainerOptions", cgroups: "Cgroups") -> "tuple[ContainerOptions, tuple[str, ...]]":
    """Return the options that this kernel can obey, and docker's warnings about the others.

    Raises:
        UnsupportedError: real-time CPU time, which this kernel or the parent group does not have to give.
    """
    _check_real_time(options, cgroups)
    warnings: list[str] = []
    changed: dict[str, Any] = {}
    is_v1 = cgroups.is_v1("memory")
    if options.memory_swappiness >= 0 and not is_v1:
        lack = "memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded."
        warnings.append(f"{_LACKS} {lack}")
        changed["memory_swappiness"] = -1
    if options.oom_kill_disable and not is_v1:
        warnings.append(f"{_LACKS} OomKillDisable. OomKillDisable discarded.")
        changed["oom_kill_disable"] = False
    elif options.oom_kill_disable and not options.memory_bytes:
        warnings.append(_OOM_WITHOUT_LIMIT)
    if options.blkio_weight and not cgroups.has_file("blkio", "blkio.bfq.weight", "io.weight"):
        warnings.append(f"{_LACKS} Block I/O weight or the cgroup is not mounted. Weight discarded.")
        changed["blkio_weight"] = 0
    if options.blkio_weight_devices and not cgroups.has_file("blkio", "blkio.bfq.weight_device", "io.weight"):
        warnings.append(f"{_LACKS} Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.")
        changed["blkio_weight_devices"] = ()
    return options._replace(**changed), tuple(warnings)


def _check_real_time(options: "ContainerOptions", cgroups: "Cgroups") -> None:
    """A group cannot have more real-time than its parent, and a new one has none: somebody must have given it some."""
    if not options.cpu_rt_period_us and not options.cpu_rt_runtime_us:
        return
    if not cgroups.is_v1("cpu") or not cgroups.has_file("cpu", "cpu.rt_runtime_us", ""):
        message = "kernel does not support CPU real-time scheduler"
        raise UnsupportedError(message, hint="it needs cgroup v1 and a kernel with CONFIG_RT_GROUP_SCHED")
    own, parent = cgroups.real_time_of_parent()
    if options.cpu_rt_runtime_us > own:
        raise UnsupportedError(
            f"the parent group has {own} us of real-time CPU time to give, not {options.cpu_rt_runtime_us}",
            hint=f"write more to {parent}, and to those above it first",
        )
