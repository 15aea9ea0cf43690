"""Programs that can be executed and not be written to, not even by way of /proc/PID/exe.

A process that is on its way into a container runs the engine's program.  From
inside, /proc/self/exe leads to that program's file on the host, whatever the
container's root is, and root of the container is root of that file
(CVE-2019-5736).  So what runs there is executed from a place that is read-only:
a copy of the mount that is attached nowhere, or where that may not be had (no
CAP_SYS_ADMIN) a copy of the file in memory, sealed.
"""

import errno
import fcntl
import os

from toolkit.core.errors import SyscallError
from toolkit.linux import mount
from toolkit.linux.flags import quoted
from toolkit.trace import span

_ATTRS = mount.MOUNT_ATTR_RDONLY | mount.MOUNT_ATTR_NOSUID | mount.MOUNT_ATTR_NODEV
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_MFD_EXEC = 0x10  # include/uapi/linux/memfd.h, since Linux 6.3; asked for where vm.memfd_noexec is 1
_UNAVAILABLE = (errno.EPERM, errno.ENOSYS, errno.EINVAL)
_FIRST_FD = 10
"""Out of the way of the descriptors that a new process is given by number."""


def open_program(path: str) -> int:
    """Open a program read-only for good; return a descriptor (10 or above) to execute as /proc/self/fd/N.

    Raises:
        SyscallError: ENOENT if there is no such file.
    """
    try:
        fd = open_on_read_only_mount(path)
    except SyscallError as exc:
        if exc.errno not in _UNAVAILABLE:
            raise
        fd = copy_to_memory(path)
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_FD)
    finally:
        os.close(fd)


def open_on_read_only_mount(path: str) -> int:
    """Open a file on a copy of its mount that nobody can reach and nobody can write to; costs no memory.

    Raises:
        SyscallError: EPERM without CAP_SYS_ADMIN; ENOSYS before Linux 5.12.

    See Also:
        open_tree(2), mount_setattr(2)
    """
    tree = mount.open_tree(path)
    try:
        mount.mount_setattr(tree, "", set_attrs=_ATTRS)
    except SyscallError:
        os.close(tree)
        raise
    return tree


def copy_to_memory(path: str) -> int:
    """Copy a file into memory and seal it: its content can never change again.

    See Also:
        memfd_create(2), F_ADD_SEALS(2const)
    """
    name = os.path.basename(path)
    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        copy = _memfd(name)
        left = os.fstat(source).st_size
        while left > 0 and (sent := os.sendfile(copy, source, None, left)):
            left -= sent
        os.fchmod(copy, 0o555)
        with span("file.seal", f"fcntl({copy}, F_ADD_SEALS, {_SEALS:#x})"):
            fcntl.fcntl(copy, fcntl.F_ADD_SEALS, _SEALS)
    finally:
        os.close(source)
    return copy


def _memfd(name: str) -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return _memfd_create(name, flags | _MFD_EXEC)
    except SyscallError as exc:
        if exc.errno != errno.EINVAL:
            raise
        return _memfd_create(name, flags)


def _memfd_create(name: str, flags: int) -> int:
    with span("file.memfd", f"memfd_create({quoted(name)}, {flags:#x})") as here:
        return here.returns(os.memfd_create(name, flags))
