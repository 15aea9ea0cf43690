"""What a process has from its parent and keeps through fork and execve, and how to be rid of it.

Whoever happens to start the first container (a notebook kernel, a shell with
ulimits, a service) must not decide how all later ones are scheduled and
limited.  Each function changes what it may and leaves the rest: what a machine
has taken from this process for good cannot be had back.

See Also:
    execve(2), "Effect on process attributes"; fork(2)
"""

import errno
import os
import resource

from toolkit.linux import file, keyring, process, scheduling
from toolkit.linux.libc import syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_INFINITY = resource.RLIM_INFINITY
LIMITS = {
    "RLIMIT_AS": (_INFINITY, _INFINITY),
    "RLIMIT_CORE": (_INFINITY, _INFINITY),
    "RLIMIT_CPU": (_INFINITY, _INFINITY),
    "RLIMIT_DATA": (_INFINITY, _INFINITY),
    "RLIMIT_FSIZE": (_INFINITY, _INFINITY),
    "RLIMIT_MEMLOCK": (8 << 20, 8 << 20),
    "RLIMIT_MSGQUEUE": (819_200, 819_200),
    "RLIMIT_NICE": (0, 0),
    "RLIMIT_NOFILE": (1024, 524_288),
    "RLIMIT_NPROC": (_INFINITY, _INFINITY),
    "RLIMIT_RSS": (_INFINITY, _INFINITY),
    "RLIMIT_RTPRIO": (0, 0),
    "RLIMIT_RTTIME": (_INFINITY, _INFINITY),
    "RLIMIT_STACK": (8 << 20, _INFINITY),
}
"""Soft and hard limits as systemd gives them to a service, with cores and processes unlimited as for dockerd."""
_FORBIDDEN = (errno.EPERM, errno.EACCES, errno.EROFS)
_INTERNAL_SIGNALS = (32, 33)
_SIGACTION_BYTES, _SIGSET_BYTES = 32, 8
_ASK_PERSONALITY = 0xFFFFFFFF


def reset_limits() -> None:
    """Set the resource limits of a service; a hard limit that may not be raised stays, one that is higher too."""
    for name, (soft, hard) in LIMITS.items():
        now = resource.getrlimit(process.RLIMITS[name])
        wanted = (soft, _higher(hard, now[1]))
        if wanted != now and not _may(process.setrlimit, name, *wanted):
            process.setrlimit(name, _lower(soft, now[1]), now[1])


def _higher(one: int, other: int) -> int:
    return _INFINITY if _INFINITY in (one, other) else max(one, other)


def _lower(one: int, other: int) -> int:
    return min((limit for limit in (one, other) if limit != _INFINITY), default=_INFINITY)


def reset_scheduling() -> None:
    """Be an ordinary process: nice 0, of no special class, on every CPU, and the disks' like any other."""
    if os.sched_getscheduler(0) != os.SCHED_OTHER or os.getpriority(os.PRIO_PROCESS, 0) != 0:
        _may(scheduling.set_scheduler, "SCHED_OTHER")
    every = tuple(range(os.sysconf("SC_NPROCESSORS_CONF")))
    if os.sched_getaffinity(0) != set(every):
        _may(scheduling.set_affinity, every)
    _may(scheduling.set_io_priority, "IOPRIO_CLASS_NONE", 0)


def reset_memory() -> None:
    """Be as likely as others to be killed when memory runs out, and have the kernel lay out memory as it does."""
    path = "/proc/self/oom_score_adj"
    with open(path) as score:
        is_zero = score.read() == "0\n"
    if not is_zero:
        _may(file.write_text, path, "0")  # not below what a privileged process has set
    if syscall("personality", _ASK_PERSONALITY) != 0:
        _may(scheduling.set_personality, "LINUX")


def reset_signals() -> None:
    """Give the two signals that the C library keeps to itself their default: its posix_spawn has them ignored.

    See Also:
        sysdeps/unix/sysv/linux/spawni.c in glibc
    """
    for number in _INTERNAL_SIGNALS:
        syscall("rt_sigaction", number, bytes(_SIGACTION_BYTES), None, _SIGSET_BYTES)


def reset_keys() -> None:
    """Have a session keyring of its own, with nothing in it."""
    keyring.join_session()


def leave_cgroups(task_files: "list[str]") -> None:
    """Write "0" to the `tasks` of v1 groups, to move there."""
    for path in task_files:
        _may(file.write_text, path, "0")


def _may(change: "Callable[..., object]", *args: object) -> bool:
    """Make a change, and tell whether this process may."""
    try:
        change(*args)
    except OSError as exc:
        if exc.errno not in _FORBIDDEN:
            raise
        return False
    return True
