"""Installing a filter: all that init needs of this package."""

import ctypes
import errno

from toolkit.linux.libc import syscall
from toolkit.trace import span

_SECCOMP_SET_MODE_FILTER = 1
_INSTRUCTION_BYTES = 8


class _Program(ctypes.Structure):
    """struct sock_fprog, include/uapi/linux/filter.h."""

    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def load(program: bytes, flags: int = 0) -> None:
    """Have the kernel check every system call of this thread, and of all it starts, against `program`.

    Args:
        program: BPF instructions, 8 bytes each.
        flags: SECCOMP_FILTER_FLAG_*.

    Raises:
        SyscallError: EINVAL for a program that the kernel refuses, EACCES
            without CAP_SYS_ADMIN or no_new_privs.

    See Also:
        seccomp(2)
    """
    length = len(program) // _INSTRUCTION_BYTES
    call = f"seccomp(SECCOMP_SET_MODE_FILTER, {flags:#x}, {{len={length}, filter=0x0}})"
    hints = {errno.EACCES: "set no_new_privs first, or keep CAP_SYS_ADMIN until the filter is loaded"}
    prog = _Program(length, program)
    with span("security.seccomp", call, hints):
        syscall("seccomp", _SECCOMP_SET_MODE_FILTER, flags, ctypes.byref(prog))
