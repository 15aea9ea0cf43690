"""What could be seen of a half-made container between two steps: facts that were read from /proc, and what differs.

Pure: `linux/look.py` reads them, a recording keeps them, figures and tables show them.
"""

from toolkit.core.record import NamedTuple

HOST = "the host's"
OWN = "its own"


class Mount(NamedTuple):
    """A mount, as the process sees it: a line of /proc/PID/mountinfo, see proc_pid_mountinfo(5)."""

    id: int
    parent: int
    device: str
    root: str
    """Which directory of the file system is shown there."""
    point: str
    """Where, seen from the process's root."""
    options: str
    propagation: str
    """"shared:1", "master:1": what is mounted here appears there, too; empty: private."""
    fstype: str
    source: str
    super_options: str


class Namespace(NamedTuple):
    """One of the namespaces that the process is in."""

    kind: str
    inode: int
    host_inode: int
    """Of whoever looks, on the host."""

    @property
    def is_own(self) -> bool:
        """Tell whether it is another one than the host's."""
        return self.inode != self.host_inode

    @property
    def whose(self) -> str:
        """Say so in words."""
        return OWN if self.is_own else HOST


class Powers(NamedTuple):
    """Who the process is, and what it may do: from /proc/PID/status, see proc_pid_status(5) and capabilities(7)."""

    uid: int
    gid: int
    effective: tuple[str, ...]
    """The names of the capabilities that it can use now; the other sets say what it may get, hand on and keep."""
    permitted: tuple[str, ...]
    inheritable: tuple[str, ...]
    bounding: tuple[str, ...]
    ambient: tuple[str, ...]
    no_new_privs: bool
    seccomp: bool
    """A filter decides about its system calls."""


class Group(NamedTuple):
    """The process's place in one cgroup hierarchy: a line of /proc/PID/cgroup, see cgroups(7)."""

    controllers: str
    """"memory", "cpu,cpuacct"; of version 2 "" (all that have no hierarchy of their own)."""
    path: str
    host_path: str
    """Of whoever looks, on the host."""


class Process(NamedTuple):
    """A process of the container."""

    pid: int
    """Its number on the host."""
    inside: int
    """Its number in the innermost pid namespace that it is in."""
    command: str


class Look(NamedTuple):
    """All that at one moment."""

    pid: int
    """The host's number for the container's first process; 0 while there is none."""
    mounts: tuple[Mount, ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    powers: Powers | None = None
    groups: tuple[Group, ...] = ()
    processes: tuple[Process, ...] = ()


NOTHING = Look(0)
"""Before the first process is born."""


class Changes(NamedTuple):
    """What a step has changed, by the keys of the rows that are new or different now."""

    new_mounts: tuple[int, ...] = ()
    changed_mounts: tuple[int, ...] = ()
    gone_mounts: tuple[Mount, ...] = ()
    namespaces: tuple[str, ...] = ()
    powers: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    processes: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return any(self)


def changes(before: Look, after: Look) -> Changes:
    """Compare two looks at one container; nothing has changed by being seen the first time but the birth itself."""
    if not before.pid:
        own = tuple(each.kind for each in after.namespaces if each.is_own)
        return Changes(namespaces=own, processes=tuple(each.pid for each in after.processes))
    old_mounts = {each.id: each for each in before.mounts}
    new_mounts = {each.id: each for each in after.mounts}
    old_kinds = {each.kind: each.inode for each in before.namespaces}
    old_groups = {each.controllers: each.path for each in before.groups}
    known = {each.pid: each for each in before.processes}
    is_new_world = old_kinds.get("mnt") != {each.kind: each.inode for each in after.namespaces}.get("mnt")
    if is_new_world:  # a copy of all mounts, with numbers of its own
        old_mounts = new_mounts
    return Changes(
        tuple(ident for ident in new_mounts if ident not in old_mounts),
        tuple(ident for ident, one in new_mounts.items() if ident in old_mounts and old_mounts[ident] != one),
        tuple(one for ident, one in old_mounts.items() if ident not in new_mounts),
        tuple(each.kind for each in after.namespaces if old_kinds.get(each.kind) != each.inode),
        _changed_powers(before.powers, after.powers),
        tuple(each.controllers for each in after.groups if old_groups.get(each.controllers) != each.path),
        tuple(each.pid for each in after.processes if known.get(each.pid) != each),
    )


def _changed_powers(before: Powers | None, after: Powers | None) -> tuple[str, ...]:
    if before is None or after is None:
        return ()
    fields = zip(Powers._fields, before, after, strict=True)
    return tuple(name for name, old, new in fields if old != new)


_MANY = 4


def told(changed: Changes, after: Look) -> tuple[str, ...]:
    """Say in plain lines what a step has changed."""
    points = {each.id: f"{each.point} ({each.fstype})" for each in after.mounts}
    own = {each.kind: each for each in after.namespaces}
    groups = {each.controllers: each.path for each in after.groups}
    commands = {each.pid: each for each in after.processes}
    lines = [
        *(f"process {commands[pid].pid}, inside number {commands[pid].inside}" for pid in changed.processes),
        *(f"{kind} namespace: {own[kind].whose}, {own[kind].inode}" for kind in changed.namespaces),
        *_few("mounted", [points[ident] for ident in changed.new_mounts]),
        *_few("changed", [points[ident] for ident in changed.changed_mounts]),
        *_few("not seen any more", [f"{each.point} ({each.fstype})" for each in changed.gone_mounts]),
        *_few("cgroup", [f"{name or 'all'} in {groups[name]}" for name in changed.groups]),
    ]
    if after.powers is not None:
        lines += [_power(name, getattr(after.powers, name)) for name in changed.powers]
    return tuple(lines)


def _power(name: str, value: "int | bool | tuple[str, ...]") -> str:
    if isinstance(value, tuple):
        return f"{name} capabilities: {len(value)}"
    if isinstance(value, bool):
        return f"{name}: {'on' if value else 'off'}"
    return f"{name} {value}"


def _few(what: str, names: list[str]) -> list[str]:
    if len(names) > _MANY:
        return [f"{what}: {names[0]} and {len(names) - 1} more"]
    return [f"{what}: {each}" for each in names]
