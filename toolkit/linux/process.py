"""The calling process: its identity, limits, terminal, descriptors, and its last call, execve."""

import errno
import os
import resource

from toolkit.linux import signals
from toolkit.linux.flags import quoted
from toolkit.linux.libc import c_char_p, c_int, c_size_t, c_ulong, function, syscall
from toolkit.trace import span
from toolkit.trace.spelling import speller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

_prctl = function("prctl", c_int, c_ulong, c_ulong, c_ulong, c_ulong)
_sethostname = function("sethostname", c_char_p, c_size_t)
_setdomainname = function("setdomainname", c_char_p, c_size_t)

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36
CLOSE_RANGE_CLOEXEC = 0x4

RLIMITS = {
    name: getattr(resource, name)
    for name in (
        "RLIMIT_AS",
        "RLIMIT_CORE",
        "RLIMIT_CPU",
        "RLIMIT_DATA",
        "RLIMIT_FSIZE",
        "RLIMIT_MEMLOCK",
        "RLIMIT_MSGQUEUE",
        "RLIMIT_NICE",
        "RLIMIT_NOFILE",
        "RLIMIT_NPROC",
        "RLIMIT_RSS",
        "RLIMIT_RTPRIO",
        "RLIMIT_RTTIME",
        "RLIMIT_SIGPENDING",
        "RLIMIT_STACK",
    )
    if hasattr(resource, name)
} | {"RLIMIT_LOCKS": 10}


def sethostname(name: str) -> None:
    """Set the host name of the UTS namespace.

    See Also:
        sethostname(2)
    """
    raw = os.fsencode(name)
    with span("uts.hostname", f"sethostname({quoted(name)}, {len(raw)})", {errno.EINVAL: "at most 64 bytes"}):
        _sethostname(raw, len(raw))


def setdomainname(name: str) -> None:
    """Set the NIS domain name of the UTS namespace."""
    raw = os.fsencode(name)
    with span("uts.domainname", f"setdomainname({quoted(name)}, {len(raw)})", {errno.EINVAL: "at most 64 bytes"}):
        _setdomainname(raw, len(raw))


def setrlimit(name: str, soft: int, hard: int) -> None:
    """Limit a resource of this process and its children.

    Raises:
        SyscallError: EPERM where `hard` is above the present hard limit and
            CAP_SYS_RESOURCE is missing; EINVAL where soft is above hard.

    See Also:
        setrlimit(2)
    """
    call = f"prlimit64(0, {name}, {{rlim_cur={soft}, rlim_max={hard}}}, NULL)"
    now = resource.getrlimit(RLIMITS[name])
    hint = f"the hard limit here is {now[1]} and may only be raised with CAP_SYS_RESOURCE"
    with span("process.rlimit", call, {errno.EPERM: hint}):
        try:
            resource.setrlimit(RLIMITS[name], (soft, hard))
        except ValueError as exc:  # Python's word for both EINVAL and EPERM
            is_raised = now[1] != resource.RLIM_INFINITY and (hard > now[1] or hard == resource.RLIM_INFINITY)
            number = errno.EPERM if is_raised else errno.EINVAL
            raise OSError(number, os.strerror(number)) from exc


def _death_signal_text(number: int) -> str:
    return f"prctl(PR_SET_PDEATHSIG, {signals.name(number) if number else 0})"


_DEATH_SIGNAL = speller(_death_signal_text)


def set_parent_death_signal(number: int) -> None:
    """Have the kernel send a signal to this process when its parent dies.

    The setting is lost at every change of user id and at the execve of a
    set-user-id program, so it must come after the first.

    See Also:
        PR_SET_PDEATHSIG(2const)
    """
    with span("process.prctl", (_DEATH_SIGNAL, number)):
        _prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)


def set_name(name: str) -> None:
    """Set what `ps -o comm` shows for this thread, at most 15 bytes."""
    with span("process.prctl", f"prctl(PR_SET_NAME, {quoted(name[:15])})"):
        buffer = c_char_p(os.fsencode(name)[:15])
        import ctypes

        _prctl(PR_SET_NAME, ctypes.cast(buffer, ctypes.c_void_p).value or 0, 0, 0, 0)


def set_child_subreaper(value: int) -> None:
    """Say whether orphans among this process's descendants become its children.

    See Also:
        PR_SET_CHILD_SUBREAPER(2const)
    """
    with span("process.prctl", f"prctl(PR_SET_CHILD_SUBREAPER, {value})"):
        _prctl(PR_SET_CHILD_SUBREAPER, value, 0, 0, 0)


def set_dumpable(value: int) -> None:
    """Say whether others of this user may trace this process and read its /proc files."""
    name = "SUID_DUMP_USER" if value else "SUID_DUMP_DISABLE"
    with span("process.prctl", f"prctl(PR_SET_DUMPABLE, {name})"):
        _prctl(PR_SET_DUMPABLE, value, 0, 0, 0)


def setgroups(groups: "tuple[int, ...]") -> None:
    """Replace the supplementary groups."""
    with span("process.setgroups", f"setgroups({len(groups)}, [{', '.join(map(str, groups))}])"):
        os.setgroups(groups)


def setresgid(gid: int) -> None:
    """Set the real, effective and saved group id."""
    with span(
        "process.setresgid",
        f"setresgid({gid}, {gid}, {gid})",
        {errno.EINVAL: "the user namespace does not map this id"},
    ):
        os.setresgid(gid, gid, gid)


def setresuid(uid: int) -> None:
    """Set the real, effective and saved user id."""
    with span(
        "process.setresuid",
        f"setresuid({uid}, {uid}, {uid})",
        {errno.EINVAL: "the user namespace does not map this id"},
    ):
        os.setresuid(uid, uid, uid)


def umask(mask: int) -> int:
    """Set the file mode creation mask; return the one before."""
    with span("process.umask", f"umask(0{mask:02o})") as here:
        return here.returns(os.umask(mask))


def setsid() -> None:
    """Make this process the leader of a new session, without a terminal."""
    with span("process.setsid", "setsid()") as here:
        os.setsid()
        here.returns(os.getpid())


def fchown(fd: int, uid: int, gid: int = -1) -> None:
    """Give the file behind a descriptor to another user, and to another group unless that is -1.

    Raises:
        SyscallError: EINVAL where the user namespace does not map the id.

    See Also:
        fchown(2)
    """
    with span("fd.chown", f"fchown({fd}, {uid}, {gid})"):
        os.fchown(fd, uid, gid)


def dup2(old_fd: int, new_fd: int) -> None:
    """Make `new_fd` another name of `old_fd`, kept across execve."""
    with span("fd.dup", f"dup2({old_fd}, {new_fd})") as here:
        here.returns(os.dup2(old_fd, new_fd))


def close_on_exec_from(first_fd: int) -> None:
    """Mark every descriptor from `first_fd` on as close-on-exec.

    A descriptor that leaks into a container may be a way out of it
    (CVE-2024-21626), and nobody can list what libraries opened: so all of them.

    See Also:
        close_range(2), Linux 5.9; CLOSE_RANGE_CLOEXEC since 5.11
    """
    with span("fd.close_range", f"close_range({first_fd}, 4294967295, CLOSE_RANGE_CLOEXEC)"):
        try:
            syscall("close_range", first_fd, 0xFFFFFFFF, CLOSE_RANGE_CLOEXEC)
        except OSError as exc:
            if exc.errno not in (errno.ENOSYS, errno.EINVAL):
                raise
            for name in os.listdir("/proc/self/fd"):
                if int(name) >= first_fd:
                    _set_cloexec(int(name))


def inherited(first_fd: int, end_fd: int) -> set[int]:
    """Return which descriptors from `first_fd` to before `end_fd` this program was given: its own close on exec."""
    return {fd for fd in map(int, os.listdir("/proc/self/fd")) if first_fd <= fd < end_fd and _is_inheritable(fd)}


def _is_inheritable(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)
    except OSError as exc:
        if exc.errno != errno.EBADF:  # the listing's own
            raise
        return False


def close_all_but(kept: "Collection[int]") -> None:
    """Close every descriptor that is not in `kept`: whatever the caller of this program left open among them."""
    fds = [int(name) for name in os.listdir("/proc/self/fd")]
    for fd in fds:
        if fd not in kept:
            try:
                os.close(fd)
            except OSError as exc:
                if exc.errno != errno.EBADF:  # the descriptor of the listing itself
                    raise


def _set_cloexec(fd: int) -> None:
    try:
        os.set_inheritable(fd, False)  # noqa: FBT003 - the standard library's own signature
    except OSError as exc:
        if exc.errno != errno.EBADF:  # the descriptor of the listing itself
            raise


def execve_text(path: str, argv: "list[str] | tuple[str, ...]", env_count: int) -> str:
    """Return the call as strace prints it; the environment as its length."""
    listed = ", ".join(quoted(arg) for arg in argv)
    return f"execve({quoted(path)}, [{listed}], 0x0 /* {env_count} vars */)"


def execve(path: str, argv: "tuple[str, ...]", env: "dict[str, str]") -> None:
    """Become another program.  Returns only by raising.

    Raises:
        SyscallError: ENOENT, EACCES, ENOEXEC, ENOTDIR, E2BIG.

    See Also:
        execve(2)
    """
    with span("process.execve", lambda: execve_text(path, argv, len(env))):
        os.execve(path, argv, env)  # noqa: S606 - to become another program is the purpose


def pidfd_open(pid: int) -> int:
    """Return a descriptor that stands for a process, whatever becomes of its number.

    Raises:
        SyscallError: ESRCH if there is no such process, or `pid` is a thread that is none.

    See Also:
        pidfd_open(2), Linux 5.3
    """
    with span("pidfd.open", f"pidfd_open({pid}, 0)", {errno.ESRCH: "the process is gone"}) as here:
        try:
            return here.returns(os.pidfd_open(pid))
        except OSError as exc:
            if exc.errno == errno.EINVAL:
                # Until Linux 6.15: it is gone, but its number still names the session of processes that it has left.
                raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH)) from exc
            raise


def pidfd_getfd(pidfd: int, fd: int) -> int:
    """Return a copy of a descriptor of another process, close-on-exec.

    Raises:
        SyscallError: EBADF if it has no such descriptor, EPERM if it may not be traced by us.

    See Also:
        pidfd_getfd(2), Linux 5.6
    """
    with span("pidfd.getfd", f"pidfd_getfd({pidfd}, {fd}, 0)") as here:
        return here.returns(syscall("pidfd_getfd", pidfd, fd, 0))


def find_pidfd(pid: int) -> int:
    """As `pidfd_open`; return -1 if there is no such process."""
    try:
        return pidfd_open(pid)
    except OSError as exc:
        if exc.errno != errno.ESRCH:
            raise
        return -1


def pidfd_send_signal(pidfd: int, number: int) -> None:
    """Send a signal to exactly the process behind `pidfd`.

    Raises:
        SyscallError: ESRCH if it is gone.

    See Also:
        pidfd_send_signal(2), Linux 5.1
    """
    name = "SIGKILL" if number == signals.SIGKILL else number
    with span("pidfd.signal", f"pidfd_send_signal({pidfd}, {name}, NULL, 0)", {errno.ESRCH: "the process is gone"}):
        signals.pidfd_send_signal(pidfd, number)
