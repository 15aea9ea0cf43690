"""The starter: stays outside and sees a plan through that needs someone there.

Forked by a monitor when the worker in reserve will not do: for a user namespace
(whose ids must be mapped from outside), for an exec (whose process is born in
another's pid namespace), and for whoever wants to stop between two steps.  The
process that it makes is its sibling, so the monitor is its parent.  When the
program runs it hands over to the monitor and goes; when the start fails it
undoes it, in the order of ownership.
"""

import os
import select
import sys
import time

from toolkit.core.errors import EngineError, StartError
from toolkit.linux import keyring, process, signals, sock
from toolkit.runtime import channel, frames, handover, remains, steps
from toolkit.runtime.context import Context
from toolkit.runtime.perform import Watcher, carry_out
from toolkit.runtime.request import Request
from toolkit.trace import Event, Recorder, wire
from toolkit.trace.recorder import set_current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


class ToStarter:
    """The reports of the process that the starter makes: JSON messages, see `channel`."""

    def __init__(self, starter: sock.Socket) -> None:
        self._sock = starter

    def born(self, pid: int) -> None:
        """Nothing: the starter has made it, so it knows."""

    def is_heard(self) -> bool:
        """Tell whether the starter lives."""
        return not sock.has_ended(self._sock)

    def master(self, fd: int) -> None:
        """Give the terminal's master to the starter."""
        channel.send(self._sock, {"master": True}, (fd,))

    def executing(self, event: Event | None) -> None:
        """Say that execve comes next."""
        channel.send(self._sock, {"exec": None if event is None else event.to_json()})

    def failed(self, message: channel.Message) -> None:
        """Say why it went no further."""
        channel.send(self._sock, {"failed": message})


def begin(request: bytes, fds: list[int], monitor: sock.Socket) -> "NoReturn":
    """Be the starter for a request.

    Args:
        request: as it came.
        fds: the connection to whoever asked, and the lock of the run directory if there is one.
        monitor: the way to it.
    """
    try:
        process.set_parent_death_signal(signals.SIGKILL)
        Start(request, fds).run(monitor)
    except BaseException as exc:  # noqa: BLE001 - this process must end here; a bug goes to the zygote's log
        sys.excepthook(type(exc), exc, exc.__traceback__)
    os._exit(0)


class Start:
    """One start under way, seen by whoever carries out the outside's part of its plan."""

    def __init__(self, request: bytes, fds: list[int]) -> None:
        """Begin with what `begin` was given."""
        self._request_bytes = request
        self._request = Request.decode(request)
        self._connection = sock.adopt(fds[0])
        self._lock_fd = fds[1] if len(fds) > 1 else -1
        self.pid = 0
        self.pidfd = -1
        self.master_fd = -1
        """Of the program's terminal, if it has one."""
        self.executing = b""
        """The event of the execve, as JSON, where somebody records."""

    def run(self, monitor: sock.Socket) -> None:
        """Start the program and hand over to the monitor, or undo and tell why."""
        made = self.make((monitor.fileno(),))
        if made is None:
            return
        handover.send(monitor, handover.PROCESS, str(self.pid).encode())
        if self.master_fd >= 0:
            handover.send(monitor, handover.TERMINAL, b"", (self.master_fd,))
        made.send(monitor)
        made.announce(monitor, self.pid)
        handover.send(monitor, handover.EXECUTING, self.executing)

    def make(self, not_inits: tuple[int, ...] = ()) -> handover.Handover | None:
        """Start the program; return what its monitor needs, or None where it is undone and whoever asked knows why."""
        keyring.join_session()  # else those whose quota of keys is used up would share the one of their zygote
        process.set_dumpable(0)  # so the process that it makes is born so, where others may be who look at it
        try:
            made, stdio = handover.prepare(self._request, self._request_bytes, self._connection, self._lock_fd)
            self._start(made, stdio, not_inits)
            made.write_status(self.pid, os.getppid())
        except (EngineError, OSError) as exc:
            if self.pid:
                _kill_and_wait(self.pidfd)
            why = exc if isinstance(exc, EngineError) else remains.explained(exc)
            remains.undo(self._request, why, self._lock_fd, self._connection)
            return None
        return made

    def _start(self, made: handover.Handover, stdio: tuple[int, int, int], not_inits: tuple[int, ...]) -> None:
        """Carry the plan out; return when the program runs.

        Raises:
            EngineError: as whoever did the step reported it.
        """
        ours, theirs = sock.pair(sock.SOCK_SEQPACKET)
        received = frames.read_exactly_one(self._connection)
        if received is None:
            raise StartError("whoever asked for the start is gone")
        if self._request.trace:
            set_current(Recorder(steps.OUTSIDE))
        plan = steps.decode(received[1])
        context = Context(steps.OUTSIDE, ToStarter(theirs), stdio)
        watcher = Watcher(self._connection, is_gated=self._request.gated)
        not_inits = (ours.fileno(), *not_inits, *(fd for fd in made.fds if fd != made.connection_fd))
        try:
            carry_out(plan, 0, context, watcher, not_inits=not_inits)
        finally:
            watcher.flush()
            set_current(None)
            theirs.close()
            context.close()
            if context.pid:
                self.pid, self.pidfd = context.pid, process.pidfd_open(context.pid)
        self._await_program(ours)
        ours.close()

    def _await_program(self, reports: sock.Socket) -> None:
        """Take init's reports until execve closes the way they come."""
        executing: channel.Message | None = None
        while True:
            message, fds = channel.receive(reports)
            if message is None:
                break
            if "master" in message:
                self.master_fd = fds[0]
            elif "exec" in message:
                executing = message
            elif "failed" in message:
                raise channel.error_of(message["failed"])
        if executing is None:
            raise StartError("the container's first process died while it was being set up", hint="see its limits")
        if executing["exec"] is not None:
            event = Event.from_json(executing["exec"])
            event = event._replace(cost_ns=time.monotonic_ns() - event.start_ns)
            self.executing = wire.encode([event])


def _kill_and_wait(pidfd: int) -> None:
    """End a process that is the monitor's child: it is dead when its pidfd becomes readable."""
    process.pidfd_send_signal(pidfd, signals.SIGKILL)  # not reaped before we are gone, so it is there
    select.select([pidfd], [], [])
