"""Steps of a container that another OCI runtime makes: crun, runc or their like, under our monitor.

See Also:
    opencontainers/runtime-tools docs/command-line-interface.md; runc(8), crun(1)
"""

import os

from toolkit.core import document
from toolkit.core.errors import CommandNotExecutableError, CommandNotFoundError, StartError
from toolkit.core.record import NamedTuple
from toolkit.linux import mount, namespace, process, sock
from toolkit.runtime.steps.base import OUTSIDE, step
from toolkit.runtime.steps.root import MountOverlay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.runtime.context import Context

_PID, _LOG, _CONSOLE = "pid", "log.json", "console.sock"
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
_MAX_MESSAGE = 4096


@step(
    OUTSIDE,
    "rootfs",
    why="Another runtime wants a directory with everything in it; that nobody else sees it is left to this namespace.",
    see="mount_namespaces(7), runtime-spec bundle.md",
)
class ShowOverlay(NamedTuple):
    """Lay the layers over each other where only this process, and what it starts, can see it."""

    overlay: tuple[tuple[str, ...], str, str, tuple[str, ...], str]
    """As the fields of MountOverlay."""

    def calls(self) -> tuple[str, ...]:
        private = 'mount(NULL, "/", NULL, MS_REC|MS_PRIVATE, NULL)'
        return ("unshare(CLONE_NEWNS)", private, *MountOverlay(*self.overlay).calls())

    def apply(self, context: "Context") -> None:
        namespace.unshare(namespace.CLONE_NEWNS)  # this process is about to end: so is what it mounts
        mount.mount(None, "/", None, mount.MS_REC | mount.MS_PRIVATE)
        MountOverlay(*self.overlay).apply(context)
        os.close(context.root_fd)
        context.root_fd = -1


@step(
    OUTSIDE,
    "program",
    why="The same bundle, made by another program: the engine is not tied to its own runtime.",
    see="runtime-spec runtime.md Create",
)
class CreateByRuntime(NamedTuple):
    """Have another runtime make the container of a bundle; our monitor becomes its first process's parent."""

    command: tuple[str, ...]
    """The runtime, and the flags that it always gets."""
    state: str
    """The directory of what it keeps of this container alone, and of the files that we exchange with it."""
    bundle: str
    id: str
    has_terminal: bool

    def _argv(self, console: str) -> tuple[str, ...]:
        flags = ("--bundle", self.bundle, "--pid-file", f"{self.state}/{_PID}")
        terminal = ("--console-socket", console) if self.has_terminal else ()
        return (*rooted(self.command, self.state), "create", *flags, *terminal, self.id)

    def calls(self) -> tuple[str, ...]:
        argv = self._argv("/proc/self/fd/DIRECTORY/console.sock")
        return (process.execve_text(argv[0], argv, len(_ENVIRONMENT)),)

    def apply(self, context: "Context") -> None:
        for name in (_PID, _LOG, _CONSOLE):
            _unlink(f"{self.state}/{name}")
        directory = os.open(self.state, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        listener = sock.unix()
        try:
            if self.has_terminal:  # by descriptor: the path may be longer than an address
                listener.bind(f"/proc/self/fd/{directory}/{_CONSOLE}")
                listener.listen(1)
            own = os.readlink("/proc/self")
            run_to_end(self._argv(f"/proc/{own}/fd/{directory}/{_CONSOLE}"), self.state, context.stdio)
            os.close(directory)
            if self.has_terminal:
                self._pass_master_on(listener, context)
        finally:
            listener.close()
        with open(f"{self.state}/{_PID}") as file:
            context.adopt(int(file.read()))

    @staticmethod
    def _pass_master_on(listener: sock.Socket, context: "Context") -> None:
        listener.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        try:
            connection = sock.accept(listener)
        except BlockingIOError as exc:
            raise StartError("the runtime has sent no terminal", hint="does it know --console-socket?") from exc
        _data, fds = sock.receive(connection, _MAX_MESSAGE, 1)
        connection.close()
        if not fds:
            raise StartError("the runtime has sent no terminal", hint="does it know --console-socket?")
        context.reports.master(fds[0])
        os.close(fds[0])


@step(OUTSIDE, "program", why="What was made waits for this word.", see="runtime-spec runtime.md Start")
class StartByRuntime(NamedTuple):
    """Have the runtime that made the container run its program."""

    command: tuple[str, ...]
    state: str
    id: str

    def _argv(self) -> tuple[str, ...]:
        return (*rooted(self.command, self.state), "start", self.id)

    def calls(self) -> tuple[str, ...]:
        argv = self._argv()
        return (process.execve_text(argv[0], argv, len(_ENVIRONMENT)),)

    def apply(self, context: "Context") -> None:
        run_to_end(self._argv(), self.state, (-1, -1, -1))
        context.reports.executing(None)


def rooted(command: tuple[str, ...], state: str) -> tuple[str, ...]:
    """Return a runtime's command with the flags that say where it keeps its state, and why it fails."""
    return (*command, "--root", state, "--log", f"{state}/{_LOG}", "--log-format", "json")


def run_to_end(argv: tuple[str, ...], state: str, stdio: tuple[int, int, int]) -> None:
    """Run a runtime's command.

    Args:
        argv: the command.
        state: where it keeps its state.
        stdio: what becomes the container's, -1 each for /dev/null.

    Raises:
        StartError: it failed, as its log says; with docker's exit codes.
    """
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        actions = [(os.POSIX_SPAWN_DUP2, fd if fd >= 0 else null, target) for target, fd in enumerate(stdio)]
        pid = os.posix_spawn(argv[0], argv, _ENVIRONMENT, file_actions=actions)
    except OSError as exc:
        reason = (exc.strerror or str(exc)).lower()
        raise StartError(f"the runtime {argv[0]} cannot be run: {reason}", hint="see --runtime") from exc
    finally:
        os.close(null)
    if os.waitpid(pid, 0)[1]:
        raise failure(argv[0], _last_error(f"{state}/{_LOG}"))


def failure(program: str, message: str) -> StartError:
    """Return the error for what a runtime has said, with the exit code that docker would choose."""
    text = f"{os.path.basename(program)}: {message or 'it failed and did not say why'}"
    lower = message.lower()
    if "executable file not found" in lower or "no such file or directory" in lower:
        return CommandNotFoundError(text)
    if "permission denied" in lower or "is a directory" in lower or "not a directory" in lower:
        return CommandNotExecutableError(text)
    return StartError(text)


def _last_error(path: str) -> str:
    try:
        with open(path) as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return ""
    for line in reversed(lines):
        try:
            entry = document.decode(line)
        except ValueError:
            continue  # somebody has written something else there
        if isinstance(entry, dict) and entry.get("level") in ("error", "fatal"):
            return " ".join(str(entry.get("msg", "")).split())
    return ""


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass  # its first start
