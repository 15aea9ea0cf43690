"""Processes that share their memory: a keeper, so that execve need not take it down, and a successor in one's place.

The kernel takes the old memory of a process down within its execve, a
millisecond for a Python, unless somebody else uses it too.  So the worker is
born sharing its memory with a *keeper*, which does nothing but wait until the
worker's execve (or its end) closes a pipe; 5 ms later it ends, and the memory
with it: at once it would, as often as not, be put before the program on its
processor.  It is outside of the container from its birth.

A process that is to be born in other namespaces, or as another's child, need
not be a copy: a *successor* goes on in the memory of who made it, who ends.
fork(2) takes a millisecond for a Python, and each page that is touched later
takes a microsecond more.

Two processes cannot run Python in one memory.  So what both of them run is a
hundred bytes of machine code (toolkit/linux/keep/*.S) that use registers alone.
"""

import ctypes

from toolkit.core.record import NamedTuple
from toolkit.linux import signals
from toolkit.linux.libc import MACHINE, c_int, c_long, c_size_t, c_void_p, function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

CODE = {
    "x86_64": bytes.fromhex(
        "4989f8b8da00000031ff0f05b8380000004c89c731f60f054885c07f7ac366662e0f1f84000000000066662e0f1f84000000"
        "000066662e0f1f840000000000904189f9b838000000bf1101000031f60f054885c07401c3b8210000004489cf31f60f05b8"
        "b4010000bf01000000beffffffff31d20f0585c0751d31c031ff31f6ba010000000f05b80700000031ff31f6ba050000000f"
        "05b8e700000031ff0f05"
    ),
    "aarch64": bytes.fromhex(
        "e90300aa080c80d2000080d2010000d4881b80d2e00309aa010080d2020080d2030080d2040080d2010000d41f0000f1ac03"
        "0054c0035fd61f2003d51f2003d5e903002a881b80d2202280d2010080d2020080d2030080d2040080d2010000d4400000b4"
        "c0035fd6080380d2e003092a010000d4883680d2200080d2e17f40b2010000d4000100b5e80780d2010080d2220080d20100"
        "00d4a80c80d2a0000010010000d4c80b80d2000080d2010000d40000000000000000404b4c0000000000"
    ),
}
"""What GNU as makes of toolkit/linux/keep/MACHINE.S."""
_SUCCEED_AT, _KEEP_AT = 0, 64
CLONE_VM = 0x100
CLONE_PARENT = 0x8000
SUCCESSOR = CLONE_VM | CLONE_PARENT | signals.SIGCHLD
"""Flags of clone(2) for a successor that is the child of its maker's parent."""
_PROT_READ, _PROT_WRITE, _PROT_EXEC = 1, 2, 4
_MAP_PRIVATE, _MAP_ANONYMOUS = 0x2, 0x20
_PAGE = 1 << 12


class Code(NamedTuple):
    """The two functions, for a process with one thread; each returns a negative errno where it cannot be done."""

    succeed: "Callable[[int], int]"
    """Takes the flags of clone(2).  Returns 0, in the successor, and its maker ends; else nothing has happened."""
    keep: "Callable[[int], int]"
    """Takes a pipe's reading end, whose other end a successor keeps for as long as it needs its memory; returns the
    keeper's pid.  When its maker ends it is an orphan, for a subreaper to reap."""


def load() -> Code | None:
    """Make the machine code callable; return None where this machine has none, or allows no code that is made."""
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
    succeed, keep = ctypes.PYFUNCTYPE(c_long, c_long), ctypes.PYFUNCTYPE(c_long, c_int)
    return Code(succeed(address + _SUCCEED_AT), keep(address + _KEEP_AT))
