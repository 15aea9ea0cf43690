"""What every container is made of."""

import errno
import os
import struct

from toolkit.linux import capability, mount, namespace
from toolkit.linux.cgroup import files
from toolkit.linux.cgroup.hierarchy import detect
from toolkit.linux.probe import Feature
from toolkit.linux.probe.attempt import Case, LackingError, tried

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.linux.cgroup import Hierarchy

ALLOW_ALL = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)  # BPF_RET|BPF_K, SECCOMP_RET_ALLOW
VIEWS, LIMITS, FILES, DEFENCES = "own view of", "limits on", "files from", "defences"
"""The groups, in an order in which they can be explained."""

_MEANINGS = {
    "pid": "processes: a list that begins with number 1",
    "mnt": "files: folders attached and detached without anybody else noticing",
    "uts": "the host name",
    "ipc": "shared memory and message queues",
    "net": "network: addresses, ports and routes of its own",
    "cgroup": "limits: its own place as the root of all",
    "user": "users: root inside, nobody outside",
    "time": "clocks that count since boot",
}
_CONTROLLERS = {
    "memory": ("bytes of memory, after which the kernel ends a process", "run --memory"),
    "cpu": ("a share of the processors' time", "run --cpus"),
    "pids": ("the number of processes, against fork bombs", "run --pids-limit"),
    "cpuset": ("which processors may be used", "run --cpuset-cpus"),
}
_OVERLAY = {errno.ENODEV: "load the kernel's module: modprobe overlay"}


def essential() -> list[Feature]:
    """Try everything that every container is made of; this process must have one thread only."""
    hierarchy = detect()
    files_case = [
        ("layers", "folders stacked on each other (overlay): an image is never copied", _mount_overlay, _OVERLAY),
        ("memory", "a file system that is gone afterwards (tmpfs)", mounts_of_our_own, {}),
        ("a root of its own", "another folder takes the place of / (pivot_root)", _pivot_root, {}),
    ]
    defences = [
        ("fewer powers", "root without some of root's powers (capabilities)", _drop_capability),
        ("fewer calls", "system calls that are refused (seccomp)", _load_filter),
        ("no new powers", "programs that cannot gain powers (no_new_privs)", capability.set_no_new_privs),
        ("read-only folders", "a whole tree made read-only at once (mount_setattr)", _set_attributes),
    ]
    cases = [
        *(_namespace(kind, meaning) for kind, meaning in _MEANINGS.items()),
        *(controller(hierarchy, name, *told) for name, told in _CONTROLLERS.items()),
        *(Case(FILES, name, meaning, deed, "every container", cures) for name, meaning, deed, cures in files_case),
        *(Case(DEFENCES, name, meaning, deed, "every container") for name, meaning, deed in defences),
    ]
    return tried(cases)


def _namespace(kind: str, meaning: str) -> Case:
    needed_for = {"user": "run --userns, rootless", "time": "run --time-offset"}.get(kind, "every container")
    return Case(VIEWS, kind, meaning, lambda: namespace.unshare(namespace.KINDS[kind]), needed_for)


def controller(hierarchy: "Hierarchy", name: str, meaning: str, needed_for: str) -> Case:
    """Return the case of a cgroup controller: a group is made where it is mounted, and removed."""

    def deed() -> str:
        point = hierarchy.mount_of(name)
        if point is None:
            raise LackingError(f"no cgroup hierarchy here has {name}")
        path = f"{point}/container-toolkit-probe-{os.getpid()}"
        files.make(path)
        files.remove(path)
        return f'mkdir("{path}", 0755) = 0 ({"v1" if name in hierarchy.v1 else "v2"})'

    return Case(LIMITS, name, meaning, deed, needed_for, {0: hierarchy.cure(name)})


def mounts_of_our_own() -> None:
    """Leave the host's mounts, and have a fresh directory in memory at /dev."""
    namespace.unshare(namespace.KINDS["mnt"])
    mount.mount(None, "/", None, mount.MS_REC | mount.MS_PRIVATE)
    mount.mount("tmpfs", "/dev", "tmpfs")


def _mount_overlay() -> None:
    mounts_of_our_own()
    overlay_in("/dev")


def overlay_in(base: str) -> None:
    """Mount an overlay of two fresh directories."""
    for name in ("lower", "upper", "work", "merged"):
        os.mkdir(f"{base}/{name}")
    data = f"lowerdir={base}/lower,upperdir={base}/upper,workdir={base}/work"
    mount.mount("overlay", f"{base}/merged", "overlay", 0, data)


def _pivot_root() -> None:
    mounts_of_our_own()
    os.mkdir("/dev/old")
    mount.pivot_root("/dev", "/dev/old")


def _set_attributes() -> None:
    mounts_of_our_own()
    fd = os.open("/dev", os.O_PATH | os.O_DIRECTORY)
    mount.mount_setattr(fd, "", recursive=True, set_attrs=mount.MOUNT_ATTR_RDONLY)


def _drop_capability() -> None:
    capability.drop_bounding(capability.bounding_set() & ~capability.parse(["SYS_TIME"]))


def _load_filter() -> None:
    from toolkit.linux.seccomp.apply import load

    capability.set_no_new_privs()
    load(ALLOW_ALL)
