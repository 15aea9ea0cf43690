"""Steps that make and join namespaces."""

import errno
import os
import select

from toolkit.core.errors import StartError
from toolkit.core.record import NamedTuple
from toolkit.linux import file, keeper, namespace, netdevice, process, procfs, sock
from toolkit.linux.libc import MACHINE
from toolkit.runtime.steps.base import INIT, OUTSIDE, shut_imports, step
from toolkit.trace import span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from toolkit.runtime.context import Context


KEPT_CALLS = ("clone(child_stack=NULL, flags=CLONE_VM|CLONE_PARENT|CLONE_NEWPID|SIGCHLD)",)
"""How the process that a zygote keeps in reserve is made, as strace prints it; it shares its memory, see `keeper`."""
FORK_CALLS = (
    "unshare(CLONE_NEWPID)",
    "clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD)",
)
"""The same where nobody can keep its memory; os.fork as strace prints the C library's."""


@step(
    OUTSIDE,
    "namespace",
    why="A process cannot change its own pid namespace: its first child in a new one becomes pid 1 there.",
    see="clone3(2), pid_namespaces(7)",
)
class NewProcess(NamedTuple):
    """Make the process that becomes the container's init."""

    flags: int
    """CLONE_NEW*: the namespaces that it is born in."""
    in_reserve: bool = False
    """It is the one that a zygote keeps ready."""
    is_sibling: bool = True
    """Whoever makes it ends before it does, and its own parent is to be the new process's."""

    def calls(self) -> tuple[str, ...]:
        if self.in_reserve:
            return KEPT_CALLS if MACHINE in keeper.CODE else FORK_CALLS
        return (namespace.clone3_text(self._flags()),)

    def _flags(self) -> int:
        return self.flags | (namespace.CLONE_PARENT if self.is_sibling else 0)

    def apply(self, context: "Context") -> None:
        try:
            if context.succeed is not None:
                self._succeed(context, context.succeed)
            else:
                self._fork(context)
        except OSError as exc:
            if exc.errno == errno.ENOMEM and _is_ending(context.target_pidfd):
                raise StartError(_STOPPED[0], hint=_STOPPED[1]) from exc
            raise

    def _succeed(self, context: "Context", succeed: "Callable[[int], int]") -> None:
        """Go on as the new process, in the memory of the one before, which ends; see `keeper`."""
        with span("namespace.clone", KEPT_CALLS[0]):
            result = succeed(self.flags)
            if result < 0:
                raise OSError(-result, os.strerror(-result))
        context.actor = INIT
        context.reports.born(int(os.readlink("/proc/self")))  # as the host sees it

    def _fork(self, context: "Context") -> None:
        ours, theirs = sock.pair(sock.SOCK_SEQPACKET)
        pid, pidfd = namespace.clone3(self._flags())
        if pid == 0:
            ours.close()
            context.become_init(theirs)
            return
        theirs.close()
        os.close(pidfd)
        context.stay_outside(ours)
        context.pid = pid
        context.reports.born(pid)


@step(
    INIT,
    "namespace",
    why="What this process mounts, names and connects from here on is invisible outside.",
    see="unshare(2), namespaces(7)",
)
class Unshare(NamedTuple):
    """Move into new namespaces."""

    flags: int

    def calls(self) -> tuple[str, ...]:
        return (f"unshare({namespace.clone_flags_text(self.flags)})",)

    def apply(self, context: "Context") -> None:
        namespace.unshare(self.flags)


@step(
    OUTSIDE,
    "namespace",
    why="Until they are mapped, every id in a new user namespace is the overflow id 65534.",
    see="user_namespaces(7)",
)
class WriteIdMaps(NamedTuple):
    """Say which ids of the host the ids of the new user namespace are."""

    uid_map: str
    gid_map: str

    def calls(self) -> tuple[str, ...]:
        return (f'write("/proc/PID/uid_map", "{self.uid_map}")', f'write("/proc/PID/gid_map", "{self.gid_map}")')

    def apply(self, context: "Context") -> None:
        file.write_text(f"/proc/{context.pid}/uid_map", self.uid_map, "namespace.idmap")
        file.write_text(f"/proc/{context.pid}/gid_map", self.gid_map, "namespace.idmap")


@step(
    INIT,
    "namespace",
    why="Only root of the user namespace may set up the container's other namespaces.",
    see="user_namespaces(7)",
)
class BecomeNamespaceRoot(NamedTuple):
    """Take uid 0 and gid 0 of the new user namespace."""

    def calls(self) -> tuple[str, ...]:
        return ("setresgid(0, 0, 0)", "setresuid(0, 0, 0)", "setgroups(0, [])")

    def apply(self, context: "Context") -> None:
        process.setresgid(0)
        process.setresuid(0)
        process.setgroups(())


@step(
    OUTSIDE,
    "namespace",
    why="The offsets must be written before the first process enters; monotonic and boottime then start elsewhere.",
    see="time_namespaces(7)",
)
class UnshareTime(NamedTuple):
    """Give the child, when it is cloned, clocks of its own."""

    offsets: tuple[tuple[str, int, int], ...]

    def calls(self) -> tuple[str, ...]:
        lines = "".join(f"{clock} {secs} {nanosecs}\\n" for clock, secs, nanosecs in self.offsets)
        return ("unshare(CLONE_NEWTIME)", f'write("/proc/self/timens_offsets", "{lines}")')

    def apply(self, context: "Context") -> None:
        namespace.unshare(namespace.CLONE_NEWTIME)
        if self.offsets:
            lines = "".join(f"{clock} {secs} {nanosecs}\n" for clock, secs, nanosecs in self.offsets)
            file.write_text("/proc/self/timens_offsets", lines, "namespace.time")


@step(
    INIT,
    "namespace",
    why="After joining its cgroup: the namespace's root is where the process is at this moment.",
    see="cgroup_namespaces(7)",
)
class UnshareCgroup(NamedTuple):
    """Make the cgroup that init is in the root of all it can see of the tree."""

    def calls(self) -> tuple[str, ...]:
        return ("unshare(CLONE_NEWCGROUP)",)

    def apply(self, context: "Context") -> None:
        namespace.unshare(namespace.CLONE_NEWCGROUP)


@step(INIT, "namespace", why="This container shares the namespace with another, or with the host.", see="setns(2)")
class JoinNamespace(NamedTuple):
    """Enter a namespace that exists, by its path."""

    kind: str
    path: str

    def calls(self) -> tuple[str, ...]:
        flag = namespace.clone_flags_text(namespace.KINDS[self.kind])
        return (f'openat(AT_FDCWD, "{self.path}", O_RDONLY|O_CLOEXEC)', f"setns(FD, {flag})")

    def apply(self, context: "Context") -> None:
        fd = file.open_file(self.path, os.O_RDONLY)
        try:
            namespace.setns(fd, namespace.KINDS[self.kind])
        finally:
            os.close(fd)
        if self.kind == "mnt":
            shut_imports()


@step(
    OUTSIDE,
    "namespace",
    why="A process never changes its own pid namespace (or clocks): only its children are born in another.",
    see="setns(2), pid_namespaces(7), time_namespaces(7)",
)
class JoinForChildren(NamedTuple):
    """Have the next child be born in a namespace that exists, by its path."""

    kind: str
    path: str

    def calls(self) -> tuple[str, ...]:
        return JoinNamespace(self.kind, self.path).calls()

    def apply(self, context: "Context") -> None:
        JoinNamespace(self.kind, self.path).apply(context)


_END_S = 1.0
_STOPPED = ("the container has stopped", "start it again")


def _is_ending(pidfd: int) -> bool:
    """Tell whether the container that is to be entered has ended: nobody is born any more where the init is gone."""
    return pidfd >= 0 and bool(select.select([pidfd], [], [], _END_S)[0])


class _UnlessStopped:
    """Turns "no such process" into what it means: the container has ended since somebody asked for the exec."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, exc: BaseException | None, _trace: object) -> None:
        if isinstance(exc, OSError) and exc.errno == errno.ESRCH:
            raise StartError(_STOPPED[0], hint=_STOPPED[1]) from exc


@step(
    OUTSIDE,
    "namespace",
    why="A pidfd names exactly this process: its number cannot be reused under our hands.",
    see="pidfd_open(2)",
)
class OpenTarget(NamedTuple):
    """Take hold of the running container's init, for exec."""

    pid: int
    start_time: int

    def calls(self) -> tuple[str, ...]:
        return (f"pidfd_open({self.pid}, 0)",)

    def apply(self, context: "Context") -> None:
        with _UnlessStopped():
            context.target_pidfd = process.pidfd_open(self.pid)
        if procfs.start_time(self.pid) != self.start_time:
            raise StartError(_STOPPED[0], hint=_STOPPED[1])


@step(
    OUTSIDE,
    "namespace",
    why="A process never changes its own pid namespace: only its children can be born in another.",
    see="setns(2), pid_namespaces(7)",
)
class EnterPidNamespace(NamedTuple):
    """Have the next child be born in the container's pid namespace."""

    def calls(self) -> tuple[str, ...]:
        return ("setns(PIDFD, CLONE_NEWPID)",)

    def apply(self, context: "Context") -> None:
        with _UnlessStopped():
            namespace.setns(context.target_pidfd, namespace.CLONE_NEWPID)


@step(INIT, "namespace", why="From here on this process sees what the container's own processes see.", see="setns(2)")
class EnterNamespaces(NamedTuple):
    """Join the container's other namespaces, all in one call."""

    flags: int

    def calls(self) -> tuple[str, ...]:
        return (f"setns(PIDFD, {namespace.clone_flags_text(self.flags)})",)

    def apply(self, context: "Context") -> None:
        with _UnlessStopped():
            namespace.setns(context.target_pidfd, self.flags)
        if self.flags & namespace.CLONE_NEWNS:
            shut_imports()
        os.close(context.target_pidfd)
        context.target_pidfd = -1


@step(
    INIT,
    "namespace",
    why="The UTS namespace has its own copy of the name: the host's stays as it is.",
    see="sethostname(2), uts_namespaces(7)",
)
class SetHostname(NamedTuple):
    """Name the machine that the container believes to be."""

    name: str

    def calls(self) -> tuple[str, ...]:
        return (f'sethostname("{self.name}", {len(self.name)})',)

    def apply(self, context: "Context") -> None:
        process.sethostname(self.name)


@step(INIT, "namespace", why="The second name that a UTS namespace keeps.", see="setdomainname(2)")
class SetDomainname(NamedTuple):
    """Set the NIS domain name."""

    name: str

    def calls(self) -> tuple[str, ...]:
        return (f'setdomainname("{self.name}", {len(self.name)})',)

    def apply(self, context: "Context") -> None:
        process.setdomainname(self.name)


@step(
    INIT,
    "network",
    why="A new network namespace has a loopback device, but it is down: 127.0.0.1 would not answer.",
    see="network_namespaces(7), netdevice(7)",
)
class LoopbackUp(NamedTuple):
    """Switch on the new network namespace's only device."""

    def calls(self) -> tuple[str, ...]:
        return (
            'ioctl(FD, SIOCGIFFLAGS, {ifr_name="lo"})',
            'ioctl(FD, SIOCSIFFLAGS, {ifr_name="lo", ifr_flags=IFF_UP})',
        )

    def apply(self, context: "Context") -> None:
        netdevice.bring_up("lo")
