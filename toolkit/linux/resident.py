"""A program of ours that stays when whoever started it has ended: starting it, and its first moment.

It is given a socket that listens already, so nobody has to wait until it is ready.
"""

import os
import sys

from toolkit.linux import lock, sock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LISTENER_FD = 3
"""The socket's descriptor in the program."""
_SIGNALS = (*range(1, 32), *range(34, 65))
"""All but the two that the C library keeps for itself."""


def listen_in(directory: str, name: str, backlog: int, kind: int = sock.SOCK_STREAM) -> sock.Socket:
    """Listen at a socket in a directory, in place of any other of this name; it is root's alone.

    The directory's path may be too long for a socket's address.  Nobody finds a socket that does not listen yet.
    """
    aside = f"{name}.new"
    fd = lock.open_directory(directory)
    mask = os.umask(0o177)
    try:
        try:
            os.unlink(f"{directory}/{aside}")
        except FileNotFoundError:
            pass  # nobody was killed here
        listener = sock.listen_at(f"/proc/self/fd/{fd}/{aside}", backlog, kind)
    finally:
        os.umask(mask)
        os.close(fd)
    os.rename(f"{directory}/{aside}", f"{directory}/{name}")
    return listener


def spawn(
    program: str,
    argv: list[str],
    environ: "Mapping[str, str]",
    *,
    log: str,
    listener_fd: int,
    kept_signals: tuple[int, ...] = (),
) -> int:
    """Start a program with a socket that listens already; return its pid.

    What nohup or a shell's & had us ignore is not for it, nor is a Ctrl-C in our terminal, not even in its first
    moments: it is in a session of its own.

    Args:
        program: its path.
        argv: its words.
        environ: its environment.
        log: where its output is appended.
        listener_fd: the socket.
        kept_signals: those that it ignores where we do.

    Raises:
        OSError: it cannot be executed.
    """
    return os.posix_spawn(
        program,
        argv,
        environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            (os.POSIX_SPAWN_DUP2, listener_fd, LISTENER_FD),
        ],
        setsigmask=(),
        setsigdef=[number for number in _SIGNALS if number not in kept_signals],
        setsid=True,
    )


def inherited_listener(kind: int = sock.SOCK_STREAM) -> sock.Socket:
    """Return the socket that this program was started with, which does not block; whatever else leaked in is closed."""
    listener = sock.adopt(LISTENER_FD, kind)
    listener.setblocking(False)  # noqa: FBT003 - the standard library's own signature
    os.set_inheritable(LISTENER_FD, False)  # noqa: FBT003 - the standard library's own signature
    os.closerange(LISTENER_FD + 1, 1 << 16)
    return listener


def fingerprint(root: str, rooms: "Sequence[str]", powers: "Sequence[int]") -> str:
    """Name the code that a program of ours would run, and its powers, in eight letters.

    An older one must not serve a newer client, nor one that somebody with fewer capabilities has started one who has
    them all.

    Args:
        root: where the package lies.
        rooms: the directories of it that are run.
        powers: sets of capabilities.
    """
    from toolkit.core.digest import sha256_hex

    facts: list[object] = [sys.version, root]
    for room in rooms:
        entries = sorted((entry.name, entry.stat().st_mtime_ns) for entry in os.scandir(f"{root}/toolkit/{room}"))
        facts.append([entry for entry in entries if entry[0].endswith(".py")])
    return sha256_hex(repr([*facts, *powers]).encode())[:8]
