"""The pair of processes that a zygote keeps in reserve, so that a start finds them ready.

monitor   lives as long as the container: parent of its init, carrier of its
          output.  It does as little as possible, because every page that
          Python writes to (reference counts) becomes its own.
  worker  the monitor's child, pid 1 of a new pid namespace: takes the
          request, carries out the plan and becomes the program.
keeper    has borne the worker, and shares its memory, see `linux.keeper`; a
          child of the monitor's, too.

Where somebody has stayed attached to the end the pair is ready for the next
start: no fork, and hardly a page to copy.  Of a container that runs for longer
the monitor alone is left.
"""

import errno
import os
import sys
from time import monotonic_ns

from toolkit.linux import keeper, sock
from toolkit.linux.namespace import CLONE_NEWPID, bare_unshare
from toolkit.runtime import monitor, worker
from toolkit.runtime.steps.namespaces import FORK_CALLS, KEPT_CALLS
from toolkit.runtime.worker import Birth, Kept
from toolkit.trace.recorder import set_current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn


_code = keeper.load()
_LIVES = 32
"""How many containers a pair looks after, one after the other."""
_LASTS_NS = 60 * 10**9
"""For how long: the zygote, which ends when it is idle for long, hears of starts by pairs that are used up."""
_LISTENER, _TOKEN, _ZYGOTE, _MONITOR, _UNTIL = range(keeper.KEPT_FROM, keeper.KEPT_FROM + 5)
"""The descriptors of a keeper."""
_MOST_FDS = 64
"""More than a monitor has when it has done its work."""


def keep_ready(listener: sock.Socket, token: int, zygote_lives: int) -> "NoReturn":
    """Be a monitor and its worker, one of them waiting for a connection; see `worker.work`."""
    ours, theirs = sock.pair(sock.SOCK_SEQPACKET)
    if _code is not None:
        asks, asked = sock.pair(sock.SOCK_SEQPACKET)
        maker = os.fork()
        if maker == 0:
            ours.close()
            asks.close()
            _bear_workers(_code, theirs, (listener.fileno(), token, zygote_lives, asked.detach()))
        theirs.close()
        asked.close()
        if not sock.has_ended(ours, waits=True):
            listener.close()  # a monitor outlives its zygote: clients must be refused then, not left waiting
            _watch_kept(asks.detach(), ours.detach(), maker)
        os.waitpid(maker, 0)
        ours, theirs = sock.pair(sock.SOCK_SEQPACKET)
    pid = _bear(ours, theirs, listener, token, zygote_lives)
    listener.close()
    _watch(ours, pid)


def _bear_workers(code: keeper.Code, theirs: sock.Socket, fds: tuple[int, int, int, int]) -> "NoReturn":
    """Be the keeper: bear a worker, and when that is a program and the monitor has seen to its end, the next one.

    What is closed here by a worker, it closes for itself.

    Args:
        code: how.
        theirs: the first worker's way to the monitor.
        fds: listener, token and zygote_lives, see `worker.work`; our own way to the monitor.
    """
    for fd, kept in zip(fds, (_LISTENER, _TOKEN, _ZYGOTE, _MONITOR), strict=True):
        os.dup2(fd, kept, inheritable=False)
        os.close(fd)
    asked = sock.adopt(_MONITOR, sock.SOCK_SEQPACKET)
    finders = tuple(sys.meta_path)
    is_warm = False
    while True:
        until, held = os.pipe()
        os.dup2(until, _UNTIL, inheritable=False)
        os.close(until)
        maker_pid, before_ns = os.getpid(), monotonic_ns()
        if code.bear(keeper.SUCCESSOR | CLONE_NEWPID, _UNTIL, _MONITOR) < 0:
            os._exit(1)
        birth = Birth(maker_pid, KEPT_CALLS, (before_ns,))
        os.close(_UNTIL)
        os.close(_MONITOR)
        try:
            worker.work(theirs, sock.adopt(_LISTENER), _TOKEN, _ZYGOTE, birth, Kept(code.execve, held, is_warm=is_warm))
        except keeper.Outlived:
            theirs.detach()  # it was the worker's; that number is nobody's here, or will be another's
        except BaseException as exc:  # noqa: BLE001 - as in `_live`
            sys.excepthook(type(exc), exc, exc.__traceback__)
            os._exit(1)
        is_warm = True
        set_current(None)
        sys.meta_path[:] = finders  # see `steps.base.shut_imports`: we are not in the container
        if not asked.recv(1):
            os._exit(0)  # the monitor has ended
        ours, theirs = sock.pair(sock.SOCK_SEQPACKET)
        sock.send(asked, [b"."], (ours.fileno(),))
        ours.close()


def _watch_kept(asks_fd: int, channel_fd: int, maker: int) -> "NoReturn":
    """Be the monitor of one worker after the other, as long as each leaves its memory to the keeper `maker`.

    Of a container that nobody is attached to, this is the last; what runs before its end costs pages, see `monitor`.
    """
    last_ns = monotonic_ns() + _LASTS_NS
    os.dup2(asks_fd, monitor.MAKER_FD, inheritable=False)
    lives = 0
    while True:
        if channel_fd != monitor.CHANNEL_FD:
            os.dup2(channel_fd, monitor.CHANNEL_FD, inheritable=False)
        os.closerange(monitor.CHANNEL_FD + 1, _MOST_FDS)
        is_free = monitor.serve(0, maker=maker, is_warm=lives > 0)
        lives += 1
        if not is_free or lives == _LIVES or monotonic_ns() > last_ns:
            os._exit(0)
        channel_fd = _ask_for_next()


def _ask_for_next() -> int:
    """Have the keeper bear one more worker; return the way to that one."""
    asks = sock.adopt(monitor.MAKER_FD, sock.SOCK_SEQPACKET)
    try:
        sock.send(asks, [b"."])
        _data, fds = sock.receive(asks, 1, 1)
    except (BrokenPipeError, ConnectionResetError):
        fds = []
    if not fds:
        os._exit(0)  # nobody has the memory any more
    asks.detach()
    return fds[0]


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
