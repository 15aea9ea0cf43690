"""Namespaces: making them (clone3, unshare), joining them (setns), naming them (/proc/PID/ns)."""

import ctypes
import errno
import os

from toolkit.linux import signals
from toolkit.linux.flags import flag_names
from toolkit.linux.libc import bare_function, c_int, function, syscall
from toolkit.trace import span

# include/uapi/linux/sched.h
CLONE_NEWTIME = 0x00000080
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_PIDFD = 0x00001000
CLONE_PARENT = 0x00008000
CLONE_INTO_CGROUP = 0x200000000

KINDS = {
    "mnt": CLONE_NEWNS,
    "pid": CLONE_NEWPID,
    "net": CLONE_NEWNET,
    "ipc": CLONE_NEWIPC,
    "uts": CLONE_NEWUTS,
    "user": CLONE_NEWUSER,
    "cgroup": CLONE_NEWCGROUP,
    "time": CLONE_NEWTIME,
}
"""Each kind as /proc/PID/ns names it, and its flag."""

_NAMES = {
    "CLONE_NEWTIME": CLONE_NEWTIME,
    "CLONE_PIDFD": CLONE_PIDFD,
    "CLONE_PARENT": CLONE_PARENT,
    "CLONE_NEWNS": CLONE_NEWNS,
    "CLONE_NEWCGROUP": CLONE_NEWCGROUP,
    "CLONE_NEWUTS": CLONE_NEWUTS,
    "CLONE_NEWIPC": CLONE_NEWIPC,
    "CLONE_NEWUSER": CLONE_NEWUSER,
    "CLONE_NEWPID": CLONE_NEWPID,
    "CLONE_NEWNET": CLONE_NEWNET,
    "CLONE_INTO_CGROUP": CLONE_INTO_CGROUP,
}

_unshare = function("unshare", c_int)

_HINTS = {
    errno.EPERM: "new namespaces need CAP_SYS_ADMIN, or a user namespace made first",
    errno.ENOSPC: "a limit in /proc/sys/user/max_*_namespaces is reached",
    errno.EINVAL: "this kernel lacks one of these kinds of namespace",
}


def clone_flags_text(flags: int) -> str:
    """Return namespace flags as strace prints them."""
    return flag_names(flags, _NAMES)


def unshare(flags: int) -> None:
    """Move the calling process into new namespaces (for pid and time: its later children).

    Raises:
        SyscallError: EPERM without CAP_SYS_ADMIN, ENOSPC at a limit, EINVAL for
            a kind that this kernel does not have.

    See Also:
        unshare(2)
    """
    with span("namespace.unshare", f"unshare({clone_flags_text(flags)})", _HINTS):
        _unshare(flags)


bare_unshare = bare_function("unshare", c_int)
"""unshare(2) as it is: returns -1 where it fails, leaves no event.  For `toolkit.runtime.stem` alone."""


def setns(fd: int, flags: int) -> None:
    """Join the namespace(s) behind `fd`: one of /proc/PID/ns, or a pidfd with all in `flags`.

    Raises:
        SyscallError: EPERM without CAP_SYS_ADMIN there, ESRCH if the process is gone.

    See Also:
        setns(2); a pidfd since Linux 5.8
    """
    with span("namespace.setns", f"setns({fd}, {clone_flags_text(flags)})", {errno.ESRCH: "the process is gone"}):
        syscall("setns", fd, flags)


class _CloneArgs(ctypes.Structure):
    """struct clone_args, include/uapi/linux/sched.h, version 2 (88 bytes)."""

    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            "flags",
            "pidfd",
            "child_tid",
            "parent_tid",
            "exit_signal",
            "stack",
            "stack_size",
            "tls",
            "set_tid",
            "set_tid_size",
            "cgroup",
        )
    )


def clone3_text(flags: int, cgroup_fd: int = -1) -> str:
    """Return the call as strace prints it."""
    exit_signal = "0" if flags & CLONE_PARENT else "SIGCHLD"
    cgroup = f", cgroup={cgroup_fd}" if cgroup_fd >= 0 else ""
    return f"clone3({{flags={clone_flags_text(flags | CLONE_PIDFD)}, exit_signal={exit_signal}{cgroup}}}, 88)"


def clone3(flags: int, *, cgroup_fd: int = -1) -> tuple[int, int]:
    """Fork into new namespaces; return (pid, pidfd) in the parent and (0, -1) in the child.

    The caller must be single-threaded: the C library's own fork handlers do
    not run, only Python's.  That is why only the zygote's children call this.

    Args:
        flags: CLONE_NEW* to make, and CLONE_PARENT for a sibling; CLONE_PIDFD is added.
        cgroup_fd: directory of the cgroup (v2) that the child starts in, or -1.

    Raises:
        SyscallError: as `unshare`; EAGAIN at a limit on processes.

    See Also:
        clone3(2), Linux 5.3; CLONE_INTO_CGROUP since 5.7
    """
    flags |= CLONE_PIDFD | (CLONE_INTO_CGROUP if cgroup_fd >= 0 else 0)
    pidfd = ctypes.c_int(-1)
    args = _CloneArgs(
        flags=flags,
        pidfd=ctypes.addressof(pidfd),
        exit_signal=0 if flags & CLONE_PARENT else signals.SIGCHLD,  # a sibling has its parent's
        cgroup=max(cgroup_fd, 0),
    )
    call = clone3_text(flags, cgroup_fd)
    python = ctypes.pythonapi
    with span("namespace.clone", call, _HINTS) as here:
        python.PyOS_BeforeFork()
        try:
            pid = syscall("clone3", ctypes.byref(args), ctypes.sizeof(args))
        except OSError:
            python.PyOS_AfterFork_Parent()
            raise
        if pid == 0:
            python.PyOS_AfterFork_Child()
        else:
            python.PyOS_AfterFork_Parent()
        here.returns(pid)
    return pid, pidfd.value if pid else -1


def namespace_inodes(pid: int | str = "self") -> dict[str, int]:
    """Return the inode of each namespace of a process: two processes share one if the numbers are equal.

    Raises:
        SyscallError: ENOENT if there is no such process, EACCES if it may not be looked at.
    """
    directory = f"/proc/{pid}/ns"
    with span("namespace.readlink", f'readlink("{directory}/*")', {errno.ENOENT: "no such process"}):
        there = os.listdir(directory)  # not lexists of each: of a process that is gone that would find none
        return {kind: int(os.readlink(f"{directory}/{kind}").split("[")[1][:-1]) for kind in KINDS if kind in there}


def bear_children_here() -> None:
    """Have the children of this process be born in its own pid namespace again, after it had made another for them.

    Where that one's first process has ended, nobody can be born there any more: fork(2) fails with ENOMEM.
    """
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(own, CLONE_NEWPID)
    finally:
        os.close(own)
