"""What a monitor does for its container besides carrying bytes, where that was asked for: health checks, a time limit.

One more thing to wait for in the monitor's poll loop, and no thread.  A probe
is an exec like any other, with a monitor of its own: a fork of this one, whose
other end we hold.  A container without health checks and without a limit has a
monitor that never makes one of these.
"""

import errno
import os
import select
import time

from toolkit.core import clock, ids
from toolkit.core.record import NamedTuple
from toolkit.linux import namespace, process, procfs, signals, sock
from toolkit.runtime import frames, journal, steps
from toolkit.runtime.doze import Poll
from toolkit.runtime.health import MAX_OUTPUT, UNHEALTHY, Check, Health, Result
from toolkit.runtime.meeting import ASKED_FILE, PAUSED_FILE
from toolkit.runtime.request import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Begin = Callable[[bytes, list[int]], None]

_CHUNK = 64 * 1024
_COULD_NOT = -1


class Care(NamedTuple):
    """What is to be done for a container; travels in its request as a tuple of its fields."""

    timeout_s: float = 0.0
    """How long it may run; then it gets SIGKILL.  0: as long as it likes."""
    check: Check | None = None
    probe: bytes = b""
    """The encoded plan of the probe; whom it goes into is filled in here."""
    command: str = ""
    """The probe's command, for the events."""
    stop_signal: int = 15
    stop_timeout_s: float = 10.0

    def encode(self) -> "tuple[Any, ...]":
        """Return it as plain tuples."""
        return tuple(self._replace(check=None if self.check is None else tuple(self.check)))  # type: ignore[arg-type]  # for marshal

    @classmethod
    def decode(cls, fields: "tuple[Any, ...]") -> "Care":
        """Make it of what `encode` returned."""
        made = cls._make(fields)
        return made if made.check is None else made._replace(check=Check._make(made.check))


class _Probe:
    """One probe under way: its monitor, which is our child, and the connection to that."""

    def __init__(self, pid: int, connection: sock.Socket, check: Check, ran_s: float) -> None:
        self.pid = pid
        self.connection = connection
        self.deadline_s = time.monotonic() + check.timeout_s
        self.start = clock.now()
        self.ran_s = ran_s
        self.output = b""
        self._reader = frames.FrameReader()
        self._timeout_s = check.timeout_s
        self._leader = 0

    def read(self) -> Result | None:
        """Take what has come; return how it ended if it has."""
        try:
            data = self.connection.recv(_CHUNK)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            data = b""
        if not data:
            return self.result(_COULD_NOT, "the health check's process was killed")
        self._reader.feed(data)
        while (received := self._reader.pop()) is not None:
            kind, content = received
            if kind != frames.CONTROL:
                self.output = (self.output + content)[: MAX_OUTPUT + 1]
                continue
            message = frames.parse_control(content)
            if message["event"] == "started":
                self._leader = int(message["pid"])
            if message["event"] == "exited":
                return self.result(int(message["code"]), self.output.decode(errors="replace"))
            if message["event"] == "failed":
                return self.result(_COULD_NOT, str(message.get("message", "")))
        return None

    def expired(self) -> Result:
        """End it with all that it has begun, since it took too long; return how it ended."""
        try:
            if self._leader and procfs.parent(self._leader) == self.pid:  # it leads a session, and so a group
                os.killpg(self._leader, signals.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            pass  # it has just ended
        seconds = f"{self._timeout_s:g}"
        return self.result(_COULD_NOT, f"Health check exceeded timeout ({seconds}s)")

    def result(self, code: int, output: str) -> Result:
        """Return how it ended."""
        shown = output if len(output) <= MAX_OUTPUT else output[: MAX_OUTPUT - 3] + "..."
        return Result(self.start, clock.now(), code, shown, self.ran_s)

    def close(self) -> None:
        """End what is left of it: its process dies with its monitor."""
        self.connection.close()
        try:
            os.kill(self.pid, signals.SIGKILL)  # our own child, not reaped yet
        finally:
            os.waitpid(self.pid, 0)


class Tending:
    """What is due when, for one container."""

    def __init__(self, request: Request, pid: int, poll: Poll, begin: "Begin") -> None:
        """Tend the container whose first process is `pid`; `begin` makes a monitor of a forked child."""
        self._request = request
        self._care = Care.decode(request.care or ())
        self._pid = pid
        self._pidfd = os.pidfd_open(pid)
        self._poll = poll
        self._begin = begin
        self._start_s = time.monotonic()
        self._directory = os.path.dirname(request.exit_file)
        self._probe: _Probe | None = None
        self._kill_at_s: float | None = None
        self._health = Health()
        self.wants_restart = False
        """It ends because it was unhealthy, and is to be started again."""
        check = self._care.check
        self._probe_at_s = None if check is None else self._start_s + self._health.pause_s(0, check)
        self._end_at_s = self._start_s + self._care.timeout_s if self._care.timeout_s else None
        if check is not None:
            self._health.write(self._directory)
            namespace.bear_children_here()  # a probe's monitor is no process of the container

    def patience_ms(self) -> float | None:
        """Return how long nothing is due; None: for ever."""
        probe_end_s = None if self._probe is None else self._probe.deadline_s
        due = [at for at in (self._probe_at_s, self._end_at_s, self._kill_at_s, probe_end_s) if at is not None]
        return max(0.0, (min(due) - time.monotonic()) * 1000 + 1) if due else None

    def take(self, fd: int) -> None:
        """Something has come on a descriptor that the relay does not know."""
        if self._probe is not None and fd == self._probe.connection.fileno():
            result = self._probe.read()
            if result is not None:
                self._end_probe(result)

    def act(self) -> None:
        """Do what is due."""
        now_s = time.monotonic()
        if self._end_at_s is not None and now_s >= self._end_at_s:
            self._end_at_s = None
            self._signal(signals.SIGKILL)
        if self._kill_at_s is not None and now_s >= self._kill_at_s:
            self._kill_at_s = None
            self._signal(signals.SIGKILL)
        if self._probe is not None and now_s >= self._probe.deadline_s:
            self._end_probe(self._probe.expired())
        if self._probe_at_s is not None and now_s >= self._probe_at_s:
            self._ask()

    def close(self) -> None:
        """The container has ended: so does what is under way; who does not run is not healthy (docker's word)."""
        if self._probe is not None:
            self._poll.unregister(self._probe.connection.fileno())
            self._probe.close()
        os.close(self._pidfd)
        if self._care.check is not None:
            self._health._replace(status=UNHEALTHY).write(self._directory)

    def _ask(self) -> None:
        """Begin a probe, unless the container is paused."""
        check = self._care.check
        assert check is not None
        if os.path.exists(f"{self._request.run_dir}/{PAUSED_FILE}"):
            self._probe_at_s = time.monotonic() + check.interval_s
            return
        self._probe_at_s = None
        exec_id = ids.new_id()
        actor = {**(self._request.actor or {}), "execID": exec_id}
        told = (f"{deed}: {self._care.command}" for deed in ("exec_create", "exec_start"))
        lines = b"".join(journal.line("container", action, self._request.id, actor) for action in told)
        journal.append(self._request.journal, lines)
        request = Request(id=self._request.id, foreground=True, journal=self._request.journal, actor=actor)
        ran_s = time.monotonic() - self._start_s
        try:
            pid, connection = self._fork(request.encode())
        except OSError as exc:  # no process, no descriptor to be had
            now = clock.now()
            self._judge(Result(now, now, _COULD_NOT, f"the health check cannot be run: {exc}", ran_s))
            return
        self._probe = _Probe(pid, connection, check, ran_s)
        self._poll.register(connection.fileno(), select.POLLIN)

    def _fork(self, request: bytes) -> tuple[int, sock.Socket]:
        plan = steps.decode(self._care.probe)
        target = steps.OpenTarget(self._pid, procfs.start_time(self._pid))
        filled = tuple(target if isinstance(step, steps.OpenTarget) else step for step in plan)
        ours, theirs = sock.pair(sock.SOCK_STREAM)
        pid = os.fork()
        if pid == 0:
            try:
                process.set_parent_death_signal(signals.SIGKILL)
                _keep_only(theirs.fileno())
                self._begin(request, [theirs.detach()])
            finally:
                os._exit(0)
        theirs.close()
        ours.sendall(frames.frame(frames.PLAN, steps.encode(filled)))
        ours.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        return pid, ours

    def _end_probe(self, result: Result) -> None:
        assert self._probe is not None
        self._poll.unregister(self._probe.connection.fileno())
        self._probe.close()
        self._probe = None
        self._judge(result)

    def _judge(self, result: Result) -> None:
        """Draw the conclusions from a probe, and wait for the next."""
        check = self._care.check
        assert check is not None
        before, self._health = self._health, self._health.after(result, check)
        self._health.write(self._directory)
        self._probe_at_s = time.monotonic() + self._health.pause_s(time.monotonic() - self._start_s, check)
        if before.status == self._health.status:
            return
        action = f"health_status: {self._health.status}"
        told = journal.line("container", action, self._request.id, self._request.actor or {})
        journal.append(self._request.journal, told)
        if self._health.status == UNHEALTHY:
            self._cure(check.on_failure)

    def _cure(self, deed: str) -> None:
        """Do what was asked for in the case that it becomes unhealthy."""
        if deed == "kill":
            self._ask_for("stop")
            self._signal(signals.SIGKILL)
        elif deed in ("stop", "restart"):
            if deed == "stop":
                self._ask_for("stop")
            self.wants_restart = deed == "restart"
            self._probe_at_s = None
            self._signal(self._care.stop_signal)
            if self._care.stop_timeout_s >= 0:
                self._kill_at_s = time.monotonic() + self._care.stop_timeout_s

    def _ask_for(self, word: str) -> None:
        """Write down that its end is wanted, so that no restart policy undoes it."""
        try:
            with open(f"{self._directory}/{ASKED_FILE}", "w") as file:
                file.write(word)
        except OSError:
            pass  # a full disk: the policy will have its way

    def _signal(self, number: int) -> None:
        try:
            process.pidfd_send_signal(self._pidfd, number)
        except OSError as exc:
            if exc.errno != errno.ESRCH:
                raise


def _keep_only(fd: int) -> None:
    """Close what is the container's: its lock above all must not outlive its monitor."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != fd:
            try:
                os.close(int(name))
            except OSError as exc:
                if exc.errno != errno.EBADF:  # the listing's own
                    raise
