"""The starter: sees one plan through, from the request to the running program, and hands over to the monitor.

It lives for the few milliseconds of a start, so it may use what memory it
likes.  When a start fails it undoes it, in the order of ownership.
"""

import json
import os
import select
import signal
import socket
import time
from typing import NamedTuple

from toolkit.core import clock
from toolkit.core.errors import EngineError, StartError
from toolkit.linux import lock, process
from toolkit.linux.namespace import CLONE_NEWNS, CLONE_NEWPID
from toolkit.runtime import channel, frames, remains, steps
from toolkit.runtime.context import NO_STDIO, Context
from toolkit.runtime.meeting import ATTACH_SOCKET, STATUS_FILE, ExitRecord
from toolkit.runtime.monitor import Handover
from toolkit.runtime.perform import Watcher, carry_out
from toolkit.runtime.request import Request
from toolkit.trace import Event, Recorder
from toolkit.trace.recorder import set_current

_LOG_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


class Worker(NamedTuple):
    """The process in reserve, seen from the starter."""

    pid: int
    pidfd: int
    report: socket.socket
    birth: list[Event]
    """The events of its making: what step 0 of a plan for it has done already."""


def start(connection: socket.socket, worker: Worker, monitor: socket.socket) -> None:
    """Serve the request that comes on `connection`; hand over to `monitor` when the program runs."""
    head, fds, _flags, _address = socket.recv_fds(connection, frames.HEADER.size, 1)
    lock_fd = fds[0] if fds else -1
    if lock_fd >= 0:
        os.set_inheritable(lock_fd, False)  # noqa: FBT003 - the standard library's own signature
    received = frames.rest_of_frame(connection, head)
    if received is None:
        return  # whoever connected has changed its mind; the worker goes with the monitor
    request = Request.from_json(json.loads(received[1]))
    _Start(request, connection, lock_fd, worker).run(monitor, received[1])


class _Start:
    """One start under way."""

    def __init__(self, request: Request, connection: socket.socket, lock_fd: int, worker: Worker) -> None:
        self._request = request
        self._connection = connection
        self._lock_fd = lock_fd
        self._worker = worker
        self._pid = 0
        self._pidfd = -1
        self._ours = [-1, -1, -1]
        """Our ends of the program's stdin, stdout and stderr; of a terminal the last two are -1."""

    def run(self, monitor: socket.socket, request_bytes: bytes) -> None:
        """Start the program and hand over, or undo and tell why."""
        try:
            self._start(monitor)
        except EngineError as exc:
            self._give_up(exc)
            return
        request, started_at = self._request, clock.now()
        listener = _listen(request.run_dir) if request.run_dir else None
        if request.run_dir:
            status = {"pid": self._pid, "monitor": os.getppid(), "started_at": started_at}
            remains.write_whole(f"{request.run_dir}/{STATUS_FILE}", json.dumps(status))
        frames.tell(self._connection, {"event": "started", "pid": self._pid, "started_at": started_at})
        handover = Handover(
            pid=self._pid,
            pidfd=self._pidfd,
            unused_pid=0 if request.uses_reserve else self._worker.pid,
            lock_fd=self._lock_fd,
            listener_fd=-1 if listener is None else listener.fileno(),
            connection_fd=self._connection.fileno() if request.foreground else -1,
            log_fd=os.open(request.log, _LOG_FLAGS, 0o640) if request.log else -1,
            stdin_fd=self._ours[0],
            stdout_fd=self._ours[1],
            stderr_fd=self._ours[2],
            is_terminal=request.tty,
            takes_stdin=request.stdin,
            stdin_once=request.stdin_once,
        )
        handover.send(monitor, started_at, request_bytes)

    def _start(self, monitor: socket.socket) -> None:
        """Return when the program runs.

        Raises:
            EngineError: as whoever did the step reported it.
        """
        request = self._request
        stdio = NO_STDIO if request.tty else self._make_pipes()
        if request.uses_reserve:
            report = self._worker.report
            self._pid, self._pidfd = self._worker.pid, self._worker.pidfd
            self._order_worker(stdio)
        else:
            process.pidfd_send_signal(self._worker.pidfd, signal.SIGKILL)
            self._worker.report.close()
            report, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            not_inits = (report.fileno(), monitor.fileno(), self._lock_fd)
            self._be_outside(theirs, stdio, not_inits)
        for fd in {fd for fd in stdio if fd >= 0} if request.uses_reserve else ():
            os.close(fd)
        self._await_program(report)

    def _make_pipes(self) -> tuple[int, int, int]:
        """Return what becomes the program's stdin, stdout and stderr."""
        read_out, write_out = os.pipe()
        read_err, write_err = os.pipe()
        read_in, write_in = os.pipe() if self._request.stdin else (os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC), -1)
        self._ours = [write_in, read_out, read_err]
        return read_in, write_out, write_err

    def _order_worker(self, stdio: tuple[int, int, int]) -> None:
        request = self._request
        birth = [event.to_json() for event in self._worker.birth] if request.trace else None
        fds = (self._connection.fileno(), *(() if request.tty else stdio))
        channel.send(self._worker.report, {"trace": birth, "tty": request.tty}, fds)

    def _be_outside(self, theirs: socket.socket, stdio: tuple[int, int, int], not_inits: tuple[int, ...]) -> None:
        """Read the plan and do its outside steps; init reports on `theirs`."""
        received = frames.read_exactly_one(self._connection)
        if received is None:
            raise StartError("whoever asked for the start is gone")
        if self._request.trace:
            set_current(Recorder(steps.OUTSIDE))
        plan = steps.from_json(json.loads(received[1])["plan"])
        context = Context(steps.OUTSIDE, theirs, stdio)
        watcher = Watcher(self._connection, is_gated=self._request.gated)
        try:
            carry_out(plan, 0, context, watcher, not_inits=not_inits)
        finally:
            watcher.flush()
            set_current(None)
            theirs.close()
            context.close()
            if context.pid:
                self._pid, self._pidfd = context.pid, process.pidfd_open(context.pid)

    def _await_program(self, report: socket.socket) -> None:
        """Take init's reports until execve closes the way they come."""
        executing: list[object] | None = None
        while True:
            message, fds = channel.receive(report)
            if message is None:
                break
            if "master" in message:
                self._ours[0] = fds[0]
            elif "exec" in message:
                executing = message["exec"]
            elif "failed" in message:
                raise channel.error_of(message["failed"])
        if executing is None:
            raise StartError("the container's first process died while it was being set up", hint="see its limits")
        if self._request.trace:
            event = Event.from_json(executing)
            done = event._replace(result=0, cost_ns=time.monotonic_ns() - event.start_ns)
            frames.tell(self._connection, {"event": "trace", "events": [done.to_json()]})

    def _give_up(self, exc: EngineError) -> None:
        """Undo what the start has begun, then tell why it failed."""
        if self._pid:
            _kill_and_wait(self._pidfd)
        request, now = self._request, clock.now()
        remains.remove_cgroups(request)
        record = ExitRecord(exc.exit_code, oom_killed=False, started_at=now, finished_at=now, error=str(exc))
        remains.record(request, record)
        remains.leave_run_dir(request)
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
        frames.tell(self._connection, {"event": "failed"} | channel.failure(exc, -1))


def _kill_and_wait(pidfd: int) -> None:
    """End a process that is the monitor's child: it is dead when its pidfd becomes readable."""
    try:
        process.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        return
    except EngineError:
        return  # ESRCH: it is gone already
    select.select([pidfd], [], [])


def _listen(run_dir: str) -> socket.socket:
    """Listen in a directory whose path may be too long for a socket address."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    directory = lock.open_directory(run_dir)
    try:
        listener.bind(f"/proc/self/fd/{directory}/{ATTACH_SOCKET}")
    finally:
        os.close(directory)
    listener.listen(16)
    return listener


_EXAMPLE: tuple[steps.Step, ...] = (
    steps.NewProcess(CLONE_NEWPID),
    steps.CreateCgroup(("/sys/fs/cgroup/example",), (("/sys/fs/cgroup/example/pids.max", "10"),)),
    steps.JoinCgroup(("/sys/fs/cgroup/example/cgroup.procs",)),
    steps.Unshare(CLONE_NEWNS),
    steps.SetHostname("example"),
    steps.MountOverlay(("/lower",), "/upper", "/work", (), "/mnt"),
    steps.MountFilesystem("/proc", "proc", "proc", 0, ""),
    steps.MakeDevices((("/dev/null", "c", 1, 3, 0o666, 0, 0),)),
    steps.ReadonlyPath("/proc/sys"),
    steps.MaskPath("/proc/kcore"),
    steps.PivotRoot(),
    steps.BoundCapabilities(0),
    steps.SetUser(0, 0, (), 0o022, keep_capabilities=False),
    steps.SetCapabilities(0, 0, 0, 0),
    steps.Exec(("true",), ("PATH=/bin",)),
)
_REHEARSAL = json.dumps({"plan": steps.to_json(_EXAMPLE)})


def rehearse() -> None:
    """Run the code that carries out a plan, as far as it changes nothing: decode it and write out its calls."""
    for step in steps.from_json(json.loads(_REHEARSAL)["plan"]):
        step.calls()
        steps.about(step)
