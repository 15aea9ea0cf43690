"""The first part of a plan: the process, its namespaces and its cgroups."""

from toolkit.core.errors import InvalidError
from toolkit.linux import namespace
from toolkit.runtime import steps
from toolkit.runtime.plan.mounts import hand_over, id_map, propagation, root_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from toolkit.runtime import spec
    from toolkit.runtime.plan.place import Cgroup, OverlayRoot
    from toolkit.runtime.steps import Step

_CLONE_ORDER = ("mnt", "pid", "net", "ipc", "uts", "user")
_JOIN_ORDER = ("net", "ipc", "uts", "cgroup", "mnt")
OCI_KINDS = {
    "mount": "mnt",
    "pid": "pid",
    "network": "net",
    "ipc": "ipc",
    "uts": "uts",
    "user": "user",
    "cgroup": "cgroup",
    "time": "time",
}
"""Each kind of namespace as the specification names it, and as /proc/PID/ns does."""


def namespaces(config: "spec.Config") -> dict[str, str]:
    """Return the kinds that the config names, with the path to join or "" for a new one."""
    found: dict[str, str] = {}
    for entry in config.get("linux", {}).get("namespaces", []):
        kind = OCI_KINDS.get(entry["type"])
        if kind is None:
            raise InvalidError(f"unknown namespace type '{entry['type']}'", hint=f"one of {', '.join(OCI_KINDS)}")
        if kind in found:
            raise InvalidError(f"the namespace '{entry['type']}' is listed twice", hint="list each kind once")
        found[kind] = entry.get("path", "")
    return found


def begin(
    config: "spec.Config",
    cgroup: "Cgroup",
    wanted: dict[str, str],
    network: "tuple[steps.ConnectNetwork, ...]" = (),
    *,
    has_keyring: bool,
) -> "Iterator[Step]":
    """Make a process in a new pid namespace; the rest it does itself."""
    yield from hand_over(config, wanted, root="")
    yield from _before_birth(config, wanted)
    yield steps.NewProcess(namespace.CLONE_NEWPID if wanted.get("pid") == "" else 0)
    yield steps.NewSession()
    if has_keyring and "user" not in wanted:
        yield steps.JoinKeyring()
    flags = sum(namespace.KINDS[kind] for kind in ("net", "ipc", "uts") if wanted.get(kind) == "")
    if flags:
        yield steps.Unshare(flags)
    if wanted.get("net") == "":
        yield steps.LoopbackUp()
        yield from network
    yield from _create_groups(cgroup)
    if cgroup.directories:
        yield steps.JoinCgroup(cgroup.join_files)
        yield from _delegation(config, cgroup, wanted)
    if wanted.get("mnt") == "":
        yield steps.Unshare(namespace.CLONE_NEWNS)


def _create_groups(cgroup: "Cgroup", actor: str = "") -> "Iterator[Step]":
    if cgroup.directories:
        yield steps.CreateCgroup(cgroup.directories, cgroup.writes, actor)
        if cgroup.device_program[1]:
            yield steps.LimitDevices(*cgroup.device_program, actor)


def begin_in_user_namespace(
    config: "spec.Config",
    overlay: "OverlayRoot | None",
    cgroup: "Cgroup",
    wanted: dict[str, str],
    network: "tuple[steps.ConnectNetwork, ...]" = (),
) -> "Iterator[Step]":
    """All namespaces are born together, so that the user namespace, new or joined, owns them.

    What needs root of the host (mapping the layers' owners, reading the
    engine's files, joining what is not the user namespace's) is done outside;
    its own root init attaches before it becomes somebody who may not reach the
    engine's directories.
    """
    linux = config.get("linux", {})
    maps = linux.get("uidMappings", []), linux.get("gidMappings", [])
    if overlay is None:
        yield from hand_over(config, wanted, root=root_path(config))
    elif wanted["user"]:  # who has joined it has not the power any more
        yield from _mapped_overlay(config, overlay, wanted)
    yield from _before_birth(config, wanted)
    yield from _create_groups(cgroup, steps.OUTSIDE)
    yield from _give_stdio(config)
    for kind in (*_JOIN_ORDER, "user"):
        if wanted.get(kind):
            yield steps.JoinForChildren(kind, wanted[kind])
    yield steps.NewProcess(sum(namespace.KINDS[kind] for kind in _CLONE_ORDER if wanted.get(kind) == ""))
    yield steps.NewSession()
    if wanted["user"] == "":
        yield steps.WriteIdMaps(id_map(maps[0]), id_map(maps[1]))
        if overlay is not None:
            yield from _mapped_overlay(config, overlay, wanted)
    yield from from_outside(network if wanted.get("net") == "" else ())
    if cgroup.directories:
        yield steps.JoinCgroup(cgroup.join_files)  # which is still the host's: after it, init could not open it
        yield from _delegation(config, cgroup, wanted, steps.OUTSIDE)
    if "mnt" in wanted:
        yield from propagation(config, root_path(config) if overlay is None else overlay.target)
        yield steps.AttachRoot(overlay.target if overlay is not None else root_path(config))


def from_outside(network: "tuple[steps.ConnectNetwork, ...]") -> "Iterator[Step]":
    """Yield the same steps for somebody outside, where init cannot reach the network process."""
    return (each._replace(actor=steps.OUTSIDE) for each in network)


def _mapped_overlay(config: "spec.Config", overlay: "OverlayRoot", wanted: dict[str, str]) -> "Iterator[Step]":
    linux = config.get("linux", {})
    owner = (_host_root(linux.get("uidMappings", [])), _host_root(linux.get("gidMappings", [])))
    yield steps.MakeMappedOverlay(overlay.base, (*overlay[:4], overlay.target), owner, wanted["user"])
    yield from hand_over(config, wanted, root="")


def _give_stdio(config: "spec.Config") -> "Iterator[Step]":
    linux = config.get("linux", {})
    maps = linux.get("uidMappings", []), linux.get("gidMappings", [])
    has_root = all(any(entry["containerID"] == 0 for entry in mappings) for mappings in maps)
    if has_root and not config.get("process", {}).get("terminal"):
        yield steps.GiveStdio(_host_root(maps[0]), _host_root(maps[1]))


def _host_root(mappings: "list[spec.IDMapping]") -> int:
    """Return the host's id of the container's id 0.

    Raises:
        InvalidError: it has none.
    """
    for entry in mappings:
        if entry["containerID"] == 0:
            return entry["hostID"]
    raise InvalidError("the id mappings of the user namespace leave out id 0", hint="map containerID 0 too")


def _delegation(config: "spec.Config", cgroup: "Cgroup", wanted: dict[str, str], actor: str = "") -> "Iterator[Step]":
    """Give the group to the program's user: on v2, where its own namespace shows it as the root, mounted writable.

    See Also:
        runtime-spec, config-linux.md, "Cgroup ownership"
    """
    if not cgroup.mounts or cgroup.mounts[0][1] != "cgroup2" or wanted.get("cgroup") != "":
        return
    mounts = (entry for entry in config.get("mounts", []) if entry.get("type") in ("cgroup", "cgroup2"))
    if all("ro" in entry.get("options", []) for entry in mounts):
        return
    uid = config.get("process", {}).get("user", {}).get("uid", 0)
    owner = _on_host(config.get("linux", {}).get("uidMappings", []), uid)
    if owner:
        yield steps.DelegateCgroup(cgroup.directories[0], owner, actor)


def _on_host(mappings: "list[spec.IDMapping]", ident: int) -> int:
    """Return the host's number of an id of the container; 0 where it has none."""
    if not mappings:
        return ident
    for entry in mappings:
        if 0 <= ident - entry["containerID"] < entry["size"]:
            return entry["hostID"] + ident - entry["containerID"]
    return 0


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


def enter(
    config: "spec.Config", wanted: dict[str, str], *, is_born_inside: bool, has_keyring: bool
) -> "Iterator[Step]":
    """Join what exists already; become root of a user namespace; then the cgroup namespace.

    Args:
        config: the OCI config.
        wanted: the kinds of namespace.
        is_born_inside: the process was made in all but the cgroup namespace, see `begin_in_user_namespace`.
        has_keyring: it gets a session keyring of its own.
    """
    score = config.get("process", {}).get("oomScoreAdj")
    if score is not None:  # while this process is still the host's root, whose file it is
        yield steps.SetOomScore(score)
    if "user" in wanted:
        if wanted["user"] and not is_born_inside:
            yield steps.JoinNamespace("user", wanted["user"])
        yield steps.BecomeNamespaceRoot()
        if has_keyring:
            yield steps.JoinKeyring()  # it belongs to whom this process is now
    for kind in () if is_born_inside else _JOIN_ORDER:
        if wanted.get(kind):
            yield steps.JoinNamespace(kind, wanted[kind])
    if wanted.get("cgroup") == "":
        yield steps.UnshareCgroup()
    if wanted.get("net") == "" and is_born_inside:
        yield steps.LoopbackUp()


def names(config: "spec.Config", wanted: dict[str, str]) -> "Iterator[Step]":
    """Yield what names the machine that the container believes to be."""
    hostname, domainname = config.get("hostname", ""), config.get("domainname", "")
    if (hostname or domainname) and "uts" not in wanted:
        raise InvalidError("a hostname needs a uts namespace", hint="add one, or leave the name out")
    if hostname:
        yield steps.SetHostname(hostname)
    if domainname:
        yield steps.SetDomainname(domainname)
