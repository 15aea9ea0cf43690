"""The first part of a plan: the process, its namespaces and its cgroups."""

from toolkit.core.errors import InvalidError
from toolkit.linux import namespace
from toolkit.runtime import steps
from toolkit.runtime.mountoptions import propagation_flags
from toolkit.runtime.plan.mounts import private_sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from toolkit.runtime import spec
    from toolkit.runtime.plan.place import Cgroup, OverlayRoot
    from toolkit.runtime.steps import Step

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


def namespaces(config: "spec.Config") -> dict[str, str]:
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


def begin(config: "spec.Config", cgroup: "Cgroup", wanted: dict[str, str]) -> "Iterator[Step]":
    """Make a process in a new pid namespace; the rest it does itself."""
    yield from _before_birth(config, wanted)
    yield steps.NewProcess(namespace.CLONE_NEWPID if wanted.get("pid") == "" else 0)
    yield steps.NewSession()
    if "user" not in wanted:
        yield steps.JoinKeyring()
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


def begin_in_user_namespace(
    config: "spec.Config", overlay: "OverlayRoot | None", cgroup: "Cgroup", wanted: dict[str, str]
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
    yield steps.NewSession()
    yield steps.WriteIdMaps(_id_map(linux.get("uidMappings", [])), _id_map(linux.get("gidMappings", [])))
    if overlay is not None:
        owner = (_host_root(linux.get("uidMappings", [])), _host_root(linux.get("gidMappings", [])))
        yield steps.MakeMappedOverlay(overlay.base, (*overlay[:4], overlay.target), owner)
        yield steps.CloneMounts(private_sources(config))
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


def enter(config: "spec.Config", wanted: dict[str, str]) -> "Iterator[Step]":
    """Join what exists already; become root of a new user namespace; then the cgroup namespace."""
    score = config.get("process", {}).get("oomScoreAdj")
    if score is not None:  # while this process is still the host's root, whose file it is
        yield steps.SetOomScore(score)
    if "user" in wanted:
        if wanted["user"]:
            yield steps.JoinNamespace("user", wanted["user"])
        yield steps.BecomeNamespaceRoot()
        yield steps.JoinKeyring()  # it belongs to whom this process is now
    for kind in ("net", "ipc", "uts", "cgroup", "mnt"):
        if wanted.get(kind):
            yield steps.JoinNamespace(kind, wanted[kind])
    if wanted.get("cgroup") == "":
        yield steps.UnshareCgroup()
    if wanted.get("net") == "" and wanted.get("user") == "":
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
