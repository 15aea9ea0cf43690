"""A container: what can be done with it, and what it is at this moment."""

import errno
import json
import os
import signal
import time
from typing import Any, NamedTuple

from toolkit.core import ids
from toolkit.core.errors import ConflictError, EngineError, NotFoundError, StartError
from toolkit.engine.options import TUPLES, ContainerOptions, ExecOptions
from toolkit.engine.signals import signal_number
from toolkit.linux import lock
from toolkit.runtime.meeting import STATUS_FILE, ExitRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from toolkit.core.state import Row
    from toolkit.engine import logs
    from toolkit.engine.attachment import Attachment
    from toolkit.engine.cgroups import Cgroups
    from toolkit.engine.engine import Engine
    from toolkit.runtime import client
    from toolkit.runtime.steps import Step

CREATED = "created"
RUNNING = "running"
EXITED = "exited"
_STOP_TIMEOUT_S = 10
_POLL_S = 0.01
_RETRY_PAUSES_S = (0.02, 0.2)


class Status(NamedTuple):
    """What a container is doing."""

    state: str
    """CREATED, RUNNING or EXITED, in docker's words."""
    pid: int = 0
    """Of its init, as the host sees it; 0 unless it runs."""
    started_at: str = ""
    exit: ExitRecord | None = None


class Container:
    """One container of an engine; cheap to make, reads its state afresh each time."""

    def __init__(self, engine: "Engine", ident: str, name: str, doc: dict[str, Any]) -> None:
        """Wrap a stored container; use `engine.containers` to find one."""
        self._engine = engine
        self._doc = doc
        self.id = ident
        self.name = name
        self.warnings: tuple[str, ...] = ()
        """What was said when it was created: options that this kernel cannot obey and docker discards."""

    @classmethod
    def from_row(cls, engine: "Engine", row: "Row") -> "Container":
        """Make a container of what the state has stored."""
        return cls(engine, row.id, row.name or "", row.doc)

    def __repr__(self) -> str:
        return f"<Container {self.name} {self.short_id} {self.status}>"

    # What it is

    @property
    def short_id(self) -> str:
        """The 12 digits that tables show."""
        return ids.short_id(self.id)

    @property
    def doc(self) -> dict[str, Any]:
        """What is stored about it."""
        return self._doc

    @property
    def options(self) -> ContainerOptions:
        """What it was asked to be."""
        return options_of(self._doc["options"])

    @property
    def image(self) -> str:
        """The image as the user named it."""
        return str(self._doc["options"]["image"])

    @property
    def run_dir(self) -> str:
        """Where its runtime files lie while it runs."""
        return self._engine.paths.run_dir(self.id)

    @property
    def cgroups(self) -> "Cgroups":
        """The control groups that its own are among."""
        return self._engine.cgroups.under(self._doc["options"].get("cgroup_parent", ""))

    def read_status(self) -> Status:
        """Return what it is doing at this moment; clean up first if its monitor was killed."""
        for _again in range(3):
            try:
                with open(f"{self.run_dir}/{STATUS_FILE}", "rb") as file:
                    running = json.load(file)
                if not self._is_monitored():
                    self._engine.recovery.recover(self.id)
                    continue
                return Status(RUNNING, running["pid"], running["started_at"])
            except FileNotFoundError:
                if not os.path.isdir(self.run_dir) or self._is_monitored():
                    break
                self._engine.recovery.recover(self.id)  # whoever was starting it was killed
        record = self._read_exit()
        return Status(CREATED) if record is None else Status(EXITED, 0, record.started_at, record)

    def _is_monitored(self) -> bool:
        try:
            fd = os.open(self.run_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return not lock.try_lock(fd, shared=True)
        finally:
            os.close(fd)

    def _read_exit(self) -> ExitRecord | None:
        try:
            with open(self._engine.paths.exit_file(self.id), "rb") as file:
                return ExitRecord(**json.load(file))
        except FileNotFoundError:
            return None

    @property
    def status(self) -> str:
        """What it is doing: "created", "running" or "exited"."""
        return self.read_status().state

    @property
    def pid(self) -> int:
        """The host's pid of its init, 0 unless it runs."""
        return self.read_status().pid

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs or where it never did."""
        record = self.read_status().exit
        return None if record is None else record.code

    def inspect(self) -> dict[str, Any]:
        """Return everything about it, as Docker's API does."""
        from toolkit.engine import inspect

        return inspect.container(self._engine, self)

    def summary(self) -> dict[str, Any]:
        """Return what lists show of it: the cheap part of `inspect`."""
        from toolkit.engine.summary import summary

        return summary(self)

    # Its life

    def plan(self, *, gated: bool = False) -> "tuple[Step, ...]":
        """Return the steps that `start` would carry out now; `gated`: with a gate between them."""
        return self._engine.launcher.plan(self, gated=gated)

    def start(
        self,
        *,
        attach: bool = False,
        trace: bool = False,
        gate: "Callable[[int], bool] | None" = None,
        console_size: tuple[int, int] | None = None,
    ) -> "Attachment | None":
        """Start it; one that runs is left alone.

        Args:
            attach: return an attachment that misses nothing.
            trace: record every call; the events are in the attachment.
            gate: asked before each step, with its index; False gives the container up.
            console_size: rows and columns of its terminal.

        Raises:
            CommandNotFoundError, CommandNotExecutableError: as docker's 127 and 126.
            EngineError: anything else that stands in the way; nothing is left of the attempt.
        """
        from toolkit.engine.attachment import Attachment

        if self.status == RUNNING:
            return self.attach() if attach else None
        session, events = self._begin_surely(attach=attach, trace=trace, gate=gate, console_size=console_size)
        if not attach:
            session.close()
            return None
        attachment = Attachment(session, self._ended)
        attachment.events = events
        return attachment

    def _begin_surely(
        self,
        *,
        attach: bool,
        trace: bool,
        gate: "Callable[[int], bool] | None",
        console_size: tuple[int, int] | None,
    ) -> "tuple[client.Session, list[Any]]":
        """As `_begin`; a zygote that was about to leave when it was asked is no reason to fail."""
        from toolkit.runtime import client

        pauses_s = iter(_RETRY_PAUSES_S)
        while True:
            try:
                return self._begin(attach=attach, trace=trace, gate=gate, console_size=console_size)
            except client.MonitorLostError as lost:
                pause_s = next(pauses_s, None)
                if lost.has_begun or pause_s is None:
                    self._engine.recovery.recover(self.id)
                    raise
            self._engine.recovery.undo(self.id)
            time.sleep(pause_s)

    def _begin(
        self,
        *,
        attach: bool,
        trace: bool,
        gate: "Callable[[int], bool] | None",
        console_size: tuple[int, int] | None,
    ) -> "tuple[client.Session, list[Any]]":
        """Have it started and wait until its program runs; return the connection and the events so far."""
        from toolkit.runtime import client

        session = self._engine.launcher.start(
            self, attach=attach, trace=trace, gated=gate is not None, console_size=console_size
        )
        try:
            return session, _await_start(session, gate)[0]
        except EngineError as exc:
            session.close()
            if not isinstance(exc, client.MonitorLostError):
                self._ended(0)
            raise
        except BaseException:  # interrupted: what has begun to run must not go on alone
            self._undo_start(session)
            raise

    def _undo_start(self, session: "client.Session") -> None:
        session.control(op="abort")
        try:
            _await_start(session, lambda _index: False)
            self.kill()
            self.wait()
        except EngineError:
            pass  # it never ran
        finally:
            session.close()

    def attach(self, *, stdin: bool = True) -> "Attachment":
        """Connect to its stdio from now on.

        Raises:
            ConflictError: it does not run.
        """
        from toolkit.engine.attachment import Attachment
        from toolkit.runtime import client

        session = client.attach(self.run_dir, output=True, stdin=stdin and self.options.open_stdin)
        if session is None:
            raise ConflictError(f"container {self.name} is not running", hint=f"start it: container start {self.name}")
        return Attachment(session, self._ended)

    def _ended(self, _code: int) -> None:
        if self._doc["options"]["auto_remove"]:
            self._engine.recovery.recover(self.id, wait=True)

    def wait(self) -> int:
        """Wait until it has ended; return its exit code, 0 if it was never started.

        Raises:
            NotFoundError: it has been removed meanwhile.
        """
        return self._await_end(self._watch())

    def _watch(self) -> "client.Session | None":
        """Connect to its monitor, to be told how it ends."""
        from toolkit.runtime import client

        return client.attach(self.run_dir, output=False, stdin=False)

    def _await_end(self, session: "client.Session | None") -> int:
        while True:
            if session is not None:
                code = self._wait_on(session)
                if code is not None:
                    self._ended(code)
                    return code
            status = self.read_status()
            if status.exit is not None:
                return status.exit.code
            if status.state == CREATED and not os.path.isdir(self.run_dir):
                self._engine.containers.get(self.id)
                return 0
            time.sleep(_POLL_S)  # between the start and the first status, or the last frame and the record
            session = self._watch()

    @staticmethod
    def _wait_on(session: "client.Session") -> int | None:
        from toolkit.runtime import frames

        try:
            while (received := session.receive()) is not None:
                message = json.loads(received[1]) if received[0] == frames.CONTROL else {}
                if message.get("event") == "exited":
                    return int(message["code"])
            return None
        finally:
            session.close()

    def kill(self, number: int | str = signal.SIGKILL) -> None:
        """Send a signal to its first process.

        Raises:
            ConflictError: it does not run.
            InvalidError: there is no such signal.
        """
        status = self.read_status()
        if status.state != RUNNING:
            raise ConflictError(
                f"cannot kill container {self.name}: it is not running", hint="`container ps` shows those that run"
            )
        self._signal(status.pid, signal_number(number))

    def _signal(self, pid: int, number: int) -> bool:
        """Signal the init, but only while its monitor vouches for the pid; tell whether it was there."""
        from toolkit.linux import process

        try:
            pidfd = process.pidfd_open(pid)
        except OSError as exc:
            if exc.errno == errno.ESRCH:
                return False
            raise
        try:
            if not self._is_monitored():
                return False
            process.pidfd_send_signal(pidfd, number)
        except OSError as exc:
            if exc.errno != errno.ESRCH:
                raise
            return False
        finally:
            os.close(pidfd)
        return True

    def stop(self, timeout_s: float | None = None) -> int:
        """Ask it to end, then make it: its stop signal, after `timeout_s` SIGKILL.  Return its exit code.

        Args:
            timeout_s: seconds; None: what it was created with, else 10; negative: never.
        """
        options = self.options
        if timeout_s is None:
            timeout_s = _STOP_TIMEOUT_S if options.stop_timeout_s is None else options.stop_timeout_s
        status = self.read_status()
        if status.state != RUNNING:
            return status.exit.code if status.exit else 0
        stop_signal = options.stop_signal or self._doc["image_config"].get("StopSignal") or "SIGTERM"
        return self._end(status.pid, signal_number(stop_signal), timeout_s)

    def _end(self, pid: int, number: int, timeout_s: float) -> int:
        """Signal its init, after `timeout_s` with SIGKILL; return its exit code.

        Whoever waits connects before the signal is sent: one with --rm is gone
        soon after it.
        """
        session = self._watch()
        try:
            if self._signal(pid, number) and not _ends_within(pid, timeout_s):
                self._signal(pid, signal.SIGKILL)
            return self._await_end(session)
        finally:
            if session is not None:
                session.close()

    def remove(self, *, force: bool = False) -> None:
        """Delete it and its files.

        Raises:
            ConflictError: it runs, and `force` was not given.
        """
        status = self.read_status()
        if status.state == RUNNING:
            if not force:
                raise ConflictError(
                    f"cannot remove container {self.name}: it is running", hint="stop it first, or use --force"
                )
            try:
                self._end(status.pid, signal.SIGKILL, _STOP_TIMEOUT_S)
            except NotFoundError:
                return  # somebody else has removed it meanwhile
            if self.options.auto_remove:
                return  # it has removed itself
        self._engine.containers.discard(self)

    # Looking and acting inside

    def logs(
        self, *, follow: bool = False, tail: int | None = None, since_ns: int = 0, until_ns: int = 0
    ) -> "Iterator[logs.LogLine]":
        """Yield what it has written; see `logs.read`."""
        from toolkit.engine import logs

        path = self._engine.paths.log(self.id)
        return logs.read(path, run_dir=self.run_dir, follow=follow, tail=tail, since_ns=since_ns, until_ns=until_ns)

    def exec(self, options: ExecOptions, *, console_size: tuple[int, int] | None = None) -> "Attachment":
        """Run one more command in it; the attachment gives its output and its exit code.

        Raises:
            ConflictError: it does not run.
            CommandNotFoundError, CommandNotExecutableError: as docker's 127 and 126.
        """
        from toolkit.engine.attachment import Attachment

        status = self.read_status()
        if status.state != RUNNING:
            raise ConflictError(f"container {self.name} is not running", hint=f"start it: container start {self.name}")
        session = self._engine.launcher.exec(self, status.pid, options, console_size=console_size)
        try:
            _events, pid = _await_start(session, None)
        except BaseException:
            session.close()
            raise
        return Attachment(session, pid=pid)

    def stats(self) -> Any:
        """Return what it uses at this moment, from its cgroups (`toolkit.linux.cgroup.Stats`).

        Raises:
            ConflictError: it does not run.
        """
        if self.status != RUNNING:
            raise ConflictError(f"container {self.name} is not running", hint=f"start it: container start {self.name}")
        return self.cgroups.stats(self.id)

    def pids(self) -> list[int]:
        """Return the host's pids of all its processes."""
        return self.cgroups.pids(self.id) if self.status == RUNNING else []


def _await_start(session: "client.Session", gate: "Callable[[int], bool] | None") -> "tuple[list[Any], int]":
    """Read until the process runs; return the events of the start and the host's pid of the process."""
    from toolkit.runtime import client

    events: list[Any] = []
    has_begun = False
    while (received := session.receive()) is not None:
        has_begun = True
        message = json.loads(received[1])
        event = message["event"]
        if event == "trace":
            events += client.events_of(message)
        elif event == "gate" and gate is not None:
            session.control(op="go" if gate(message["step"]) else "abort")
        elif event == "failed":
            raise client.error_of(message)
        elif event == "started":
            return events, int(message["pid"])
    lost = client.MonitorLostError("the container's monitor was killed while it started it", hint="try again")
    lost.has_begun = has_begun
    raise lost


def _ends_within(pid: int, timeout_s: float) -> bool:
    import select

    from toolkit.linux import process

    try:
        pidfd = process.pidfd_open(pid)
    except OSError as exc:
        if exc.errno == errno.ESRCH:
            return True
        raise
    try:
        return bool(select.select([pidfd], [], [], None if timeout_s < 0 else timeout_s)[0])
    finally:
        os.close(pidfd)


def options_of(stored: dict[str, Any]) -> ContainerOptions:
    """Make the options of what the state has stored (JSON knows no tuples)."""
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()}
    for field, kind in TUPLES.items():
        if values.get(field):
            values[field] = tuple(kind(*each) for each in values[field])
    return ContainerOptions(**values)


__all__ = [
    "CREATED",
    "EXITED",
    "RUNNING",
    "Container",
    "EngineError",
    "StartError",
    "Status",
    "options_of",
    "signal_number",
]
