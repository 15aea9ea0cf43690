"""A container's place in this host's cgroup trees, in the terms of a plan: what to make, write, join and show."""

import os
from binascii import b2a_base64

from toolkit.runtime.plan.place import Cgroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.linux.cgroup.hierarchy import Hierarchy
    from toolkit.linux.cgroup.resources import Resources


def place(hierarchy: "Hierarchy", name: str, resources: "Resources", *, real: "Hierarchy | None" = None) -> Cgroup:
    """Return what the plan must know.

    Args:
        hierarchy: this host's cgroups; its mount points may be groups below the real ones.
        name: the container's group.
        resources: its limits.
        real: the same with the real mount points, where they differ.

    Raises:
        UnsupportedError: a limit whose controller this host lacks.
        InvalidError: values that contradict each other.
    """
    directories = tuple(hierarchy.directories(name, resources))
    return Cgroup(
        directories=directories,
        writes=_cpuset_writes(hierarchy, directories) + tuple(hierarchy.writes(name, resources)),
        device_program=_device_program(hierarchy, name, resources),
        join_files=join_files(hierarchy, directories),
        mounts=tuple(_mounts(hierarchy, real or hierarchy, name, directories)),
        sources=tuple(each for each in directories if not _is_v2(hierarchy, each)),
    )


def _device_program(hierarchy: "Hierarchy", name: str, resources: "Resources") -> tuple[str, str]:
    code = hierarchy.device_program(resources)
    return (hierarchy.path(name), b2a_base64(code, newline=False).decode()) if code else ("", "")


def _is_v2(hierarchy: "Hierarchy", directory: str) -> bool:
    return bool(hierarchy.v2) and directory.startswith(f"{hierarchy.v2}/")


def join_files(hierarchy: "Hierarchy", directories: tuple[str, ...]) -> tuple[str, ...]:
    """Return where a process writes "0" to get into these groups."""
    return tuple(
        f"{directory}/{'cgroup.procs' if _is_v2(hierarchy, directory) else 'tasks'}" for directory in directories
    )


def _mounts(
    hierarchy: "Hierarchy", real: "Hierarchy", name: str, directories: tuple[str, ...]
) -> list[tuple[str, str, str]]:
    """Return what to mount: the v2 tree alone, or each v1 hierarchy that the container has a group in."""
    if hierarchy.kind == "v2":
        return [("", "cgroup2", "")]
    found: list[tuple[str, str, str]] = []
    for directory in directories:
        if _is_v2(hierarchy, directory):
            continue
        point = directory.removesuffix(name)
        names = [each for each, mount in hierarchy.v1.items() if mount == point]
        found.append((os.path.basename(real.v1[names[0]]), "cgroup", ",".join(names)))
    return found


def _cpuset_writes(hierarchy: "Hierarchy", directories: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """A new v1 cpuset is empty, and nothing can join it before it has been given its parent's CPUs and nodes."""
    found: list[tuple[str, str]] = []
    for directory in directories:
        if directory.startswith(hierarchy.v1.get("cpuset", "\0")):
            for file in ("cpuset.cpus", "cpuset.mems"):
                with open(f"{os.path.dirname(directory)}/{file}") as parent:
                    found.append((f"{directory}/{file}", parent.read().strip()))
    return tuple(found)
