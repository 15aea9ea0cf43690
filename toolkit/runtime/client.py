"""How the engine reaches the zygote (to start something) and monitors (to attach to something)."""

import errno
import os
import sys

from toolkit.core import document
from toolkit.core.errors import EngineError, StartError
from toolkit.linux import lock, sock
from toolkit.runtime import channel, frames
from toolkit.runtime.meeting import ATTACH_SOCKET, BACKLOG, OUTSIDE_SUFFIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from toolkit.runtime.request import Request
    from toolkit.runtime.steps import Step

_SOURCE_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_PROGRAM = f"import sys; sys.path.insert(0, {_SOURCE_ROOT!r}); from toolkit.runtime.zygote import main; main()"
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
_UNREACHABLE = (errno.ECONNREFUSED, errno.ENOENT)


class Session:
    """A connection to a monitor: frames go in and out."""

    def __init__(self, connection: sock.Socket) -> None:
        self._sock = connection
        self._reader = frames.FrameReader()
        self._unsent = bytearray()
        self.plan: tuple[Step, ...] = ()
        """What was given to be carried out."""
        self._begun = 0

    def fileno(self) -> int:
        """Return the socket's descriptor, for poll."""
        return self._sock.fileno()

    def receive(self) -> tuple[int, bytes] | None:
        """Wait for the next frame, (kind, content); None when the monitor has gone."""
        while (received := self._reader.pop()) is None:
            try:
                data = self._sock.recv(256 * 1024)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._reader.feed(data)
        return received

    def has_frame(self) -> bool:
        """Tell whether `receive` would return at once although the socket has nothing to read."""
        return self._reader.has_frame()

    def send(self, kind: int, content: bytes) -> None:
        """Send a frame; a monitor that is gone takes it silently, as a closed pipe would."""
        self._unsent += frames.frame(kind, content)
        try:
            self._sock.sendall(self._unsent)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the last frame, or its absence, tells how the container ended
        self._unsent.clear()

    def offer(self, kind: int, content: bytes) -> bool:
        """Send a frame as far as it goes without waiting; tell whether all went, else `flush` when there is room."""
        self._unsent += frames.frame(kind, content)
        return self.flush()

    def flush(self) -> bool:
        """Send more of what was offered; tell whether nothing is left."""
        try:
            while self._unsent:
                del self._unsent[: self._sock.send(self._unsent, sock.MSG_DONTWAIT)]
        except BlockingIOError:
            return False
        except (BrokenPipeError, ConnectionResetError):
            self._unsent.clear()  # as in `send`
        return True

    def begin_plan(self, plan: "tuple[Step, ...]", count: int) -> None:
        """Have the first `count` steps carried out; the others wait for `carry_out`.

        Only for a process in reserve (`Request.uses_reserve`), and not before its own steps.  Whoever closes the
        session instead has it all given up.
        """
        from toolkit.runtime import steps

        self._begun = count
        self.send(frames.PLAN_BEGINNING, steps.encode(plan[:count]))

    def carry_out(self, plan: "tuple[Step, ...]") -> None:
        """Have the monitor that `Zygote.begin` has got ready carry out its plan, or the rest of it."""
        from toolkit.runtime import steps

        self.plan = plan
        self.send(frames.PLAN, steps.encode(plan[self._begun :]))

    def control(self, *, wait: bool = True, **message: object) -> bool:
        """Send a control message; with `wait` false only as far as it goes now, as `offer`."""
        content = document.encode(message)
        if not wait:
            return self.offer(frames.CONTROL, content)
        self.send(frames.CONTROL, content)
        return True

    def close(self) -> None:
        """Leave; the container goes on."""
        self._sock.close()


class MonitorLostError(StartError):
    """The monitor died before it could say how the start went."""

    has_begun = False
    """Whether it had said anything at all."""


class Zygote:
    """The zygote of one engine: found where it runs, started where it does not."""

    def __init__(self, run_dir: str, home: "Callable[[], tuple[str, ...]] | None" = None) -> None:
        """Use the zygote whose socket lies in `run_dir`.

        Args:
            run_dir: an engine's runtime directory.
            home: returns the cgroups that one that is started belongs in: the directory of version 2 or "", then
                the `tasks` files of version 1; None: where whoever starts it is.
        """
        self._run_dir = run_dir
        self._home = home
        self._name = f"zygote-{_fingerprint()}.sock"
        self._launched_pid = 0

    def begin(self, request: "Request", lock_fd: int = -1) -> Session:
        """Have a monitor get ready for `request`; return the connection to it at once.

        It begins when it is given the plan (`Session.carry_out`): whoever asks may prepare more meanwhile.

        Args:
            request: what to look after.
            lock_fd: the locked run directory, whose lock the monitor inherits.

        Raises:
            StartError: no zygote can be started.
        """
        connection = self._connect() if request.uses_reserve else self._connect_outside()
        message = frames.frame(frames.REQUEST, request.encode())
        try:
            if lock_fd >= 0:
                connection.sendall(message[sock.send(connection, [message], (lock_fd,)) :])
            else:
                connection.sendall(message)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the reader of the answer sees the same and knows what to do
        self._reap()
        return Session(connection)

    def _reap(self) -> None:
        """Wait for the process that we spawned: it forks the zygote and ends, so that the zygote is nobody's child.

        Whoever ends its own children (a notebook kernel does) must not end all containers.
        """
        pid, self._launched_pid = self._launched_pid, 0
        if not pid:
            return
        try:
            status = os.waitpid(pid, 0)[1]
        except ChildProcessError:
            return  # this program ignores SIGCHLD: the kernel has reaped it
        if status:
            log = f"{self._run_dir}/zygote.log"
            raise StartError("the process that starts containers ended at once", hint=f"see the end of {log}")

    def _connect_outside(self) -> sock.Socket:
        """Connect to the zygote itself; to the pair in reserve, which can be asked for all, where there is none yet."""
        try:
            return _connect_in(self._run_dir, f"{self._name}{OUTSIDE_SUFFIX}")
        except OSError as exc:
            if exc.errno not in _UNREACHABLE:
                raise
            return self._connect()

    def _connect(self) -> sock.Socket:
        try:
            return _connect_in(self._run_dir, self._name)
        except OSError as exc:
            if exc.errno not in _UNREACHABLE:
                raise
        fd = os.open(f"{self._run_dir}/zygote.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            lock.wait_lock(fd)
            try:
                return _connect_in(self._run_dir, self._name)  # someone else was quicker
            except OSError as exc:
                if exc.errno not in _UNREACHABLE:
                    raise
            self._spawn()
            return _connect_in(self._run_dir, self._name)
        finally:
            os.close(fd)

    def _spawn(self) -> None:
        """Start a zygote on a socket that is listening already: nobody has to wait for it."""
        from toolkit.linux import resident

        listener = resident.listen_in(self._run_dir, self._name, BACKLOG)
        try:
            self._launch(listener.fileno(), f"{self._run_dir}/{self._name}")
        finally:
            listener.close()

    def _launch(self, listener_fd: int, path: str) -> None:
        """Start the process; its program is one that nobody can write to, since its children enter containers."""
        from toolkit.linux import resident, sealed

        interpreter = sealed.open_program(sys.executable)
        try:
            self._launched_pid = resident.spawn(
                f"/proc/self/fd/{interpreter}",
                [sys.executable, "-I", "-S", "-c", _PROGRAM, path, *(self._home() if self._home else ("",))],
                _ENVIRONMENT,
                log=f"{self._run_dir}/zygote.log",
                listener_fd=listener_fd,
            )
        finally:
            os.close(interpreter)

    def stop(self) -> None:
        """Have the engine's zygotes leave, those of older code and of other capabilities, too.

        One goes when its socket is not at its place and something wakes it.
        """
        try:
            names = os.listdir(self._run_dir)
        except FileNotFoundError:
            return
        for name in names:
            if name.startswith("zygote-") and name.endswith(".sock"):
                self._stop(name)

    def _stop(self, name: str) -> None:
        aside = f"{name}.{os.getpid()}"
        try:
            os.unlink(f"{self._run_dir}/{name}{OUTSIDE_SUFFIX}")
        except FileNotFoundError:
            pass  # it has just begun
        try:
            os.rename(f"{self._run_dir}/{name}", f"{self._run_dir}/{aside}")
        except FileNotFoundError:
            return
        try:
            _connect_in(self._run_dir, aside).close()
        except OSError as exc:
            if exc.errno not in _UNREACHABLE:
                raise
        finally:
            os.unlink(f"{self._run_dir}/{aside}")


def _connect_in(directory: str, name: str) -> sock.Socket:
    connection = sock.unix()
    sock.connect_in(connection, directory, name)
    return connection


def attach(container_run_dir: str, *, output: bool, stdin: bool) -> Session | None:
    """Connect to the monitor of a running container; None if none listens there (any more).

    The monitor has confirmed it: from now on no output is missed.
    """
    try:
        connection = _connect_in(container_run_dir, ATTACH_SOCKET)
    except OSError as exc:
        if exc.errno not in (*_UNREACHABLE, errno.ENOTDIR):
            raise
        return None
    session = Session(connection)
    session.control(op="attach", output=output, stdin=stdin)
    if session.receive() is None:  # the monitor was about to leave
        session.close()
        return None
    return session


def poke(container_run_dir: str) -> None:
    """Wake the monitor of a container; one that does not listen (any more) need not be woken."""
    try:
        _connect_in(container_run_dir, ATTACH_SOCKET).close()
    except OSError as exc:
        if exc.errno not in (*_UNREACHABLE, errno.ENOTDIR):
            raise


def error_of(message: "dict[str, Any]") -> EngineError:
    """Return the error that a "failed" message tells of."""
    return channel.error_of(message)


def _fingerprint() -> str:
    """Name the code that a zygote of ours would run, and its powers."""
    from toolkit.linux import capability, resident

    sets = capability.read_sets()
    rooms = ("runtime", "runtime/steps", "linux", "trace", "core")
    return resident.fingerprint(_SOURCE_ROOT, rooms, (sets.effective, sets.bounding))
