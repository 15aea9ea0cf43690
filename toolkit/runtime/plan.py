"""From an OCI config to the ordered steps that make a container of it.

Pure: no system call, no file is read here.  What the plan needs to know about
this host (its cgroup directories, its compiled seccomp filter) is an argument,
so a plan for another machine can be made, printed and tested anywhere.

The order is that of runc and crun, and each "before" has a reason:
what the process in reserve has done already comes first; cgroups before the
program's own mounts; cgroup namespace after joining them;
propagation before the first mount; all mounts before pivot_root, while the
host's paths can still be seen; the terminal before pivot_root, for its bind
onto /dev/console; seccomp before the capabilities go unless no_new_privs
allows it last; the death signal after the last change of user, which clears it.
"""

import os
from typing import NamedTuple

from toolkit.core.errors import InvalidError
from toolkit.linux import capability, mount, namespace
from toolkit.runtime import steps
from toolkit.runtime.mountoptions import parse_options, propagation_flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from toolkit.runtime import spec
    from toolkit.runtime.steps import Step


class Cgroup(NamedTuple):
    """The container's place in this host's cgroup trees."""

    directories: tuple[str, ...]
    """To make, parents first."""
    writes: tuple[tuple[str, str], ...] = ()
    """Limits: file and value."""
    device_program: tuple[str, str] = ("", "")
    """On v2: the directory, and the program in base64 that holds the device rules."""
    join_files: tuple[str, ...] = ()
    """Where init writes "0" to get in."""
    mounts: tuple[tuple[str, str, str], ...] = ()
    """What the container sees: directory below /sys/fs/cgroup ("" for itself), type, mount data."""
    links: tuple[tuple[str, str], ...] = ()
    """Names below /sys/fs/cgroup for controllers that share a hierarchy."""


class Filter(NamedTuple):
    """A compiled seccomp filter."""

    program: str
    """BPF in base64."""
    flags: int
    instructions: int
    profile: str
    """What it was compiled from, for people."""


class OverlayRoot(NamedTuple):
    """A root file system to be laid together by init, in its own mount namespace."""

    lower: tuple[str, ...]
    """Unpacked layers, the topmost first."""
    upper: str
    work: str
    options: tuple[str, ...]
    target: str
    """An empty directory to mount it on."""
    base: str = ""
    """A directory that `lower`, `upper` and `work` all lie below; needed for a user namespace only."""


_NO_CGROUP = Cgroup(())

_CLONE_ORDER = ("mnt", "pid", "net", "ipc", "uts", "user")
_OCI_KINDS = {
    "mount": "mnt",
    "pid": "pid",
    "network": "net",
    "ipc": "ipc",
    "uts": "uts",
    "user": "user",
    "cgroup": "cgroup",
    "time": "time",
}
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

_SYSCTL_KINDS = {
    **dict.fromkeys(
        (f"kernel.{name}" for name in ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni")), "ipc"
    ),
    "kernel.shm_rmid_forced": "ipc",
    "fs.mqueue.": "ipc",
    "kernel.domainname": "uts",
    "kernel.hostname": "uts",
    "net": "net",
}
"""Settings, or how their names begin, and the namespace that keeps them (namespaces(7))."""
_SYSCTL_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/")

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


def plan(
    config: "spec.Config",
    *,
    overlay: OverlayRoot | None = None,
    cgroup: Cgroup = _NO_CGROUP,
    seccomp: Filter | None = None,
) -> "tuple[Step, ...]":
    """Return the steps that make the container that `config` describes.

    Args:
        config: the OCI config; trusted.
        overlay: the root file system, where it is not the directory `root.path`.
        cgroup: the container's place in the cgroup trees.
        seccomp: the filter that `linux.seccomp` was compiled to.

    Raises:
        InvalidError: the config asks for something that cannot be planned.
    """
    return _with_reserve(tuple(_steps(config, overlay, cgroup, seccomp)))


def _with_reserve(made: "tuple[Step, ...]") -> "tuple[Step, ...]":
    """Use the process that a zygote keeps ready, where the plan begins as it has begun and nobody is needed outside."""
    done = len(steps.RESERVE_STEPS)
    begins_so = made[:done] == without_reserve(steps.RESERVE_STEPS)
    if begins_so and all(steps.about(step).actor == steps.INIT for step in made[done:]):
        return steps.RESERVE_STEPS + made[done:]
    return made


def without_reserve(made: "tuple[Step, ...]") -> "tuple[Step, ...]":
    """Return the same plan for whoever wants to see each step done: the first process is made when it is its turn."""
    first, *rest = made
    return (first._replace(in_reserve=False), *rest) if isinstance(first, steps.NewProcess) else made


def _steps(
    config: "spec.Config", overlay: OverlayRoot | None, cgroup: Cgroup, seccomp: Filter | None
) -> "Iterator[Step]":
    wanted = _namespaces(config)
    if wanted.get("user") == "":
        yield from _begin_in_user_namespace(config, overlay, cgroup, wanted)
    else:
        yield from _begin(config, cgroup, wanted)
    yield from _enter(config, wanted)
    yield from _names(config, wanted)
    if wanted.get("user") != "" or overlay is None:
        yield from _root(config, overlay)
    yield from _rootfs(config, cgroup, wanted)
    yield steps.PivotRoot()
    yield from _process(config, seccomp)


def _namespaces(config: "spec.Config") -> dict[str, str]:
    """Return the kinds that the config names, with the path to join or "" for a new one."""
    found: dict[str, str] = {}
    for entry in config.get("linux", {}).get("namespaces", []):
        kind = _OCI_KINDS.get(entry["type"])
        if kind is None:
            raise InvalidError(f"unknown namespace type '{entry['type']}'", hint=f"one of {', '.join(_OCI_KINDS)}")
        if kind in found:
            raise InvalidError(f"the namespace '{entry['type']}' is listed twice", hint="list each kind once")
        found[kind] = entry.get("path", "")
    return found


def _begin(config: "spec.Config", cgroup: Cgroup, wanted: dict[str, str]) -> "Iterator[Step]":
    """Make a process in a new pid namespace; the rest it does itself."""
    yield from _before_birth(config, wanted)
    yield steps.NewProcess(namespace.CLONE_NEWPID if wanted.get("pid") == "" else 0)
    flags = sum(namespace.KINDS[kind] for kind in ("net", "ipc", "uts") if wanted.get(kind) == "")
    if flags:
        yield steps.Unshare(flags)
    if wanted.get("net") == "":
        yield steps.LoopbackUp()
    if cgroup.directories:
        yield steps.CreateCgroup(cgroup.directories, cgroup.writes)
        if cgroup.device_program[1]:
            yield steps.LimitDevices(*cgroup.device_program)
        yield steps.JoinCgroup(cgroup.join_files)
    if wanted.get("mnt") == "":
        yield steps.Unshare(namespace.CLONE_NEWNS)


def _begin_in_user_namespace(
    config: "spec.Config", overlay: OverlayRoot | None, cgroup: Cgroup, wanted: dict[str, str]
) -> "Iterator[Step]":
    """All namespaces are born together, so that the new user namespace owns them.

    What needs root of the host (mapping the layers' owners, reading the
    engine's files) is done outside; its own root init attaches before it
    becomes somebody who may not reach the engine's directories.
    """
    linux = config.get("linux", {})
    yield from _before_birth(config, wanted)
    if cgroup.directories:
        yield steps.CreateCgroup(cgroup.directories, cgroup.writes, steps.OUTSIDE)
        if cgroup.device_program[1]:
            yield steps.LimitDevices(*cgroup.device_program, steps.OUTSIDE)
    yield steps.NewProcess(sum(namespace.KINDS[kind] for kind in _CLONE_ORDER if wanted.get(kind) == ""))
    yield steps.WriteIdMaps(_id_map(linux.get("uidMappings", [])), _id_map(linux.get("gidMappings", [])))
    if overlay is not None:
        owner = (_host_root(linux.get("uidMappings", [])), _host_root(linux.get("gidMappings", [])))
        yield steps.MakeMappedOverlay(overlay.base, (*overlay[:4], overlay.target), owner)
        yield steps.CloneMounts(_private_sources(config))
    if cgroup.directories:
        yield steps.JoinCgroup(cgroup.join_files)
    if overlay is not None:
        yield steps.SetPropagation(propagation_flags(linux.get("rootfsPropagation", "")))
        yield steps.AttachRoot(overlay.target)


def _host_root(mappings: "list[spec.IDMapping]") -> int:
    """Return the host's id of the container's id 0.

    Raises:
        InvalidError: it has none.
    """
    for entry in mappings:
        if entry["containerID"] == 0:
            return entry["hostID"]
    raise InvalidError("the id mappings of the user namespace leave out id 0", hint="map containerID 0 too")


def _private_sources(config: "spec.Config") -> tuple[str, ...]:
    """Return the sources of bind mounts, in the order in which they are mounted."""
    return tuple(entry.get("source", "") for entry in config.get("mounts", []) if _is_bind(entry))


def _is_bind(entry: "spec.Mount") -> bool:
    return entry.get("type") == "bind" or not {"bind", "rbind"}.isdisjoint(entry.get("options", []))


def _before_birth(config: "spec.Config", wanted: dict[str, str]) -> "Iterator[Step]":
    """What decides about children only: clocks, and pid namespaces that exist."""
    if wanted.get("time") == "":
        offsets = config.get("linux", {}).get("timeOffsets", {})
        yield steps.UnshareTime(
            tuple(
                (clock, offset.get("secs", 0), offset.get("nanosecs", 0)) for clock, offset in sorted(offsets.items())
            )
        )
    for kind in ("pid", "time"):
        if wanted.get(kind):
            yield steps.JoinForChildren(kind, wanted[kind])


def _id_map(mappings: "list[spec.IDMapping]") -> str:
    if not mappings:
        raise InvalidError("a new user namespace needs id mappings", hint="set uidMappings and gidMappings")
    return "".join(f"{entry['containerID']} {entry['hostID']} {entry['size']}\n" for entry in mappings)


def _enter(config: "spec.Config", wanted: dict[str, str]) -> "Iterator[Step]":
    """Join what exists already; become root of a new user namespace; then the cgroup namespace."""
    score = config.get("process", {}).get("oomScoreAdj")
    if score is not None:  # while this process is still the host's root, whose file it is
        yield steps.SetOomScore(score)
    if "user" in wanted:
        if wanted["user"]:
            yield steps.JoinNamespace("user", wanted["user"])
        yield steps.BecomeNamespaceRoot()
    for kind in ("net", "ipc", "uts", "cgroup", "mnt"):
        if wanted.get(kind):
            yield steps.JoinNamespace(kind, wanted[kind])
    if wanted.get("cgroup") == "":
        yield steps.UnshareCgroup()
    if wanted.get("net") == "" and wanted.get("user") == "":
        yield steps.LoopbackUp()


def _names(config: "spec.Config", wanted: dict[str, str]) -> "Iterator[Step]":
    hostname, domainname = config.get("hostname", ""), config.get("domainname", "")
    if (hostname or domainname) and "uts" not in wanted:
        raise InvalidError("a hostname needs a uts namespace", hint="add one, or leave the name out")
    if hostname:
        yield steps.SetHostname(hostname)
    if domainname:
        yield steps.SetDomainname(domainname)


def _root(config: "spec.Config", overlay: OverlayRoot | None) -> "Iterator[Step]":
    yield steps.SetPropagation(propagation_flags(config.get("linux", {}).get("rootfsPropagation", "")))
    if overlay is not None:
        yield steps.MountOverlay(overlay.lower, overlay.upper, overlay.work, overlay.options, overlay.target)
    else:
        yield steps.BindRoot(config.get("root", {}).get("path", "rootfs"), mount.MS_BIND | mount.MS_REC)


def _rootfs(config: "spec.Config", cgroup: Cgroup, wanted: dict[str, str]) -> "Iterator[Step]":
    linux = config.get("linux", {})
    handed = iter(range(1, 1 + len(config.get("mounts", []))) if wanted.get("user") == "" else ())
    for entry in config.get("mounts", []):
        if entry.get("type") in ("cgroup", "cgroup2"):
            yield from _cgroup_mounts(entry, cgroup)
            continue
        yield _mount_step(entry, next(handed, -1) if _is_bind(entry) else -1)
        if _is_own_dev(entry):
            yield from _devices(config, wanted)
    yield _stdio(config.get("process", {}), bind_console=any(map(_is_own_dev, config.get("mounts", []))))
    sysctls = linux.get("sysctl", {})
    if sysctls:
        yield steps.WriteSysctls(tuple((key, sysctls[key]) for key in sorted(sysctls) if _is_own(key, wanted)))
    for path in linux.get("readonlyPaths", []):
        yield steps.ReadonlyPath(path)
    for path in linux.get("maskedPaths", []):
        yield steps.MaskPath(path)
    if config.get("root", {}).get("readonly"):
        if (directory := config["process"].get("cwd", "/")) != "/":
            yield steps.MakeWorkingDirectory(directory)
        yield steps.ReadonlyRoot()


def _is_own(key: str, wanted: dict[str, str]) -> bool:
    """Check that a setting is one that a namespace of the container's keeps for itself, not the whole machine's.

    Raises:
        InvalidError: it is not.
    """
    kind = _SYSCTL_KINDS.get(key) or _SYSCTL_KINDS.get(key.partition(".")[0]) or _SYSCTL_KINDS.get(key[:10])
    if kind is None or not set(key) <= _SYSCTL_LETTERS:
        raise InvalidError(f"sysctl '{key}' is not in a namespace of its own", hint="set it on the host, for everyone")
    if kind not in wanted:
        raise InvalidError(f"sysctl '{key}' is not allowed in the host's {kind} namespace", hint="leave it out")
    return True


def _is_own_dev(entry: "spec.Mount") -> bool:
    return entry["destination"] == "/dev" and entry.get("type") == "tmpfs"


def _stdio(process: "spec.Process", *, bind_console: bool) -> "Step":
    if not process.get("terminal"):
        return steps.ConnectStdio()
    size = process.get("consoleSize")
    rows, columns = (size["height"], size["width"]) if size else (0, 0)
    return steps.OpenTerminal(rows, columns, bind_console=bind_console)


def _mount_step(entry: "spec.Mount", handed: int) -> "Step":
    options = parse_options(entry.get("options", []))
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
    )


def _cgroup_mounts(entry: "spec.Mount", cgroup: Cgroup) -> "Iterator[Step]":
    """Show the container its own groups: the v2 tree, or on v1 one mount for each hierarchy."""
    options = parse_options(entry.get("options", []))
    base = entry["destination"]
    if not cgroup.mounts:
        return
    if cgroup.mounts[0][0]:
        flags = mount.MS_NOSUID | mount.MS_NODEV | mount.MS_NOEXEC
        yield steps.MountFilesystem(base, "tmpfs", "tmpfs", flags, "mode=755,size=64k")
    purpose = _PURPOSES["/sys/fs/cgroup"]
    for name, fstype, data in cgroup.mounts:
        where = f"{base}/{name}" if name else base
        yield steps.MountFilesystem(where, fstype, "cgroup", options.flags, data, purpose=purpose)
    if cgroup.mounts[0][0] and options.flags & mount.MS_RDONLY:
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


def _process(config: "spec.Config", seccomp: Filter | None, *, may_make_directory: bool = True) -> "Iterator[Step]":
    process = config.get("process", {})
    limits = process.get("rlimits", [])
    if limits:
        yield steps.SetRlimits(tuple((limit["type"], limit["soft"], limit["hard"]) for limit in limits))
    yield steps.JoinKeyring("_ses")
    yield steps.ChangeDirectory(process.get("cwd") or "/", may_make_directory)
    no_new_privileges = process.get("noNewPrivileges", False)
    load = [steps.LoadSeccomp(*seccomp)] if seccomp is not None else []
    if not no_new_privileges:
        yield from load
    yield from _credentials(process)
    if no_new_privileges:
        yield steps.SetNoNewPrivileges()
        yield from load
    yield steps.DieWithMonitor()
    argv = process.get("args", [])
    if not argv:
        raise InvalidError("no command is specified", hint="give one, or use an image that has a default command")
    yield steps.Exec(tuple(argv), tuple(process.get("env", [])))


def _credentials(process: "spec.Process") -> "Iterator[Step]":
    user = process.get("user", {})
    sets = process.get("capabilities")
    uid = user.get("uid", 0)
    if sets is not None:
        yield steps.BoundCapabilities(capability.parse(sets.get("bounding", [])))
    yield steps.SetUser(
        uid,
        user.get("gid", 0),
        tuple(user.get("additionalGids", [])),
        user.get("umask", 0o022),
        keep_capabilities=sets is not None and uid != 0,
    )
    if sets is not None:
        yield steps.SetCapabilities(
            capability.parse(sets.get("effective", [])),
            capability.parse(sets.get("permitted", [])),
            capability.parse(sets.get("inheritable", [])),
            capability.parse(sets.get("ambient", [])),
        )


class ExecTarget(NamedTuple):
    """The running container that an exec goes into."""

    pid: int
    start_time: int
    namespaces: tuple[str, ...]
    """The kinds in which it differs from the engine, as /proc/PID/ns names them."""
    cgroup_join_files: tuple[str, ...]


def exec_plan(process: "spec.Process", target: ExecTarget, *, seccomp: Filter | None = None) -> "tuple[Step, ...]":
    """Return the steps that run one more program in a container that runs."""
    return tuple(_exec_steps(process, target, seccomp))


def _exec_steps(process: "spec.Process", target: ExecTarget, seccomp: Filter | None) -> "Iterator[Step]":
    yield steps.OpenTarget(target.pid, target.start_time)
    if "pid" in target.namespaces:
        yield steps.EnterPidNamespace()
    yield steps.NewProcess(0)
    yield steps.JoinCgroup(target.cgroup_join_files)
    flags = sum(namespace.KINDS[kind] for kind in target.namespaces if kind != "pid")
    yield steps.EnterNamespaces(flags)
    if "user" in target.namespaces:
        yield steps.BecomeNamespaceRoot()
    yield _stdio(process, bind_console=False)
    yield from _process({"process": process}, seccomp, may_make_directory=False)
