"""What a container or an exec is asked to be: plain values, already parsed.

The command line, the API and notebooks all fill these in; the names follow
Docker's (HostConfig and Config) with units at their end.  Nothing in here
knows how a value was written: sizes are bytes, times are seconds, lists are
tuples.  A default means "as the image or the engine has it".
"""

from toolkit.core.record import NamedTuple
from toolkit.network.binding import PortBinding
from toolkit.volume.mount import MountSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_NONE: "Mapping[str, str]" = {}


OWN_RUNTIME = "container-toolkit"
"""The name of the engine's own runtime, among others that may be registered."""


class Ulimit(NamedTuple):
    """One resource limit of the container's processes, as setrlimit(2) takes it."""

    name: str
    """As in limits.conf: "nofile", "nproc", "core"."""
    soft: int
    """-1 is RLIM_INFINITY."""
    hard: int


class DeviceMapping(NamedTuple):
    """A device of the host's, or a directory of devices, and where the container has it."""

    host: str
    container: str
    permissions: str = "rwm"
    """What the container's cgroup lets its programs do with it: read, write, mknod."""


class BlockDevice(NamedTuple):
    """A block device by its path on the host, and a number for it: a weight, or bytes or operations a second."""

    path: str
    value: int


class IdRange(NamedTuple):
    """A range of ids of the container's user namespace, and where it lies on the host."""

    container: int
    host: int
    size: int


class ContainerOptions(NamedTuple):
    """Everything that makes a new container what it is."""

    image: str
    """A name, a name@digest or an id, as the user wrote it."""
    command: tuple[str, ...] = ()
    """Empty: the image's Cmd (unless `entrypoint` is given)."""
    entrypoint: tuple[str, ...] | None = None
    """None: the image's; empty: none, and the image's Cmd does not apply either."""
    name: str = ""
    """Empty: the engine invents one."""
    hostname: str = ""
    """Empty: the first 12 digits of the container's id."""
    domainname: str = ""
    user: str = ""
    """name, uid, name:group or uid:gid, looked up in the container; empty: the image's."""
    working_dir: str = ""
    """Absolute; empty: the image's."""
    env: tuple[str, ...] = ()
    """KEY=value sets, a bare KEY removes what the image sets; later ones win."""
    annotations: "Mapping[str, str]" = _NONE
    """What an OCI runtime, or its hooks, is told besides."""
    labels: "Mapping[str, str]" = _NONE
    platform: str = ""
    """os[/arch[/variant]]; empty: this machine's."""

    attach: tuple[str, ...] = ()
    """"stdin", "stdout", "stderr": what a command in the foreground is connected to; empty: all."""
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    """Close the container's stdin when the first client that is attached to it leaves."""
    auto_remove: bool = False
    restart_policy: str = ""
    """"always", "unless-stopped" or "on-failure"; empty and "no": it is not started again by itself."""
    restart_retries: int = 0
    """How often at most, of on-failure; 0: without end."""
    log_driver: str = ""
    """"json-file", "local" or "none"; empty: json-file."""
    log_options: "Mapping[str, str]" = _NONE
    """As docker's --log-opt: "max-size", "max-file", "labels", ..."""
    timeout_s: int = 0
    """How long it may run: then it is killed; 0: as long as it likes."""
    health_test: tuple[str, ...] = ()
    """As docker's API has it: ("CMD", program, ...), ("CMD-SHELL", text), ("NONE",); empty: the image's."""
    health_interval_ns: int = 0
    """Nanoseconds, as in the API; 0: the image's, else docker's default.  So for the next three and the count."""
    health_timeout_ns: int = 0
    health_start_period_ns: int = 0
    health_start_interval_ns: int = 0
    health_retries: int = 0
    health_on_failure: str = ""
    """What to do with it when it becomes unhealthy: "kill", "restart", "stop"; empty or "none": nothing."""
    init: bool = False
    stop_signal: str = ""
    """A name with or without SIG, or a number; empty: the image's, else SIGTERM."""
    stop_timeout_s: int | None = None
    """Seconds before SIGKILL follows the stop signal; None: 10, -1: never."""

    memory_bytes: int = 0
    memory_swap_bytes: int = 0
    """Memory plus swap; -1: unlimited swap; 0: twice `memory_bytes`."""
    memory_reservation_bytes: int = 0
    nano_cpus: int = 0
    """Billionths of a CPU; 0: unlimited."""
    cpu_shares: int = 0
    """Relative weight, 2 to 262144; 0: 1024."""
    cpuset_cpus: str = ""
    """A list such as 0-3,5."""
    cpuset_mems: str = ""
    pids_limit: int = 0
    """0 and -1: unlimited."""
    cpu_period_us: int = 0
    cpu_quota_us: int = 0
    """CPU time in each period; another way to say `nano_cpus`."""
    cpu_rt_period_us: int = 0
    cpu_rt_runtime_us: int = 0
    memory_swappiness: int = -1
    """0 to 100; -1: the parent group's."""
    oom_kill_disable: bool = False
    blkio_weight: int = 0
    """Relative weight, 10 to 1000; 0: the kernel's."""
    blkio_weight_devices: tuple[BlockDevice, ...] = ()
    device_read_bps: tuple[BlockDevice, ...] = ()
    device_write_bps: tuple[BlockDevice, ...] = ()
    device_read_iops: tuple[BlockDevice, ...] = ()
    device_write_iops: tuple[BlockDevice, ...] = ()
    devices: tuple[DeviceMapping, ...] = ()
    device_cgroup_rules: tuple[str, ...] = ()
    """"TYPE MAJOR:MINOR ACCESS", as devices.allow of cgroup v1 takes it."""
    cgroup_parent: str = ""
    runtime: str = ""
    """Another OCI runtime, by its registered name, its path, or a program on PATH; empty: the engine's own."""
    """The group below which the container's own is made; empty: the engine's."""
    shm_size_bytes: int = 0
    """0: 64 MiB."""
    ulimits: tuple[Ulimit, ...] = ()
    oom_score_adj: int = 0

    read_only: bool = False
    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    """Names with or without CAP_, in any case, or ALL."""
    cap_drop: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    """"seccomp=unconfined", "seccomp=<the profile's JSON text>", "no-new-privileges", "systempaths=unconfined",
    "mask=PATH:PATH", "unmask=ALL" or "unmask=PATH:PATH", ..."""
    group_add: tuple[str, ...] = ()
    sysctls: "Mapping[str, str]" = _NONE
    tmpfs: "Mapping[str, str]" = _NONE
    """Mount options by absolute path."""
    binds: tuple[str, ...] = ()
    """SOURCE:DESTINATION[:MODE], a bind mount where SOURCE is a path, else a volume of this name; see
    `toolkit.volume.mount.parse_short`."""
    mounts: tuple[MountSpec, ...] = ()
    volumes: tuple[str, ...] = ()
    """Directories that a volume of the container's own is mounted on, besides those that the image names."""
    volumes_from: tuple[str, ...] = ()
    """CONTAINER[:ro]: whose mounts it has too."""
    volume_driver: str = ""
    """Of volumes that have to be made and do not say; empty: local."""
    umask: int | None = None
    """None: 022."""
    timezone: str = ""
    """A name such as Europe/Paris, whose rules the host has, or "local", the host's; empty: the image's."""
    gpus: str = ""
    """Refused: there is no driver for it."""
    isolation: str = ""
    """Empty or "default"."""
    kernel_memory_bytes: int = 0
    """Refused: the kernel has no such limit any more."""
    storage_opt: "Mapping[str, str]" = _NONE
    """Refused: overlayfs has no quotas of its own."""

    network: str = "default"
    """A network's name or id; "none", "host", "container:<name|id>"; or "default": the network `bridge` where this
    machine can have one, else loopback and nothing else."""
    ip: str = ""
    """Its address in that network; empty: the next one.  So for the next two."""
    ip6: str = ""
    mac_address: str = ""
    network_aliases: tuple[str, ...] = ()
    """What others in the network find it by, besides its name."""
    links: tuple[str, ...] = ()
    """Its own names for other containers there: NAME:ALIAS; in the network `bridge` with the id for NAME."""
    publish: tuple[PortBinding, ...] = ()
    """Ports of this machine that lead to its own."""
    publish_all: bool = False
    """Whatever it or its image exposes is published at ports that are chosen."""
    expose: tuple[str, ...] = ()
    """Ports that it listens on, such as 80/tcp."""
    dns: tuple[str, ...] = ()
    """Servers of names; empty: the host's."""
    dns_options: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    """NAME:ADDRESS for its /etc/hosts; the address "host-gateway" is this machine's in the network `bridge`."""
    pid_mode: str = ""
    """Empty: a namespace of its own; "host"; "container:<name|id>".  So for the next four."""
    ipc_mode: str = ""
    """Also "private", "shareable" and "none"."""
    uts_mode: str = ""
    userns_mode: str = ""
    """Empty and "host": the host's; "private": one of its own, root inside being uid 100000 outside."""
    uid_map: tuple[IdRange, ...] = ()
    """The user ids of a user namespace of its own; empty: 65536 from 100000."""
    gid_map: tuple[IdRange, ...] = ()
    """Likewise; empty: as `uid_map`."""
    boottime_offset_s: int = 0
    """Seconds that the container's CLOCK_BOOTTIME is ahead; not 0: it has a time namespace of its own."""
    monotonic_offset_s: int = 0
    cgroupns_mode: str = ""
    """"private" or "host"; empty: private."""


class ExecOptions(NamedTuple):
    """One more command in a running container."""

    command: tuple[str, ...]
    tty: bool = False
    open_stdin: bool = False
    detach: bool = False
    """Nobody attaches: the command's output is dropped."""
    env: tuple[str, ...] = ()
    working_dir: str = ""
    """Empty: the container's."""
    user: str = ""
    """Empty: the container's."""
    privileged: bool = False


TUPLES: "Mapping[str, Any]" = {
    "ulimits": Ulimit,
    "mounts": MountSpec,
    "devices": DeviceMapping,
    "uid_map": IdRange,
    "gid_map": IdRange,
    "publish": PortBinding,
    **dict.fromkeys(
        ("blkio_weight_devices", "device_read_bps", "device_write_bps", "device_read_iops", "device_write_iops"),
        BlockDevice,
    ),
}
"""The fields of ContainerOptions that hold tuples of tuples, and the kind of these: JSON forgets it."""
_DEFAULTS = ContainerOptions._field_defaults


def to_store(options: ContainerOptions) -> "dict[str, Any]":
    """Return what is kept of a container's options: those that are not as they are when nothing is said.

    They are few of sixty, and a list of a thousand containers is read in a third of the time.
    """
    kept: dict[str, Any] = {
        field: value
        for field, value in zip(ContainerOptions._fields, options, strict=True)
        if field not in _DEFAULTS or value != _DEFAULTS[field]
    }
    for field in MAPPINGS:
        if field in kept:
            kept[field] = dict(kept[field])
    return kept


MAPPINGS = ("annotations", "labels", "log_options", "storage_opt", "sysctls", "tmpfs")
