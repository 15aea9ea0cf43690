"""The C library through ctypes: one loader, one error convention, the syscall numbers.

Every function here raises OSError with the errno where C returns -1, so a
wrapper needs no check of its own: it opens a span and calls.
"""

import ctypes
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_library = ctypes.CDLL(None, use_errno=True)

c_int = ctypes.c_int
c_uint = ctypes.c_uint
c_long = ctypes.c_long
c_ulong = ctypes.c_ulong
c_char_p = ctypes.c_char_p
c_void_p = ctypes.c_void_p
c_size_t = ctypes.c_size_t
c_ssize_t = ctypes.c_ssize_t


def _raise_errno(result: "Any", _function: "Any", _args: "Any") -> "Any":
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def function(name: str, *argtypes: "type[Any]", restype: "type[Any]" = c_int) -> "Any":
    """Return the C function `name`, raising OSError on -1.

    A name that this C library lacks (musl has no fsopen, glibc before 2.36 has
    none either) is an AttributeError: use `syscall` for those.
    """
    found = _library[name]
    found.argtypes = argtypes
    found.restype = restype
    found.errcheck = _raise_errno
    return found


_syscall = function("syscall", c_long, restype=c_long)
_syscall.argtypes = None  # variadic: each argument is passed as what it is


# Numbers from arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h;
# those from 424 on are the same on both.
_NUMBERS = {
    "x86_64": {
        "rt_sigaction": 13,
        "getcwd": 79,
        "capget": 125,
        "capset": 126,
        "pivot_root": 155,
        "seccomp": 317,
        "keyctl": 250,
        "bpf": 321,
        "setns": 308,
        "personality": 135,
        "ioprio_set": 251,
        "sched_setattr": 314,
    },
    "aarch64": {
        "getcwd": 17,
        "rt_sigaction": 134,
        "capget": 90,
        "capset": 91,
        "pivot_root": 41,
        "seccomp": 277,
        "keyctl": 219,
        "bpf": 280,
        "setns": 268,
        "personality": 92,
        "ioprio_set": 30,
        "sched_setattr": 274,
    },
}
_COMMON = {
    "pidfd_send_signal": 424,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_open": 434,
    "clone3": 435,
    "close_range": 436,
    "openat2": 437,
    "pidfd_getfd": 438,
    "mount_setattr": 442,
    "landlock_create_ruleset": 444,
}

MACHINE = os.uname().machine
NR: dict[str, int] = {**_NUMBERS.get(MACHINE, {}), **_COMMON}


def syscall(name: str, *args: "int | bytes | ctypes._SimpleCData[Any] | Any | None") -> int:
    """Make the system call `name`; ints go as longs, bytes as pointers.

    Raises:
        OSError: with the kernel's errno.
    """
    passed = [c_long(arg) if isinstance(arg, int) else arg for arg in args]
    result: int = _syscall(c_long(NR[name]), *passed)
    return result


def bare_function(name: str, *argtypes: "type[Any]") -> "Any":
    """Return the C function `name` without any check of its result.

    For the one caller to whom each page of memory matters more than a good
    message: the check runs Python code.
    """
    found = ctypes.CDLL(None)[name]
    found.argtypes = argtypes
    return found
