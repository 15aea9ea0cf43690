"""What a monitor is asked to do, the first frame of a connection to the zygote, and what it leaves behind."""

import marshal

from toolkit.core.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Request(NamedTuple):
    """Look after a process; the plan that makes it comes in the next frame, for another reader.

    Kept small on purpose: it is all that a monitor reads, and a monitor lives long.
    """

    id: str
    """The container's id, or an exec's: for the process name and the messages."""
    tty: bool = False
    stdin: bool = False
    """Keep stdin open for those who attach; else it is /dev/null."""
    stdin_once: bool = False
    """Close stdin when the first one who is attached with it leaves."""
    run_dir: str = ""
    """Where the container's runtime files lie while it runs; empty for an exec."""
    log: str = ""
    """Path of the log; empty: none is kept."""
    log_keeping: "tuple[Any, ...]" = ()
    """How the log is kept: most bytes of a file, most files, and attributes of each line as JSON; empty: plainly."""
    exit_file: str = ""
    """Path for the exit record; empty: none is kept."""
    cgroups: tuple[str, ...] = ()
    """The container's cgroup directories, removed at its end."""
    holder: str = ""
    """Which of them can freeze and kill what is in it; empty: none."""
    oom_file: str = ""
    """Where the kernel counts out-of-memory kills of the container's cgroup."""
    trace: bool = False
    gated: bool = False
    foreground: bool = False
    """Whoever asks is also attached; it is the only one until it has left."""
    keeps_mounts: bool = False
    """All its mounts are the engine's own: they go when its end has been told, which need not wait for that."""
    uses_reserve: bool = False
    """The process that is kept in reserve, born in a new pid namespace, will do: the first steps are done then."""
    successor: tuple[str, ...] = ()
    """A command that the monitor becomes at the end if nobody is attached then (removal of --rm)."""
    is_kept: bool = False
    """The successor removes nothing but what drivers of volumes have mounted: it comes also where somebody is attached,
    and how the container ended is recorded."""
    volumes: "tuple[tuple[str, str], ...]" = ()
    """The volumes of which the end is told as an event, and their drivers."""

    undertaker: tuple[str, ...] = ()
    """Where another runtime keeps its state, and its command that takes away what it has made; empty: it is our own."""

    care: "tuple[Any, ...] | None" = None
    """What else is to be done for it while it runs; see `tending.Care`."""
    journal: str = ""
    """Where the end is written down as an event; empty: nowhere."""
    actor: "dict[str, str] | None" = None
    """What the event says of whose end it is; with execID it is an exec's."""

    def encode(self) -> bytes:
        """Return it as it travels: between processes that run the same code, as `steps.encode` says."""
        return marshal.dumps(tuple(self))

    @classmethod
    def decode(cls, data: bytes) -> "Request":
        """Make a request of what `encode` returned."""
        return cls._make(marshal.loads(data))  # noqa: S302 - from a socket that is root's alone
