"""A container: what can be done with it, and what it is at this moment."""

import functools
import os
import time

from toolkit.core import document, ids
from toolkit.core.errors import ConflictError, EngineError, StartError
from toolkit.engine.events import attributes_of
from toolkit.engine.options import TUPLES, ContainerOptions, ExecOptions
from toolkit.engine.signals import signal_number
from toolkit.engine.status import CREATED, EXITED, PAUSED, RESTARTING, RUNNING, Status, read
from toolkit.linux.signals import SIGKILL
from toolkit.network.binding import PortBinding
from toolkit.runtime import policy
from toolkit.runtime.meeting import NETWORKS_FILE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from toolkit.core.state import Row
    from toolkit.engine import logs
    from toolkit.engine.attachment import Attachment
    from toolkit.engine.cgroups import Cgroups
    from toolkit.engine.engine import Engine
    from toolkit.engine.files.archive import Files
    from toolkit.engine.starting import Start
    from toolkit.engine.stepping import Stepper
    from toolkit.runtime import client
    from toolkit.runtime.steps import Step

_POLL_S = 0.01
_STOP_TIMEOUT_S = 10
_LONGEST_POLL_S = 0.1
_RETRY_PAUSES_S = (0.02, 0.2)


class Container:
    """One container of an engine; cheap to make, reads its state afresh each time."""

    def __init__(self, engine: "Engine", ident: str, name: str, doc: "dict[str, Any]") -> None:
        """Wrap a stored container; use `engine.containers` to find one."""
        self._engine = engine
        self._doc = doc
        self._parsed: tuple[dict[str, Any], ContainerOptions] | None = None
        self.id = ident
        self._started_s = 0.0
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
    def doc(self) -> "dict[str, Any]":
        """What is stored about it."""
        return self._doc

    @property
    def options(self) -> ContainerOptions:
        """What it was asked to be; who changes it stores another dict, never in this one."""
        stored = self._doc["options"]
        if self._parsed is None or self._parsed[0] is not stored:
            self._parsed = (stored, options_of(stored))
        return self._parsed[1]

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

    @property
    def engine(self) -> "Engine":
        """The engine that it belongs to."""
        return self._engine

    @property
    def directory(self) -> str:
        """Where its own files lie: they survive a reboot."""
        return self._engine.paths.container(self.id)

    @property
    def exposed(self) -> tuple[str, ...]:
        """The ports that it or its image says it listens on, such as 80/tcp."""
        of_image = self._doc["image_config"].get("ExposedPorts") or {}
        own = self._doc["options"].get("expose") or ()
        published = [f"{row[0]}/{row[1]}" for row in self._doc["options"].get("publish") or ()]
        ports = (port if "/" in port else f"{port}/tcp" for port in (*of_image, *own, *published))
        return tuple(dict.fromkeys(ports))

    @property
    def bindings(self) -> tuple[PortBinding, ...]:
        """The ports that are to be published when it starts."""
        options = self.options
        if not options.publish_all:
            return options.publish
        known = {f"{binding.container_port}/{binding.protocol}" for binding in options.publish}
        split = [port.partition("/") for port in self.exposed if port not in known]
        return (*options.publish, *(PortBinding(int(number), protocol) for number, _, protocol in split))

    def reload(self) -> None:
        """Read again what is stored about it, after somebody has changed that."""
        self._doc = self._engine.state.get("container", self.id).doc

    @property
    def configured_stop_signal(self) -> str:
        """The signal that it or its image names to be stopped with; empty: neither does."""
        return self.options.stop_signal or self._doc["image_config"].get("StopSignal") or ""

    @property
    def stop_signal(self) -> int:
        """The number of the signal that asks it to end."""
        return signal_number(self.configured_stop_signal or "SIGTERM")

    @property
    def stop_timeout_s(self) -> float:
        """How long it may take to end when it is asked to; negative: as long as it likes."""
        own_s = self.options.stop_timeout_s
        return _STOP_TIMEOUT_S if own_s is None else own_s

    def read_status(self) -> Status:
        """Return what it is doing at this moment; clean up first if its monitor was killed."""
        return read(self._engine, self.id)

    @property
    def status(self) -> str:
        """What it is doing: "created", "running", "paused", "restarting" or "exited"."""
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

    def note(self, action: str, **attributes: str) -> None:
        """Write down as an event what has just happened to it, in docker's words."""
        self._engine.events.note("container", action, self.id, {**attributes_of(self._doc, self.name), **attributes})

    def inspect(self) -> "dict[str, Any]":
        """Return everything about it, as Docker's API does."""
        from toolkit.engine import inspect

        return inspect.container(self._engine, self)

    def summary(self) -> "dict[str, Any]":
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
        console_size: tuple[int, int] | None = None,
    ) -> "Attachment | None":
        """Start it; one that runs is left alone.

        Args:
            attach: return an attachment that misses nothing.
            trace: record every call; the events are in the attachment.
            console_size: rows and columns of its terminal.

        Raises:
            CommandNotFoundError, CommandNotExecutableError: as docker's 127 and 126.
            EngineError: anything else that stands in the way; nothing is left of the attempt.
        """
        status = self.read_status()
        if status.state == PAUSED:
            raise ConflictError("cannot start a paused container, try unpause instead")
        if status.is_up:
            return self.attach() if attach else None
        if attach:
            self.note("attach")
        try:
            start = self._begin_surely(attach=attach, trace=trace, gated=False, console_size=console_size)
        except ConflictError:
            if not self.read_status().is_up:
                raise
            return self.attach() if attach else None  # somebody else was quicker: it runs, as was asked for
        if not attach:
            start.session.close()
            return None
        return self.attached_since(start)

    def step(self, *, console_size: tuple[int, int] | None = None) -> "Stepper":
        """Begin to start it, and stop before the first step of its plan.

        Args:
            console_size: rows and columns of its terminal.

        Raises:
            ConflictError: it runs.
            EngineError: anything else that stands in the way; nothing is left of the attempt.
        """
        from toolkit.engine.stepping import Stepper

        status = self.read_status()
        if status.is_up:
            raise ConflictError(f"container {self.name} is {status.state}", hint="one that is made has no steps left")
        self.note("attach")
        return Stepper(self, self._begin_surely(attach=True, trace=True, gated=True, console_size=console_size))

    def attached_since(self, start: "Start") -> "Attachment":
        """Return the attachment to what has been started with `attach`: it has missed nothing."""
        attachment = self._attached(start.session)
        attachment.on_exit = functools.partial(self._left, attachment)
        self._started_s = time.time()
        attachment.recorded = start.recorded
        attachment.plan = start.plan
        return attachment

    def start_again(self, lock_fd: int) -> None:
        """Start it as its restart policy says, with the lock of its run directory, which its last monitor has held.

        What was asked for and how often it was started again stay as they are.

        Raises:
            EngineError: as `start`; it is left as it ended.
        """
        from toolkit.engine.starting import Start

        session = self._engine.launcher.start(
            self, attach=False, trace=False, gated=False, console_size=None, lock_fd=lock_fd
        )
        try:
            Start(session).advance()
        finally:
            session.close()

    def _begin_surely(self, *, attach: bool, trace: bool, gated: bool, console_size: tuple[int, int] | None) -> "Start":
        """As `_begin`; a zygote that was about to leave when it was asked is no reason to fail."""
        from toolkit.runtime import client

        pauses_s = iter(_RETRY_PAUSES_S)
        while True:
            try:
                return self._begin(attach=attach, trace=trace, gated=gated, console_size=console_size)
            except client.MonitorLostError as lost:
                pause_s = next(pauses_s, None)
                if lost.has_begun:
                    raise
                if pause_s is None:
                    self._engine.recovery.recover(self.id)
                    raise
            self._engine.recovery.undo(self.id)
            time.sleep(pause_s)

    def _begin(self, *, attach: bool, trace: bool, gated: bool, console_size: tuple[int, int] | None) -> "Start":
        """Have it started and wait until its program runs, or until it stops before the first step."""
        from toolkit.engine.starting import Start

        session = self._engine.launcher.start(self, attach=attach, trace=trace, gated=gated, console_size=console_size)
        start = Start(session)
        try:
            start.advance()
        except EngineError as exc:
            self.start_failed(start, exc)
            raise
        except BaseException:  # interrupted: what has begun to run must not go on alone
            self.undo_start(start)
            raise
        return start

    def start_failed(self, start: "Start", exc: EngineError) -> None:
        """See to what a start that failed with `exc` may have left to us."""
        from toolkit.runtime import client

        start.session.close()
        if not isinstance(exc, client.MonitorLostError):
            self._ended(0)
        elif exc.has_begun:
            self._engine.recovery.recover(self.id)

    def undo_start(self, start: "Start") -> None:
        """Give up a start that is under way, and wait until nothing is left of it."""
        start.abort()
        try:
            while start.advance() is not None:
                pass  # it was doing a step; the next stop is where it reads that it was given up
            self.kill()
            self.wait()
        except EngineError:
            pass  # it never ran
        finally:
            start.session.close()

    def attach(self, *, stdin: bool = True) -> "Attachment":
        """Connect to its stdio from now on.

        Raises:
            ConflictError: it does not run, or is paused.
        """
        from toolkit.runtime import client

        status = self.read_status()
        if status.state in (PAUSED, RESTARTING):
            cure = "unpause it first" if status.state == PAUSED else "wait until it is running"
            raise ConflictError(f"you cannot attach to a {status.state} container, {cure}")
        session = client.attach(self.run_dir, output=True, stdin=stdin and self.options.open_stdin)
        if session is None:
            raise ConflictError(f"container {self.name} is not running", hint=f"start it: container start {self.name}")
        self.note("attach")
        return self._attached(session)

    def _attached(self, session: "client.Session") -> "Attachment":
        from toolkit.engine.attachment import Attachment

        attachment = Attachment(session, self._ended)
        attachment.on_resize = lambda rows, columns: self.note("resize", height=str(rows), width=str(columns))
        return attachment

    def _left(self, attachment: "Attachment", code: int) -> None:
        """As `_ended`, for whoever has started it and stayed: the monitor leaves the removal to us, and the telling."""
        if code < 0 or not self._doc["options"].get("auto_remove") or policy.asked(self.directory) == "restart":
            self._ended(code)
            return
        left: list[tuple[str, str, str, dict[str, str]]] = []
        if os.path.exists(f"{self.directory}/{NETWORKS_FILE}"):
            from toolkit.runtime import membership

            left = membership.ended(self.directory, self.id)
        self._engine.recovery.remove_ended(self.id, self.cgroups, self._doc)
        actor = attributes_of(self._doc, self.name)
        died = {**actor, "exitCode": str(code), "execDuration": str(int(time.time() - self._started_s))}
        happened = [("die", died), ("destroy", actor)]
        if attachment.oom_killed:
            happened.insert(0, ("oom", actor))
        told = [("container", action, self.id, said) for action, said in happened]
        told[-1:-1] = left
        if "mounts" in self._doc:
            from toolkit.engine import mounting

            told[-1:-1] = mounting.unmounted(self)
        self._engine.events.note_all(*told)

    def _ended(self, _code: int) -> None:
        if self._doc["options"].get("auto_remove"):
            self._engine.recovery.recover(self.id, wait=True)
        elif "mounts" in self._doc and self._engine.volumes.store.claimed_by(self.id):
            # What drivers have mounted goes, unless its monitor is about to start it again.
            self._engine.recovery.recover(self.id, wait=not self._doc["options"].get("restart_policy"))

    def wait(self, condition: str = "not-running") -> int:
        """Wait until it has ended; return its exit code, 0 if it was never started.

        One that is started again by its restart policy has ended each time.

        Args:
            condition: "not-running"; "next-exit": until it ends the next time, also where it does not run now;
                "removed".

        Raises:
            InvalidError: another condition.
            NotFoundError: it has been removed meanwhile.
        """
        if condition != "not-running":
            from toolkit.engine import waiting

            return waiting.wait(self, condition)
        return self.await_end(self.watch())

    def watch(self) -> "client.Session | None":
        """Connect to its monitor, to be told how it ends; None where none listens."""
        from toolkit.runtime import client

        return client.attach(self.run_dir, output=False, stdin=False)

    def await_end(self, session: "client.Session | None") -> int:
        """Wait for its end on what `watch` returned; see `wait`."""
        pause_s, count = _POLL_S, -1
        while True:
            code = None if session is None else self._wait_on(session)
            if code is not None:
                self._ended(code)
                return code
            status = self.read_status()
            if status.state == RESTARTING:  # it has ended before we came: the next time counts
                found = policy.read(self.directory)
                seen, count = count, found.restarts if found else 0
                if status.exit is not None and seen not in (-1, count):
                    return status.exit.code
                pause_s = min(2 * pause_s, _LONGEST_POLL_S)
            elif status.exit is not None:
                return status.exit.code
            elif status.state == CREATED and not os.path.isdir(self.run_dir):
                self._engine.containers.get(self.id)
                return 0
            time.sleep(pause_s)  # between the start and the first status, or the last frame and the record
            session = None if status.state == RESTARTING else self.watch()

    @staticmethod
    def _wait_on(session: "client.Session") -> int | None:
        from toolkit.runtime import frames

        try:
            while (received := session.receive()) is not None:
                message = document.decode(received[1]) if received[0] == frames.CONTROL else {}
                if message.get("event") == "exited":
                    return int(message["code"])
            return None
        finally:
            session.close()

    def kill(self, number: int | str = SIGKILL) -> None:
        """Send a signal to its first process.

        One that ends containers (SIGKILL, its stop signal, any if none is
        configured) also keeps its restart policy from acting.

        Raises:
            ConflictError: it does not run.
            InvalidError: there is no such signal.
        """
        from toolkit.engine import ending

        ending.kill(self, signal_number(number))

    def stop(self, timeout_s: float | None = None, *, signal_name: str = "") -> int:
        """Ask it to end, then make it: its stop signal, after `timeout_s` SIGKILL.  Return its exit code.

        Args:
            timeout_s: seconds; None: what it was created with, else 10; negative: never.
            signal_name: instead of its own stop signal.
        """
        from toolkit.engine import ending

        return ending.stop(self, timeout_s, signal_name)

    def restart(self, timeout_s: float | None = None, *, signal_name: str = "") -> None:
        """Stop it as `stop` does where it runs, then start it; one with --rm stays for that."""
        from toolkit.engine import ending

        ending.restart(self, timeout_s, signal_name)

    def pause(self) -> None:
        """Freeze all its processes where they stand.

        Raises:
            ConflictError: it does not run, is paused already, or a process cannot be frozen.
        """
        from toolkit.engine import ending

        ending.pause(self)

    def unpause(self) -> None:
        """Let the processes of a paused container go on.

        Raises:
            ConflictError: it is not paused.
        """
        from toolkit.engine import ending

        ending.unpause(self)

    def remove(self, *, force: bool = False, takes_volumes: bool = False) -> None:
        """Delete it and its files; with `takes_volumes` (`rm -v`) also the volumes that nobody gave a name.

        Raises:
            ConflictError: it runs, and `force` was not given.
        """
        from toolkit.engine import ending

        ending.remove(self, force=force, takes_volumes=takes_volumes)

    def rename(self, name: str) -> None:
        """Give it another name; see `Containers.rename`."""
        old = self.name
        self._engine.containers.rename(self, name)
        self.note("rename", oldName=f"/{old}")

    def update(self, **changes: "Any") -> tuple[str, ...]:
        """Change limits or the restart policy, of one that runs too; return docker's warnings.

        Args:
            changes: fields of ContainerOptions; see `update.FIELDS`.

        Raises:
            InvalidError: values that mean nothing, or contradict each other or what it has.
            ConflictError: the kernel does not take them at this moment.
        """
        from toolkit.engine import update

        self._doc, warnings = update.update(self, changes)
        self.note("update")
        return warnings

    # Looking and acting inside

    def logs(
        self, *, follow: bool = False, tail: int | None = None, since_ns: int = 0, until_ns: int = 0
    ) -> "Iterator[logs.LogLine]":
        """Yield what it has written; see `logs.read`."""
        from toolkit.engine import logs

        if self._doc["options"].get("log_driver") == "none":
            raise ConflictError(
                "configured logging driver does not support reading", hint="run it without --log-driver"
            )
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
        if status.state == PAUSED:
            raise ConflictError(f"Container {self.name} is paused, unpause the container before exec")
        self._refuse_restarting(status)
        if not status.is_alive:
            raise ConflictError(f"container {self.name} is not running", hint=f"start it: container start {self.name}")
        exec_id = ids.new_id()
        self._note_exec(exec_id, options)
        session, pid = self._begin_exec(status.pid, options, exec_id, console_size)
        return Attachment(session, pid=pid)

    def exec_half_made(self, pid: int, options: ExecOptions, *, joins_cgroups: bool) -> "Attachment":
        """Run a command in the namespaces that its process `pid` has so far, with no more powers than an exec has.

        Raises:
            EngineError: as `exec`.
        """
        from toolkit.engine.attachment import Attachment

        session, born = self._begin_exec(pid, options, ids.new_id(), None, joins_cgroups=joins_cgroups)
        return Attachment(session, pid=born)

    def _note_exec(self, exec_id: str, options: ExecOptions) -> None:
        attributes = {**attributes_of(self._doc, self.name), "execID": exec_id}
        command = " ".join(options.command)
        self._engine.events.note_all(
            *(("container", f"{deed}: {command}", self.id, attributes) for deed in ("exec_create", "exec_start"))
        )

    def _begin_exec(
        self,
        target: int,
        options: ExecOptions,
        exec_id: str,
        console_size: tuple[int, int] | None,
        *,
        joins_cgroups: bool = True,
    ) -> "tuple[client.Session, int]":
        """Have it begun; a zygote that was about to leave when it was asked is no reason to fail, as of a start."""
        from toolkit.engine.starting import Start
        from toolkit.runtime import client

        pauses_s = iter(_RETRY_PAUSES_S)
        while True:
            session = self._engine.launcher.exec(
                self, target, options, exec_id=exec_id, console_size=console_size, joins_cgroups=joins_cgroups
            )
            try:
                start = Start(session)
                start.advance()
            except client.MonitorLostError as lost:
                session.close()
                pause_s = next(pauses_s, None)
                if lost.has_begun or pause_s is None:
                    raise
            except BaseException:
                session.close()
                raise
            else:
                return session, start.pid
            time.sleep(pause_s)

    def stats(self) -> "Any":
        """Return what it uses at this moment, from its cgroups (`toolkit.linux.cgroup.Stats`).

        Raises:
            ConflictError: it does not run.
        """
        if not self.read_status().is_alive:
            raise ConflictError(f"container {self.name} is not running", hint=f"start it: container start {self.name}")
        return self.cgroups.stats(self.id)

    @property
    def files(self) -> "Files":
        """Its files, seen from outside."""
        from toolkit.engine.files.archive import Files

        return Files(self._engine, self)

    def pids(self) -> list[int]:
        """Return the host's pids of all its processes."""
        return self.cgroups.pids(self.id) if self.read_status().is_alive else []

    def _refuse_restarting(self, status: Status) -> None:
        from toolkit.engine import ending

        ending.refuse_restarting(self, status)


def options_of(stored: "dict[str, Any]") -> ContainerOptions:
    """Make the options of what the state has stored (JSON knows no tuples)."""
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()}
    for field, kind in TUPLES.items():
        if values.get(field):
            values[field] = tuple(kind(*each) for each in values[field])
    return ContainerOptions(**values)


__all__ = [
    "CREATED",
    "EXITED",
    "PAUSED",
    "RESTARTING",
    "RUNNING",
    "Container",
    "EngineError",
    "StartError",
    "Status",
    "options_of",
    "signal_number",
]
