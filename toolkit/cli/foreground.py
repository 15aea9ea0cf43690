"""Staying with a process of a container until it ends: run, start --attach, attach and exec."""

from contextlib import suppress

from toolkit.cli.session import Handed, Session
from toolkit.cli.streams import DetachedError, TerminatedError, Wishes, connect
from toolkit.core.errors import ConflictError, EngineError
from toolkit.linux.signals import SIGKILL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from toolkit.engine import Attachment, Container


USUAL_SIZE = (24, 80)
"""Rows and columns of a front end's own terminal until it knows how much room it has."""


class NotATerminalError(EngineError):
    """-it was asked for where stdin is no terminal."""

    exit_code = 1


def check_terminal(session: Session, *, stdin: bool, tty: bool) -> None:
    """Refuse to connect a stream that is no terminal to a container's terminal.

    Raises:
        NotATerminalError: that is what was asked for.
    """
    if tty and stdin and not session.stdin_is_tty and session.take_terminal is None:
        raise NotATerminalError("the input device is not a TTY", hint="leave out -t to pipe input in")


def console_size(session: Session) -> tuple[int, int] | None:
    """Return rows and columns of the user's terminal, if there is one."""
    if session.take_terminal is not None:
        return USUAL_SIZE
    fd = session.terminal_fd()
    if fd is None:
        return None
    from toolkit.linux.terminal import get_window_size

    rows, columns = get_window_size(fd)
    return rows, columns


def all_streams(*, stdin: bool) -> frozenset[str]:
    """Return the names of all streams, of stdin only where it is wanted."""
    return frozenset(("stdin", "stdout", "stderr") if stdin else ("stdout", "stderr"))


def killer(container: "Container") -> "Callable[[int], None]":
    """Return what sends a signal to a container that may have ended."""

    def kill(number: int) -> None:
        with suppress(ConflictError):  # it has just ended; the next thing to arrive is its exit code
            container.kill(number)

    return kill


def follow(
    session: Session,
    container: "Container",
    attachment: "Attachment",
    *,
    streams: frozenset[str],
    tty: bool,
    keys: bytes,
    sig_proxy: bool,
    interrupt: "Callable[[int], None] | None" = None,
) -> int:
    """Carry the streams until the process has ended; return its exit code, or 0 if the user detached.

    A front end that has a terminal of its own takes it over instead, and this returns 0 at once.

    Args:
        session: whose streams.
        container: whose process.
        attachment: the connection to it.
        streams: which of "stdin", "stdout" and "stderr" to pass on.
        tty: the process has a terminal.
        keys: with which the user detaches.
        sig_proxy: pass a shell's signals on.
        interrupt: ends the process when a notebook's cell is interrupted; None: leave it alone then.
    """
    stdin = "stdin" in streams
    if tty and stdin and session.take_terminal is not None:
        # What was started for this terminal ends with it; what was there before, or is to be started again, does not.
        goes_on = interrupt is None or not (attachment.is_exec or container.options.restart_policy in {"", "no"})
        session.take_terminal(Handed(container, attachment, keys, ends_with_us=not goes_on))
        return 0
    kill = killer(container) if sig_proxy and not (tty and stdin) else None  # in raw mode they are bytes
    wishes = Wishes(stdin=stdin, tty=tty, detach_keys=keys, outputs=streams, kill=kill, interrupt=interrupt)
    try:
        with attachment:
            connect(session, attachment, wishes)
    except DetachedError:
        container.note("detach")
        session.complain("read escape sequence")
        return 0
    except TerminatedError as exc:
        return exc.exit_code
    except KeyboardInterrupt:  # it came before signals were the container's
        if sig_proxy and interrupt is not None:
            interrupt(SIGKILL)
        raise
    exit_code: int = attachment.exit_code if attachment.exit_code is not None else -1
    return int(container.wait()) if exit_code < 0 else exit_code
