"""What the steps of one plan share while it is carried out: descriptors and process ids.

One exists in the monitor; the clone copies it into the container's init, where
`become_init` drops what only the monitor may have.
"""

import os

from toolkit.runtime.steps.base import INIT, MONITOR

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket


class Context:
    """The state of a plan under way; see the attributes."""

    __slots__ = (
        "actor",
        "channel",
        "exec_event",
        "master_fd",
        "mine",
        "pid",
        "pidfd",
        "root_fd",
        "stdio",
        "target_pidfd",
        "theirs",
    )

    def __init__(self) -> None:
        self.actor = MONITOR
        self.pid = 0
        """The container's init, as the monitor sees it."""
        self.pidfd = -1
        self.channel: socket.socket | None = None
        """This process's end of the socket between monitor and init."""
        self.mine: socket.socket | None = None
        self.theirs: socket.socket | None = None
        self.root_fd = -1
        """The new root directory, once it is mounted and until it is `/`."""
        self.stdio: tuple[int, int, int] = (-1, -1, -1)
        """What becomes the process's descriptors 0, 1 and 2 where it has no terminal."""
        self.master_fd = -1
        """The terminal's master, once init has opened it."""
        self.target_pidfd = -1
        """For exec: the process whose namespaces are joined."""

    def become_init(self) -> None:
        """Turn this copy into the child's: the monitor's end of the channel goes."""
        assert self.mine is not None
        self.actor = INIT
        self.mine.close()
        self.channel = self.theirs

    def become_parent(self, pid: int, pidfd: int) -> None:
        """Note the child; its end of the channel goes, and its ends of the pipes."""
        assert self.theirs is not None
        self.pid, self.pidfd = pid, pidfd
        self.theirs.close()
        self.channel = self.mine
        for fd in set(self.stdio):
            if fd >= 0:
                os.close(fd)
        self.stdio = (-1, -1, -1)
