"""Pseudo-terminals: a container with a terminal gets one from its own devpts."""

import fcntl
import os
import struct
import termios

from toolkit.linux.file import open_file
from toolkit.trace import span


def open_master(path: str) -> tuple[int, int]:
    """Open a new pseudo-terminal through the ptmx at `path`: its master and its number, unlocked.

    See Also:
        pty(7), ioctl_tty(2)
    """
    master = open_file(path, os.O_RDWR | os.O_NOCTTY)
    try:
        with span("pty.number", f"ioctl({master}, TIOCGPTN, [0])"):
            number: int = struct.unpack("I", fcntl.ioctl(master, 0x80045430, b"\0" * 4))[0]
        with span("pty.unlock", f"ioctl({master}, TIOCSPTLCK, [0])"):
            fcntl.ioctl(master, 0x40045431, struct.pack("i", 0))
    except OSError:
        os.close(master)
        raise
    return master, number


def set_controlling_terminal(fd: int) -> None:
    """Make the terminal `fd` the controlling one of this session."""
    with span("pty.controlling", f"ioctl({fd}, TIOCSCTTY, 0)"):
        fcntl.ioctl(fd, termios.TIOCSCTTY, 0)


def set_window_size(fd: int, rows: int, columns: int) -> None:
    """Tell a terminal its size in characters; its foreground processes get SIGWINCH."""
    with span("pty.size", f"ioctl({fd}, TIOCSWINSZ, {{ws_row={rows}, ws_col={columns}, ws_xpixel=0, ws_ypixel=0}})"):
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
