"""Connecting the user's streams to a container's: stdin in, stdout and stderr out, signals and sizes along.

One poll loop, no threads.  The terminal is raw only inside `connect`, and is
given back as it was however that ends.
"""

import os
import select
import time
from contextlib import ExitStack

from toolkit.cli.detach import KeyWatcher
from toolkit.cli.session import STDERR, STDOUT, Session
from toolkit.cli.signals import PROXIED, SignalPipe
from toolkit.core.record import NamedTuple
from toolkit.linux.signals import SIGINT, SIGKILL, SIGTERM, SIGWINCH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from toolkit.engine import Attachment

_CHUNK = 64 * 1024
_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR
_MAX_FORWARDED = 3
_GRACE_S = 1.0


class Wishes(NamedTuple):
    """How to connect."""

    stdin: bool
    """Pass the user's input on."""
    tty: bool
    """The container has a terminal: the user's goes into raw mode, if it is one."""
    detach_keys: bytes
    outputs: frozenset[str] = frozenset(("stdout", "stderr"))
    """Which of the container's outputs to show."""
    kill: "Callable[[int], None] | None" = None
    """Sends a signal to the container; None: signals are not passed on."""
    interrupt: "Callable[[int], None] | None" = None
    """Sends a signal to what a notebook's cell waits for, when the cell is interrupted; None: leave it alone."""


class DetachedError(Exception):
    """The user typed the detach keys."""


class TerminatedError(Exception):
    """A signal ended the command, not the container."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.exit_code = 128 + number


def connect(session: Session, attachment: "Attachment", wishes: Wishes) -> None:
    """Carry bytes both ways until the container's process has ended.

    Raises:
        DetachedError: the user left.
        TerminatedError: a signal came that is not the container's.
    """
    with ExitStack() as stack:
        signals = None
        if session.owns_process:
            signals = stack.enter_context(SignalPipe((*PROXIED, SIGWINCH)))
        if wishes.tty and wishes.stdin and session.stdin_is_tty:
            from toolkit.linux.terminal import RawMode

            fd = session.stdin_fd()
            if fd is not None:
                stack.enter_context(RawMode(fd))
        _Loop(session, attachment, wishes, signals).run()


class _Loop:
    def __init__(self, session: Session, attachment: "Attachment", wishes: Wishes, signals: SignalPipe | None) -> None:
        self._session = session
        self._attachment = attachment
        self._wishes = wishes
        self._signals = signals
        self._watcher = KeyWatcher(wishes.detach_keys) if wishes.tty else None
        self._poll = select.poll()
        self._forwarded = 0
        self._kill_at_s: float | None = None
        self._input_fd: int | None = None
        self._text: BinaryIO | None = None
        self._is_blocked = False
        """The container does not take its stdin at the moment: no more is read until it does."""

    def run(self) -> None:
        attachment = self._attachment
        self._poll.register(attachment.fileno(), select.POLLIN)
        if self._signals is not None:
            self._poll.register(self._signals.fd, select.POLLIN)
        if self._wishes.tty:
            self._resize()
        self._open_stdin()
        if attachment.has_output() and self._read_output():  # came with the news of the start: nothing left to poll
            return
        while True:
            try:
                if self._step():
                    return
            except KeyboardInterrupt:  # in a notebook; a shell's signals come through the pipe
                self._interrupt()

    def _step(self) -> bool:
        """Wait for something and handle it; tell whether that was the end."""
        for fd, events in self._poll.poll(self._patience_ms()):
            if fd == self._attachment.fileno():
                if events & select.POLLOUT:
                    self._unblock()
                if events & _READABLE and self._read_output():
                    return True
            elif fd == self._input_fd and not self._is_blocked:
                self._read_stdin(fd)
            elif self._signals is not None:
                for number in self._signals.take():
                    self._take_signal(number)
        return False

    def _patience_ms(self) -> float | None:
        """Return how long to wait; once the grace after an interrupt is over, kill the process, also a busy one."""
        if self._kill_at_s is None:
            return None
        left_s = self._kill_at_s - time.monotonic()
        if left_s > 0:
            return left_s * 1000
        if self._wishes.interrupt is not None:
            self._wishes.interrupt(SIGKILL)
        self._kill_at_s = None
        return None

    def _read_output(self) -> bool:
        while True:
            output = self._attachment.read()
            if output is None:
                return True
            if output.stream in self._wishes.outputs:
                self._session.write(STDERR if output.stream == "stderr" else STDOUT, output.data)
            if not self._attachment.has_output():
                return False

    def _open_stdin(self) -> None:
        """Begin to watch stdin, or to send the text that takes its place in a notebook."""
        if not self._wishes.stdin:
            return
        self._input_fd = self._session.stdin_fd()
        if self._input_fd is not None:
            self._poll.register(self._input_fd, select.POLLIN)
            return
        self._text = self._session.stdin
        if self._text is None:
            self._offered(self._attachment.close_stdin(wait=False))
        self._send_text()

    def _send_text(self) -> None:
        while self._text is not None and not self._is_blocked:
            data = self._text.read(_CHUNK)
            if data:
                self._offered(self._attachment.write_stdin(data, wait=False))
            else:
                self._text = None
                self._offered(self._attachment.close_stdin(wait=False))

    def _offered(self, all_went: bool) -> None:  # noqa: FBT001 - what the attachment's methods return
        """Stop reading input if the container does not take what was offered."""
        if all_went or self._is_blocked:
            return
        self._is_blocked = True
        self._poll.modify(self._attachment.fileno(), select.POLLIN | select.POLLOUT)
        if self._input_fd is not None:
            self._poll.unregister(self._input_fd)

    def _unblock(self) -> None:
        """Go on with the input once all that was offered has been taken."""
        if not self._attachment.flush():
            return
        self._is_blocked = False
        self._poll.modify(self._attachment.fileno(), select.POLLIN)
        if self._input_fd is not None:
            self._poll.register(self._input_fd, select.POLLIN)
        self._send_text()

    def _read_stdin(self, fd: int) -> None:
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:  # somebody else who has it open was quicker
            return
        except OSError:  # EIO: the terminal is gone
            data = b""
        if not data:
            self._poll.unregister(fd)
            self._input_fd = None
            self._offered(self._attachment.close_stdin(wait=False))
            return
        is_complete = False
        if self._watcher is not None:
            data, is_complete = self._watcher.feed(data)
        if data:
            self._offered(self._attachment.write_stdin(data, wait=False))
        if is_complete:
            raise DetachedError

    def _take_signal(self, number: int) -> None:
        if number == SIGWINCH:
            if self._wishes.tty:
                self._resize()
            return
        self._forward(number)

    def _forward(self, number: int) -> None:
        """Pass a signal on; the third of those that ask to end ends the command, as docker's does."""
        if self._wishes.kill is None:
            raise TerminatedError(number)
        if number in (SIGINT, SIGTERM):
            self._forwarded += 1
            if self._forwarded >= _MAX_FORWARDED:
                raise TerminatedError(number)
        self._wishes.kill(number)

    def _interrupt(self) -> None:
        """End what a notebook's cell is waiting for: ask the process, and kill it if it does not listen."""
        if self._wishes.interrupt is None:
            raise TerminatedError(SIGINT)
        self._wishes.interrupt(SIGINT)
        self._kill_at_s = self._kill_at_s or time.monotonic() + _GRACE_S

    def _resize(self) -> None:
        from toolkit.linux.terminal import get_window_size

        fd = self._session.terminal_fd()
        if fd is not None:
            rows, columns = get_window_size(fd)
            self._offered(self._attachment.resize(rows, columns, wait=False))
