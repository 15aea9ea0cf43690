"""What a monitor is told by whoever starts its container: packets of one kind byte and a body, with descriptors.

    HANDOVER   all that the monitor will need once the program runs
    STARTED    the frame that says to whoever asked that the program runs
    STATUS     path of the status file, which lies beside it already, under its name with .new
    JOURNAL    the event that the program runs, to be written down when it does
    TERMINAL   the master end of the program's terminal
    EXECUTING  execve comes next; the end of the stream then says that it worked
    FAILED     the start has failed: undo it
    OUTSIDE    the plan needs someone who stays outside: begin again with one
    PROCESS    the container's first process, where a starter has made it: its pid

The body of a HANDOVER is laid out so that the monitor can use it without
running much code: see `monitor`.
"""

import os
import struct

from toolkit.core import clock, document
from toolkit.core.record import NamedTuple
from toolkit.linux import lock, sock
from toolkit.runtime import frames, journal, remains
from toolkit.runtime.context import NO_STDIO
from toolkit.runtime.meeting import ATTACH_SOCKET, STATUS_FILE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.runtime.request import Request

HANDOVER, TERMINAL, EXECUTING, FAILED, OUTSIDE, PROCESS = b"H", b"T", b"E", b"F", b"O", b"P"
STARTED, STATUS, JOURNAL = b"S", b"N", b"J"

_LOG_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
_QUIET = ("lock_fd", "log_fd")
"""Descriptors on which nothing ever happens; they are sent first, and the connection after them."""
_WATCHED = ("connection_fd", "listener_fd", "stdin_fd", "stdout_fd", "stderr_fd")
_LAYOUT = struct.Struct("<cBB7i6?")
"""The kind, how many bytes of the descriptors are of quiet ones, at which byte the connection is, then the fields."""
TENDED_AT = _LAYOUT.size - 1
"""Where in a HANDOVER stands whether there is more to do than to wait."""
ATTACHED_AT = _LAYOUT.size - 2
"""Where in a HANDOVER stands whether whoever asked stays attached."""
KEEPS_AT = _LAYOUT.size - 6
"""Where in a HANDOVER stands whether the container's mounts are to be kept until its end has been told."""
_FD_BYTES = 4
_TIME_BYTES = 30
_BACKLOG = 16


def send(monitor: sock.Socket, kind: bytes, body: bytes = b"", fds: "tuple[int, ...]" = ()) -> None:
    """Send one packet."""
    sock.send(monitor, [kind, body], fds)


class Handover(NamedTuple):
    """What the monitor needs while the program runs; a descriptor is -1 where there is none."""

    lock_fd: int
    """Holds the lock of the run directory: as long as it is held, the monitor lives."""
    log_fd: int
    connection_fd: int
    listener_fd: int
    stdin_fd: int
    stdout_fd: int
    stderr_fd: int
    keeps_mounts: bool
    is_terminal: bool
    takes_stdin: bool
    stdin_once: bool
    stays_attached: bool
    """Whoever asked is attached from the beginning."""
    is_tended: bool
    """The container needs its monitor from the beginning, not first when something happens."""
    started_at: str
    run_dir: str
    """Where the status file is to appear; empty: nowhere."""
    request: bytes
    """As it came: it is read again at the end."""
    foretold: bytes = b""
    """The event of the start; see `journal.foretell`. It travels alone."""

    @property
    def fds(self) -> tuple[int, ...]:
        """The descriptors that there are, as they are sent."""
        return tuple(fd for name in (*_QUIET, *_WATCHED) if (fd := getattr(self, name)) >= 0)

    def send(self, monitor: sock.Socket) -> None:
        """Pass it on."""
        before = _FD_BYTES * sum(getattr(self, name) >= 0 for name in _QUIET)
        quiet = before if self.stays_attached else before + _FD_BYTES
        head = _LAYOUT.pack(HANDOVER, quiet, before, *self[:13])
        sock.send(monitor, [head, self.started_at.encode(), self.request], self.fds)

    def started(self, pid: int) -> bytes:
        """Return the frame that says to whoever asked that the program runs, as `pid`."""
        return frames.control({"event": "started", "pid": pid, "started_at": self.started_at})

    def announce(self, monitor: sock.Socket, pid: int) -> None:
        """Give the monitor what it needs to tell that the program runs, as `pid`, once it does."""
        if self.run_dir:
            send(monitor, STATUS, f"{self.run_dir}/{STATUS_FILE}".encode())
        if self.foretold:
            send(monitor, JOURNAL, self.foretold)
        send(monitor, STARTED, self.started(pid))

    def write_status(self, pid: int, monitor_pid: int) -> None:
        """Write the status file; the monitor makes it visible when the program runs, as `pid`."""
        if self.run_dir:
            status = {"pid": pid, "monitor": monitor_pid, "started_at": self.started_at}
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            fd = os.open(f"{self.run_dir}/{STATUS_FILE}.new", flags, 0o644)
            try:
                os.write(fd, document.encode(status))
            finally:
                os.close(fd)

    @classmethod
    def decode(cls, data: bytes, rights: bytes) -> "Handover":
        """Return what was sent, with the descriptors as they are called here."""
        _kind, _quiet, _before, *fields = _LAYOUT.unpack_from(data)
        arrived = struct.iter_unpack("i", rights)
        for index in range(len(_QUIET) + len(_WATCHED)):
            if fields[index] >= 0:
                fields[index] = next(arrived)[0]
        rest = _LAYOUT.size + _TIME_BYTES
        return cls._make([*fields, data[_LAYOUT.size : rest].decode(), "", data[rest:], b""])


def prepare(
    request: "Request", request_bytes: bytes, connection: sock.Socket, lock_fd: int
) -> tuple[Handover, tuple[int, int, int]]:
    """Make pipes, socket and log; return what the monitor gets and what becomes the program's stdio.

    Args:
        request: what is to be started.
        request_bytes: the same as it came.
        connection: to whoever asked.
        lock_fd: the locked run directory.

    Raises:
        OSError: of the calls that make them, ENOSPC for one; see `remains.explained`.
    """
    remains.reserve(request)
    stdio, ours = (NO_STDIO, NO_STDIO) if request.tty else _make_pipes(request)
    made = Handover(
        lock_fd=lock_fd,
        log_fd=os.open(request.log, _LOG_FLAGS, 0o640) if request.log else -1,
        listener_fd=_listen(request.run_dir) if request.run_dir else -1,
        connection_fd=connection.fileno(),
        stdin_fd=ours[0],
        stdout_fd=ours[1],
        stderr_fd=ours[2],
        keeps_mounts=request.keeps_mounts,
        is_terminal=request.tty,
        takes_stdin=request.stdin,
        stdin_once=request.stdin_once,
        stays_attached=request.foreground,
        is_tended=request.care is not None or bool(request.log_keeping),
        started_at=clock.now(),
        run_dir=request.run_dir,
        request=request_bytes,
        foretold=_foretell(request),
    )
    return made, stdio


def _foretell(request: "Request") -> bytes:
    if request.actor is None or "execID" in request.actor:
        return b""  # the start of an exec is told by whoever asks for it
    return journal.foretell(request.journal, "container", "start", request.id, request.actor)


def _make_pipes(request: "Request") -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return the program's ends of stdin, stdout and stderr, and the monitor's."""
    read_out, write_out = os.pipe()
    read_err, write_err = os.pipe()
    read_in, write_in = os.pipe() if request.stdin else (os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC), -1)
    return (read_in, write_out, write_err), (write_in, read_out, read_err)


def _listen(run_dir: str) -> int:
    """Listen in a directory whose path may be too long for a socket address; return the socket."""
    directory = lock.open_directory(run_dir)
    try:
        return sock.listen_at(f"/proc/self/fd/{directory}/{ATTACH_SOCKET}", _BACKLOG).detach()
    finally:
        os.close(directory)


def undo_order(request: bytes, message: "dict[str, object]") -> bytes:
    """Return the body of a FAILED packet: what was asked for, and why it came to nothing."""
    return document.encode({"request": request.hex(), "failed": message})
