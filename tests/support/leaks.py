"""What a test session left on this machine, found by ownership.

Everything that the tests make lies under one base directory (all engine roots
are in it), and every process that they start inherits one environment
variable.  What belongs to the session is therefore known without looking at
names:

- a process: it descends from this one, has our variable in its environment, works
  in or has open something under the base, or its root is a mount of ours;
- a descriptor of this process: it refers to something under the base;
- a mount: it lies under the base, or its source or options name the base;
- a cgroup: it is new, and a process of ours is in it or it carries an id that
  one of our engine roots recorded;
- a link or a named network namespace: it is new since the session began;
- a file: it is still under the base when the roots in it have been deleted.
"""

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

SESSION_VARIABLE = "TOOLKIT_TEST_SESSION"
NETNS_DIRECTORY = "/run/netns"
_KILL_S = 2.0
_OCTAL = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """One line of /proc/PID/mountinfo, see proc_pid_mountinfo(5)."""

    device: str
    root: str
    point: str
    fstype: str
    source: str
    options: str


class Owner(NamedTuple):
    """Whose leaks are looked for."""

    base: str
    token: str
    """The value of SESSION_VARIABLE in our processes."""
    ids: frozenset[str] = frozenset()
    """Ids that our engine roots recorded."""


class Snapshot(NamedTuple):
    """What is on the machine and carries no owner of its own."""

    cgroups: frozenset[str]
    links: frozenset[str]
    namespaces: frozenset[str]


def snapshot() -> Snapshot:
    """Return what is there now."""
    return Snapshot(
        cgroups=frozenset(_cgroups()),
        links=frozenset(os.listdir("/sys/class/net")),
        namespaces=frozenset(_listed(NETNS_DIRECTORY)),
    )


def find_leaks(owner: Owner, before: Snapshot, *, settle_s: float) -> list[str]:
    """Return one line for everything of `owner` that is still there after `settle_s` seconds.

    The kernel takes network namespaces and killed processes away a moment
    after the call that ended them, hence the wait; it ends as soon as nothing
    is left.
    """
    deadline = time.monotonic() + settle_s
    while True:
        leaks = list(_leaks(owner, before))
        if not leaks or time.monotonic() > deadline:
            return leaks
        time.sleep(0.05)


def _leaks(owner: Owner, before: Snapshot) -> Iterator[str]:
    processes = owned_processes(owner)
    for pid in processes:
        yield f"process {pid}: {_command(pid)}"
    for path in _open_paths(os.getpid(), owner):
        yield f"descriptor {path}"
    for mount in owned_mounts(owner):
        yield f"mount {mount.point}: {mount.fstype} from {mount.source}"
    now = snapshot()
    for path in sorted(now.cgroups - before.cgroups):
        if _is_owned_cgroup(path, owner, processes):
            yield f"cgroup {path}"
    for name in sorted(now.links - before.links):
        yield f"network link {name}"
    for name in sorted(now.namespaces - before.namespaces):
        yield f"network namespace {NETNS_DIRECTORY}/{name}"
    for directory, names, files in os.walk(owner.base):
        for name in [*files, *(found for found in names if os.path.islink(f"{directory}/{found}"))]:
            yield f"file {directory}/{name}"


def owned_processes(owner: Owner) -> list[int]:
    """Return the pids of our processes, this one and its threads excepted."""
    mine = f"{SESSION_VARIABLE}={owner.token}".encode()
    parents = _parents()
    found: list[int] = []
    for pid in parents:
        if pid == os.getpid():
            continue
        if _descends(pid, parents):
            found.append(pid)
            continue
        # A process may end at any moment, and only root may look at those of others.
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            if _has_variable(pid, mine) or _has_owned_file(pid, owner) or _has_owned_root(pid, owner):
                found.append(pid)
    return sorted(found)


def _parents() -> dict[int, int]:
    """Return the parent of every process; a zombie is there until somebody waits for it."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{name}/stat") as file:
                parents[int(name)] = int(file.read().rpartition(")")[2].split()[1])
    return parents


def _descends(pid: int, parents: dict[int, int]) -> bool:
    while pid in parents:
        pid = parents[pid]
        if pid == os.getpid():
            return True
    return False


def _has_variable(pid: int, variable: bytes) -> bool:
    with open(f"/proc/{pid}/environ", "rb") as file:
        return variable in file.read().split(b"\0")


def _has_owned_file(pid: int, owner: Owner) -> bool:
    """Tell whether the process works in, or has open, something under the base."""
    return os.readlink(f"/proc/{pid}/cwd").startswith(owner.base + "/") or any(_open_paths(pid, owner))


def _open_paths(pid: int, owner: Owner) -> Iterator[str]:
    for name in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):  # closed since, as the one that lists them is
            path = os.readlink(f"/proc/{pid}/fd/{name}")
            if path.startswith(owner.base + "/"):
                yield path


def _has_owned_root(pid: int, owner: Owner) -> bool:
    """Tell whether the process lives in a mount namespace whose root is a file system of ours."""
    if os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt"):
        return False
    roots = [mount for mount in read_mounts(pid) if mount.point == "/"]
    return bool(roots) and _is_owned_mount(roots[-1], owner, _devices(owner))


def _command(pid: int) -> str:
    with suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    return "(ended)"


def read_mounts(pid: int | str = "self") -> list[Mount]:
    """Return the mounts that a process sees, in the order in which they were made."""
    with open(f"/proc/{pid}/mountinfo") as file:
        return [_parse_mount(line) for line in file]


def _parse_mount(line: str) -> Mount:
    head, _, tail = line.rstrip("\n").partition(" - ")
    _, _, device, root, point = head.split()[:5]
    fstype, source, options = [*tail.split(" ", 2), ""][:3]
    return Mount(device, _plain(root), _plain(point), fstype, _plain(source), _plain(options))


def _plain(text: str) -> str:
    r"""Undo the kernel's octal escapes of space, tab, newline and backslash."""
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), text)


def owned_mounts(owner: Owner) -> list[Mount]:
    """Return our mounts in this mount namespace, the base's own file system excepted."""
    devices = _devices(owner)
    return [mount for mount in read_mounts() if mount.point != owner.base and _is_owned_mount(mount, owner, devices)]


def _devices(owner: Owner) -> set[str]:
    """Return the device of the base where it is a file system of its own: a bind of it has no other mark."""
    return {mount.device for mount in read_mounts() if mount.point == owner.base}


def _is_owned_mount(mount: Mount, owner: Owner, devices: set[str]) -> bool:
    under = owner.base + "/"
    named = under in mount.options or mount.source.startswith(under)
    return mount.point.startswith(under) or named or mount.device in devices


def _cgroups() -> Iterator[str]:
    for mount in read_mounts():
        if mount.fstype in {"cgroup", "cgroup2"}:
            for directory, names, _ in os.walk(mount.point):
                yield from (f"{directory}/{name}" for name in names)


def _is_owned_cgroup(path: str, owner: Owner, processes: list[int]) -> bool:
    if any(ident in path for ident in owner.ids):
        return True
    with suppress(FileNotFoundError, OSError), open(f"{path}/cgroup.procs") as file:
        return not processes_of(file.read()).isdisjoint(processes)
    return False


def processes_of(text: str) -> set[int]:
    """Read the content of cgroup.procs."""
    return {int(line) for line in text.split()}


def _listed(path: str) -> list[str]:
    return os.listdir(path) if os.path.isdir(path) else []


def clean(owner: Owner, before: Snapshot) -> None:
    """Take away what `find_leaks` finds of processes, mounts and cgroups, so that the next session starts clean."""
    from toolkit.linux.mount import MNT_DETACH, umount

    processes = owned_processes(owner)
    cgroups = [path for path in snapshot().cgroups - before.cgroups if _is_owned_cgroup(path, owner, processes)]
    for pid in processes:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for mount in reversed(owned_mounts(owner)):
        umount(mount.point, MNT_DETACH)
    for path in sorted(cgroups, key=len, reverse=True):
        _remove_cgroup(path)


def _remove_cgroup(path: str) -> None:
    deadline = time.monotonic() + _KILL_S
    while os.path.isdir(path):
        try:
            os.rmdir(path)
        except OSError:  # EBUSY while the processes that were killed are still leaving
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
