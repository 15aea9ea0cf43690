"""Where a command reads and writes, and the engine that it uses.

A session is a shell's three streams, or a notebook's, or a test's.  Commands
get everything outside through it, so the same command runs in all of them.
"""

import os
import sys

from toolkit.core.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Any, BinaryIO, TextIO

    from toolkit.registry.progress import Progress

    ShowProgress = Callable[[], AbstractContextManager[Callable[[Progress], None]]]

    from toolkit.engine import Attachment, Container, Engine

STDOUT = 1
STDERR = 2


class Handed(NamedTuple):
    """A process's terminal for a front end that goes on with it after the command has returned."""

    container: "Container"
    attachment: "Attachment"
    keys: bytes
    """With which the user leaves it."""
    ends_with_us: bool
    """It was started for whoever sits at this terminal, and ends when that one is gone."""


class Outcome(NamedTuple):
    """What a command came to."""

    exit_code: int = 0
    value: "Any" = None
    """The engine's object or objects that the command made or found; None where there is none."""
    error: Exception | None = None
    """What the command failed with, already printed to the session's stderr as one line."""


class Session:
    """The outside world of one command."""

    def __init__(
        self,
        *,
        stdin: "BinaryIO | None",
        stdout: "TextIO",
        stderr: "TextIO",
        is_tty: bool | None = None,
        owns_process: bool = False,
    ) -> None:
        """Use these streams.

        Args:
            stdin: bytes for the container; None is no input at all.
            stdout: where the command's own output goes; its `buffer`, if it has one, takes raw bytes.
            stderr: likewise, for complaints and progress.
            is_tty: whether the streams are a terminal; None: ask each.
            owns_process: signals to this process are the command's (a shell's command, not a notebook's).
        """
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.stdin_is_tty = _isatty(stdin) if is_tty is None else is_tty
        self.stdout_is_tty = _isatty(stdout) if is_tty is None else is_tty
        self.stderr_is_tty = _isatty(stderr) if is_tty is None else is_tty
        self.owns_process = owns_process
        self.show_progress: ShowProgress | None = None
        """How a front end shows the progress of a transfer, if it has a way of its own."""
        self.shows_values = False
        """What a command is worth is shown in a form of its own, so it need not print that, or ask what comes next."""
        self.take_terminal: Callable[[Handed], None] | None = None
        """How a front end shows a process's terminal, if it has its own way: `follow` gives it away and returns."""
        self.root: str | None = None
        self.run_dir: str | None = None
        self.config_file = ""
        """The engine's configuration; empty: at its usual place."""
        self._engine: Engine | None = None
        self._decoders: dict[int, Any] = {}

    @property
    def engine(self) -> "Engine":
        """The engine, opened at first use."""
        if self._engine is None:
            from toolkit.engine import Engine

            self._engine = Engine.open(self.root, self.run_dir)
            self._engine.config_file = self.config_file
        return self._engine

    def close(self) -> None:
        """Close the engine, if this session opened one."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def print(self, text: str) -> None:
        """Write a line to stdout, with what would move the cursor escaped."""
        self.stdout.write(_harmless(text) + "\n")

    def complain(self, text: str) -> None:
        """Write to stderr, after what stdout has so far; words of an image or a registry cannot move the cursor."""
        self.stdout.flush()
        say(self.stderr, text)

    def write(self, stream: int, data: bytes) -> None:
        """Pass a container's bytes on, at once and unchanged where the stream can carry bytes."""
        target = self.stdout if stream == STDOUT else self.stderr
        buffer = getattr(target, "buffer", None)
        if buffer is not None:
            buffer.write(data)
        else:
            target.write(self._decode(stream, data))
        target.flush()

    def _decode(self, stream: int, data: bytes) -> str:
        """Decode piecewise: a character may be split between two chunks."""
        if stream not in self._decoders:
            import codecs

            self._decoders[stream] = codecs.getincrementaldecoder("utf-8")("replace")
        text: str = self._decoders[stream].decode(data)
        return text

    def stdin_fd(self) -> int | None:
        """Return stdin's descriptor, or None where it has none (a cell's text)."""
        return _fileno(self.stdin)

    def terminal_fd(self) -> int | None:
        """Return the descriptor of a terminal among stdout and stdin, for its size."""
        for stream, is_tty in ((self.stdout, self.stdout_is_tty), (self.stdin, self.stdin_is_tty)):
            fd = _fileno(stream)
            if is_tty and fd is not None and os.isatty(fd):
                return fd
        return None


def say(stream: "TextIO", text: str) -> None:
    """Write a line of the engine's own; what is not printable in it is escaped."""
    stream.write(_harmless(text) + "\n")
    stream.flush()


def _harmless(text: str) -> str:
    if text.isprintable():
        return text
    from toolkit.cli.table import clean

    return clean(text, "\n\t")


def shell_session() -> Session:
    """Make the session of this process's own standard streams."""
    stdin = getattr(sys.stdin, "buffer", None)  # None where the descriptor is closed
    return Session(stdin=stdin, stdout=_or_null(sys.stdout), stderr=_or_null(sys.stderr), owns_process=True)


def _or_null(stream: "TextIO | None") -> "TextIO":
    return stream if stream is not None else open(os.devnull, "w", encoding="utf-8")


def _fileno(stream: "BinaryIO | TextIO | None") -> int | None:
    if stream is None:
        return None
    try:
        return stream.fileno()
    except (OSError, AttributeError):  # io.UnsupportedOperation is an OSError
        return None


def _isatty(stream: object) -> bool:
    isatty = getattr(stream, "isatty", None)
    return bool(isatty is not None and isatty())
