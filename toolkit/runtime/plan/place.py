"""What a plan must know about this host, as values: its cgroup directories, its compiled filter, its layers."""

from toolkit.core.record import NamedTuple


class Cgroup(NamedTuple):
    """The container's place in this host's cgroup trees."""

    directories: tuple[str, ...]
    """To make, parents first."""
    writes: tuple[tuple[str, str], ...] = ()
    """Limits: file and value."""
    device_program: tuple[str, str] = ("", "")
    """On v2: the directory, and the program in base64 that holds the device rules."""
    join_files: tuple[str, ...] = ()
    """Where init writes "0" to get in."""
    mounts: tuple[tuple[str, str, str], ...] = ()
    """What the container sees: directory below /sys/fs/cgroup ("" for itself), type, mount data."""
    sources: tuple[str, ...] = ()
    """What a container without a cgroup namespace sees on v1, bound: the group's directory for each of `mounts`."""
    links: tuple[tuple[str, str], ...] = ()
    """Names below /sys/fs/cgroup for controllers that share a hierarchy."""


class Filter(NamedTuple):
    """A compiled seccomp filter."""

    program: str
    """BPF in base64."""
    flags: int
    instructions: int
    profile: str
    """What it was compiled from, for people."""


class OverlayRoot(NamedTuple):
    """A root file system to be laid together by init, in its own mount namespace."""

    lower: tuple[str, ...]
    """Unpacked layers, the topmost first."""
    upper: str
    work: str
    options: tuple[str, ...]
    target: str
    """An empty directory to mount it on."""
    base: str = ""
    """A directory that `lower`, `upper` and `work` all lie below; needed for a user namespace only."""


class Creation(NamedTuple):
    """How the OCI command line makes a container: for another command to start, with the caller's stdio, no monitor."""

    start_fifo: str
    """Where init waits for the word to start; empty: it does not wait (an exec)."""
    state: str = ""
    """The state that hooks get, as JSON, but for status and pid."""
    kept_fds: int = 0
    """How many descriptors, from 3 on, the program inherits."""
    has_keyring: bool = True
    """It gets a session keyring of its own; False: it keeps the caller's (--no-new-keyring)."""
    pivots: bool = True
    """False where the root is to be moved instead (--no-pivot)."""


class ExecTarget(NamedTuple):
    """The running container that an exec goes into."""

    pid: int
    start_time: int
    namespaces: tuple[str, ...]
    """The kinds in which it differs from the engine, as /proc/PID/ns names them."""
    cgroup_join_files: tuple[str, ...]
    root: tuple[int, int] = (0, 0)
    """The host's uid and gid of its root."""


NO_CGROUP = Cgroup(())
