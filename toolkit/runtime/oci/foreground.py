"""Staying with a process until it ends: its signals, its terminal, its exit code."""

import errno
import os
import select
import signal
from typing import Self

from toolkit.linux import process, pty, terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

_NOT_PASSED_ON = frozenset(
    (
        *(signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGPIPE, signal.SIGURG),
        *(signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTTIN, signal.SIGTTOU),
    )
)
_CHUNK = 64 * 1024


class Foreground:
    """Passes signals on to a process that is made while this is open; gives them back at the end."""

    def __init__(self) -> None:
        self._pidfd = -1
        self._master = -1
        self._pending: list[int] = []
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        for number in signal.valid_signals() - _NOT_PASSED_ON:
            if number < signal.SIGRTMIN:
                self._before[number] = signal.signal(number, self._pass_on)
        return self

    def __exit__(self, *_exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal() itself has returned

    def _pass_on(self, number: int, _frame: "FrameType | None") -> None:
        if self._pidfd < 0:
            self._pending.append(number)
        elif number == signal.SIGWINCH and self._master >= 0:
            self._resize()
        else:
            try:
                process.pidfd_send_signal(self._pidfd, number)
            except OSError as exc:
                if exc.errno != errno.ESRCH:
                    raise

    def follow(self, pidfd: int, master: int) -> int:
        """Wait for a child to end; return its exit code, or 128 and its signal's number.

        Args:
            pidfd: the process.
            master: its terminal's master end, -1 for none; closed at the end.
        """
        self._pidfd, self._master = pidfd, master
        for number in self._pending:
            self._pass_on(number, None)
        if master < 0:
            select.select([pidfd], [], [])
        elif os.isatty(0):
            self._resize()
            with terminal.RawMode(0):
                self._carry()
        else:
            self._carry()
        info = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        os.close(pidfd)
        self._pidfd = -1
        if info is None:
            raise RuntimeError("a child that has ended has no status")
        return info.si_status if info.si_code == os.CLD_EXITED else 128 + info.si_status

    def _resize(self) -> None:
        try:
            size = terminal.get_window_size(0)
        except OSError as exc:
            if exc.errno != errno.ENOTTY:
                raise
            return
        pty.set_window_size(self._master, *size)

    def _carry(self) -> None:
        """Carry bytes between stdin, the terminal and stdout until the process has ended and all is read."""
        poll = select.poll()
        for fd in (0, self._master, self._pidfd):
            poll.register(fd, select.POLLIN)
        has_ended = False
        while True:
            ready = dict(poll.poll(0 if has_ended else None))
            if self._master in ready:
                if not self._copy(self._master, 1):
                    break
            elif has_ended:
                break
            if 0 in ready and not self._copy(0, self._master):
                poll.unregister(0)
            has_ended = has_ended or self._pidfd in ready
        os.close(self._master)
        self._master = -1

    @staticmethod
    def _copy(source: int, target: int) -> bool:
        try:
            data = os.read(source, _CHUNK)
        except OSError as exc:
            if exc.errno != errno.EIO:  # a terminal whose last slave is closed
                raise
            return False
        while data:
            written = os.write(target, data)
            if written == len(data):
                return True
            data = data[written:]
        return False
