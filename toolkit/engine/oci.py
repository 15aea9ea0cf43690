"""From a container's options and its image to the OCI config that the runtime takes; pure.

The defaults are docker's (moby, oci/defaults.go): its mounts, its masked and
read-only paths, its 14 capabilities, its environment.
"""

from toolkit.core.errors import InvalidError
from toolkit.core.record import NamedTuple
from toolkit.engine.argv import command
from toolkit.engine.devices import NOTHING, HostDevices
from toolkit.engine.resources import resources
from toolkit.linux import capability
from toolkit.runtime.spec import OCI_VERSION, Config, IDMapping, Linux, Mount, Namespace, Process, Rlimit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from toolkit.engine.options import ContainerOptions, IdRange
    from toolkit.engine.users import Identity
    from toolkit.runtime.spec import Capabilities

__all__ = ["Place", "capabilities", "config", "environment", "kernel_paths", "process", "resources"]

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SHM_BYTES = 64 * 1024 * 1024
_MASKED = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
_READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
FIRST_MAPPED_ID = 100_000
"""Where the ids of a container with a user namespace of its own begin on the host."""
MAPPED_IDS = 65_536
ZONES = "/usr/share/zoneinfo"
"""Where a host has the rules of time zones."""
_PLAIN = ("nosuid", "noexec", "nodev")
_HOST_MODES = {"network": "network", "ipc": "ipc_mode", "uts": "uts_mode", "pid": "pid_mode", "cgroup": "cgroupns_mode"}


class Place(NamedTuple):
    """What the config must know about this host."""

    hostname: str
    files: tuple[tuple[str, str], ...]
    """Files of the engine's that are bound over the image's: source, destination."""
    cgroup: str
    joined: dict[str, str]
    """Namespaces of other containers: kind as the OCI names it -> path."""
    capabilities: int = capability.ALL
    """What the engine itself can hand on."""
    devices: HostDevices = NOTHING
    shm: str = ""
    """The /dev/shm of the container whose ipc namespace is joined, as a path of the host's."""


def environment(options: "ContainerOptions", image: "dict[str, Any]", hostname: str, home: str = "") -> tuple[str, ...]:
    """Return KEY=value pairs: docker's own, then the image's, then the user's; later ones win."""
    pairs: dict[str, str] = {"PATH": _PATH.partition("=")[2], "HOSTNAME": hostname}
    if options.tty:
        pairs["TERM"] = "xterm"
    for pair in image.get("Env") or ():
        key, _, value = pair.partition("=")
        pairs[key] = value
    for pair in options.env:
        key, sign, value = pair.partition("=")
        if sign:
            pairs[key] = value
        else:
            pairs.pop(key, None)
    if home:
        pairs.setdefault("HOME", home)
    return tuple(f"{key}={value}" for key, value in pairs.items())


def config(options: "ContainerOptions", image: "dict[str, Any]", identity: "Identity", place: Place) -> Config:
    """Return the whole OCI config of a container.

    Raises:
        InvalidError: an option that means nothing.
    """
    masked, readonly = kernel_paths(options)
    linux: Linux = {
        "namespaces": _namespaces(options, place),
        "cgroupsPath": place.cgroup,
        "resources": resources(options, place.devices),
        "maskedPaths": masked,
        "readonlyPaths": readonly,
    }
    if has_user_namespace(options):
        linux["uidMappings"] = _id_mappings(options.uid_map)
        linux["gidMappings"] = _id_mappings(options.gid_map or options.uid_map)
    elif place.devices.nodes:
        linux["devices"] = list(place.devices.nodes)
    offsets = {"boottime": options.boottime_offset_s, "monotonic": options.monotonic_offset_s}
    if any(offsets.values()):
        linux["timeOffsets"] = {clock: {"secs": seconds} for clock, seconds in offsets.items() if seconds}
    sysctls = dict(options.sysctls)
    if options.network != "host":
        sysctls.setdefault("net.ipv4.ip_unprivileged_port_start", "0")
        mapped = linux.get("gidMappings")
        last_gid = mapped[0]["size"] - 1 if mapped else (1 << 31) - 1
        sysctls.setdefault("net.ipv4.ping_group_range", f"0 {last_gid}")
    if sysctls:
        linux["sysctl"] = sysctls
    document: Config = {
        "ociVersion": OCI_VERSION,
        "process": process(options, image, identity, place.hostname, place.capabilities),
        "root": {"path": "rootfs", "readonly": options.read_only},
        "mounts": _mounts(options, place),
        "linux": linux,
    }
    if options.annotations:
        document["annotations"] = dict(options.annotations)
    if options.uts_mode != "host" and "uts" not in place.joined:
        document["hostname"] = place.hostname
        if options.domainname:
            document["domainname"] = options.domainname
    return document


def process(
    options: "ContainerOptions",
    image: "dict[str, Any]",
    identity: "Identity",
    hostname: str,
    available: int = capability.ALL,
) -> Process:
    """Return the config of the container's first process; `available` are the capabilities that can be had."""
    made: Process = {
        "terminal": options.tty,
        "user": {"uid": identity.uid, "gid": identity.gid, "additionalGids": list(identity.groups)},
        "args": list(command(options, image)),
        "env": list(environment(options, image, hostname, identity.home)),
        "cwd": options.working_dir or image.get("WorkingDir") or "/",
        "capabilities": capabilities(options, available, is_root=identity.uid == 0),
        "noNewPrivileges": no_new_privileges(options),
    }
    if options.umask is not None:
        made["user"]["umask"] = options.umask
    if options.oom_score_adj:
        made["oomScoreAdj"] = options.oom_score_adj
    limits: list[Rlimit] = [
        {"type": f"RLIMIT_{limit.name.upper()}", "soft": limit.soft, "hard": limit.hard} for limit in options.ulimits
    ]
    if limits:
        made["rlimits"] = limits
    return made


def kernel_paths(options: "ContainerOptions") -> tuple[list[str], list[str]]:
    """Return the paths of the kernel's that are masked, and those that can only be read."""
    if options.privileged or "systempaths=unconfined" in options.security_opt:
        return [], []
    masked: list[str] = [*_MASKED]
    readonly: list[str] = [*_READONLY]
    for option in options.security_opt:
        name, _, value = option.partition("=")
        if name == "unmask":
            masked, readonly = _without(masked, value), _without(readonly, value)
        elif name == "mask":
            masked += value.split(":")
    return masked, readonly


def _without(paths: list[str], unmasked: str) -> list[str]:
    """Return the paths that none of the patterns of an `unmask` names; ALL names all."""
    from fnmatch import fnmatchcase

    patterns = unmasked.split(":")
    return [path for path in paths if "ALL" not in patterns and not any(fnmatchcase(path, each) for each in patterns)]


def _id_mappings(ranges: "tuple[IdRange, ...]") -> list[IDMapping]:
    if not ranges:
        return [{"containerID": 0, "hostID": FIRST_MAPPED_ID, "size": MAPPED_IDS}]
    return [{"containerID": each.container, "hostID": each.host, "size": each.size} for each in sorted(ranges)]


def capabilities(options: "ContainerOptions", available: int = capability.ALL, *, is_root: bool) -> "Capabilities":
    """Return the five sets: docker's default as changed by --cap-add, --cap-drop and --privileged.

    The inheritable and ambient sets stay empty (CVE-2022-24769).
    """
    mask = capability.tweak(options.cap_add, options.cap_drop, privileged=options.privileged, available=available)
    kept = capability.names(mask)
    return {"bounding": kept, "effective": kept if is_root else [], "permitted": kept if is_root else []}


def no_new_privileges(options: "ContainerOptions") -> bool:
    """Tell whether --security-opt no-new-privileges was given."""
    return any(
        option in ("no-new-privileges", "no-new-privileges=true", "no-new-privileges:true")
        for option in options.security_opt
    )


def _namespaces(options: "ContainerOptions", place: Place) -> list[Namespace]:
    wanted: list[Namespace] = [{"type": "mount"}]
    if "user" in place.joined:
        wanted.append({"type": "user", "path": place.joined["user"]})
    elif has_user_namespace(options):
        wanted.append({"type": "user"})
    if options.boottime_offset_s or options.monotonic_offset_s:
        wanted.append({"type": "time"})
    for kind, field in _HOST_MODES.items():
        if kind in place.joined:
            wanted.append({"type": kind, "path": place.joined[kind]})
        elif getattr(options, field) != "host":
            wanted.append({"type": kind})
    return wanted


def root_of(options: "ContainerOptions") -> tuple[int, int]:
    """Return the host's uid and gid of the container's root."""
    if not has_user_namespace(options):
        return (0, 0)
    uids, gids = _id_mappings(options.uid_map), _id_mappings(options.gid_map or options.uid_map)
    return uids[0]["hostID"], gids[0]["hostID"]


def has_user_namespace(options: "ContainerOptions") -> bool:
    """Tell whether its users are not the host's: it has a namespace for them, or joins another container's."""
    return options.userns_mode not in ("", "host")


def _mounts(options: "ContainerOptions", place: Place) -> list[Mount]:
    sys_mode = "rw" if options.privileged else "ro"
    plain = list(_PLAIN)
    made: list[Mount] = [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": [*plain]},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        },
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*plain, sys_mode]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": [*plain, sys_mode]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": [*plain]},
    ]
    made += _shared_memory(options, place)
    for source, destination in place.files:
        made.append({"destination": destination, "type": "bind", "source": source, "options": ["rbind"]})
    if options.timezone:
        source = "/etc/localtime" if options.timezone == "local" else f"{ZONES}/{options.timezone}"
        made.append({"destination": "/etc/localtime", "type": "bind", "source": source, "options": ["bind", "ro"]})
    if has_user_namespace(options):  # which may not make device nodes
        for source, node in zip(place.devices.sources, place.devices.nodes, strict=True):
            made.append({"destination": node["path"], "type": "bind", "source": source, "options": ["bind"]})
    for path, text in sorted(options.tmpfs.items()):
        if not path.startswith("/"):
            raise InvalidError(f"invalid mount path: '{path}'", hint="a tmpfs needs an absolute path")
        extra = [option for option in text.split(",") if option]
        made.append(
            {"destination": path, "type": "tmpfs", "source": "tmpfs", "options": [*_PLAIN, "mode=1777", *extra]}
        )
    return made


def _shared_memory(options: "ContainerOptions", place: Place) -> list[Mount]:
    """Return what is mounted on /dev/shm: the memory that the processes of an ipc namespace share."""
    source = "/dev/shm" if options.ipc_mode == "host" else place.shm
    if source:
        return [{"destination": "/dev/shm", "type": "bind", "source": source, "options": ["rbind", *_PLAIN]}]
    if options.ipc_mode == "none":
        return []
    size = f"size={options.shm_size_bytes or _SHM_BYTES}"
    return [
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": [*_PLAIN, "mode=1777", size]},
    ]
