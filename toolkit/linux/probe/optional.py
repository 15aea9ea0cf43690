"""What only some containers need, or what makes the engine quicker."""

import errno
import fcntl
import os

from toolkit.linux import capability, mount, namespace, process
from toolkit.linux.bpf import attach_device_program
from toolkit.linux.cgroup import devices, files
from toolkit.linux.cgroup.hierarchy import detect
from toolkit.linux.libc import syscall
from toolkit.linux.probe import Feature
from toolkit.linux.probe.attempt import Case, LackingError, tried
from toolkit.linux.probe.essential import (
    ALLOW_ALL,
    DEFENCES,
    FILES,
    LIMITS,
    VIEWS,
    controller,
    mounts_of_our_own,
    overlay_in,
)
from toolkit.linux.seccomp import apply
from toolkit.trace import span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from toolkit.linux.cgroup import Hierarchy

PROCESSES, MACHINES = "processes by", "other machines by"
_NOBODY = 65534
_MORE_POWERS = "start this machine, or the container that it is, with more capabilities"


def optional() -> list[Feature]:
    """Try everything here; this process must have one thread only."""
    groups = (_views(), _limits(detect()), _files(), _defences(), _processes(), _machines())
    return tried([case for group in groups for case in group])


def _views() -> "Iterator[Case]":
    yield Case(
        VIEWS,
        "user, as anybody",
        "a user who is not root makes containers (rootless)",
        _plain_user,
        "rootless",
        {
            errno.EPERM: "sysctl kernel.unprivileged_userns_clone=1, and on Ubuntu "
            "kernel.apparmor_restrict_unprivileged_userns=0",
            errno.ENOSPC: "sysctl user.max_user_namespaces=10000",
        },
    )


def _plain_user() -> None:
    if os.geteuid() == 0:
        process.setresgid(_NOBODY)
        process.setresuid(_NOBODY)
    namespace.unshare(namespace.CLONE_NEWUSER)
    namespace.unshare(namespace.CLONE_NEWUTS)  # Ubuntu's AppArmor lets anybody make the first, without powers in it


# Limits


def _limits(hierarchy: "Hierarchy") -> "Iterator[Case]":
    def case(
        name: str,
        meaning: str,
        deed: "Callable[[Hierarchy], str]",
        needed_for: str,
        cures: "Mapping[int, str] | None" = None,
    ) -> Case:
        return Case(LIMITS, name, meaning, lambda: deed(hierarchy), needed_for, cures or {})

    yield case("anything", "the way in which the kernel groups processes", _layout, "limits")
    yield controller(hierarchy, "blkio", "bytes from and to disks", "run --device-read-bps, and stats")
    yield controller(hierarchy, "hugetlb", "memory in large pages", "limits on huge pages")
    yield case("swap", "memory on disk", _swap, "run --memory-swap", {0: "boot with swapaccount=1"})
    yield case("devices", "which devices may be opened", _devices, "every container")
    yield case("pause", "all processes of a container stopped at once (freezer)", _freeze, "pause")
    if hierarchy.v2:
        yield case("killing", "all processes of a container ended at once (cgroup.kill)", _kill, "kill, rm --force")
        yield case("birth", "a process that starts in its limits (CLONE_INTO_CGROUP)", _born_inside, "speed")
    cures = dict.fromkeys((errno.ENOENT, errno.EOPNOTSUPP), "boot with psi=1")
    yield case("waiting", "how long processes wait for memory, disk and processor", _pressure, "stats", cures)


def _pressure(_hierarchy: "Hierarchy") -> str:
    path = "/proc/pressure/memory"
    return f"{path}: {files.read(path).splitlines()[0]}"


def _layout(hierarchy: "Hierarchy") -> str:
    if hierarchy.kind == "none":
        raise LackingError("no cgroup file system is mounted")
    v2 = f"v2 at {hierarchy.v2} with {' '.join(sorted(hierarchy.v2_controllers)) or 'nothing'}" if hierarchy.v2 else ""
    v1 = f"v1 with {' '.join(hierarchy.v1)}" if hierarchy.v1 else ""
    return f"{hierarchy.kind}: {', '.join(part for part in (v1, v2) if part)}"


def _own_group(hierarchy: "Hierarchy", controller_name: str) -> str:
    point = hierarchy.mount_of(controller_name)
    if point is None:
        raise LackingError(f"no cgroup hierarchy here has {controller_name or 'version 2'}")
    path = f"{point}/container-toolkit-probe-{os.getpid()}"
    files.make(path)
    return path


def _kill(hierarchy: "Hierarchy") -> str:
    return _write_in_own_group(hierarchy, "", "cgroup.kill", "1")


def _freeze(hierarchy: "Hierarchy") -> str:
    """Freeze an empty group where the engine would freeze a container."""
    if not hierarchy.is_held_by_v2:
        return _write_in_own_group(hierarchy, "freezer", "freezer.state", "FROZEN")
    return _write_in_own_group(hierarchy, "", "cgroup.freeze", "1")


def _write_in_own_group(hierarchy: "Hierarchy", controller_name: str, file: str, value: str) -> str:
    path = _own_group(hierarchy, controller_name)
    try:
        files.write(f"{path}/{file}", value)
    finally:
        files.remove(path)
    return f'write(3<{path}/{file}>, "{value}", {len(value)}) = {len(value)}'


def _swap(hierarchy: "Hierarchy") -> str:
    path = _own_group(hierarchy, "memory")
    file = "memory.memsw.limit_in_bytes" if "memory" in hierarchy.v1 else "memory.swap.max"
    try:
        found = files.find(f"{path}/{file}")
    finally:
        files.remove(path)
    if found is None:
        raise LackingError(f"there is no {file}")
    return f"{file}: {found.strip()}"


def _devices(hierarchy: "Hierarchy") -> str:
    if "devices" in hierarchy.v1:
        return _write_in_own_group(hierarchy, "devices", "devices.deny", "a")
    path = _own_group(hierarchy, "")
    try:
        attach_device_program(path, devices.program([{"allow": False}]))
    finally:
        files.remove(path)
    return "bpf(BPF_PROG_ATTACH, {attach_type=BPF_CGROUP_DEVICE}) = 0"


def _born_inside(hierarchy: "Hierarchy") -> str:
    path = _own_group(hierarchy, "")
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        pid, _ = namespace.clone3(0, cgroup_fd=fd)
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
    finally:
        files.remove(path)
    return f"clone3({{flags=CLONE_INTO_CGROUP, cgroup={fd}}}) = {pid}"


# Files


def _files() -> "Iterator[Case]":
    for name, meaning, deed, needed_for, module in (
        ("layers, as anybody", "overlay without root", _overlay_in_userns, "rootless", "overlay"),
        ("programs", "file systems made by programs (fuse)", _fuse, "rootless on old kernels", "fuse"),
        ("nowhere yet", "a mount that has no name (fsopen)", _new_mount_api, "speed", ""),
        ("other owners", "files that are somebody else's inside (idmapped mounts)", _idmapped, "run --userns", ""),
        ("safe paths", "a path that cannot lead out of the container (openat2)", _openat2, "cp, volumes", ""),
        ("one file", "a file used as a disk (loop device)", _loop, "some storage drivers", "loop"),
    ):
        cures = dict.fromkeys((errno.ENOENT, errno.ENODEV), f"load the kernel's module: modprobe {module}")
        yield Case(FILES, name, meaning, deed, needed_for, cures if module else {})


def _overlay_in_userns() -> None:
    uid, gid = os.getuid(), os.getgid()
    namespace.unshare(namespace.CLONE_NEWUSER | namespace.CLONE_NEWNS)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        files.write(f"/proc/self/{name}", text)
    mount.mount("tmpfs", "/tmp", "tmpfs")
    overlay_in("/tmp")


def _fuse() -> None:
    fd = os.open("/dev/fuse", os.O_RDWR)
    mounts_of_our_own()
    mount.mount("fuse", "/dev", "fuse", 0, f"fd={fd},rootmode=40000,user_id=0,group_id=0")


def _new_mount_api() -> None:
    namespace.unshare(namespace.CLONE_NEWNS)
    fd = mount.fsopen("tmpfs")
    mount.fsconfig_create(fd)
    mount.fsmount(fd)


def _idmapped() -> None:
    """Map the owners of a mount of the root file system, or where that cannot, of one in memory."""
    userns = _mapped_userns()
    try:
        mount.mount_setattr(mount.open_tree("/"), "", set_attrs=mount.MOUNT_ATTR_IDMAP, userns_fd=userns)
    except OSError as exc:
        if exc.errno != errno.EINVAL:
            raise
        mounts_of_our_own()
        mount.mount_setattr(mount.open_tree("/dev"), "", set_attrs=mount.MOUNT_ATTR_IDMAP, userns_fd=userns)


def _mapped_userns() -> int:
    """Return the descriptor of a user namespace whose root is user 100000."""
    ready, going_on = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            namespace.unshare(namespace.CLONE_NEWUSER)
        except OSError as exc:
            os._exit(exc.errno or 1)  # not raised: there would be two of us to report it
        os.write(ready[1], b"1")
        os.read(going_on[0], 1)
        os._exit(0)
    os.close(ready[1])
    if not os.read(ready[0], 1):
        with span("namespace.unshare", f"unshare({namespace.clone_flags_text(namespace.CLONE_NEWUSER)})"):
            number = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            raise OSError(number, os.strerror(number))
    try:
        for name in ("uid_map", "gid_map"):
            files.write(f"/proc/{pid}/{name}", "0 100000 65536")
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY)
    finally:
        os.write(going_on[1], b"1")
        os.waitpid(pid, 0)


def _openat2() -> None:
    import struct

    how = struct.pack("=QQQ", os.O_PATH | os.O_CLOEXEC, 0, 0x10)  # RESOLVE_IN_ROOT
    call = 'openat2(AT_FDCWD, "/", {flags=O_PATH|O_CLOEXEC, resolve=RESOLVE_IN_ROOT}, 24)'
    with span("probe.files", call) as opening:
        opening.returns(syscall("openat2", -100, b"/", how, len(how)))


def _loop() -> None:
    _open("/dev/loop-control")


def _open(path: str) -> int:
    with span("probe.open", f'openat(AT_FDCWD, "{path}", O_RDWR|O_CLOEXEC)') as opening:
        return opening.returns(os.open(path, os.O_RDWR | os.O_CLOEXEC))


# Defences


def _defences() -> "Iterator[Case]":
    for name, meaning, deed, needed_for, cure in (
        ("all powers", "every capability can be given", _all_capabilities, "run --privileged, --ulimit", _MORE_POWERS),
        ("questions", "a program that decides about calls (seccomp notify)", _notify, "profiles that notify", ""),
        ("all threads", "a filter for all threads at once (seccomp TSYNC)", _tsync, "", ""),
        ("landlock", "a program that shuts itself in", _landlock, "", "boot with landlock in lsm=..."),
        ("AppArmor", "rules by program, of Debian and Ubuntu", _apparmor, "a second wall", "boot with apparmor=1"),
        ("SELinux", "rules by label, of Fedora and Red Hat", _selinux, "a second wall", "boot with selinux=1"),
    ):
        yield Case(DEFENCES, name, meaning, deed, needed_for, {0: cure, errno.EOPNOTSUPP: cure} if cure else {})


def _all_capabilities() -> str:
    held = capability.bounding_set()
    missing = capability.names((1 << capability.last_cap() + 1) - 1 & ~held)
    if missing:
        raise LackingError(f"not {', '.join(missing)}")
    return f"CapBnd: {held:016x}"


def _notify() -> None:
    capability.set_no_new_privs()
    apply.load(ALLOW_ALL, apply.FLAG_NEW_LISTENER)


def _tsync() -> None:
    capability.set_no_new_privs()
    apply.load(ALLOW_ALL, apply.FLAG_TSYNC)


def _landlock() -> None:
    with span("probe.landlock", "landlock_create_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION)") as asking:
        asking.returns(syscall("landlock_create_ruleset", None, 0, 1))


def _apparmor() -> str:
    path = "/sys/module/apparmor/parameters/enabled"
    if (files.find(path) or "N").strip() != "Y":
        raise LackingError("the kernel has it not, or switched off")
    return f"{path}: Y"


def _selinux() -> str:
    path = "/sys/fs/selinux/enforce"
    found = files.find(path)
    if found is None:
        raise LackingError("the kernel has it not, or switched off")
    return f"{path}: {found}"


# Processes


def _processes() -> "Iterator[Case]":
    yield Case(PROCESSES, "clone3", "a process that begins in its new namespaces", _clone3, "every container")
    yield Case(PROCESSES, "pidfd", "a process that cannot be mistaken for another", _pidfd, "kill, exec, recovery")


def _clone3() -> None:
    pid, _ = namespace.clone3(0)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def _pidfd() -> None:
    process.pidfd_send_signal(process.pidfd_open(os.getpid()), 0)


# Machines


def _machines() -> "Iterator[Case]":
    cures = {errno.ENOENT: "switch virtualization on in the firmware, or nested virtualization in the host"}
    yield Case(MACHINES, "KVM", "virtual machines at full speed", _kvm, "comparing with a virtual machine", cures)
    cures = {errno.ENODEV: "load the kernel's module: modprobe binfmt_misc"}
    yield Case(MACHINES, "emulators", "programs of other processors (binfmt_misc)", _binfmt, "run --platform", cures)


def _kvm() -> None:
    fd = _open("/dev/kvm")
    with span("probe.kvm", f"ioctl({fd}</dev/kvm>, KVM_CREATE_VM, 0)") as making:
        making.returns(fcntl.ioctl(fd, 0xAE01, 0))


def _binfmt() -> None:
    mounts_of_our_own()
    mount.mount("binfmt_misc", "/dev", "binfmt_misc")
