"""The last steps: the terminal or the pipes, and the program itself."""

import errno
import os
import stat
import time

from toolkit.core.errors import CommandNotExecutableError, CommandNotFoundError, StartError
from toolkit.core.record import NamedTuple
from toolkit.linux import file, mount, process, pty, rooted, signals
from toolkit.linux.flags import quoted
from toolkit.runtime.steps.base import INIT, step
from toolkit.trace import Event
from toolkit.trace.recorder import current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.runtime.context import Context

_MAX_PASSWD = 1 << 20
"""Bytes of a container's list of users that are read."""
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SIGNALS_LEFT_IGNORED_BY_PYTHON = (signals.SIGPIPE, signals.SIGXFSZ, signals.SIGINT)


@step(
    INIT,
    "terminal",
    why="The slave end becomes stdin, stdout and stderr; the master end goes to the monitor, which carries the bytes.",
    see="pty(7), devpts in docs.kernel.org/filesystems/devpts.html",
)
class OpenTerminal(NamedTuple):
    """Open a terminal of the container's own and make it the process's."""

    rows: int
    columns: int
    bind_console: bool

    def calls(self) -> tuple[str, ...]:
        return (
            'openat2(ROOT, "dev/pts/ptmx", {flags=O_RDWR|O_NOCTTY|O_CLOEXEC, resolve=RESOLVE_IN_ROOT}, 24)',
            "ioctl(MASTER, TIOCGPTPEER, O_RDWR|O_NOCTTY|O_CLOEXEC)",
            "ioctl(SLAVE, TCSETS, {c_iflag=...|IUTF8})",
            "sendmsg(CHANNEL, SCM_RIGHTS [MASTER])",
            "ioctl(SLAVE, TIOCSCTTY, 0)",
        )

    def apply(self, context: "Context") -> None:
        master = self._open_master(context.root_fd)
        slave = pty.open_slave(master)
        pty.set_utf8(slave)
        if self.rows and self.columns:
            pty.set_window_size(slave, self.rows, self.columns)
        context.reports.master(master)
        os.close(master)
        if self.bind_console:
            self._bind_console(context.root_fd, slave)
        pty.set_controlling_terminal(slave)
        for fd in (0, 1, 2):
            process.dup2(slave, fd)
        if slave > 2:
            os.close(slave)

    @staticmethod
    def _open_master(root_fd: int) -> int:
        root = root_fd if root_fd >= 0 else file.open_file("/", os.O_PATH | os.O_DIRECTORY)
        try:
            return pty.open_master(root, "/dev/pts/ptmx")
        except OSError as exc:
            raise StartError(
                f"no terminal can be opened in the container: {exc}", hint="mount a devpts on /dev/pts"
            ) from exc
        finally:
            if root != root_fd:
                os.close(root)

    @staticmethod
    def _bind_console(root_fd: int, slave: int) -> None:
        fd = rooted.make_file(root_fd, "/dev/console")
        try:
            mount.mount(f"/proc/self/fd/{slave}", f"/proc/self/fd/{fd}", None, mount.MS_BIND)
        finally:
            os.close(fd)


@step(
    INIT,
    "terminal",
    why="What the program prints goes to the monitor, which logs it and hands it to whoever is attached.",
    see="pipe(7), dup2(2)",
)
class ConnectStdio(NamedTuple):
    """Connect stdin, stdout and stderr to the monitor's pipes."""

    def calls(self) -> tuple[str, ...]:
        return ("dup2(STDIN, 0)", "dup2(STDOUT, 1)", "dup2(STDERR, 2)")

    def apply(self, context: "Context") -> None:
        for target, fd in enumerate(context.stdio):
            process.dup2(fd, target)


@step(
    INIT,
    "program",
    why="A container without its monitor would have nobody to reap it, log it or record how it ended.",
    see="PR_SET_PDEATHSIG(2const)",
)
class DieWithMonitor(NamedTuple):
    """Have the kernel kill the container if its monitor is killed."""

    def calls(self) -> tuple[str, ...]:
        return ("prctl(PR_SET_PDEATHSIG, SIGKILL)",)

    def apply(self, context: "Context") -> None:
        process.set_parent_death_signal(signals.SIGKILL)


@step(
    INIT,
    "program",
    why="A descriptor that leaks into a container may be a way out of it: execve closes them all (CVE-2024-21626).",
    see="close_range(2), CLOSE_RANGE_CLOEXEC",
)
class CloseOnExec(NamedTuple):
    """Mark every descriptor that is open as none of the program's; what is opened from here on is born so.

    Ahead of the filter, which may be older than the call.
    """

    first_fd: int

    def calls(self) -> tuple[str, ...]:
        return (f"close_range({self.first_fd}, 4294967295, CLOSE_RANGE_CLOEXEC)",)

    def apply(self, context: "Context") -> None:
        process.close_on_exec_from(self.first_fd)


@step(
    INIT,
    "program",
    why="What is missing is said when the container is made, and a filter need allow no more than the execve itself.",
    see="execve(2), path_resolution(7)",
)
class FindProgram(NamedTuple):
    """Look the program up, and who its user is, ahead of its start."""

    argv: tuple[str, ...]
    env: tuple[str, ...]

    def calls(self) -> tuple[str, ...]:
        return (f"faccessat2(AT_FDCWD, {quoted(self.argv[0])}, X_OK, AT_EACCESS)",)

    def apply(self, context: "Context") -> None:
        program = Exec(self.argv, self.env)
        found = program.candidates({pair.partition("=")[0]: pair.partition("=")[2] for pair in self.env})
        program.check(found)
        restore_signals()
        context.candidates = found
        if not any(pair.startswith("HOME=") for pair in self.env):
            context.home = home_of(os.getuid())


def home_of(uid: int) -> str:
    """Return the home directory of a user of the container, whose files are not to be trusted; "/" if it has none."""
    try:
        fd = os.open("/etc/passwd", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        if exc.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP, errno.ENXIO):
            raise
        return "/"
    try:
        text = os.read(fd, _MAX_PASSWD) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    finally:
        os.close(fd)
    for line in text.split(b"\n"):
        fields = line.split(b":")
        if len(fields) > 5 and fields[2] == str(uid).encode() and fields[5]:
            return os.fsdecode(fields[5].replace(b"\0", b""))
    return "/"


def restore_signals() -> None:
    """Have signals be as a program expects them: what Python ignores, it would inherit."""
    for number in _SIGNALS_LEFT_IGNORED_BY_PYTHON:
        signals.signal(number, signals.SIG_DFL)
    signals.pthread_sigmask(signals.SIG_SETMASK, ())


@step(
    INIT,
    "program",
    why="The same process, with all that was taken from it, now runs other code: there is no way back.",
    see="execve(2)",
)
class Exec(NamedTuple):
    """Become the program."""

    argv: tuple[str, ...]
    env: tuple[str, ...]

    def calls(self) -> tuple[str, ...]:
        return (process.execve_text(self.argv[0], self.argv, len(self.env)),)

    def make_ready(self, context: "Context") -> None:
        """Have signals be as the program expects them, unless `FindProgram` has."""
        if context.candidates is None:
            restore_signals()

    def apply(self, context: "Context") -> None:
        env = {pair.partition("=")[0]: pair.partition("=")[2] for pair in self.env}
        if context.home:
            env["HOME"] = context.home
        failure: OSError | None = None
        for path in self.candidates(env) if context.candidates is None else context.candidates:
            # Before it is done: when it has worked nobody is left here to say so.
            context.reports.executing(self._event(path, len(env)))
            try:
                (context.execve or process.execve)(path, self.argv, env)
            except OSError as exc:
                failure = _worse(failure, exc)
        raise self._error(failure)

    def _event(self, path: str, env_count: int) -> Event | None:
        """Return the event of an execve that works; None where nobody records."""
        recorder = current()
        if recorder is None:
            return None
        call = process.execve_text(path, self.argv, env_count)
        return Event("process.execve", call, 0, "", time.monotonic_ns(), 0, os.getpid(), INIT, recorder.step)

    def candidates(self, env: dict[str, str]) -> tuple[str, ...]:
        """Return the paths to try, in the order of PATH (execvp(3))."""
        name = self.argv[0]
        if "/" in name:
            return (name,)
        directories = env.get("PATH", _DEFAULT_PATH).split(":")
        return tuple(
            f"{directory or '.'}/{name}" for directory in directories if _is_there(f"{directory or '.'}/{name}")
        )

    def check(self, candidates: tuple[str, ...]) -> None:
        """Check that one of the paths is a program, as far as can be told without running it.

        Raises:
            StartError: none is; with the message and exit code of a failed execve.
        """
        number = errno.ENOENT
        if candidates and not os.access("/", os.F_OK, effective_ids=True):
            return  # a filter older than faccessat2, already in force, answers EPERM: execve itself will tell
        for path in candidates:
            if os.access(path, os.X_OK, effective_ids=True) and not os.path.isdir(path):
                return
            if os.path.exists(path):
                number = errno.EACCES
        raise self._error(OSError(number, os.strerror(number)))

    def _error(self, failure: OSError | None) -> StartError:
        name = self.argv[0]
        prefix = f'exec: "{name}": '
        if failure is None or failure.errno in (errno.ENOENT, errno.ENOTDIR):
            if "/" in name:
                known = os.path.lexists(name)
                hint = "its interpreter (first line) or its loader is missing" if known else "check the path"
                return CommandNotFoundError(f"{prefix}stat {name}: no such file or directory", hint=hint)
            return CommandNotFoundError(
                f"{prefix}executable file not found in $PATH", hint="check the name, or give its full path"
            )
        if failure.errno == errno.ENOEXEC:
            hint = "a script needs a first line such as #!/bin/sh; a program must be built for this machine"
            return CommandNotExecutableError(f"{prefix}exec format error", hint=hint)
        if failure.errno == errno.EACCES:
            if os.path.isdir(name):
                return CommandNotExecutableError(
                    f"{prefix}is a directory: permission denied", hint="name a program in it"
                )
            return CommandNotExecutableError(
                f"{prefix}permission denied", hint=f"make it executable: chmod +x {quoted(name)[1:-1]}"
            )
        return CommandNotExecutableError(f"{prefix}{os.strerror(failure.errno or 0).lower()}")


def _is_there(path: str) -> bool:
    return os.path.exists(path)


def _worse(before: OSError | None, now: OSError) -> OSError:
    """Return the failure to report: EACCES tells more than a later ENOENT (execvp(3))."""
    return now if before is None or before.errno in (errno.ENOENT, errno.ENOTDIR) else before
