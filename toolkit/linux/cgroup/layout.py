"""Which cgroup controller is mounted where, from the text of two files in /proc.  No I/O."""

from toolkit.core.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

V1_CONTROLLERS = (
    "cpu",
    "cpuacct",
    "cpuset",
    "memory",
    "devices",
    "freezer",
    "blkio",
    "pids",
    "hugetlb",
    "net_cls",
    "net_prio",
    "perf_event",
    "rdma",
    "misc",
)


class Layout(NamedTuple):
    """The mounted hierarchies."""

    v1: dict[str, str]
    """Controller (or "name=systemd") to mount point; controllers mounted together share one."""
    v2: str
    """The mount point of the v2 hierarchy; empty if there is none."""


def parse_mountinfo(text: str) -> Layout:
    """Return the layout in the text of /proc/self/mountinfo; of two mounts of one thing, the first.

    See Also:
        proc_pid_mountinfo(5)
    """
    v1: dict[str, str] = {}
    v2 = ""
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        kind, _, rest = after.partition(" ")
        if kind not in ("cgroup", "cgroup2"):
            continue
        point = before.split(" ")[4].replace("\\040", " ")
        if kind == "cgroup2":
            v2 = v2 or point
            continue
        for option in rest.rpartition(" ")[2].split(","):
            if option in V1_CONTROLLERS or option.startswith("name="):
                v1.setdefault(option, point)
    return Layout(v1, v2)


def parse_membership(text: str) -> dict[str, str]:
    """Return controller ("" for v2) to path, from the text of a /proc/PID/cgroup.

    See Also:
        cgroups(7)
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        _, names, path = line.split(":", 2)
        found.update(dict.fromkeys(names.split(","), path))
    return found


def unique(paths: "Iterable[str]") -> list[str]:
    """Return `paths` without repetitions, in order (controllers may share a mount)."""
    return list(dict.fromkeys(paths))
