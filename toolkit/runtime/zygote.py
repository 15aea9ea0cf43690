"""The zygote: a small process whose children become monitors.

Python takes 30 ms to start and a notebook kernel 15 ms to fork; this process
is small, single-threaded and has everything imported, so its fork takes under
one.  It keeps one child in reserve, waiting for a connection: who asks pays
not even for the fork.  It holds no state: it can be killed and replaced at any
time, and it leaves by itself when it has been idle for long or when its socket
is gone.

Started by `toolkit.runtime.client`, with the listening socket as descriptor 3.
"""

import gc
import os
import select
import signal
import socket
import sys

from toolkit.linux import process
from toolkit.runtime import monitor
from toolkit.runtime.meeting import LISTENER_FD

IDLE_S = 600


def main() -> None:
    """Serve until idle for IDLE_S seconds."""
    listener = socket.socket(fileno=LISTENER_FD)
    os.set_inheritable(LISTENER_FD, False)  # noqa: FBT003 - the standard library's own signature
    path = sys.argv[1]
    inode = os.stat(path).st_ino
    os.closerange(LISTENER_FD + 1, 1 << 16)  # whatever leaked into us must not leak into containers
    if os.fork():
        os._exit(0)  # whoever spawned us waits for this; the zygote itself is an orphan
    os.setsid()
    os.chdir("/")
    os.umask(0o022)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps: a monitor's end is nobody's business
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    process.set_name("zygote")
    gc.collect()
    gc.disable()
    gc.freeze()  # keeps the pages that children share with us from being copied
    while _keep_reserve(listener):
        if not _leads_to_us(path, inode):
            return
    if _leads_to_us(path, inode):
        os.unlink(path)


def _keep_reserve(listener: socket.socket) -> bool:
    """Fork a child that waits for the next connection; return when it has one, False when it is idle for long."""
    taken, token = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(taken)
        _wait_and_serve(listener, token)
    os.close(token)
    try:
        readable, _w, _x = select.select([taken], [], [], IDLE_S)
        if not readable:
            os.kill(pid, signal.SIGKILL)
            return False
        os.read(taken, 1)
    finally:
        os.close(taken)
    return True


def _wait_and_serve(listener: socket.socket, token: int) -> None:
    process.set_parent_death_signal(signal.SIGKILL)
    connection, _address = listener.accept()
    process.set_parent_death_signal(0)
    os.close(token)
    listener.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    status = 1
    try:
        monitor.serve(connection)
        status = 0
    except BaseException as exc:  # noqa: BLE001 - the fork must not return into the zygote's loop; a bug goes to its log
        sys.excepthook(type(exc), exc, exc.__traceback__)
    os._exit(status)


def _leads_to_us(path: str, inode: int) -> bool:
    """Tell whether the socket's path is still ours: otherwise another zygote has taken over, or the engine is gone."""
    try:
        return os.stat(path).st_ino == inode
    except FileNotFoundError:
        return False
