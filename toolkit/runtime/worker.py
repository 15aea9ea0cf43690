"""The worker: waits in reserve, takes a request, and becomes the container's program.

It is born in a new pid namespace, as most plans begin, so it can do all the
rest by itself.  What the monitor needs it makes and hands over before it shuts
itself in.  A plan that needs someone outside it gives back.
"""

import os
import select
import time

from toolkit.core.errors import AbortedError, EngineError, SyscallError
from toolkit.core.record import NamedTuple
from toolkit.linux import keyring, process, procfs, sock
from toolkit.linux.namespace import CLONE_NEWPID, unshare
from toolkit.runtime import channel, frames, handover, remains, steps
from toolkit.runtime.context import NO_STDIO, Context
from toolkit.runtime.perform import Watcher, be_init, carry_out, die_with_maker
from toolkit.runtime.rehearsal import rehearse_worker
from toolkit.runtime.request import Request
from toolkit.runtime.steps import RESERVE_STEPS
from toolkit.trace import Event, Recorder, recording, wire
from toolkit.trace.recorder import set_current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn


_PLANNING_MS = 10


class ToMonitor:
    """The worker's reports: they go to the monitor, whose child it is."""

    def __init__(self, monitor: sock.Socket) -> None:
        self._monitor = monitor
        self._connection_fd = -1
        self._lock_fd = -1
        self._request = b""
        self._made: handover.Handover | None = None

    def take(self, connection: sock.Socket, lock_fd: int, request: bytes) -> None:
        """Note what this is all for."""
        self._connection_fd = connection.fileno()
        self._lock_fd = lock_fd
        self._request = request

    def born(self, pid: int) -> None:
        """Say who this process is, which has just been born as a successor."""
        die_with_maker(self)
        handover.send(self._monitor, handover.PROCESS, str(pid).encode())
        if self._made is not None:
            self._made.announce(self._monitor, pid)

    def is_heard(self) -> bool:
        """Tell whether the monitor lives."""
        return not sock.has_ended(self._monitor)

    def master(self, fd: int) -> None:
        """Give the terminal's master to the monitor."""
        handover.send(self._monitor, handover.TERMINAL, b"", (fd,))

    def executing(self, event: Event | None) -> None:
        """Say that execve comes next."""
        body = b"" if event is None else wire.encode([event])
        handover.send(self._monitor, handover.EXECUTING, body)

    def failed(self, message: channel.Message) -> None:
        """Have the monitor undo what this start has begun."""
        handover.send(self._monitor, handover.FAILED, handover.undo_order(self._request, message), self.fds)

    def hand_over(self, made: handover.Handover) -> None:
        """Give the monitor what it needs; it has the lock and the request then, and this process no longer.

        The lock is a directory of the host's: no /proc/self/fd/N may lead there (CVE-2024-21626).
        """
        made.send(self._monitor)
        for fd in made.fds:
            if fd != made.connection_fd:
                os.close(fd)
        self._made = made
        self._lock_fd = -1
        self._request = b""

    @property
    def fds(self) -> tuple[int, ...]:
        """The connection, and the lock where there is one."""
        return (self._connection_fd, self._lock_fd) if self._lock_fd >= 0 else (self._connection_fd,)


class Birth(NamedTuple):
    """How a worker was made, for the record."""

    maker: int
    """The pid of who made it."""
    calls: tuple[str, ...]
    """As strace prints them; the last one has made it."""
    begun_ns: tuple[int, ...]
    """CLOCK_MONOTONIC before each of them."""


class Kept(NamedTuple):
    """What there is where a keeper shares this process's memory, see `linux.keeper`."""

    execve: "Callable[[str, tuple[str, ...], dict[str, str]], None]"
    """Leaves the memory to the keeper."""
    held: int
    """The keeper ends where something is written here."""
    is_warm: bool
    """The memory is that of a worker that has become a program."""


def work(
    monitor: sock.Socket, listener: sock.Socket, token: int, zygote_lives: int, birth: Birth, kept: Kept | None = None
) -> "NoReturn":
    """Get warm, wait for a request, carry out its plan.

    Args:
        monitor: the way to it.
        listener: where the request comes from.
        token: the zygote makes the next pair when it is closed, which execve does: not while this start needs the
            processors.
        zygote_lives: readable when the zygote is gone; then nobody is waited for any more.
        birth: how this process was made.
        kept: by whom its memory is kept.

    Raises:
        Outlived: in the keeper.
    """
    born_ns = time.monotonic_ns()
    pid, monitor_pid = int(os.readlink("/proc/self")), procfs.parent("self")  # as the host sees them
    reports = ToMonitor(monitor)
    die_with_maker(reports)
    handover.send(monitor, handover.PROCESS, str(pid).encode())  # who has forked this process may not be its parent
    if kept is None or not kept.is_warm:
        rehearse_worker()
    context = Context(steps.INIT, reports, NO_STDIO)
    context.execve = None if kept is None else kept.execve
    early, obstacle = _begin_early(context)
    connection, lock_fd, content = await_request(listener, zygote_lives)
    request = Request.decode(content)
    reports.take(connection, lock_fd, content)
    if not request.uses_reserve:
        handover.send(monitor, handover.OUTSIDE, content, reports.fds)
        os._exit(0)
    if obstacle is not None:
        reports.failed(channel.failure(obstacle, 1))
        os._exit(1)
    try:
        made, context.stdio = handover.prepare(request, content, connection, lock_fd)
        made.write_status(pid, monitor_pid)
    except OSError as exc:
        reports.failed(channel.failure(remains.explained(exc), -1))
        os._exit(1)
    reports.hand_over(made)
    made.announce(monitor, pid)
    if request.trace:
        _record_early(pid, birth, born_ns, early)
    if not _has_more(connection):
        os.close(token)  # whoever takes so long for a plan holds up nobody else
        if kept is not None:
            os.write(kept.held, b".")  # the keeper has the token, too
            context.execve = None
    received = frames.read_exactly_one(connection)
    if received is None:
        os._exit(1)
    plan = steps.decode(received[1])
    if plan[: len(RESERVE_STEPS)] != RESERVE_STEPS:
        raise RuntimeError("a plan for another process")
    is_beginning = received[0] == frames.PLAN_BEGINNING
    rest = (lambda: _rest_of_plan(connection)) if is_beginning else None
    be_init(plan, len(RESERVE_STEPS), context, Watcher(connection, is_gated=False), rest)


def _rest_of_plan(connection: sock.Socket) -> "tuple[steps.Step, ...]":
    """Return the steps that whoever asked has kept back until it was ready for them.

    Raises:
        AbortedError: it never was.
    """
    received = frames.read_exactly_one(connection)
    if received is None:
        raise AbortedError("whoever asked for the start is gone")
    return steps.decode(received[1])


def work_outside(
    monitor: sock.Socket,
    outside: sock.Socket,
    token: int,
    zygote_lives: int,
    succeed: "Callable[[int], int]",
) -> "NoReturn":
    """Get warm, wait for somebody for whom a pair in reserve is of no use; become the program of an exec.

    Anybody else is the monitor's to serve.

    Args:
        monitor: the way to it.
        outside: where requests come from.
        token: the zygote makes the next one when it is closed.
        zygote_lives: readable when the zygote is gone.
        succeed: makes a successor of this process, see `Context.succeed`.
    """
    reports = ToMonitor(monitor)
    die_with_maker(reports)
    rehearse_worker()
    connection, lock_fd, content = await_request(outside, zygote_lives)
    os.close(token)
    request = Request.decode(content)
    reports.take(connection, lock_fd, content)
    if request.run_dir or request.trace or request.gated:
        handover.send(monitor, handover.OUTSIDE, content, reports.fds)
        os._exit(0)
    context = Context(steps.OUTSIDE, reports, NO_STDIO)
    context.succeed = succeed
    try:
        keyring.join_session()  # else those whose quota of keys is used up would share the one of their zygote
        process.set_dumpable(0)  # so the successor is born so, where others may be who look at it
        made, context.stdio = handover.prepare(request, content, connection, lock_fd)
        reports.hand_over(made)
        plan_frame = frames.read_exactly_one(connection)
        if plan_frame is not None:
            carry_out(steps.decode(plan_frame[1]), 0, context, Watcher(connection, is_gated=False), not_inits=())
    except (EngineError, OSError) as exc:
        reports.failed(channel.failure(remains.explained(exc), -1))
    os._exit(1)


def refuse(listener: sock.Socket, token: int, zygote_lives: int) -> "NoReturn":
    """Wait for a request where this machine gives us no pid namespace, and tell why it cannot be met.

    Else whoever asks would wait for ever, for pairs that all die unheard.
    """
    connection, lock_fd, content = await_request(listener, zygote_lives)
    os.close(token)
    try:
        unshare(CLONE_NEWPID)
    except SyscallError as exc:
        remains.undo(Request.decode(content), exc, lock_fd, connection)
    os._exit(1)  # where it works now, the client is told of a lost monitor, and tries again


def await_request(listener: sock.Socket, zygote_lives: int) -> tuple[sock.Socket, int, bytes]:
    """Return a connection, the lock of the container's run directory (or -1), and the request as it came."""
    connection = _accept(listener, zygote_lives)
    os.close(zygote_lives)
    listener.close()
    return (connection, *read_request(connection))


def read_request(connection: sock.Socket) -> tuple[int, bytes]:
    """Return the lock of the container's run directory (or -1), and the request as it came."""
    head, fds = sock.receive(connection, frames.HEADER.size, 1)
    lock_fd = fds[0] if fds else -1
    received = frames.rest_of_frame(connection, head)
    if received is None:
        os._exit(0)  # whoever connected has changed its mind
    return lock_fd, received[1]


def _begin_early(context: Context) -> tuple[list[Event], EngineError | None]:
    """Do the steps that nearly every plan begins with, before anyone asks; return their events.

    What goes wrong is kept for whoever asks.
    """
    with recording(Recorder(steps.INIT, leaves_unspelled=True)) as recorder:
        try:
            for index, step in enumerate(RESERVE_STEPS[1:], 1):
                recorder.step = index
                step.apply(context)
        except EngineError as exc:
            return recorder.events, exc
    return recorder.events, None


def _record_early(pid: int, birth: Birth, born_ns: int, early: list[Event]) -> None:
    """Begin the record with what was done before anyone asked for it: this process was made, then `early`."""
    recorder = Recorder(steps.INIT, leaves_unspelled=True)
    results = (0, pid)[-len(birth.calls) :]
    ends_ns = (*birth.begun_ns[1:], born_ns)
    made = zip(birth.calls, results, birth.begun_ns, ends_ns, strict=True)
    recorder.events = [
        Event("namespace.clone", call, result, "", start, end - start, birth.maker, steps.OUTSIDE, 0)
        for call, result, start, end in made
    ]
    recorder.events += early
    set_current(recorder)


def _accept(listener: sock.Socket, zygote_lives: int) -> sock.Socket:
    poll = select.epoll()
    poll.register(listener.fileno(), select.EPOLLIN | select.EPOLLEXCLUSIVE)  # one of those who wait is woken
    poll.register(zygote_lives, select.EPOLLIN)
    while True:
        ready = dict(poll.poll())
        if listener.fileno() in ready:
            try:
                connection = sock.accept(listener)
            except BlockingIOError:
                continue  # another pair has taken it
            poll.close()
            return connection
        os._exit(0)  # and the monitor with us


def _has_more(connection: sock.Socket) -> bool:
    """Tell whether something comes from a client within the time that planning takes, and ten times that."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(_PLANNING_MS))
