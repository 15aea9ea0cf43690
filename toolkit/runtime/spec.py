"""The OCI runtime configuration (config.json), as typed dictionaries.

The names are the specification's own, so a document needs no translation: what
`json.load` returns is the value that the planner reads.  Inside the engine
these types are trusted; a document that comes from outside is checked at the
border where it comes in.

See Also:
    github.com/opencontainers/runtime-spec, config.md and config-linux.md, 1.2.1
"""

from toolkit.core.record import TypedDict
from toolkit.linux.cgroup.resources import Resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Required

OCI_VERSION = "1.2.1"


class User(TypedDict, total=False):
    """Who the process runs as; ids as seen inside the container."""

    uid: int
    gid: int
    umask: int
    additionalGids: list[int]


class Capabilities(TypedDict, total=False):
    """The five sets, as CAP_* names."""

    bounding: list[str]
    effective: list[str]
    inheritable: list[str]
    permitted: list[str]
    ambient: list[str]


class Rlimit(TypedDict):
    """A resource limit."""

    type: str
    soft: int
    hard: int


class ConsoleSize(TypedDict):
    """A terminal's size in characters."""

    height: int
    width: int


class Scheduler(TypedDict, total=False):
    """How the CPUs are shared; see sched_setattr(2)."""

    policy: "Required[str]"
    nice: int
    priority: int
    flags: list[str]
    runtime: int
    deadline: int
    period: int


if TYPE_CHECKING:
    _IoPriority = TypedDict("_IoPriority", {"class": Required[str], "priority": int}, total=False)
else:
    _IoPriority = TypedDict  # "class" cannot be written as a field


class IoPriority(_IoPriority):
    """The place in the queue for disks; see ioprio_set(2)."""


class Affinity(TypedDict, total=False):
    """The CPUs of an exec, as lists such as "0-3": before it joins the container's cgroup, and after."""

    initial: str
    final: str


class Process(TypedDict, total=False):
    """The container's process."""

    terminal: bool
    consoleSize: ConsoleSize
    user: User
    args: list[str]
    env: list[str]
    cwd: str
    capabilities: Capabilities
    rlimits: list[Rlimit]
    noNewPrivileges: bool
    oomScoreAdj: int
    scheduler: Scheduler
    ioPriority: IoPriority
    execCPUAffinity: Affinity
    apparmorProfile: str
    selinuxLabel: str


class Root(TypedDict, total=False):
    """The container's root file system."""

    path: str
    readonly: bool


class Mount(TypedDict, total=False):
    """One additional mount."""

    destination: "Required[str]"
    type: str
    source: str
    options: list[str]
    uidMappings: "list[IDMapping]"
    """How the owners of its files are shown; with these it is id-mapped."""
    gidMappings: "list[IDMapping]"
    subpath: str
    """Only this path below the source of a bind mount, and nothing outside of it; ours, not the specification's."""
    purpose: str
    """What the container needs it for, one sentence; ours too."""


class IDMapping(TypedDict):
    """A range of ids of the container and where it lies on the host."""

    containerID: int
    hostID: int
    size: int


class Namespace(TypedDict, total=False):
    """A namespace to make, or with `path` to join."""

    type: "Required[str]"
    path: str


class TimeOffset(TypedDict, total=False):
    """How far a clock of a time namespace is ahead."""

    secs: int
    nanosecs: int


class Device(TypedDict, total=False):
    """A device node to make."""

    type: "Required[str]"
    path: "Required[str]"
    major: int
    minor: int
    fileMode: int
    uid: int
    gid: int


class Personality(TypedDict, total=False):
    """Which system the kernel behaves as."""

    domain: "Required[str]"
    flags: list[str]


class Linux(TypedDict, total=False):
    """What is particular to Linux."""

    namespaces: list[Namespace]
    uidMappings: list[IDMapping]
    gidMappings: list[IDMapping]
    timeOffsets: dict[str, TimeOffset]
    devices: list[Device]
    cgroupsPath: str
    resources: Resources
    rootfsPropagation: str
    seccomp: "dict[str, Any]"
    sysctl: dict[str, str]
    maskedPaths: list[str]
    readonlyPaths: list[str]
    personality: Personality
    mountLabel: str
    intelRdt: "dict[str, Any]"


class Config(TypedDict, total=False):
    """A whole config.json."""

    ociVersion: str
    process: "Required[Process]"
    """Optional in the specification, but needed for `start`, which is all that plans are for."""
    root: Root
    hostname: str
    domainname: str
    mounts: list[Mount]
    linux: Linux
    annotations: dict[str, str]
    hooks: "dict[str, list[dict[str, Any]]]"
    """By kind: "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"."""
