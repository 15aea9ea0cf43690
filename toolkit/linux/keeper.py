"""A process whose memory somebody else keeps, so that its execve need not take it down.

The kernel takes the old memory of a process down within its execve, a
millisecond for a Python, unless somebody else uses it too.  So the worker is
born sharing its memory with a *keeper*, which does nothing but wait until the
worker's execve (or its end) closes a pipe; 5 ms later it ends, and the memory
with it: at once it would, as often as not, be put before the program on its
processor.  It is outside of the container from its birth.

A process that shares another's memory must not run Python beside it: the
keeper runs a hundred bytes of machine code (toolkit/linux/keep/*.S) that
use registers alone.
"""

import ctypes

from toolkit.linux.libc import MACHINE, c_int, c_long, c_size_t, c_void_p, function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

CODE = {
    "x86_64": bytes.fromhex(
        "4189f94989f0b8da00000031ff0f05b838000000bf1101000031f60f054885c078137412b8380000004c89c731f60f054885"
        "c07f41c3b8210000004489cf31f60f05b8b4010000bf01000000beffffffff31d20f0585c0751d31c031ff31f6ba01000000"
        "0f05b80700000031ff31f6ba050000000f05b8e700000031ff0f05"
    ),
    "aarch64": bytes.fromhex(
        "e903002aea0301aa080c80d2000080d2010000d4881b80d2202280d2010080d2020080d2030080d2040080d2010000d41f00"
        "00f1cb000054c0000054e0030aaa010000d41f0000f12c020054c0035fd6080380d2e003092a010000d4883680d2200080d2"
        "e17f40b2010000d4000100b5e80780d2220080d2010000d4a80c80d2c0000010010080d2010000d4c80b80d2000080d20100"
        "00d40000000000000000404b4c0000000000"
    ),
}
"""What GNU as makes of toolkit/linux/keep/MACHINE.S."""
CLONE_VM = 0x100
_PROT_READ, _PROT_WRITE, _PROT_EXEC = 1, 2, 4
_MAP_PRIVATE, _MAP_ANONYMOUS = 0x2, 0x20
_PAGE = 1 << 12


def load() -> "Callable[[int, int], int] | None":
    """Make the machine code callable; return None where this machine has none, or allows no code that is made.

    What is returned takes a pipe's reading end and the flags of clone(2), and
    is to be called by a process that has just been forked.  It returns 0 in the
    worker, which keeps the pipe's other end for as long as it needs its memory,
    or a negative errno in the caller, to which nothing has happened then.  The
    caller ends where it works: the keeper is an orphan, for a subreaper to reap.
    """
    code = CODE.get(MACHINE)
    if code is None:
        return None
    mmap = function("mmap", c_void_p, c_size_t, c_int, c_int, c_int, c_long, restype=c_long)
    mprotect = function("mprotect", c_void_p, c_size_t, c_int)
    try:
        address = mmap(None, _PAGE, _PROT_READ | _PROT_WRITE, _MAP_PRIVATE | _MAP_ANONYMOUS, -1, 0)
        ctypes.memmove(address, code, len(code))
        mprotect(address, _PAGE, _PROT_READ | _PROT_EXEC)  # never both to write and to execute
    except OSError:
        return None
    found: Callable[[int, int], int] = ctypes.PYFUNCTYPE(c_long, c_int, c_long)(address)
    return found
