"""Going through a worker's and a monitor's life in the zygote, so that those to come need not warm up.

The interpreter counts how often each piece of code has run and rewrites it for
what it meets, and each is a write into a page that a child would else share
with all the others: 3 us, and 4 KB of a monitor's own.  Code that was rehearsed
here writes no more.
"""

import contextlib
import os
import signal
import socket
from _socket import AF_UNIX, SOCK_SEQPACKET
from _socket import socketpair as raw_socketpair

from toolkit.runtime import handover, monitor, worker
from toolkit.runtime.request import Request

_TIMES = 4
"""Until the interpreter (3.11 to 3.14) has specialised the code it meets."""


def rehearse() -> None:
    """Run what workers and monitors run; changes nothing but this process's memory."""
    ignored = signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # else there would be nobody to wait for
    before = _open_fds()
    for _again in range(_TIMES):
        worker.rehearse()
        _monitor()
    for fd in _open_fds() - before:  # a monitor leaves its own to the end of its process
        with contextlib.suppress(OSError):  # the descriptor of the listing itself
            os.close(fd)
    signal.signal(signal.SIGCHLD, ignored)


def _open_fds() -> set[int]:
    return set(map(int, os.listdir("/proc/self/fd")))


def _monitor() -> None:
    """Be the monitor of a process that says one word and ends."""
    request = Request(id="rehearsal", foreground=True)
    asker, connection = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    channel, of_worker = raw_socketpair(AF_UNIX, SOCK_SEQPACKET)
    made, stdio = handover.prepare(request, request.encode(), connection, -1)
    log = os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        os.write(stdio[1], b".")
        os._exit(0)
    with socket.socket(fileno=of_worker.detach()) as to_monitor:
        made._replace(log_fd=log).send(to_monitor)
        made.announce(to_monitor, pid)
        handover.send(to_monitor, handover.EXECUTING)
    for fd in (log, *stdio, made.stdout_fd, made.stderr_fd):
        os.close(fd)
    connection.close()
    monitor.serve(pid, channel_fd=channel.detach())
    asker.close()
