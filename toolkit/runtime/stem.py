"""The pair of processes that a zygote keeps in reserve, so that a start finds them ready.

monitor   lives as long as the container: parent of its init, carrier of its
          output.  It does as little as possible, because every page that
          Python writes to (reference counts) becomes its own.
  worker  the monitor's child, pid 1 of a new pid namespace: takes the
          request, carries out the plan and becomes the program.
keeper    shares the worker's memory, so that its execve need not take it down;
          the zygote's child (a process between the two made both, and ended).
"""

import os
import sys
from time import monotonic_ns

from toolkit.linux import keeper, signals, sock
from toolkit.linux.namespace import CLONE_NEWPID, CLONE_PARENT, bare_unshare
from toolkit.runtime import monitor, worker
from toolkit.runtime.steps.namespaces import FORK_CALLS, KEPT_CALLS
from toolkit.runtime.worker import Birth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


_keep = keeper.load()
_FLAGS = keeper.CLONE_VM | CLONE_PARENT | CLONE_NEWPID | signals.SIGCHLD


def keep_ready(listener: sock.Socket, token: int, zygote_lives: int) -> "NoReturn":
    """Be a monitor and its worker, one of them waiting for a connection; see `worker.work`."""
    ours, theirs = sock.pair(sock.SOCK_SEQPACKET)
    middle = os.fork() if _keep is not None else 0
    if _keep is not None and middle == 0:
        ours.close()
        _bear_kept(theirs, listener, token, zygote_lives)
    pid = 0  # the worker says itself who it is
    if middle == 0 or os.waitpid(middle, 0)[1] != 0:
        pid = _bear(ours, theirs, listener, token, zygote_lives)
    listener.close()  # a monitor outlives its zygote: clients must be refused then, not left waiting for an answer
    if ours.fileno() != monitor.CHANNEL_FD:
        os.dup2(ours.fileno(), monitor.CHANNEL_FD, inheritable=False)
    os.closerange(monitor.CHANNEL_FD + 1, monitor.CHANNEL_FD + 16)
    monitor.serve(pid)
    os._exit(0)


def _bear_kept(to_monitor: sock.Socket, listener: sock.Socket, token: int, zygote_lives: int) -> "NoReturn":
    """Be the process between the two, which makes the worker the monitor's child and ends; return as the worker."""
    until, _held = os.pipe()  # the other end goes with the worker's execve
    maker_pid, before_ns = os.getpid(), monotonic_ns()
    if _keep is None or _keep(until, _FLAGS) < 0:
        os._exit(1)
    os.close(until)
    _work(to_monitor, listener, token, zygote_lives, Birth(maker_pid, KEPT_CALLS, (before_ns,)))


def _bear(ours: sock.Socket, theirs: sock.Socket, listener: sock.Socket, token: int, zygote_lives: int) -> int:
    """Fork the worker where nobody can keep its memory; return its pid."""
    before_ns = monotonic_ns()
    if bare_unshare(CLONE_NEWPID) < 0:
        worker.refuse(listener, token, zygote_lives)
    between_ns = monotonic_ns()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _work(theirs, listener, token, zygote_lives, Birth(os.getppid(), FORK_CALLS, (before_ns, between_ns)))
    return pid


def begin_outside(connection: sock.Socket) -> "NoReturn":
    """Be the monitor of what a pair in reserve is of no use for: a plan with steps for somebody outside."""
    lock_fd, request = worker.read_request(connection)
    fds = [connection.detach()] if lock_fd < 0 else [connection.detach(), lock_fd]
    monitor.begin_outside(request, fds)
    os._exit(0)


def _work(to_monitor: sock.Socket, listener: sock.Socket, token: int, zygote_lives: int, birth: Birth) -> "NoReturn":
    try:
        worker.work(to_monitor, listener, token, zygote_lives, birth)
    except BaseException as exc:  # noqa: BLE001 - this process must end here; a bug goes to the zygote's log
        sys.excepthook(type(exc), exc, exc.__traceback__)
    os._exit(1)
