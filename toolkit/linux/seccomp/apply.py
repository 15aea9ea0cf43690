"""Install a compiled filter on the calling thread.  Imported by the container's init: kept tiny."""

import ctypes
import errno
import struct

from toolkit.linux.libc import syscall
from toolkit.trace import span

SET_MODE_FILTER = 1
GET_ACTION_AVAIL = 2
FLAG_TSYNC = 1 << 0
FLAG_LOG = 1 << 1
FLAG_SPEC_ALLOW = 1 << 2
FLAG_NEW_LISTENER = 1 << 3
FLAG_WAIT_KILLABLE_RECV = 1 << 5

FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": FLAG_TSYNC,
    "SECCOMP_FILTER_FLAG_LOG": FLAG_LOG,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": FLAG_SPEC_ALLOW,
    "SECCOMP_FILTER_FLAG_NEW_LISTENER": FLAG_NEW_LISTENER,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": FLAG_WAIT_KILLABLE_RECV,
}
_HINTS = {
    errno.EACCES: "set no_new_privs first, or keep CAP_SYS_ADMIN until the filter is loaded",
    errno.EINVAL: "the kernel does not take this program or one of the flags",
    errno.ENOSYS: "the kernel was built without CONFIG_SECCOMP_FILTER",
}


def load(program: bytes, flags: int = FLAG_SPEC_ALLOW) -> int:
    """Put the filter over every later system call of this thread and its children, for good.

    SPEC_ALLOW, as runc has it, keeps the kernel from slowing the whole container
    down with speculation barriers, which Linux before 5.16 did otherwise.

    Args:
        program: what `compile.compile_filter` returned: 8 bytes an instruction.
        flags: FLAG_*.

    Returns:
        The descriptor of the listener with FLAG_NEW_LISTENER, else 0.

    Raises:
        SyscallError: EACCES without no_new_privs and CAP_SYS_ADMIN.

    See Also:
        seccomp(2); struct sock_fprog in include/uapi/linux/filter.h
    """
    # Not create_string_buffer: a new array type costs more than the system call does.
    instructions = ctypes.c_char_p(program)
    fprog = struct.pack("@HP", len(program) // 8, ctypes.c_void_p.from_buffer(instructions).value or 0)
    with span("security.seccomp", describe(len(program) // 8, flags), _HINTS) as loading:
        return loading.returns(syscall("seccomp", SET_MODE_FILTER, flags, fprog))


def describe(instructions: int, flags: int = FLAG_SPEC_ALLOW) -> str:
    """Return the call as strace prints it, but for the address of the program, which means nothing."""
    names = "|".join(name for name, flag in FLAGS.items() if flags & flag) or "0"
    return f"seccomp(SECCOMP_SET_MODE_FILTER, {names}, {{len={instructions}, filter=0x0}})"
