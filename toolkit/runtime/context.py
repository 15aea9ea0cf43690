"""What the steps of one plan share in the process that carries them out: descriptors and who it is."""

import os

from toolkit.core.record import Protocol
from toolkit.runtime.steps.base import INIT, OUTSIDE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from toolkit.linux.sock import Socket
    from toolkit.runtime.channel import Message
    from toolkit.runtime.steps.waiting import RunHooks
    from toolkit.trace import Event

NO_STDIO = (-1, -1, -1)


class Reports(Protocol):
    """Where the process that becomes the program says how it goes on."""

    def born(self, pid: int) -> None:
        """Say that it has been made."""

    def is_heard(self) -> bool:
        """Tell whether there is still somebody to say it to."""
        raise NotImplementedError

    def master(self, fd: int) -> None:
        """Give away the master end of its terminal."""

    def executing(self, event: "Event | None") -> None:
        """Say that execve comes next: the end of the stream will say that it worked.

        Args:
            event: of that call; None where nobody records.
        """

    def failed(self, message: "Message") -> None:
        """Say which step failed, and how; see `channel.failure`."""


class Creator(Protocol):
    """The command that makes a container which another command starts, seen from init; see `runtime.oci`."""

    def run_hooks(self, step: "RunHooks") -> None:
        """Have it run hooks outside, and wait until they are done."""

    def take_listener(self, fd: int) -> None:
        """Have it take the descriptor that tells of system calls, and hand it to whoever answers for them."""

    def await_start(self) -> None:
        """Tell it that all is ready but the program, and wait for the word to start."""


class Context:
    """The state of a plan under way; see the attributes."""

    __slots__ = (
        "actor",
        "candidates",
        "creator",
        "execve",
        "handed",
        "home",
        "pid",
        "reports",
        "root_fd",
        "stdio",
        "succeed",
        "target_pidfd",
        "turn",
    )

    def __init__(
        self, actor: str, reports: Reports, stdio: tuple[int, int, int], creator: Creator | None = None
    ) -> None:
        self.actor = actor
        """OUTSIDE or INIT."""
        self.pid = 0
        """The container's first process, once it is made, as the outside sees it."""
        self.reports = reports
        self.turn: Socket | None = None
        """Leads to the other actor, where there are two."""
        self.succeed: Callable[[int], int] | None = None
        """Makes a successor of this process, born with these flags, see `linux.keeper`; None: it forks."""
        self.execve: Callable[[str, tuple[str, ...], dict[str, str]], None] | None = None
        """Becomes the program, and leaves the memory to its keeper; None: there is none."""
        self.stdio = stdio
        """What becomes the process's descriptors 0, 1 and 2 where it has no terminal; else -1 each."""
        self.handed: list[int] = []
        """Descriptors that the outside has made for init; they go over with its turn."""
        self.root_fd = -1
        """The new root directory, once it is mounted and until it is `/`."""
        self.creator = creator
        """Who makes the container for another to start; None: a monitor starts it."""
        self.candidates: tuple[str, ...] | None = None
        """Paths to try for the program, where they have been found ahead of its execve."""
        self.home = ""
        """What HOME is to be, where the program's environment does not say; empty: it is left out."""
        self.target_pidfd = -1
        """For exec: the process whose namespaces are joined."""

    def become_init(self, turn: "Socket") -> None:
        """Turn this copy into the new process's."""
        self.actor = INIT
        self.turn = turn

    def stay_outside(self, turn: "Socket") -> None:
        """Note the way to the new process; its pipes, and what it has inherited for itself, are no longer ours."""
        self.actor = OUTSIDE
        self.turn = turn
        for fd in {*self.stdio, *self.handed}:
            if fd >= 0:
                os.close(fd)
        self.stdio = NO_STDIO
        self.handed.clear()

    def adopt(self, pid: int) -> None:
        """Note a process that another runtime has made; its pipes are no longer ours."""
        for fd in {*self.stdio} - {-1}:
            os.close(fd)
        self.stdio = NO_STDIO
        self.pid = pid
        self.reports.born(pid)

    def close(self) -> None:
        """Let go of the way to the other actor."""
        if self.turn is not None:
            self.turn.close()
