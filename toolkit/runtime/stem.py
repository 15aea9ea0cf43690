"""The pair of processes that a zygote keeps in reserve, so that a start finds them ready.

monitor   lives as long as the container: parent of its init, carrier of its
          output.  It does as little as possible, because every page that
          Python writes to (reference counts) becomes its own.
  worker  the monitor's child, pid 1 of a new pid namespace: takes the
          request, carries out the plan and becomes the program.
keeper    shares the worker's memory, so that its execve need not take it down;
          the zygote's child (a process between the two made both, and ended).
"""

import errno
import os
import sys
from time import monotonic_ns

from toolkit.linux import keeper, sock
from toolkit.linux.namespace import CLONE_NEWPID, bare_unshare
from toolkit.runtime import monitor, worker
from toolkit.runtime.steps.namespaces import FORK_CALLS, KEPT_CALLS
from toolkit.runtime.worker import Birth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn


_code = keeper.load()


def keep_ready(listener: sock.Socket, token: int, zygote_lives: int) -> "NoReturn":
    """Be a monitor and its worker, one of them waiting for a connection; see `worker.work`."""
    ours, theirs = sock.pair(sock.SOCK_SEQPACKET)
    middle = os.fork() if _code is not None else 0
    if _code is not None and middle == 0:
        ours.close()
        _bear_kept(theirs, listener, token, zygote_lives)
    pid = 0  # the worker says itself who it is
    if middle == 0 or os.waitpid(middle, 0)[1] != 0:
        pid = _bear(ours, theirs, listener, token, zygote_lives)
    listener.close()  # a monitor outlives its zygote: clients must be refused then, not left waiting for an answer
    _watch(ours, pid)


def _bear_kept(to_monitor: sock.Socket, listener: sock.Socket, token: int, zygote_lives: int) -> "NoReturn":
    """Be the process between the two, which makes the worker the monitor's child and ends; return as the worker."""
    until, _held = os.pipe()  # the other end goes with the worker's execve
    maker_pid, before_ns = os.getpid(), monotonic_ns()
    if _code is None or _code.keep(until) < 0 or _code.succeed(keeper.SUCCESSOR | CLONE_NEWPID) < 0:
        os._exit(1)
    os.close(until)
    _live(worker.work, to_monitor, listener, token, zygote_lives, Birth(maker_pid, KEPT_CALLS, (before_ns,)))


def _bear(ours: sock.Socket, theirs: sock.Socket, listener: sock.Socket, token: int, zygote_lives: int) -> int:
    """Fork the worker where nobody can keep its memory; return its pid."""
    before_ns = monotonic_ns()
    if bare_unshare(CLONE_NEWPID) < 0:
        worker.refuse(listener, token, zygote_lives)
    between_ns = monotonic_ns()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _live(
            worker.work, theirs, listener, token, zygote_lives, Birth(os.getppid(), FORK_CALLS, (before_ns, between_ns))
        )
    return pid


def can_keep_outside() -> bool:
    """Tell whether `keep_outside` is of any use here."""
    return _code is not None


def keep_outside(outside: sock.Socket, token: int, zygote_lives: int) -> "NoReturn":
    """Be the monitor of a worker that waits for those for whom a pair is of no use; see `worker.work_outside`."""
    ours, theirs = sock.pair(sock.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        _live(worker.work_outside, theirs, outside, token, zygote_lives, _succeed)
    outside.close()
    _watch(ours, pid)


def _succeed(flags: int) -> int:
    return -errno.ENOSYS if _code is None else _code.succeed(keeper.SUCCESSOR | flags)


def _watch(channel: sock.Socket, pid: int) -> "NoReturn":
    if channel.fileno() != monitor.CHANNEL_FD:
        os.dup2(channel.fileno(), monitor.CHANNEL_FD, inheritable=False)
    os.closerange(monitor.CHANNEL_FD + 1, monitor.CHANNEL_FD + 16)
    monitor.serve(pid)
    os._exit(0)


def begin_outside(connection: sock.Socket) -> "NoReturn":
    """Be the monitor of what a pair in reserve is of no use for: a plan with steps for somebody outside."""
    lock_fd, request = worker.read_request(connection)
    fds = [connection.detach()] if lock_fd < 0 else [connection.detach(), lock_fd]
    monitor.begin_outside(request, fds)
    os._exit(0)


def _live(life: "Callable[..., NoReturn]", *arguments: object) -> "NoReturn":
    try:
        life(*arguments)
    except BaseException as exc:  # noqa: BLE001 - this process must end here; a bug goes to the zygote's log
        sys.excepthook(type(exc), exc, exc.__traceback__)
    os._exit(1)
