"""How the engine reaches the network process: found where it runs, started where it does not."""

import errno
import os
import sys

from toolkit.core.errors import EngineError
from toolkit.linux import lock, resident, sock
from toolkit.network import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_SOURCE_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
_UNREACHABLE = (errno.ECONNREFUSED, errno.ENOENT)
_BACKLOG = 1024
_TRIES = 3
_LOST = "the network process was killed in the middle of it"


class NetworkLostError(EngineError):
    """The network process died before it could answer."""


class NetworkProcess:
    """The network process of one engine."""

    def __init__(self, run_dir: str, database: str, running: str, home: "Callable[[], tuple[str, ...]]") -> None:
        """Use the one whose socket lies in `run_dir`.

        Args:
            run_dir: an engine's runtime directory.
            database: its state.
            running: where there is a directory for each owner that lives.
            home: returns the `tasks` files of the cgroups that one that is started belongs in.
        """
        self._run_dir = run_dir
        self.socket = f"network-{_fingerprint()}.sock"
        """The name of its socket: one that runs older code must not serve us."""
        self._arguments = (database, running)
        self._home = home

    def ask(self, message: wire.Message, fd: int = -1) -> wire.Message:
        """Send a request and return the answer; one that is lost with its process is sent to the next.

        Raises:
            EngineError: what it says.
            NetworkLostError: it was killed again and again.
        """
        answer = None
        for _again in range(_TRIES):
            answer = self._ask(message, fd)
            if answer is not None:
                break
        if answer is None:
            raise NetworkLostError(_LOST, hint=f"try again; {self._run_dir}/{wire.LOG} may say why")
        if "failed" in answer:
            raise wire.error_of(answer["failed"])
        return answer

    def _ask(self, message: wire.Message, fd: int) -> wire.Message | None:
        """Return the answer, None where there is nobody any more to give it."""
        self.ensure()
        try:
            connection = self._connect()
        except OSError as exc:
            if exc.errno not in _UNREACHABLE:
                raise
            return None
        try:
            wire.send(connection, message, (fd,) if fd >= 0 else ())
            return wire.receive(connection)[0]
        except (BrokenPipeError, ConnectionResetError):
            return None
        finally:
            connection.close()

    def ensure(self) -> None:
        """Have one run.

        Raises:
            EngineError: it cannot be started.
        """
        if self._is_there():
            return
        fd = os.open(f"{self._run_dir}/{wire.LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            lock.wait_lock(fd)
            if not self._is_there():
                self._spawn()
        finally:
            os.close(fd)

    def _is_there(self) -> bool:
        try:
            self._connect().close()
        except OSError as exc:
            if exc.errno not in _UNREACHABLE:
                raise
            return False
        return True

    def _connect(self) -> sock.Socket:
        return _connect(self._run_dir, self.socket)

    def _spawn(self) -> None:
        """Start it on a socket that listens already: nobody has to wait until it is ready."""
        self.stop()  # one of older code has the ports
        listener = resident.listen_in(self._run_dir, self.socket, _BACKLOG, sock.SOCK_SEQPACKET)
        try:
            self._launch(listener.fileno(), f"{self._run_dir}/{self.socket}")
        finally:
            listener.close()

    def _launch(self, listener_fd: int, path: str) -> None:
        program = f"import sys; sys.path[:0] = {_library()!r}; from toolkit.network.resident import main; main()"
        log = f"{self._run_dir}/{wire.LOG}"
        directory, *tasks = self._home()
        if directory:
            tasks.append(f"{directory}/cgroup.procs")
        argv = [sys.executable, "-I", "-S", "-c", program, path, *self._arguments, *tasks]
        pid = resident.spawn(sys.executable, argv, _ENVIRONMENT, log=log, listener_fd=listener_fd)
        try:
            status = os.waitpid(pid, 0)[1]
        except ChildProcessError:
            return  # this program ignores SIGCHLD: the kernel has reaped it
        if status and not os.WIFSIGNALED(status):
            raise EngineError("the network process ended at once", hint=f"see the end of {log}")

    def stop(self) -> None:
        """Have it leave, if it runs, also one of older code; what it has made stays.

        It goes when its socket is not at its place and something wakes it; that it has gone is told by the end of the
        connection.
        """
        try:
            names = os.listdir(self._run_dir)
        except FileNotFoundError:
            return
        for name in names:
            if name.startswith("network-") and name.endswith(".sock"):
                self._stop(name)

    def _stop(self, name: str) -> None:
        aside = f"{name}.{os.getpid()}"
        try:
            os.rename(f"{self._run_dir}/{name}", f"{self._run_dir}/{aside}")
        except FileNotFoundError:
            return  # somebody else does it
        try:
            connection = _connect(self._run_dir, aside)
            wire.receive(connection)
            connection.close()
        except OSError as exc:
            if exc.errno not in _UNREACHABLE:
                raise
        finally:
            _unlink(f"{self._run_dir}/{aside}")


def _connect(directory: str, name: str) -> sock.Socket:
    connection = sock.unix(sock.SOCK_SEQPACKET)
    sock.connect_in(connection, directory, name)
    return connection


def _fingerprint() -> str:
    """Name the code that the process would run, and its powers."""
    from toolkit.linux import capability

    rooms = ("network", "network/dns", "linux", "trace", "core")
    return resident.fingerprint(_SOURCE_ROOT, rooms, (capability.read_sets().effective,))


def _library() -> list[str]:
    """Return where our own code is, and pyroute2: an isolated interpreter looks nowhere by itself."""
    import importlib.util

    found = importlib.util.find_spec("pyroute2")
    if found is None or found.origin is None:
        raise EngineError("the library pyroute2 is not installed", hint="pip install pyroute2")
    return [_SOURCE_ROOT, os.path.dirname(os.path.dirname(found.origin))]


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass  # nobody has been here
