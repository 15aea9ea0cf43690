"""The options of `run` and `create`, as data, and how they become ContainerOptions.

Adding an option is one line of the table: its `field` names the field of
ContainerOptions that it fills.  An option that the engine does not obey yet
must not be here: an unknown flag is honest, an ignored one is not.
"""

from toolkit.cli.flags import BOOL, INT, LIST, STRING, Flag, Parsed, UsageError
from toolkit.cli.kinds import (
    ADD_HOST,
    BYTES,
    CGROUPNS_MODE,
    CPUS,
    DEVICE,
    DEVICE_BPS,
    DEVICE_IOPS,
    DEVICE_RULE,
    DURATION,
    ENTRYPOINT,
    ENV,
    ID_RANGE,
    IPC_MODE,
    LABEL,
    NETWORK,
    PAIRS,
    PID_MODE,
    PULL,
    RESTART,
    SECONDS,
    SECURITY,
    STREAMS,
    SWAP,
    SWAPPINESS,
    SYSCTL,
    TMPFS,
    ULIMIT,
    UMASK,
    USERNS_MODE,
    UTS_MODE,
    WEIGHT_DEVICE,
    read_env_files,
    read_label_files,
)
from toolkit.cli.mounts import MOUNT, VOLUME_KIND, VOLUMES_FROM
from toolkit.cli.portspec import EXPOSE, PUBLISH
from toolkit.engine.options import ContainerOptions

# fmt: off
CREATE_FLAGS = (
    Flag("add-host", "", ADD_HOST, "Add a custom host-to-IP mapping (host:ip)", "extra_hosts"),
    Flag("annotation", "", PAIRS, "Add an annotation to the container (passed through to the OCI runtime)",
         "annotations"),
    Flag("attach", "a", STREAMS, "Attach to STDIN, STDOUT or STDERR", "attach"),
    Flag("blkio-weight", "", INT, "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)",
         "blkio_weight"),
    Flag("blkio-weight-device", "", WEIGHT_DEVICE, "Block IO weight (relative device weight)",
         "blkio_weight_devices"),
    Flag("boottime", "", INT, "Seconds that the container's boot time clock is ahead, in a time namespace of its own",
         "boottime_offset_s"),
    Flag("cap-add", "", LIST, "Add Linux capabilities", "cap_add"),
    Flag("cap-drop", "", LIST, "Drop Linux capabilities", "cap_drop"),
    Flag("runtime", "", STRING, "Runtime to use for this container: a registered name, a program or a path", "runtime"),
    Flag("cgroup-parent", "", STRING, "Optional parent cgroup for the container", "cgroup_parent"),
    Flag("cgroupns", "", CGROUPNS_MODE, "Cgroup namespace to use (host|private|container:NAME)", "cgroupns_mode"),
    Flag("cidfile", "", STRING, "Write the container ID to the file"),
    Flag("cpu-period", "", INT, "Limit CPU CFS (Completely Fair Scheduler) period", "cpu_period_us"),
    Flag("cpu-quota", "", INT, "Limit CPU CFS (Completely Fair Scheduler) quota", "cpu_quota_us"),
    Flag("cpu-rt-period", "", INT, "Limit CPU real-time period in microseconds", "cpu_rt_period_us"),
    Flag("cpu-rt-runtime", "", INT, "Limit CPU real-time runtime in microseconds", "cpu_rt_runtime_us"),
    Flag("cpu-shares", "c", INT, "CPU shares (relative weight)", "cpu_shares"),
    Flag("cpus", "", CPUS, "Number of CPUs", "nano_cpus"),
    Flag("cpuset-cpus", "", STRING, "CPUs in which to allow execution (0-3, 0,1)", "cpuset_cpus"),
    Flag("cpuset-mems", "", STRING, "MEMs in which to allow execution (0-3, 0,1)", "cpuset_mems"),
    Flag("device", "", DEVICE, "Add a host device to the container", "devices"),
    Flag("device-cgroup-rule", "", DEVICE_RULE, "Add a rule to the cgroup allowed devices list", "device_cgroup_rules"),
    Flag("device-read-bps", "", DEVICE_BPS, "Limit read rate (bytes per second) from a device", "device_read_bps"),
    Flag("device-read-iops", "", DEVICE_IOPS, "Limit read rate (IO per second) from a device", "device_read_iops"),
    Flag("device-write-bps", "", DEVICE_BPS, "Limit write rate (bytes per second) to a device", "device_write_bps"),
    Flag("device-write-iops", "", DEVICE_IOPS, "Limit write rate (IO per second) to a device", "device_write_iops"),
    Flag("dns", "", LIST, "Set custom DNS servers", "dns"),
    Flag("dns-option", "", LIST, "Set DNS options", "dns_options", also="dns-opt"),
    Flag("dns-search", "", LIST, "Set custom DNS search domains", "dns_search"),
    Flag("domainname", "", STRING, "Container NIS domain name", "domainname"),
    Flag("entrypoint", "", ENTRYPOINT, "Overwrite the default ENTRYPOINT of the image", "entrypoint"),
    Flag("env", "e", ENV, "Set environment variables"),
    Flag("env-file", "", LIST, "Read in a file of environment variables"),
    Flag("expose", "", EXPOSE, "Expose a port or a range of ports", "expose"),
    Flag("gidmap", "", ID_RANGE, "Group ids of a user namespace of its own, CONTAINER:HOST:SIZE (as --uidmap)",
         "gid_map"),
    Flag("gpus", "", STRING, "GPU devices to add to the container (refused: there is no driver)", "gpus"),
    Flag("group-add", "", LIST, "Add additional groups to join", "group_add"),
    Flag("health-cmd", "", STRING, "Command to run to check health"),
    Flag("health-interval", "", DURATION, "Time between running the check (ms|s|m|h) (default 0s)",
         "health_interval_ns"),
    Flag("health-on-failure", "", STRING, "What to do when the container becomes unhealthy (none|kill|restart|stop)",
         "health_on_failure"),
    Flag("health-retries", "", INT, "Consecutive failures needed to report unhealthy", "health_retries"),
    Flag("health-start-interval", "", DURATION, "Time between running the check during the start period (ms|s|m|h) "
         "(default 0s)", "health_start_interval_ns"),
    Flag("health-start-period", "", DURATION, "Start period for the container to initialize before starting "
         "health-retries countdown (ms|s|m|h) (default 0s)", "health_start_period_ns"),
    Flag("health-timeout", "", DURATION, "Maximum time to allow one check to run (ms|s|m|h) (default 0s)",
         "health_timeout_ns"),
    Flag("hostname", "h", STRING, "Container host name", "hostname"),
    Flag("init", "", BOOL, "Run an init inside the container that forwards signals and reaps processes", "init"),
    Flag("interactive", "i", BOOL, "Keep STDIN open even if not attached", "open_stdin"),
    Flag("ip", "", STRING, "IPv4 address (e.g., 172.30.100.104)"),
    Flag("ip6", "", STRING, "IPv6 address (e.g., 2001:db8::33)"),
    Flag("ipc", "", IPC_MODE, "IPC mode to use", "ipc_mode"),
    Flag("isolation", "", STRING, "Container isolation technology (default)", "isolation"),
    Flag("kernel-memory", "", BYTES, "Kernel memory limit (refused: the kernel has none any more)",
         "kernel_memory_bytes"),
    Flag("label", "l", LABEL, "Set meta data on a container"),
    Flag("link", "", LIST, "Add link to another container, NAME or NAME:ALIAS"),
    Flag("label-file", "", LIST, "Read in a line delimited file of labels"),
    Flag("log-driver", "", STRING, "Logging driver for the container (json-file|local|none)", "log_driver"),
    Flag("log-opt", "", PAIRS, "Log driver options", "log_options"),
    Flag("mac-address", "", STRING, "Container MAC address (e.g., 92:d0:c6:0a:29:33)"),
    Flag("memory", "m", BYTES, "Memory limit", "memory_bytes"),
    Flag("memory-reservation", "", BYTES, "Memory soft limit", "memory_reservation_bytes"),
    Flag("memory-swap", "", SWAP, "Swap limit equal to memory plus swap: '-1' to enable unlimited swap",
         "memory_swap_bytes"),
    Flag("memory-swappiness", "", SWAPPINESS, "Tune container memory swappiness (0 to 100)", "memory_swappiness",
         default=-1),
    Flag("monotonic", "", INT, "Seconds that the container's monotonic clock is ahead, in a time namespace of its own",
         "monotonic_offset_s"),
    Flag("mount", "", MOUNT, "Attach a filesystem mount to the container: type=bind|volume|tmpfs, source=..., "
         "target=..., readonly, idmap, ... with commas and no spaces between them", "mounts"),
    Flag("name", "", STRING, "Assign a name to the container", "name"),
    Flag("network", "", NETWORK, "Connect a container to a network (NAME|none|host|container:NAME); without it: the "
         "network bridge, where this machine can have one", also="net"),
    Flag("network-alias", "", LIST, "Add network-scoped alias for the container", also="net-alias"),
    Flag("oom-kill-disable", "", BOOL, "Disable OOM Killer", "oom_kill_disable"),
    Flag("no-healthcheck", "", BOOL, "Disable any container-specified HEALTHCHECK"),
    Flag("oom-score-adj", "", INT, "Tune host's OOM preferences (-1000 to 1000)", "oom_score_adj"),
    Flag("pid", "", PID_MODE, "PID namespace to use", "pid_mode"),
    Flag("pids-limit", "", INT, "Tune container pids limit (set -1 for unlimited)", "pids_limit"),
    Flag("platform", "", STRING, "Set platform, for an image of several", "platform"),
    Flag("privileged", "", BOOL, "Give extended privileges to this container", "privileged"),
    Flag("publish", "p", PUBLISH, "Publish a container's port(s) to the host", "publish"),
    Flag("publish-all", "P", BOOL, "Publish all exposed ports to random ports", "publish_all"),
    Flag("pull", "", PULL, 'Pull image before running ("always", "missing", "never")', default="missing"),
    Flag("quiet", "q", BOOL, "Suppress the pull output"),
    Flag("read-only", "", BOOL, "Mount the container's root filesystem as read only", "read_only"),
    Flag("replace", "", BOOL, "Remove a container that has the name already"),
    Flag("restart", "", RESTART, "Restart policy to apply when a container exits "
         "(no, on-failure[:max-retries], always, unless-stopped)"),
    Flag("rm", "", BOOL, "Automatically remove the container when it exits", "auto_remove"),
    Flag("security-opt", "", SECURITY, "Security options: seccomp=unconfined, seccomp=FILE, no-new-privileges, "
         "systempaths=unconfined, mask=PATH:PATH, unmask=PATH:PATH, unmask=ALL", "security_opt"),
    Flag("shm-size", "", BYTES, "Size of /dev/shm", "shm_size_bytes"),
    Flag("stop-signal", "", STRING, "Signal to stop the container", "stop_signal"),
    Flag("stop-timeout", "", SECONDS, "Timeout (in seconds) to stop a container", "stop_timeout_s"),
    Flag("storage-opt", "", PAIRS, "Storage driver options for the container (refused: overlayfs has none)",
         "storage_opt"),
    Flag("sysctl", "", SYSCTL, "Sysctl options", "sysctls"),
    Flag("timeout", "", INT, "Seconds that the container may run; then it is killed (0: as long as it likes)",
         "timeout_s"),
    Flag("tmpfs", "", TMPFS, "Mount a tmpfs directory", "tmpfs"),
    Flag("tty", "t", BOOL, "Allocate a pseudo-TTY", "tty"),
    Flag("tz", "", STRING, "Time zone, such as Europe/Paris, or local for the host's", "timezone"),
    Flag("uidmap", "", ID_RANGE, "User ids of a user namespace of its own, CONTAINER:HOST:SIZE", "uid_map"),
    Flag("ulimit", "", ULIMIT, "Ulimit options", "ulimits"),
    Flag("umask", "", UMASK, "Umask of the container's first process (default 0022)", "umask"),
    Flag("unsetenv", "", LIST, "Unset an environment variable that the image sets"),
    Flag("user", "u", STRING, "Username or UID (format: <name|uid>[:<group|gid>])", "user"),
    Flag("userns", "", USERNS_MODE, "User namespace to use (host|private|container:NAME)", "userns_mode"),
    Flag("uts", "", UTS_MODE, "UTS namespace to use", "uts_mode"),
    Flag("volume", "v", VOLUME_KIND, "Bind mount a volume"),
    Flag("volume-driver", "", STRING, "Optional volume driver for the container", "volume_driver"),
    Flag("volumes-from", "", VOLUMES_FROM, "Mount volumes from the specified container(s)", "volumes_from"),
    Flag("workdir", "w", STRING, "Working directory inside the container", "working_dir"),
)

RUN_FLAGS = (
    *CREATE_FLAGS,
    Flag("detach", "d", BOOL, "Run container in background and print container ID"),
    Flag("detach-keys", "", STRING, "Override the key sequence for detaching a container"),
    Flag("dry-run", "", BOOL, "Print the plan, every step that would make the container, and do nothing"),
    Flag("explain", "", BOOL, "Run it, then print every real call to the kernel with its cost"),
    Flag("sig-proxy", "", BOOL, "Proxy received signals to the process", default=True),
)

RECORD = Flag("record", "", STRING, "Keep what was done in a file, for `container replay`")

LATER = frozenset(
    (
        "link-local-ip",
    )
)
"""Docker's options that the engine does not obey yet."""
# fmt: on


def container_options(parsed: Parsed) -> ContainerOptions:
    """Return what `run` or `create` was asked for.

    Raises:
        UsageError: an --env-file or --label-file that cannot be read.
    """
    image, *command = parsed.args
    fields = {flag.field: parsed[flag.name] for flag in CREATE_FLAGS if flag.field and flag.name in parsed.given}
    fields |= _network(parsed)
    if fields.get("uid_map") or fields.get("gid_map"):
        fields.setdefault("userns_mode", "private")
    return ContainerOptions(
        image,
        tuple(command),
        env=(
            *(name.partition("=")[0] for name in parsed["unsetenv"]),
            *read_env_files(parsed["env-file"]),
            *parsed["env"],
        ),
        labels={**read_label_files(parsed["label-file"]), **parsed["label"]},
        binds=tuple(text for text in parsed["volume"] if ":" in text),
        volumes=tuple(text for text in parsed["volume"] if ":" not in text),
        health_test=_health_test(parsed),
        restart_policy=parsed["restart"][0],
        restart_retries=parsed["restart"][1],
        stdin_once=parsed["interactive"] and not (parsed.get("detach")),
        **fields,
    )


def _network(parsed: Parsed) -> dict[str, object]:
    """Return the fields that say which network a container is in, and as what."""
    found: dict[str, object] = dict(parsed["network"])
    for name, field in (("ip", "ip"), ("ip6", "ip6"), ("mac-address", "mac_address")):
        if parsed[name]:
            if field in found:
                raise UsageError(f"conflicting options: cannot specify both --{name} and per-network {name}")
            found[field] = parsed[name]
    if parsed["link"]:
        found["links"] = parsed["link"]
    if parsed["network-alias"]:
        if "network_aliases" in found:
            message = "conflicting options: cannot specify both --network-alias and per-network alias"
            raise UsageError(message)
        found["network_aliases"] = parsed["network-alias"]
    return found


def _health_test(parsed: Parsed) -> tuple[str, ...]:
    """Return the test of a health check as the API has it, of --health-cmd and --no-healthcheck."""
    given = [name for name in parsed.given if name.startswith("health-") and name != "health-on-failure"]
    if parsed["no-healthcheck"]:
        if given:
            raise UsageError("--no-healthcheck conflicts with --health-* options")
        return ("NONE",)
    for name in ("interval", "timeout", "retries", "start-period", "start-interval"):
        if parsed[f"health-{name}"] < 0:
            raise UsageError(f"--health-{name} cannot be negative")
    return ("CMD-SHELL", parsed["health-cmd"]) if parsed["health-cmd"] else ()
