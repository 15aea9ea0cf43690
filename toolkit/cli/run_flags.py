"""The options of `run` and `create`, as data, and how they become ContainerOptions.

Adding an option is one line of the table: its `field` names the field of
ContainerOptions that it fills.  An option that the engine does not obey yet
must not be here: an unknown flag is honest, an ignored one is not.
"""

from toolkit.cli.flags import BOOL, INT, LIST, STRING, Flag, Parsed
from toolkit.cli.kinds import (
    BYTES,
    CGROUPNS_MODE,
    CPUS,
    ENTRYPOINT,
    ENV,
    IPC_MODE,
    LABEL,
    NETWORK,
    PID_MODE,
    PULL,
    SECONDS,
    SECURITY,
    SWAP,
    SYSCTL,
    TMPFS,
    ULIMIT,
    USERNS_MODE,
    UTS_MODE,
    read_env_files,
    read_label_files,
)
from toolkit.engine.options import ContainerOptions

# fmt: off
CREATE_FLAGS = (
    Flag("boottime", "", INT, "Seconds that the container's boot time clock is ahead, in a time namespace of its own",
         "boottime_offset_s"),
    Flag("cap-add", "", LIST, "Add Linux capabilities", "cap_add"),
    Flag("cap-drop", "", LIST, "Drop Linux capabilities", "cap_drop"),
    Flag("cgroupns", "", CGROUPNS_MODE, "Cgroup namespace to use (host|private)", "cgroupns_mode"),
    Flag("cidfile", "", STRING, "Write the container ID to the file"),
    Flag("cpu-shares", "c", INT, "CPU shares (relative weight)", "cpu_shares"),
    Flag("cpus", "", CPUS, "Number of CPUs", "nano_cpus"),
    Flag("cpuset-cpus", "", STRING, "CPUs in which to allow execution (0-3, 0,1)", "cpuset_cpus"),
    Flag("cpuset-mems", "", STRING, "MEMs in which to allow execution (0-3, 0,1)", "cpuset_mems"),
    Flag("domainname", "", STRING, "Container NIS domain name", "domainname"),
    Flag("entrypoint", "", ENTRYPOINT, "Overwrite the default ENTRYPOINT of the image", "entrypoint"),
    Flag("env", "e", ENV, "Set environment variables"),
    Flag("env-file", "", LIST, "Read in a file of environment variables"),
    Flag("group-add", "", LIST, "Add additional groups to join", "group_add"),
    Flag("hostname", "h", STRING, "Container host name", "hostname"),
    Flag("interactive", "i", BOOL, "Keep STDIN open even if not attached", "open_stdin"),
    Flag("ipc", "", IPC_MODE, "IPC mode to use", "ipc_mode"),
    Flag("label", "l", LABEL, "Set meta data on a container"),
    Flag("label-file", "", LIST, "Read in a line delimited file of labels"),
    Flag("memory", "m", BYTES, "Memory limit", "memory_bytes"),
    Flag("memory-reservation", "", BYTES, "Memory soft limit", "memory_reservation_bytes"),
    Flag("memory-swap", "", SWAP, "Swap limit equal to memory plus swap: '-1' to enable unlimited swap",
         "memory_swap_bytes"),
    Flag("monotonic", "", INT, "Seconds that the container's monotonic clock is ahead, in a time namespace of its own",
         "monotonic_offset_s"),
    Flag("name", "", STRING, "Assign a name to the container", "name"),
    Flag("network", "", NETWORK, "Network of the container (none|host); without it the container has a network "
         "of its own with nothing but loopback in it", "network", also="net"),
    Flag("oom-score-adj", "", INT, "Tune host's OOM preferences (-1000 to 1000)", "oom_score_adj"),
    Flag("pid", "", PID_MODE, "PID namespace to use", "pid_mode"),
    Flag("pids-limit", "", INT, "Tune container pids limit (set -1 for unlimited)", "pids_limit"),
    Flag("platform", "", STRING, "Set platform, for an image of several", "platform"),
    Flag("privileged", "", BOOL, "Give extended privileges to this container", "privileged"),
    Flag("pull", "", PULL, 'Pull image before running ("always", "missing", "never")', default="missing"),
    Flag("quiet", "q", BOOL, "Suppress the pull output"),
    Flag("read-only", "", BOOL, "Mount the container's root filesystem as read only", "read_only"),
    Flag("rm", "", BOOL, "Automatically remove the container when it exits", "auto_remove"),
    Flag("security-opt", "", SECURITY, "Security options: seccomp=unconfined, seccomp=FILE, no-new-privileges",
         "security_opt"),
    Flag("shm-size", "", BYTES, "Size of /dev/shm", "shm_size_bytes"),
    Flag("stop-signal", "", STRING, "Signal to stop the container", "stop_signal"),
    Flag("stop-timeout", "", SECONDS, "Timeout (in seconds) to stop a container", "stop_timeout_s"),
    Flag("sysctl", "", SYSCTL, "Sysctl options", "sysctls"),
    Flag("tmpfs", "", TMPFS, "Mount a tmpfs directory", "tmpfs"),
    Flag("tty", "t", BOOL, "Allocate a pseudo-TTY", "tty"),
    Flag("ulimit", "", ULIMIT, "Ulimit options", "ulimits"),
    Flag("user", "u", STRING, "Username or UID (format: <name|uid>[:<group|gid>])", "user"),
    Flag("userns", "", USERNS_MODE, "User namespace to use (host|private)", "userns_mode"),
    Flag("uts", "", UTS_MODE, "UTS namespace to use", "uts_mode"),
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


LATER = frozenset(
    (
        "add-host", "annotation", "attach", "a", "blkio-weight", "blkio-weight-device", "cgroup-parent",
        "cpu-period", "cpu-quota", "device", "device-cgroup-rule", "device-read-bps", "device-read-iops",
        "device-write-bps", "device-write-iops", "dns", "dns-option", "dns-search", "expose", "gpus", "health-cmd",
        "health-interval", "health-retries", "health-start-interval", "health-start-period", "health-timeout",
        "init", "ip", "ip6", "link", "link-local-ip", "log-driver", "log-opt", "mac-address", "memory-swappiness",
        "mount", "network-alias", "no-healthcheck", "oom-kill-disable", "publish", "p", "publish-all", "P",
        "restart", "runtime", "storage-opt", "volume", "v", "volume-driver", "volumes-from",
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
    return ContainerOptions(
        image,
        tuple(command),
        env=(*read_env_files(parsed["env-file"]), *parsed["env"]),
        labels={**read_label_files(parsed["label-file"]), **parsed["label"]},
        stdin_once=parsed["interactive"] and not (parsed.get("detach")),
        **fields,
    )
