"""The mounts of a plan: what a config lists, as steps, and the devices and settings that come with them."""

import os
from functools import lru_cache

from toolkit.core.errors import InvalidError
from toolkit.linux import mount
from toolkit.runtime import steps
from toolkit.runtime.mountoptions import MAPPED, MAPPED_WITH_ALL_BELOW, parse_options, propagation_flags
from toolkit.runtime.plan.process import stdio
from toolkit.runtime.plan.sysctls import is_own

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from toolkit.runtime import spec
    from toolkit.runtime.plan.place import Cgroup, OverlayRoot
    from toolkit.runtime.steps import Step

_DEVICES = tuple(
    (f"/dev/{name}", "c", major, minor, 0o666, 0, 0)
    for name, major, minor in (
        ("null", 1, 3),
        ("zero", 1, 5),
        ("full", 1, 7),
        ("random", 1, 8),
        ("urandom", 1, 9),
        ("tty", 5, 0),
    )
)
_LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
)
_PURPOSES = {
    "/proc": "The kernel's view of this pid namespace: without it `ps` would see nothing, or worse, the host.",
    "/dev": "An empty directory in memory for the few harmless devices that follow.",
    "/dev/pts": "Terminals of the container's own; the host's stay out of sight.",
    "/dev/shm": "Memory that processes of this container share with shm_open(3).",
    "/dev/mqueue": "The POSIX message queues of this ipc namespace.",
    "/sys": "Devices and kernel settings, to read only.",
    "/sys/fs/cgroup": "The container's own cgroups, so that programs can read their limits.",
    "/etc/hostname": "The container's name, written by the engine.",
    "/etc/hosts": "Names and addresses, written by the engine.",
    "/etc/resolv.conf": "Which name servers to ask, written by the engine.",
}


def root(config: "spec.Config", overlay: "OverlayRoot | None") -> "Iterator[Step]":
    """Yield what makes the root directory, whose mounts nobody outside sees."""
    yield from propagation(config, root_path(config) if overlay is None else overlay.target)
    if overlay is not None:
        yield steps.MountOverlay(overlay.lower, overlay.upper, overlay.work, overlay.options, overlay.target)
    else:
        yield steps.BindRoot(root_path(config), mount.MS_BIND | mount.MS_REC)


def root_path(config: "spec.Config") -> str:
    """Return the directory of the root file system."""
    return config.get("root", {}).get("path", "rootfs")


def propagation(config: "spec.Config", directory: str) -> "Iterator[Step]":
    """Yield how far the container's mounts are seen outside; `directory`, if any, is about to become the root."""
    flags = propagation_flags(config.get("linux", {}).get("rootfsPropagation", ""))
    if flags & mount.MS_UNBINDABLE:  # the root itself has yet to be bound: `root_propagation` makes it so
        flags = flags & ~mount.MS_UNBINDABLE | mount.MS_PRIVATE
    yield steps.SetPropagation(flags)
    if directory and flags & mount.MS_SHARED:
        yield steps.PrivateParent(directory)


def root_propagation(config: "spec.Config") -> "Iterator[Step]":
    """Yield how the root itself is connected, where the config says so: once it is `/`, and no mount of the host's."""
    name = config.get("linux", {}).get("rootfsPropagation", "")
    if name and not propagation_flags(name) & mount.MS_PRIVATE:
        yield steps.SetPropagation(propagation_flags(name))


def rootfs(config: "spec.Config", cgroup: "Cgroup", wanted: dict[str, str], *, is_watched: bool) -> "Iterator[Step]":
    """Yield what fills the root, in the order of the config, and what then shuts parts of it.

    Args:
        config: the OCI config.
        cgroup: the container's place in the cgroup trees.
        wanted: the kinds of namespace.
        is_watched: a monitor carries the container's stdio; else it is the caller's.
    """
    mounts = config.get("mounts", [])
    handed = _handed(config, wanted)
    for position, entry in enumerate(mounts):
        if entry.get("type") in ("cgroup", "cgroup2"):
            yield from _cgroup_mounts(entry, cgroup, has_namespace="cgroup" in wanted)
            continue
        yield _mount_step(entry, handed.get(position, -1))
        if _is_own_dev(entry):
            yield from _devices(config, wanted)
    if not is_watched and not any(entry["destination"].rstrip("/") == "/dev" for entry in mounts):
        yield from _devices(config, wanted)
    has_own_dev = any(map(_is_own_dev, mounts))
    yield from stdio(config.get("process", {}), bind_console=has_own_dev, is_watched=is_watched)
    yield from _shut(config, wanted)


def _shut(config: "spec.Config", wanted: dict[str, str]) -> "Iterator[Step]":
    linux = config.get("linux", {})
    sysctls = linux.get("sysctl", {})
    if sysctls:
        yield steps.WriteSysctls(tuple((key, sysctls[key]) for key in sorted(sysctls) if is_own(key, wanted)))
    for path in linux.get("readonlyPaths", []):
        yield steps.ReadonlyPath(path)
    for path in linux.get("maskedPaths", []):
        yield steps.MaskPath(path)
    if config.get("root", {}).get("readonly"):
        if (directory := config["process"].get("cwd", "/")) != "/":
            yield steps.MakeWorkingDirectory(directory)
        yield steps.ReadonlyRoot()


def _is_own_dev(entry: "spec.Mount") -> bool:
    return entry["destination"] == "/dev" and entry.get("type") == "tmpfs"


def _is_bind(entry: "spec.Mount") -> bool:
    return entry.get("type") == "bind" or not {"bind", "rbind"}.isdisjoint(entry.get("options", []))


def _handed(config: "spec.Config", wanted: dict[str, str]) -> dict[int, int]:
    """Return which mounts, by their position in the config, the outside takes hold of, and in which order.

    In a user namespace all that have a source on the host, and 0 is the root; else those that are to be id-mapped.
    """
    has_users = "user" in wanted
    found: dict[int, int] = {}
    for position, entry in enumerate(config.get("mounts", [])):
        if _is_bind(entry) and (has_users or _is_mapped(entry)):
            found[position] = len(found) + has_users
    return found


def _is_mapped(entry: "spec.Mount") -> bool:
    return bool(entry.get("uidMappings")) or not {MAPPED, MAPPED_WITH_ALL_BELOW}.isdisjoint(entry.get("options", []))


def has_mapped(config: "spec.Config") -> bool:
    """Tell whether a mount is to show other owners, which somebody outside must see to."""
    return any(_is_bind(entry) and _is_mapped(entry) for entry in config.get("mounts", []))


def hand_over(config: "spec.Config", wanted: dict[str, str], *, root: str) -> "Iterator[Step]":
    """Yield what takes hold, outside, of mounts that init could not reach or not map.

    Args:
        config: the OCI config.
        wanted: the kinds of namespace.
        root: the root directory, where it is one of them.
    """
    if "mnt" not in wanted:
        return
    mounts, handed = config.get("mounts", []), _handed(config, wanted)
    sources = tuple(mounts[position].get("source", "") for position in handed)
    below = tuple(mounts[position].get("subpath", "") for position in handed) if _has_subpath(mounts) else ()
    if root or sources:
        yield (
            steps.CloneMounts((root, *sources), ("", *below) if below else ())
            if root
            else steps.CloneMounts(sources, below)
        )
    for position, index in handed.items():
        if _is_mapped(mounts[position]):
            entry, linux = mounts[position], config.get("linux", {})
            uids = entry.get("uidMappings") or linux.get("uidMappings", [])
            gids = entry.get("gidMappings") or linux.get("gidMappings", [])
            recursive = MAPPED_WITH_ALL_BELOW in entry.get("options", [])
            yield steps.MapMount(index, id_map(uids), id_map(gids), recursive)


def _has_subpath(mounts: "list[spec.Mount]") -> bool:
    return any("subpath" in entry for entry in mounts)


def id_map(mappings: "list[spec.IDMapping]") -> str:
    """Return id mappings as /proc/PID/uid_map takes them.

    Raises:
        InvalidError: there are none.
    """
    if not mappings:
        raise InvalidError("a new user namespace needs id mappings", hint="set uidMappings and gidMappings")
    return "".join(f"{entry['containerID']} {entry['hostID']} {entry['size']}\n" for entry in mappings)


_parsed = lru_cache(maxsize=256)(parse_options)
"""Most mounts of most containers have the same options."""


def _mount_step(entry: "spec.Mount", handed: int) -> "Step":
    options = _parsed(tuple(entry.get("options", ())))
    destination = entry["destination"]
    if not destination.startswith("/"):
        raise InvalidError(f"the mount destination '{destination}' is not absolute", hint="begin it with /")
    fstype = entry.get("type", "")
    flags = options.flags
    if fstype == "bind" and not flags & mount.MS_BIND:
        flags |= mount.MS_BIND
    source = entry.get("source") or fstype or "none"
    if flags & mount.MS_BIND and not source.startswith("/"):
        raise InvalidError(f"the bind mount source '{source}' is not absolute", hint="give its full path")
    destination = os.path.normpath(destination)
    if flags & mount.MS_BIND and handed < 0 and source.startswith("/proc/"):
        process, inside, path = source.partition("/root/")
        if inside and process[6:].isdecimal():  # a mount of another mount namespace cannot be bound from here
            return steps.BorrowMount(f"{process}/ns/mnt", f"/{path}", destination)
    return steps.MountFilesystem(
        destination,
        fstype,
        source,
        flags,
        options.data,
        options.propagation,
        options.set_attrs,
        _PURPOSES.get(destination, ""),
        handed,
        options.clear_attrs,
        options.copies_up,
        entry.get("subpath", ""),
        entry.get("purpose", ""),
    )


def _cgroup_mounts(entry: "spec.Mount", cgroup: "Cgroup", *, has_namespace: bool) -> "Iterator[Step]":
    """Show the container its own groups: the v2 tree, or on v1 one mount for each hierarchy.

    Without a cgroup namespace a v1 hierarchy would show the whole host's, so
    the container's own directory is bound instead, as runc does.
    """
    options = parse_options(entry.get("options", []))
    base = entry["destination"]
    if not cgroup.mounts:
        return
    if cgroup.mounts[0][0] and cgroup.sources and not has_namespace:
        yield from _bound_groups(base, cgroup, options.flags)
        return
    if cgroup.mounts[0][0]:
        trees = tuple((name, data) for name, _fstype, data in cgroup.mounts)
        yield steps.MountCgroups(base, trees, options.flags)
        return
    for _name, fstype, data in cgroup.mounts:
        purpose = _PURPOSES["/sys/fs/cgroup"]
        yield steps.MountFilesystem(base, fstype, "cgroup", options.flags, data, purpose=purpose)


def _bound_groups(base: str, cgroup: "Cgroup", flags: int) -> "Iterator[Step]":
    plain = mount.MS_NOSUID | mount.MS_NODEV | mount.MS_NOEXEC
    yield steps.MountFilesystem(base, "tmpfs", "tmpfs", plain, "mode=755,size=64k")
    for (name, _fstype, _data), source in zip(cgroup.mounts, cgroup.sources, strict=True):
        purpose = _PURPOSES["/sys/fs/cgroup"]
        yield steps.MountFilesystem(f"{base}/{name}", "bind", source, flags | mount.MS_BIND, "", purpose=purpose)
    if flags & mount.MS_RDONLY:
        yield steps.ReadonlyPath(base)


def _devices(config: "spec.Config", wanted: dict[str, str]) -> "Iterator[Step]":
    extra = tuple(
        (
            device["path"],
            device["type"],
            device.get("major", 0),
            device.get("minor", 0),
            device.get("fileMode", 0o666),
            device.get("uid", 0),
            device.get("gid", 0),
        )
        for device in config.get("linux", {}).get("devices", [])
    )
    named = {device[0] for device in extra}
    devices = tuple(device for device in _DEVICES if device[0] not in named) + extra
    if "user" in wanted:
        yield steps.BindDevices(tuple(device[0] for device in devices))
    else:
        yield steps.MakeDevices(devices)
    yield steps.LinkDevices(_LINKS)
