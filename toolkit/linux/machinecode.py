"""Machine code that Python calls, for what cannot be done while Python runs."""

import ctypes
import os

from toolkit.linux.libc import c_int, c_long, c_size_t, c_void_p, function

_PROT_NONE, _PROT_READ, _PROT_WRITE, _PROT_EXEC = 0, 1, 2, 4
_MAP_PRIVATE, _MAP_ANONYMOUS = 0x2, 0x20

mmap = function("mmap", c_void_p, c_size_t, c_int, c_int, c_int, c_long, restype=c_long)
_mprotect = function("mprotect", c_void_p, c_size_t, c_int)


def load(code: bytes) -> int:
    """Make code callable, for good; return its address, or 0 where this machine allows no code that is made."""
    try:
        address: int = mmap(None, len(code), _PROT_READ | _PROT_WRITE, _MAP_PRIVATE | _MAP_ANONYMOUS, -1, 0)
        ctypes.memmove(address, code, len(code))
        _mprotect(address, len(code), _PROT_READ | _PROT_EXEC)  # never both to write and to execute
    except OSError:
        return 0
    return address


def room(size: int) -> int:
    """Map memory for such code to work in, all zero, between two pages that keep it apart; return the address.

    The kernel would make one mapping of it and its neighbours.

    Args:
        size: at least.

    Raises:
        OSError: ENOMEM.
    """
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    size = -(-size // page_bytes) * page_bytes
    outer: int = mmap(None, size + 2 * page_bytes, _PROT_NONE, _MAP_PRIVATE | _MAP_ANONYMOUS, -1, 0)
    _mprotect(outer + page_bytes, size, _PROT_READ | _PROT_WRITE)
    return outer + page_bytes
