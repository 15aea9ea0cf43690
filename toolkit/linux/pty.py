"""Pseudo-terminals: a container with a terminal gets one from its own devpts."""

import fcntl
import os
import struct
import termios

from toolkit.linux.rooted import open_in_root
from toolkit.trace import span

_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441
_IUTF8 = 0o40000
_TERMIOS_BYTES = 36
"""Of the kernel's own struct termios, which begins with c_iflag; the C library's is longer."""
_OPEN = os.O_RDWR | os.O_NOCTTY


def open_master(root_fd: int, path: str) -> int:
    """Open a new pseudo-terminal, unlocked, through the ptmx that `path` is inside a root; return its master.

    Raises:
        SyscallError: ENOENT, or ENOTTY where something else is in its place.

    See Also:
        pty(7), ioctl_tty(2)
    """
    master = open_in_root(root_fd, path, _OPEN)
    try:
        with span("pty.unlock", f"ioctl({master}, TIOCSPTLCK, [0])"):
            fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
    except OSError:
        os.close(master)
        raise
    return master


def open_slave(master: int) -> int:
    """Open the other end of a pseudo-terminal, whatever has come to lie on its path (CVE-2025-52565).

    See Also:
        TIOCGPTPEER(2const), Linux 4.13
    """
    with span("pty.slave", f"ioctl({master}, TIOCGPTPEER, O_RDWR|O_NOCTTY|O_CLOEXEC)") as here:
        return here.returns(fcntl.ioctl(master, _TIOCGPTPEER, _OPEN | os.O_CLOEXEC))


def set_controlling_terminal(fd: int) -> None:
    """Make the terminal `fd` the controlling one of this session."""
    with span("pty.controlling", f"ioctl({fd}, TIOCSCTTY, 0)"):
        fcntl.ioctl(fd, termios.TIOCSCTTY, 0)


def set_utf8(fd: int) -> None:
    """Tell a terminal that letters may have several bytes: an erased one takes all of its own with it.

    See Also:
        IUTF8 in termios(3); a new one has it not set
    """
    with span("pty.attributes", f"ioctl({fd}, TCGETS)"):
        attributes = bytearray(fcntl.ioctl(fd, termios.TCGETS, bytes(_TERMIOS_BYTES)))
    flags = struct.unpack_from("I", attributes)[0] | _IUTF8
    struct.pack_into("I", attributes, 0, flags)
    with span("pty.attributes", f"ioctl({fd}, TCSETS, {{c_iflag={flags:#x}}})"):
        fcntl.ioctl(fd, termios.TCSETS, bytes(attributes))


def set_window_size(fd: int, rows: int, columns: int) -> None:
    """Tell a terminal its size in characters; its foreground processes get SIGWINCH."""
    with span("pty.size", f"ioctl({fd}, TIOCSWINSZ, {{ws_row={rows}, ws_col={columns}, ws_xpixel=0, ws_ypixel=0}})"):
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
