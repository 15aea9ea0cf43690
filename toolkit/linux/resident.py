"""Starting a program of ours that stays when whoever started it has ended."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_SIGNALS = (*range(1, 32), *range(34, 65))
"""All but the two that the C library keeps for itself."""


def spawn(
    program: str,
    argv: list[str],
    environ: "Mapping[str, str]",
    *,
    log: str,
    listener: tuple[int, int],
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
        listener: the socket's descriptor here, and there.
        kept_signals: those that it ignores where we do.

    Raises:
        OSError: it cannot be executed.
    """
    here, there = listener
    return os.posix_spawn(
        program,
        argv,
        environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            (os.POSIX_SPAWN_DUP2, here, there),
        ],
        setsigmask=(),
        setsigdef=[number for number in _SIGNALS if number not in kept_signals],
        setsid=True,
    )
