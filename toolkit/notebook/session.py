"""A cell as the outside world of one command: streams, and an engine that outlives the command."""

import io
import sys
from typing import Any, TextIO, cast

from toolkit.cli.session import STDOUT, Handed, Session, say
from toolkit.notebook.display import can_update
from toolkit.notebook.progress import find_progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.engine import Engine

_KEPT_BYTES = 4 << 20
_engines: dict[tuple[str | None, str | None], "Engine"] = {}


def close_engines() -> None:
    """Close the engines that this kernel's commands have opened."""
    while _engines:
        _engines.popitem()[1].close()


class _Tee(io.TextIOBase):
    """A cell's stream that also keeps what passes, up to a limit, for the command's value."""

    def __init__(self, target: Any, kept: "list[str]") -> None:
        self._target = target
        self._kept = kept
        self._kept_bytes = 0
        self.is_held = False
        """Keep only; the cell shows the text in another form later."""

    def write(self, text: str) -> int:
        if self._kept_bytes < _KEPT_BYTES:
            self._kept.append(text)
            self._kept_bytes += len(text)
        if not self.is_held:
            self._target.write(text)
        return len(text)

    def flush(self) -> None:
        if not self.is_held:
            self._target.flush()


class CellSession(Session):
    """The session of a `%container` line or a `%%container` cell."""

    def __init__(self, cell: str | None, *, holds_output: bool = False) -> None:
        """Take `cell` as the command's stdin; None: it has none.

        Args:
            cell: the text below `%%container`.
            holds_output: do not print; the output will be shown as a table.
        """
        self._kept: list[str] = []
        out = _Tee(sys.stdout, self._kept)
        out.is_held = self._holds_output = holds_output
        super().__init__(
            stdin=None if cell is None else io.BytesIO(cell.encode()),
            stdout=cast("TextIO", out),
            stderr=cast("TextIO", _Tee(sys.stderr, self._kept)),
            is_tty=False,
        )
        # The text of a cell may be fed to a container's terminal, as a
        # terminal's own input may: this is what -t asks about.
        self.stdin_is_tty = cell is not None
        self.shows_values = True
        self._held_complaint = ""
        self._written: list[str] = []
        self._written_bytes = 0
        self.show_progress = find_progress()
        self.handed: Handed | None = None
        """A process's terminal that the command has left to the cell."""
        if cell is None and can_update():
            self.take_terminal = self._take_terminal

    def _take_terminal(self, handed: Handed) -> None:
        self.handed = handed

    @property
    def engine(self) -> "Engine":
        """The engine, kept open for the next cell."""
        key = (self.root, self.run_dir)
        if key not in _engines:
            from toolkit.engine import Engine

            _engines[key] = Engine.open(*key)
        _engines[key].config_file = self.config_file
        return _engines[key]

    def close(self) -> None:
        """Leave the engine open: values of the command go on using it."""

    def complain(self, text: str) -> None:
        """Hold a complaint back: the last one may become the cell's error."""
        self._show_complaint()
        self._held_complaint = text

    def take_complaint(self) -> str:
        """Return the last complaint, which then is not printed."""
        text, self._held_complaint = self._held_complaint, ""
        return text

    def finish(self) -> None:
        """Print what is held back."""
        self._show_complaint()
        self.stdout.flush()

    def printed(self) -> str:
        """Return what the command itself printed."""
        return "".join(self._kept)

    def written(self) -> str:
        """Return what the container's process wrote, stdout and stderr as they came."""
        return "".join(self._written)

    def write(self, stream: int, data: bytes) -> None:
        """Pass a container's bytes on at once."""
        self._show_complaint()
        target = self.stdout if stream == STDOUT else self.stderr
        text = self._decode(stream, data)
        if self._written_bytes < _KEPT_BYTES:
            self._written.append(text)
            self._written_bytes += len(text)
        target.write(text)
        target.flush()

    def _show_complaint(self) -> None:
        if self._held_complaint:
            text = self.take_complaint()
            if text.startswith("WARNING") or self._holds_output:
                super().complain(text)
            else:
                say(self.stdout, text)  # what goes to stderr is red in a cell, and this is no trouble
