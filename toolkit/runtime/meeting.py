"""Where the engine, the zygote and the monitors meet: names of files, a descriptor, and the exit record.

Apart from their users, so that a command that only looks (`container ps`)
does not import what starts containers.
"""

from toolkit.core.record import NamedTuple

ATTACH_SOCKET = "attach.sock"
"""In a container's run directory: the monitor listens there."""
CLAIM_FILE = "claim"
"""In a container's run directory: made first, by whoever has just locked it, and taken away last.

A directory without it is one in which nothing has begun yet, or all is done.
"""
STATUS_FILE = "status.json"
"""In a container's run directory: what it does while it runs."""
PAUSED_FILE = "paused"
"""In a container's run directory: its processes are frozen, or are about to be, or to go on."""
ASKED_FILE = "asked"
"""In a container's own directory: what somebody asked for since it was started last, so that its end is no surprise.

"stop" and "restart" keep the restart policy from acting; "signal" does so where that is unless-stopped.
"""
RESTART_FILE = "restart.json"
"""In a container's own directory: its restart policy, if it has one, and how often it was obeyed; see `restart`."""
NETWORKS_FILE = "networks.json"
"""In a container's own directory: the networks that it is in while it runs; see `membership`."""
OUTSIDE_SUFFIX = ".out"
"""Added to the name of a zygote's socket: the one for requests that the pair in reserve is of no use for."""
BACKLOG = 1024


class ExitRecord(NamedTuple):
    """How a container ended; a small JSON file that outlives everything."""

    code: int
    """What the process returned, or 128 + the signal's number."""
    oom_killed: bool
    started_at: str
    finished_at: str
    error: str = ""
