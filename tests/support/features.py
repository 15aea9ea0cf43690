"""What this host can do, found by trying.

A feature is a name or a family with an argument: "root", "cgroup2:memory",
"docker-registry".  `missing(feature)` says in one line what is lacking, or
returns "" where the feature is there.
"""

import ctypes
import functools
import mmap
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable

from tests.support.child import ChildError, in_child
from toolkit.core.errors import SyscallError, UnsupportedError
from toolkit.linux import namespace as ns
from toolkit.linux.bpf import load_device_program
from toolkit.linux.cgroup import detect, devices
from toolkit.linux.mount import MS_PRIVATE, MS_REC, mount
from toolkit.vm import kernel, parts

PROGRAMS = {
    "aarch64-as": "aarch64-linux-gnu-as",
    "aarch64-qemu": "qemu-aarch64",
    "as": "as",
    "bash": "bash",
    "busybox": "busybox",
    "chromium": "chromium",
    "containerd": "containerd",
    "crun": "crun",
    "ctr": "ctr",
    "dig": "dig",
    "docker": "docker",
    "docker-registry": "docker-registry",
    "dockerd": "dockerd",
    "htpasswd": "htpasswd",
    "ip": "ip",
    "ldd": "ldd",
    "mkfs.ext4": "mkfs.ext4",
    "node": "node",
    "nft": "nft",
    "openssl": "openssl",
    "podman": "podman",
    "runc": "runc",
    "skopeo": "skopeo",
    "strace": "strace",
    "tar": "tar",
    "umoci": "umoci",
}
"""Features that are programs: the feature and the name of its executable."""


IN_GUEST = "TOOLKIT_IN_GUEST"
"""Set in the environment of the tests in the guest (tests/support/guest.py)."""
GUEST_HAS = frozenset(
    (
        *(f"cgroup2:{name}" for name in ("any", "cpu", "cpuset", "hugetlb", "io", "memory", "pids")),
        "bpf",
        "disk",
        "guest-disks",
        "in-guest",
        "root",
        "v2",
    )
)
"""What the guest has that a host may lack."""
GUEST_PROMISED = GUEST_HAS | {f"cgroup:{name}" for name in ("blkio", "cpu", "cpuset", "memory", "pids")} | {"overlay"}
"""What the tests in the guest must find there."""


class UnknownFeatureError(Exception):
    """A test asks for a feature that nobody can probe."""


@functools.cache
def missing(feature: str) -> str:
    """Say what this host lacks for `feature`, or return "" where it has it.

    Raises:
        UnknownFeatureError: there is no probe of this name.
    """
    family, _, argument = feature.partition(":")
    if not argument and family in PROGRAMS:
        return _program(PROGRAMS[family])
    if argument and family in _FAMILIES:
        return _FAMILIES[family](argument)
    if not argument and family in _PROBES:
        return _PROBES[family]()
    known = sorted([*PROGRAMS, *_PROBES, *(f"{name}:..." for name in _FAMILIES)])
    raise UnknownFeatureError(f"no probe for feature '{feature}'; known: {', '.join(known)}")


def _program(name: str) -> str:
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    return "" if path else f"no program '{name}' in PATH"


def _tried(attempt: Callable[[], None], new: int) -> str:
    try:
        in_child(attempt, new=new)
    except (SyscallError, OSError, ChildError) as exc:
        return str(exc)
    return ""


def _nothing() -> None:
    """Making the namespaces is the whole attempt."""


def _root() -> str:
    if os.geteuid() != 0:
        return "not root"
    return _tried(_nothing, ns.CLONE_NEWNS)  # root in a plain container may not even unshare


def _mount_overlay() -> None:
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    base = tempfile.gettempdir()
    mount("tmpfs", base, "tmpfs")
    for name in ("lower", "upper", "work", "merged"):
        os.mkdir(f"{base}/{name}")
    data = f"lowerdir={base}/lower,upperdir={base}/upper,workdir={base}/work"
    mount("overlay", f"{base}/merged", "overlay", 0, data)


def _mount_tmpfs() -> None:
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    mount("tmpfs", tempfile.gettempdir(), "tmpfs")


def _loop() -> str:
    if not os.path.exists("/dev/loop-control"):
        return "no /dev/loop-control"
    found = subprocess.run(["losetup", "-f"], capture_output=True, text=True, check=False)
    return "" if found.returncode == 0 else found.stderr.strip()


def _bpf() -> str:
    """Load the smallest program that may be put on a cgroup: one that allows everything."""
    return _tried(lambda: os.close(load_device_program(devices.program([{"allow": True}]))), 0)


def _ia32() -> str:
    """Run 32-bit code from a 64-bit process: mov eax, 20 (getpid); int 0x80; ret."""
    code = b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"

    def attempt() -> None:
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(code)
        address = ctypes.addressof(ctypes.c_char.from_buffer(page))
        if ctypes.CFUNCTYPE(ctypes.c_int)(address)() != os.getpid():
            raise ChildError("int 0x80 is not a system call here")

    return _tried(attempt, 0) if os.uname().machine == "x86_64" else "not x86_64"


def _libseccomp() -> str:
    try:
        ctypes.CDLL("libseccomp.so.2")
    except OSError as exc:
        return f"no libseccomp: {exc}"
    return ""


def _seccomp() -> str:
    with open("/proc/self/status") as file:
        return "" if "Seccomp:" in file.read() else "this kernel has no seccomp"


def _namespace(kind: str) -> str:
    if kind not in ns.KINDS:
        raise UnknownFeatureError(f"no namespace of kind '{kind}'")
    return _tried(_nothing, ns.KINDS[kind])


def _filesystem(name: str) -> str:
    with open("/proc/filesystems") as file:
        known = name in file.read().split()
    return "" if known else f"this kernel has no file system '{name}'"


_LINKS = {"macvlan": (("link", "parent0"), ()), "vxlan": ((), ("id", "42", "dstport", "4789"))}
"""What some kinds of links take besides: before the kind, and after it."""


def _link(kind: str) -> str:
    before, after = _LINKS.get(kind, ((), ()))

    def attempt() -> None:
        if before:
            subprocess.run(["ip", "link", "add", "parent0", "type", "veth"], check=True)
        made = subprocess.run(
            ["ip", "link", "add", "probe0", *before, "type", kind, *after], capture_output=True, text=True, check=False
        )
        if made.returncode != 0:
            raise ChildError(f"no network link of type '{kind}': {made.stderr.strip()}")

    return _tried(attempt, ns.CLONE_NEWNET)


def hierarchies(fstype: str) -> list[tuple[str, set[str]]]:
    """Return mount point and controllers of each cgroup hierarchy of one version."""
    found: list[tuple[str, set[str]]] = []
    with open("/proc/self/mountinfo") as file:
        for line in file:
            fields, _, tail = line.partition(" - ")
            kind, _, options = tail.split()[:3]
            point = fields.split()[4]
            if kind == fstype == "cgroup2":
                with open(f"{point}/cgroup.controllers") as controllers:
                    found.append((point, set(controllers.read().split())))
            elif kind == fstype:
                found.append((point, set(options.split(","))))
    return found


def _cgroup(fstype: str, controller: str) -> str:
    """Make a cgroup where the controller is, and take it away again."""
    for point, controllers in hierarchies(fstype):
        if controller in controllers or controller == "any":
            probe = f"{point}/toolkit-probe-{os.getpid()}"
            try:
                os.mkdir(probe)
                os.rmdir(probe)
            except OSError as exc:
                return f"{exc.strerror} for a cgroup in {point}"
            return ""
    return f"no {fstype} hierarchy with controller '{controller}'"


def _cgroup_either(controller: str) -> str:
    """Look in both versions; what v1 calls blkio is v2's io."""
    first = _cgroup("cgroup2", "io" if controller == "blkio" else controller)
    second = _cgroup("cgroup", controller)
    return "" if not first or not second else f"{first}; {second}"


def _v2() -> str:
    """Say whether all limits are in v2, as on hosts with systemd of today."""
    kind = detect().kind
    return "" if kind == "v2" else f"the cgroups of this host are {kind}"


def _guest() -> str:
    """Say what lacks for a virtual machine."""
    if _root():
        return "not root"
    try:
        parts.require()
    except UnsupportedError as exc:
        return str(exc)
    has_kernel = kernel.find(kernel.cache_directory()) is not None or shutil.which("apt-get")
    return "" if has_kernel else "no kernel for a guest, and no apt to fetch one"


def _disk() -> str:
    """Say whether there is a disk that a test may write to: one of the guest's, or a loop device."""
    return "" if os.environ.get(IN_GUEST) else _loop()


def _in_guest() -> str:
    """Say whether this is the tests' guest, which has two empty disks that may be written to (guest-disks)."""
    return "" if os.environ.get(IN_GUEST) else "not in the guest"


_PROBES: dict[str, Callable[[], str]] = {
    "bpf": _bpf,
    "disk": _disk,
    "guest": _guest,
    "guest-disks": _in_guest,
    "ia32": _ia32,
    "in-guest": _in_guest,
    "libseccomp": _libseccomp,
    "loop": _loop,
    "overlay": lambda: _tried(_mount_overlay, ns.CLONE_NEWNS),
    "root": _root,
    "seccomp": _seccomp,
    "tmpfs": lambda: _tried(_mount_tmpfs, ns.CLONE_NEWNS),
    "userns": lambda: _tried(_nothing, ns.CLONE_NEWUSER),
    "v2": _v2,
    "userns-overlay": lambda: _tried(_mount_overlay, ns.CLONE_NEWUSER | ns.CLONE_NEWNS),
}
_FAMILIES: dict[str, Callable[[str], str]] = {
    "cgroup": _cgroup_either,
    "cgroup1": functools.partial(_cgroup, "cgroup"),
    "cgroup2": functools.partial(_cgroup, "cgroup2"),
    "fs": _filesystem,
    "link": _link,
    "ns": _namespace,
}
