"""Looking at a process from outside, through /proc: what it sees, where it is, what it may do.

Nothing here disturbs the process, and nothing of it is executed.
"""

import functools
import os

from toolkit.core.errors import SyscallError
from toolkit.linux import capability
from toolkit.linux.mount import unescaped
from toolkit.linux.namespace import namespace_inodes
from toolkit.linux.procfs import read
from toolkit.trace.look import Group, Look, Mount, Namespace, Powers, Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def look_at(pid: int, others: "Iterable[int]" = ()) -> Look:
    """Return what can be seen of a process at this moment, and which others there are beside it.

    Raises:
        SyscallError: ENOENT, ESRCH if it is gone; EACCES if it may not be looked at.
    """
    here, there = namespace_inodes(), namespace_inodes(pid)
    spaces = tuple(Namespace(kind, there[kind], here.get(kind, 0)) for kind in there)
    return Look(pid, mounts(pid), spaces, powers(pid), groups(pid), processes({pid, *others}))


def mounts(pid: int | str) -> tuple[Mount, ...]:
    """Return the mounts that a process sees, in the order in which they were made.

    See Also:
        proc_pid_mountinfo(5)
    """
    return tuple(_mount(line) for line in read(f"/proc/{pid}/mountinfo").splitlines())


@functools.lru_cache(maxsize=512)  # from one look to the next hardly a line differs
def _mount(line: str) -> Mount:
    head, _, tail = line.partition(" - ")
    ident, parent, device, root, point, options, *optional = head.split(" ")
    fstype, source, super_options = [*tail.split(" ", 2), ""][:3]
    propagation = " ".join(word for word in optional if word)
    return Mount(
        int(ident),
        int(parent),
        device,
        unescaped(root),
        unescaped(point),
        options,
        propagation,
        fstype,
        unescaped(source),
        unescaped(super_options),
    )


def powers(pid: int | str) -> Powers:
    """Return the ids and capabilities of a process.

    See Also:
        proc_pid_status(5)
    """
    facts = _status(pid)
    sets = {name: _names(facts[name]) for name in facts if name.startswith("Cap")}
    return Powers(
        int(facts["Uid"].split()[1]),
        int(facts["Gid"].split()[1]),
        sets["CapEff"],
        sets["CapPrm"],
        sets["CapInh"],
        sets["CapBnd"],
        sets["CapAmb"],
        no_new_privs=facts.get("NoNewPrivs", "0") == "1",
        seccomp=facts.get("Seccomp", "0") != "0",
    )


@functools.lru_cache(maxsize=32)
def _names(digits: str) -> tuple[str, ...]:
    return tuple(capability.names(int(digits, 16)))


def _status(pid: int | str) -> dict[str, str]:
    lines = read(f"/proc/{pid}/status").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def groups(pid: int | str) -> tuple[Group, ...]:
    """Return the cgroups of a process, as this process sees the trees.

    See Also:
        cgroups(7), /proc/pid/cgroup
    """
    mine = dict(_membership("self"))
    return tuple(Group(name, path, mine.get(name, "")) for name, path in _membership(pid))


def _membership(pid: int | str) -> list[tuple[str, str]]:
    fields = (line.split(":", 2) for line in read(f"/proc/{pid}/cgroup").splitlines())
    return [(controllers, path) for _number, controllers, path in fields]


def processes(pids: "Iterable[int]") -> tuple[Process, ...]:
    """Return what is to be said of these processes, those that have ended meanwhile left out."""
    found: list[Process] = []
    for pid in sorted(pids):
        try:
            found.append(_process(pid))
        except SyscallError:
            continue
    return tuple(found)


def _process(pid: int | str) -> Process:
    facts = _status(pid)
    return Process(int(pid), int(facts["NSpid"].split()[-1]), command_of(pid, facts["Name"]))


def command_of(pid: int | str, name: str) -> str:
    """Return what a process runs, without the program's directory; [NAME] where it has no command line.

    Raises:
        SyscallError: ENOENT, ESRCH where it is gone.

    See Also:
        proc_pid_cmdline(5)
    """
    words = [word for word in read(f"/proc/{pid}/cmdline").split("\0") if word]
    return " ".join([os.path.basename(words[0]), *words[1:]]) if words else f"[{name}]"
