"""Files that lie in memory alone."""

import fcntl
import os

from toolkit.trace import span

_F_ADD_SEALS = 1033
_ALL_SEALS = 0xF
"""F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW and F_SEAL_WRITE: nobody changes it any more, nor this."""
_MFD_CLOEXEC, _MFD_ALLOW_SEALING = 1, 2


def sealed(name: str, content: bytes) -> int:
    """Make a file of `content` that can be read and executed, but never changed; return its descriptor.

    Raises:
        SyscallError: EACCES where vm.memfd_noexec forbids programs in memory.

    See Also:
        memfd_create(2), F_ADD_SEALS(2const)
    """
    with span("memfd.create", lambda: f'memfd_create("{name}", MFD_CLOEXEC|MFD_ALLOW_SEALING)') as here:
        fd = here.returns(os.memfd_create(name, _MFD_CLOEXEC | _MFD_ALLOW_SEALING))
    os.write(fd, content)
    seal(fd)
    return fd


def seal(fd: int) -> None:
    """Have a file in memory that was made for it never change again.

    Raises:
        SyscallError: EBUSY where it is mapped, shared and writable.

    See Also:
        F_ADD_SEALS(2const)
    """
    with span("memfd.seal", lambda: f"fcntl({fd}, F_ADD_SEALS, F_SEAL_SEAL|F_SEAL_SHRINK|F_SEAL_GROW|F_SEAL_WRITE)"):
        fcntl.fcntl(fd, _F_ADD_SEALS, _ALL_SEALS)
