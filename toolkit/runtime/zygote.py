"""The zygote: a small process whose children become monitors.

Python takes 30 ms to start and a notebook kernel 15 ms to fork; this process
is small, single-threaded and has everything imported, so its fork takes under
one.  It keeps children in reserve, waiting for a connection: who asks pays not
even for the fork (see `stem`).  It holds no state: it can be killed and replaced at any
time, and it leaves by itself when it has been idle for long or when its socket
is gone.

Started by `toolkit.runtime.client`, with the listening socket as descriptor 3.
"""

import gc
import os
import select
import sys

from toolkit.core.errors import UnsupportedError
from toolkit.linux import file, frozen, inherited, namespace, process, resident, signals, sock
from toolkit.runtime import rehearsal, stem
from toolkit.runtime.meeting import BACKLOG, OUTSIDE_SUFFIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

IDLE_S = 600
MOST_PAIRS = 2
"""With one, who comes while another start is under way would wait for the next to be made."""
_PAUSE_MS = 5
"""How long the next pair can wait while there is another: a quick container needs both processors until its end."""


def main() -> None:
    """Serve until idle for IDLE_S seconds."""
    listener = resident.inherited_listener()  # and nothing else, which would leak into containers
    path = sys.argv[1]
    place = _inode(path)
    if _fork_into(sys.argv[2]):
        os._exit(0)  # whoever spawned us waits for this; the zygote itself is an orphan
    _shed(sys.argv[3:])
    os.chdir("/")
    os.umask(0o022)
    signals.signal(signals.SIGCHLD, signals.SIG_IGN)  # the kernel reaps: a monitor's end is nobody's business
    signals.signal(signals.SIGINT, signals.SIG_IGN)
    process.set_name("zygote")
    process.set_child_subreaper(1)  # of the keepers, see `stem`
    gc.disable()  # a collection writes to every object
    rehearsal.rehearse()
    gc.collect()
    gc.freeze()  # keeps the pages that children share with us from being copied
    _freeze()
    outside = sock.unix()
    _listen(outside, path)
    pairs: dict[int, int] = {}
    helpers: dict[int, int] = {}
    most = 1  # the second pair, and the helper, must not hold up whoever waits for the first
    while place == _inode(path) != 0:  # else the engine is gone, or another zygote has its place
        while len(pairs) < most:
            _fork_waiting(stem.keep_ready, listener, outside, pairs, helpers)
        if most == MOST_PAIRS and not helpers and stem.can_keep_outside():
            _fork_waiting(stem.keep_outside, outside, listener, helpers, pairs)
        _await_taken(listener, outside, pairs, helpers)
        most = MOST_PAIRS


def _freeze() -> None:
    """Freeze what is warm now: a monitor keeps no copy of it while it sleeps; where that fails, it never sleeps."""
    try:
        frozen.freeze()
    except (UnsupportedError, OSError) as exc:
        sys.stderr.write(f"zygote: monitors will not sleep: {exc}\n")


def _listen(outside: sock.Socket, path: str) -> None:
    """Listen for those who need somebody outside; where that fails they ask the pair in reserve, which is slower."""
    directory, name = os.path.split(path)
    outside.setblocking(False)  # noqa: FBT003 - the standard library's own signature
    where = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    address = f"/proc/self/fd/{where}/{name}{OUTSIDE_SUFFIX}"
    mask = os.umask(0o177)
    try:
        try:
            os.unlink(address)
        except FileNotFoundError:
            pass  # the usual case
        outside.bind(address)
        outside.listen(BACKLOG)
    except OSError as exc:
        sys.stderr.write(f"zygote: {address}: {exc}\n")
    finally:
        os.umask(mask)
        os.close(where)


def _fork_into(cgroup: str) -> int:
    """Fork; the child is in a cgroup of version 2, where there is one for it.

    Born there: to move there later takes 5 to 12 ms.
    """
    if not cgroup:
        return os.fork()
    try:
        directory = file.open_file(cgroup, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return os.fork()  # gone again
    try:
        return namespace.clone3(0, cgroup_fd=directory)[0]
    except OSError:
        return os.fork()  # not delegated to us
    finally:
        os.close(directory)


def _shed(task_files: list[str]) -> None:
    """Lose what was only that of whoever started us: its containers are not all containers."""
    os.setsid()
    inherited.reset_limits()
    inherited.reset_scheduling()
    inherited.reset_memory()
    inherited.reset_signals()
    inherited.reset_keys()
    inherited.leave_cgroups(task_files)


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return 0


def _fork_waiting(
    life: "Callable[..., NoReturn]",
    asked: sock.Socket,
    other: sock.Socket,
    waiting: dict[int, int],
    others: dict[int, int],
) -> None:
    """Fork a pair, or a helper, that waits for a connection.

    Runs once for each start, and what it touches each monitor costs: so little is done here.

    Args:
        life: what it is to be.
        asked: where its connections come from.
        other: where the others' come from.
        waiting: those of its kind that wait, gets one more: a pipe that ends when it has been used, and one to close
            then (it waits for a connection while that is open).
        others: those of the other kind.
    """
    taken, token = os.pipe()
    zygote_lives, held = os.pipe()
    waiting[taken] = held
    if os.fork() == 0:
        _close_ours(other, waiting, others)
        _be(life, asked, token, zygote_lives)
    os.close(token)
    os.close(zygote_lives)


def _await_taken(listener: sock.Socket, outside: sock.Socket, pairs: dict[int, int], helpers: dict[int, int]) -> None:
    """Return when somebody is to be made for one that has been used.

    Meanwhile fork a monitor for each who needs somebody outside and finds no helper.
    """
    poll = select.poll()
    for taken in (*pairs, *helpers):
        poll.register(taken, select.POLLHUP)
    if not helpers:
        poll.register(outside.fileno(), select.POLLIN)
    pause_ms = -1
    while True:
        signals.alarm(IDLE_S)  # ends a zygote that is idle for long; those who wait go with it
        ready = poll.poll(pause_ms)
        for fd, _events in ready:
            pause_ms = _PAUSE_MS
            if fd == outside.fileno():
                _fork_outside(listener, outside, pairs, helpers)
                continue
            poll.unregister(fd)
            os.close(fd)
            os.close(pairs.pop(fd) if fd in pairs else helpers.pop(fd))
            if not helpers:
                poll.register(outside.fileno(), select.POLLIN)
        if pause_ms >= 0 and not (ready and pairs):
            return


def _fork_outside(listener: sock.Socket, outside: sock.Socket, pairs: dict[int, int], helpers: dict[int, int]) -> None:
    try:
        connection = sock.accept(outside)
    except OSError:
        return  # whoever it was has gone, or we have too much open: the next one asks again
    if os.fork() == 0:
        os.close(listener.fileno())
        _close_ours(outside, pairs, helpers)
        _be(stem.begin_outside, connection)
    connection.close()


def _close_ours(other: sock.Socket, *waiting: dict[int, int]) -> None:
    """Close what a child must not keep: who outlives the zygote would keep others waiting for it."""
    os.close(other.fileno())
    for kind in waiting:
        for taken, held in kind.items():
            os.close(taken)
            os.close(held)


def _be(life: "Callable[..., NoReturn]", *arguments: object) -> "NoReturn":
    """Live another life: the fork must not return into the zygote's."""
    signals.signal(signals.SIGCHLD, signals.SIG_DFL)
    try:
        life(*arguments)
    except BaseException as exc:  # noqa: BLE001 - whatever it is
        sys.excepthook(type(exc), exc, exc.__traceback__)  # a bug, into the zygote's log
    os._exit(1)
