"""What this machine can do for containers, found by trying each thing.

    find_features()              # in any process: starts a small one that tries
    python -m toolkit.linux.probe   # that small one: prints JSON

Every attempt is made by a child of its own, which ends right after; nothing on
the host changes, but for an empty cgroup that is made and taken away.  No
version is compared with anything: a feature is here if its call succeeds.
"""

import errno
import os
import struct
import sys
from typing import NamedTuple

from toolkit.linux import capability, mount, namespace
from toolkit.linux.cgroup.layout import parse_mountinfo
from toolkit.linux.procfs import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_CAP_SYS_TIME = "CAP_SYS_TIME"
_UNEXPECTED = 255
_ALLOW_ALL = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)  # BPF_RET|BPF_K, SECCOMP_RET_ALLOW
_TIMEOUT_S = 30

VIEWS, LIMITS, FILES, DEFENCES = "own view of", "limits on", "files from", "defences"
"""The groups, in an order in which they can be explained."""


class Feature(NamedTuple):
    """One thing that a container may need from its machine."""

    group: str
    name: str
    meaning: str
    """What it is good for, in a learner's words."""
    lack: str
    """Why it is not here; empty where it is."""
    cure: str
    """What would bring it; empty where it is here, or where nothing is known to help."""

    @property
    def is_here(self) -> bool:
        """Tell whether this machine has it."""
        return not self.lack


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
    "memory": "bytes of memory, after which the kernel ends a process",
    "cpu": "a share of the processors' time",
    "pids": "the number of processes, against fork bombs",
    "cpuset": "which processors may be used",
}


def find_features() -> tuple[Feature, ...]:
    """Try everything, in a small process of its own, and return what was found.

    A namespace can only be left by ending, and this process may have threads.
    """
    import json
    import subprocess

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-m", "toolkit.linux.probe"],
        stdout=subprocess.PIPE,
        timeout=_TIMEOUT_S,
        check=True,
        env=environment,
    )
    return tuple(Feature(*fields) for fields in json.loads(done.stdout))


def probe() -> list[Feature]:
    """Try everything in children of this process, which must have one thread only."""
    return [
        *(_namespace(kind, meaning) for kind, meaning in _MEANINGS.items()),
        *(_controller(name, meaning) for name, meaning in _CONTROLLERS.items()),
        _try(FILES, "layers", "folders stacked on each other (overlay): an image is never copied", _mount_overlay),
        _try(FILES, "memory", "a file system that is gone afterwards (tmpfs)", _mount_tmpfs),
        _try(FILES, "a root of its own", "another folder takes the place of / (pivot_root)", _pivot_root),
        _try(DEFENCES, "fewer powers", "root without some of root's powers (capabilities)", _drop_capability),
        _try(DEFENCES, "fewer calls", "system calls that are refused (seccomp)", _load_filter),
        _try(DEFENCES, "no new powers", "programs that cannot gain powers (no_new_privs)", capability.set_no_new_privs),
        _try(DEFENCES, "read-only folders", "a whole tree made read-only at once (mount_setattr)", _set_attributes),
    ]


def _attempt(deed: "Callable[[], None]") -> int:
    """Do `deed` in a child; return 0 or the errno that it failed with."""
    pid = os.fork()
    if pid == 0:
        code = _UNEXPECTED
        try:
            deed()
            code = 0
        except OSError as exc:
            code = exc.errno or _UNEXPECTED
        except BaseException as exc:  # noqa: BLE001 - a bug in here: it is shown, and must not go on as a second parent
            sys.excepthook(type(exc), exc, exc.__traceback__)
        finally:
            os._exit(code)  # without the parent's buffers and exit handlers
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _try(group: str, name: str, meaning: str, deed: "Callable[[], None]") -> Feature:
    number = _attempt(deed)
    return Feature(group, name, meaning, *_reason(number)) if number else Feature(group, name, meaning, "", "")


_CURES = {
    errno.ENOSPC: "raise the limit: sysctl user.max_user_namespaces=10000",
    errno.ENODEV: "load the kernel's module: modprobe overlay",
    errno.ENOSYS: "use a newer kernel",
    errno.EINVAL: "use a newer kernel",
}
_NOT_ROOT = "become root: begin with sudo"
_SHUT_IN = "this machine is itself shut in: start it with more privileges (docker run --privileged)"


def _reason(number: int) -> tuple[str, str]:
    """Return why something is not here, and the cure."""
    if number < 0:
        return f"the attempt was ended by signal {-number}", ""
    lack = f"{errno.errorcode.get(number, number)} ({os.strerror(number)})"
    if number in (errno.EPERM, errno.EACCES):
        return lack, _NOT_ROOT if os.geteuid() != 0 else _SHUT_IN
    return lack, _CURES.get(number, "")


def _namespace(kind: str, meaning: str) -> Feature:
    return _try(VIEWS, kind, meaning, lambda: namespace.unshare(namespace.KINDS[kind]))


def _controller(name: str, meaning: str) -> Feature:
    layout = parse_mountinfo(read("/proc/self/mountinfo"))
    point = layout.v1.get(name, "")
    if not point and layout.v2 and name in read(f"{layout.v2}/cgroup.controllers").split():
        point = layout.v2
    if not point:
        cure = "boot with cgroup_enable=memory" if name == "memory" else ""
        return Feature(LIMITS, name, meaning, "the kernel's controller is not mounted", cure)
    return _try(LIMITS, name, meaning, lambda: _make_cgroup(f"{point}/container-toolkit-probe-{os.getpid()}"))


def _make_cgroup(path: str) -> None:
    os.mkdir(path)
    os.rmdir(path)


def _mounts_of_our_own() -> str:
    """Leave the host's mounts; return a fresh directory in memory."""
    namespace.unshare(namespace.KINDS["mnt"])
    mount.mount(None, "/", None, mount.MS_REC | mount.MS_PRIVATE)
    mount.mount("tmpfs", "/dev", "tmpfs")
    return "/dev"


def _mount_tmpfs() -> None:
    _mounts_of_our_own()


def _mount_overlay() -> None:
    base = _mounts_of_our_own()
    for name in ("lower", "upper", "work", "merged"):
        os.mkdir(f"{base}/{name}")
    data = f"lowerdir={base}/lower,upperdir={base}/upper,workdir={base}/work"
    mount.mount("overlay", f"{base}/merged", "overlay", 0, data)


def _pivot_root() -> None:
    base = _mounts_of_our_own()
    os.mkdir(f"{base}/old")
    mount.pivot_root(base, f"{base}/old")


def _set_attributes() -> None:
    base = _mounts_of_our_own()
    fd = os.open(base, os.O_PATH | os.O_DIRECTORY)
    mount.mount_setattr(fd, "", recursive=True, set_attrs=mount.MOUNT_ATTR_RDONLY)


def _drop_capability() -> None:
    capability.drop_bounding(capability.bounding_set() & ~capability.parse([_CAP_SYS_TIME]))


def _load_filter() -> None:
    from toolkit.linux.seccomp.apply import load

    capability.set_no_new_privs()
    load(_ALLOW_ALL)


def main() -> None:
    """Print the features as JSON."""
    import json

    json.dump(probe(), sys.stdout)


if __name__ == "__main__":
    main()
