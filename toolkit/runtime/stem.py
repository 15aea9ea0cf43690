"""The pair of processes that a zygote keeps in reserve, so that a start finds them ready.

monitor   lives as long as the container: parent of its init, carrier of its
          output.  It does as little as possible, because every page that
          Python writes to (reference counts) becomes its own.
  worker  the monitor's child, pid 1 of a new pid namespace: takes the
          request, carries out the plan and becomes the program.
"""

import os
import sys
from time import monotonic_ns

from toolkit.linux import sock
from toolkit.linux.namespace import CLONE_NEWPID, bare_unshare
from toolkit.runtime import monitor, worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def keep_ready(listener: sock.Socket, token: int, zygote_lives: int) -> "NoReturn":
    """Be a monitor and its worker, one of them waiting for a connection; see `worker.work`."""
    ours, theirs = sock.pair(sock.SOCK_SEQPACKET)
    before_ns = monotonic_ns()
    if bare_unshare(CLONE_NEWPID) < 0:
        worker.refuse(listener, token, zygote_lives)
    between_ns = monotonic_ns()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _work(theirs, listener, token, zygote_lives, (before_ns, between_ns))
    listener.close()  # a monitor outlives its zygote: clients must be refused then, not left waiting for an answer
    if ours.fileno() != monitor.CHANNEL_FD:
        os.dup2(ours.fileno(), monitor.CHANNEL_FD, inheritable=False)
    os.closerange(monitor.CHANNEL_FD + 1, monitor.CHANNEL_FD + 16)
    monitor.serve(pid)
    os._exit(0)


def begin_outside(connection: sock.Socket) -> "NoReturn":
    """Be the monitor of what a pair in reserve is of no use for: a plan with steps for somebody outside."""
    lock_fd, request = worker.read_request(connection)
    fds = [connection.detach()] if lock_fd < 0 else [connection.detach(), lock_fd]
    monitor.begin_outside(request, fds)
    os._exit(0)


def _work(
    to_monitor: sock.Socket, listener: sock.Socket, token: int, zygote_lives: int, birth_ns: tuple[int, int]
) -> "NoReturn":
    try:
        worker.work(to_monitor, listener, token, zygote_lives, birth_ns)
    except BaseException as exc:  # noqa: BLE001 - this process must end here; a bug goes to the zygote's log
        sys.excepthook(type(exc), exc, exc.__traceback__)
    os._exit(1)
