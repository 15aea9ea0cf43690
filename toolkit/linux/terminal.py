"""The user's terminal: raw mode and its size.

Pseudo-terminals of containers are in pty.py.
"""

import fcntl
import os
import struct
import termios
from typing import Any, NamedTuple, Self

from toolkit.trace import span


class Size(NamedTuple):
    """A terminal's size in characters."""

    rows: int
    columns: int


def get_window_size(fd: int) -> Size:
    """Return the size of the terminal `fd`.

    Raises:
        SyscallError: ENOTTY if `fd` is no terminal.

    See Also:
        ioctl_tty(2)
    """
    with span("terminal.size", f"ioctl({fd}, TIOCGWINSZ)"):
        packed = fcntl.ioctl(fd, termios.TIOCGWINSZ, b"\0" * 8)
    rows, columns, _, _ = struct.unpack("HHHH", packed)
    return Size(rows, columns)


def get_attributes(fd: int) -> list[Any]:
    """Return the attributes of the terminal `fd`, for `set_attributes` to put back.

    Raises:
        SyscallError: ENOTTY if `fd` is no terminal.
    """
    with span("terminal.get", f"tcgetattr({fd})"):
        try:
            return termios.tcgetattr(fd)
        except termios.error as exc:
            raise OSError(*exc.args) from exc


def set_attributes(fd: int, attributes: list[Any]) -> None:
    """Give the terminal `fd` these attributes once its output has drained, dropping no input."""
    with span("terminal.set", f"tcsetattr({fd}, TCSADRAIN)"):
        try:
            termios.tcsetattr(fd, termios.TCSADRAIN, attributes)
        except termios.error as exc:
            raise OSError(*exc.args) from exc


def make_raw(attributes: list[Any]) -> list[Any]:
    """Return `attributes` changed so that every byte passes as it is, as cfmakeraw(3) does.

    Pure.  Output processing stays off too: the container's own terminal does it.
    """
    iflag, oflag, cflag, lflag, ispeed, ospeed, special = attributes
    iflag &= ~(
        termios.IGNBRK
        | termios.BRKINT
        | termios.PARMRK
        | termios.ISTRIP
        | termios.INLCR
        | termios.IGNCR
        | termios.ICRNL
        | termios.IXON
    )
    oflag &= ~termios.OPOST
    lflag &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    cflag = cflag & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    characters = list(special)
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    return [iflag, oflag, cflag, lflag, ispeed, ospeed, characters]


class RawMode:
    """Holds a terminal in raw mode for a `with` block; gives it back as it was, whatever happens."""

    def __init__(self, fd: int) -> None:
        """Prepare to change the terminal `fd`."""
        self._fd = fd

    def __enter__(self) -> Self:
        self._before = get_attributes(self._fd)
        set_attributes(self._fd, make_raw(self._before))
        return self

    def __exit__(self, *_exc: object) -> None:
        if os.isatty(self._fd):  # it may have gone away (a closed window): nothing left to restore
            set_attributes(self._fd, self._before)
