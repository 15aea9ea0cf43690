"""Bytes, sizes and the exit code, between the guest's command and whoever wanted it.

One poll loop over the sockets that are qemu's lines, without threads.  A line
that its reader does not empty stops the guest's writer, as a pipe does.
"""

import re
import select
import socket
import time
from typing import NamedTuple

from toolkit.core.errors import GuestError, GuestTimeoutError
from toolkit.vm.feed import Feeder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

_CHUNK = 64 * 1024
_KEPT = 64 * 1024
"""How much of the console is kept, to tell what went wrong."""
_POWER_OFF_S = 30.0
_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR


class Lines(NamedTuple):
    """Our ends of the sockets."""

    console: socket.socket
    control: socket.socket
    out: socket.socket
    """With a terminal, that terminal, both ways."""
    err: socket.socket
    in_: socket.socket


class Streams(NamedTuple):
    """The caller's side."""

    write: "Callable[[int, bytes], None]"
    """Takes what the command wrote to its descriptor 1 or 2."""
    stdin: "BinaryIO | None" = None
    """What the command may read."""
    console: "Callable[[bytes], None] | None" = None
    """Takes the messages of the guest's kernel."""
    watch: "tuple[int, Callable[[], None]] | None" = None
    """One more descriptor to poll, and what to do when it is readable; may raise, which ends the machine."""
    size: "Callable[[], tuple[int, int] | None] | None" = None
    """Returns rows and columns of the caller's terminal."""


class Carrier:
    """The loop of one run."""

    def __init__(self, lines: Lines, streams: Streams, *, timeout_s: float | None, has_terminal: bool) -> None:
        """Prepare; nothing is read yet.

        Args:
            lines: to the guest.
            streams: the caller's.
            timeout_s: seconds until the machine is given up, boot included; None: never.
            has_terminal: the command's streams are one terminal, `lines.out`.
        """
        self._lines = lines
        self._streams = streams
        self._has_terminal = has_terminal
        self._timeout_s = timeout_s
        self._deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        self._kept = self._told = b""
        self._code: int | None = None
        self._size: tuple[int, int] | None = None
        self.boot_s: float | None = None
        """Seconds of the guest's clock until the command could start."""
        self._input = lines.out if has_terminal else lines.in_
        self._feeder = Feeder(self._input, streams.stdin, is_terminal=has_terminal)
        self._open: dict[int, tuple[socket.socket, Callable[[bytes], None]]] = {
            lines.console.fileno(): (lines.console, self._take_console),
            lines.control.fileno(): (lines.control, self._take_control),
            lines.out.fileno(): (lines.out, lambda data: streams.write(1, data)),
            lines.err.fileno(): (lines.err, lambda data: streams.write(2, data)),
        }

    @property
    def is_untouched(self) -> bool:
        """Whether nothing has happened yet that could not happen once more."""
        return self.boot_s is None and not self._feeder.has_read

    def run(self) -> int:
        """Carry until the machine is off; return the command's exit code.

        Raises:
            GuestError: the machine ended without telling one.
            GuestTimeoutError: the time was over.
        """
        while self._open:  # qemu's end closes all of them
            self._step()
        if self._code is None:
            raise self._failure()
        return self._code

    def _step(self) -> None:
        for fd, events in self._polled().poll(self._patience_ms()):
            if fd == self._input.fileno() and events & select.POLLOUT:
                self._feeder.send()
            if not events & _READABLE:
                continue
            if fd in self._open:
                self._read(fd)
            elif fd == self._feeder.source:
                self._feeder.read()
            elif self._streams.watch is not None and fd == self._streams.watch[0]:
                self._streams.watch[1]()
                self._resize()
        if self._deadline_s is not None and time.monotonic() >= self._deadline_s:
            raise self._overdue()

    def _polled(self) -> select.poll:
        wanted = dict.fromkeys(self._open, select.POLLIN)
        if self._feeder.source is not None:
            wanted[self._feeder.source] = select.POLLIN
        if self._feeder.is_full:
            wanted[self._input.fileno()] = wanted.get(self._input.fileno(), 0) | select.POLLOUT
        if self._streams.watch is not None:
            wanted[self._streams.watch[0]] = select.POLLIN
        poll = select.poll()
        for fd, events in wanted.items():
            poll.register(fd, events)
        return poll

    def _patience_ms(self) -> float | None:
        return None if self._deadline_s is None else max(self._deadline_s - time.monotonic(), 0) * 1000

    def _read(self, fd: int) -> None:
        line, take = self._open[fd]
        try:
            data = line.recv(_CHUNK)
        except BlockingIOError:
            return
        except ConnectionResetError:  # qemu ended with something unread
            data = b""
        if data:
            take(data)
        else:
            del self._open[fd]

    def _take_console(self, data: bytes) -> None:
        self._kept = (self._kept + data)[-_KEPT:]
        if self._streams.console is not None:
            self._streams.console(data)

    def _take_control(self, data: bytes) -> None:
        *lines, self._told = (self._told + data).split(b"\n")
        for line in lines:
            word, _, value = line.partition(b" ")
            if word == b"up":
                self.boot_s = float(value)
                self._resize()
            elif word == b"exit":
                self._code = int(value)
                self._deadline_s = time.monotonic() + _POWER_OFF_S

    def _resize(self) -> None:
        """Tell the guest the size of the caller's terminal, if it has another one now."""
        if not self._has_terminal or self._streams.size is None or self.boot_s is None:
            return
        size = self._streams.size()
        if size is not None and size != self._size:
            self._size = size
            self._lines.control.sendall(b"%d %d\n" % size)

    # What goes wrong

    def _overdue(self) -> GuestError:
        if self._code is not None:
            return GuestError("the virtual machine does not switch itself off", hint="this is a bug")
        phase = "did not start" if self.boot_s is None else "did not end"
        message = f"the command in the virtual machine {phase} in {self._timeout_s:g} s"
        return GuestTimeoutError(message, hint="give it more with --timeout, or 0 for no limit")

    def _failure(self) -> GuestError:
        text = self._kept.decode(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        ours = re.findall(r"(?:container-vm: |Kernel panic - not syncing: )(.*)", text)
        reason = (ours or lines or ["it said nothing"])[-1]
        message = f"the virtual machine ended before the command did: {reason.strip()}"
        return GuestError(message, hint="see all that its kernel says with --console")
