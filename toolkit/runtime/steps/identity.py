"""Steps that make the process who it should be: limits, directory, user."""

import errno
import os
import stat

from toolkit.core.errors import CommandNotExecutableError, StartError
from toolkit.core.record import NamedTuple
from toolkit.linux import capability, file, keyring, process, rooted
from toolkit.linux.flags import quoted
from toolkit.runtime.steps.base import INIT, OUTSIDE, step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.runtime.context import Context

_MEMORY_DEVICES = 1
"""The major number of /dev/null, which may be the host's own and stays root's."""


@step(
    INIT,
    "identity",
    why="Older than cgroups, and for one process each: how many files it may open, how large its stack grows.",
    see="setrlimit(2)",
)
class SetRlimits(NamedTuple):
    """Limit the process's own resources."""

    limits: tuple[tuple[str, int, int], ...]

    def calls(self) -> tuple[str, ...]:
        return tuple(
            f"prlimit64(0, {name}, {{rlim_cur={soft}, rlim_max={hard}}}, NULL)" for name, soft, hard in self.limits
        )

    def apply(self, context: "Context") -> None:
        for name, soft, hard in self.limits:
            process.setrlimit(name, soft, hard)


@step(
    INIT,
    "identity",
    why="The higher the score, the sooner this container goes when the whole machine is short of memory.",
    see="proc_pid_oom_score_adj(5)",
)
class SetOomScore(NamedTuple):
    """Tell the kernel how willingly to kill this process when memory runs out."""

    value: int

    def calls(self) -> tuple[str, ...]:
        return (f'write("/proc/self/oom_score_adj", "{self.value}")',)

    def apply(self, context: "Context") -> None:
        context.execve = None  # the kernel has it go for all who share the memory: nobody is to go on in that
        file.write_text("/proc/self/oom_score_adj", str(self.value))


@step(
    INIT,
    "security",
    why="Keys are not namespaced: without a new session keyring the process could read those of whoever started it.",
    see="keyctl(2), session-keyring(7)",
)
class JoinKeyring(NamedTuple):
    """Start a session keyring of the container's own."""

    def calls(self) -> tuple[str, ...]:
        return ("keyctl(KEYCTL_JOIN_SESSION_KEYRING, NULL)",)

    def apply(self, context: "Context") -> None:
        keyring.join_session()


@step(
    INIT,
    "identity",
    why="Out of the session of whoever asked: signals of its terminal do not reach in, and a new one may be taken.",
    see="setsid(2), credentials(7)",
)
class NewSession(NamedTuple):
    """Begin a session of processes of the container's own."""

    def calls(self) -> tuple[str, ...]:
        return ("setsid()",)

    def apply(self, context: "Context") -> None:
        process.setsid()


@step(INIT, "identity", why="The program starts where the image or --workdir says.", see="chdir(2)")
class ChangeDirectory(NamedTuple):
    """Go to the working directory, made where the image lacks it; an exec's must be there."""

    path: str
    may_make: bool = True

    def calls(self) -> tuple[str, ...]:
        return (f"chdir({quoted(self.path)})", f"getcwd({quoted(self.path)}, 4097)")

    def apply(self, context: "Context") -> None:
        try:
            file.chdir(self.path)
        except OSError as exc:
            if exc.errno == errno.ENOTDIR:
                raise StartError(
                    f"the working directory {self.path} is not a directory", hint="choose another"
                ) from exc
            if exc.errno != errno.ENOENT:
                raise
            if not self.may_make:
                raise CommandNotExecutableError(
                    f"the working directory {self.path} does not exist", hint="choose another, or make it with mkdir"
                ) from exc
            root = file.open_file("/", os.O_PATH | os.O_DIRECTORY)
            try:
                os.close(rooted.make_directories(root, self.path))
            finally:
                os.close(root)
            file.chdir(self.path)
        if not file.is_inside_root():
            raise StartError(f"the working directory {self.path} is outside of the container", hint="choose another")


def _give_stdio(fds: "tuple[int, ...]", uid: int, gid: int = -1) -> None:
    """Let a user open /dev/stdout anew: pipes and terminal are root's, with a mode that shuts others out."""
    for fd in fds:
        found = os.fstat(fd)
        if not stat.S_ISCHR(found.st_mode) or os.major(found.st_rdev) != _MEMORY_DEVICES:
            try:
                process.fchown(fd, uid, gid)
            except OSError as exc:  # as runc: not the user namespace's to give, or on a read-only file system
                if exc.errno not in (errno.EINVAL, errno.EPERM, errno.EROFS):
                    raise


@step(
    OUTSIDE,
    "identity",
    why="The pipes belong to root of the host, who is nobody in the new user namespace: that can change from outside.",
    see="fchown(2), user_namespaces(7)",
)
class GiveStdio(NamedTuple):
    """Give the pipes of stdin, stdout and stderr to the container's root."""

    uid: int
    gid: int

    def calls(self) -> tuple[str, ...]:
        return tuple(f"fchown({name}, {self.uid}, {self.gid})" for name in ("STDIN", "STDOUT", "STDERR"))

    def apply(self, context: "Context") -> None:
        _give_stdio(tuple(fd for fd in context.stdio if fd >= 0), self.uid, self.gid)  # a caller's own stay its


@step(
    INIT,
    "identity",
    why="The groups first and the user last: after the change of user the others are no longer allowed.",
    see="setresuid(2), credentials(7)",
)
class SetUser(NamedTuple):
    """Become the user that the program runs as."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    umask: int
    keep_capabilities: bool

    def calls(self) -> tuple[str, ...]:
        listed = ", ".join(map(str, self.groups))
        ids = (
            f"setgroups({len(self.groups)}, [{listed}])",
            f"setresgid({self.gid}, {self.gid}, {self.gid})",
            f"setresuid({self.uid}, {self.uid}, {self.uid})",
        )
        made: tuple[str, ...] = (f"umask(0{self.umask:02o})", *ids)
        given: tuple[str, ...] = ()
        if self.uid:
            given = tuple(f"fchown({fd}, {self.uid}, -1)" for fd in (0, 1, 2))
            made = (*made, "prctl(PR_SET_DUMPABLE, SUID_DUMP_DISABLE)")
        if self.keep_capabilities:
            made = ("prctl(PR_SET_KEEPCAPS, 1)", *made, "prctl(PR_SET_KEEPCAPS, 0)")
        return (*given, *made)

    def apply(self, context: "Context") -> None:
        if self.uid:
            _give_stdio((0, 1, 2), self.uid)
        if self.keep_capabilities:
            capability.set_keepcaps(True)
        process.umask(self.umask)
        process.setgroups(self.groups)
        process.setresgid(self.gid)
        process.setresuid(self.uid)
        if self.uid:
            process.set_dumpable(0)  # fs.suid_dumpable says what a change of user makes of it
        if self.keep_capabilities:
            capability.set_keepcaps(False)
