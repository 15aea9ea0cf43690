"""A container's terminal in a cell: `%container run -it lab sh`, `exec -it`, `attach`, `start -ai`.

The cell returns at once; its value is this object.  The kernel is the
terminal's window: while it lives the session goes on, in every page that shows
it and where none does, and a page that is opened again finds the screen as it
is.  When the kernel is gone, or closes it, the process is hung up (adr/0020).

Bytes go by messages, in both directions; traits hold only the size and how it
ended.  The library that draws, xterm.js, is asked for once by each page.
"""

import contextlib
import hashlib
import time
import uuid
from typing import Any, ClassVar

import traitlets
from IPython.core.getipython import get_ipython

from toolkit.cli.foreground import USUAL_SIZE
from toolkit.core.errors import EngineError
from toolkit.notebook.display import execution_count, publish
from toolkit.notebook.figures import Figure
from toolkit.notebook.figures.terminal import terminal_figure
from toolkit.notebook.terminal.line import Line
from toolkit.notebook.terminal.screen import Screen, plain
from toolkit.notebook.terminal.views import Size
from toolkit.notebook.values import Container, Text
from toolkit.notebook.widgets.base import STATIC, LiveWidget, module, style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.cli.session import Handed

_LIBRARY = ("xterm.mjs", "addon-fit.mjs")
_LONGEST_SIDE = 1000
_FIRST_OUTPUT_S = 0.2
_WAIT_S = 0.1


class TerminalTimeoutError(EngineError):
    """What was waited for did not come."""


class Terminal(LiveWidget):
    """A process's terminal, to be typed into by hand and by code."""

    _esm: ClassVar[str] = module("terminal")
    _css: ClassVar[str] = style("terminal", "vendor/xterm")
    answers_at_once = True
    state = traitlets.Dict().tag(sync=True)
    """How it is: "open", or how it ended; with its name and exit code."""
    size = traitlets.List(traitlets.Int(), list(USUAL_SIZE)).tag(sync=True)
    """Rows and columns."""
    library = traitlets.Unicode().tag(sync=True)
    """Names what `do_library` brings, so that a page needs it once."""

    def __init__(self, handed: "Handed", container: Container) -> None:
        """Take over a terminal.

        Args:
            handed: the attachment and how to leave it.
            container: whose.
        """
        self.container = container
        self.exit_code: int | None = None
        """How the process ended; None while it runs, and where nobody knows."""
        self._ends_with_us = handed.ends_with_us
        self._how = "open"
        self._shown_as = ""
        super().__init__(library=_library_name())
        self.state = {"how": "open", "name": container.name, "code": None}
        if handed.ends_with_us:
            handed.attachment.hold()
        self._line = Line(handed.attachment, handed.keys, _Passer(self), Size(*USUAL_SIZE))

    # For code

    @property
    def screen(self) -> Text:
        """What can be seen at this moment, as text."""
        return Text(self._screen().text)

    @property
    def is_open(self) -> bool:
        """Whether something may still come."""
        return not self._line.is_over

    def send(self, text: str | bytes) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - a widget's own sends messages
        r"""Type: `t.send("ls\n")`; "\x03" is Ctrl-C.

        Raises:
            EngineError: it is not open any more.
        """
        if not self.is_open:
            raise EngineError(f"the terminal of {self.container.name} is closed", hint="open another one")
        self._line.type(text.encode() if isinstance(text, str) else text)

    def wait_for(self, text: str, timeout_s: float = 10.0) -> None:
        """Wait until `text` has been written; what is typed is written, too, where the terminal echoes it.

        Raises:
            TerminalTimeoutError: it has not come, or it cannot come any more.
        """
        deadline_s = time.monotonic() + timeout_s
        while text not in plain(self._line.replay()):
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or not self.is_open:
                why = f"not in {timeout_s:g} s" if self.is_open else "and the terminal is closed"
                raise TerminalTimeoutError(f"{text!r} did not come, {why}", hint="look at its .screen")
            self._wait(min(left_s, _WAIT_S))

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Wait until the process has ended; return its exit code, None if the user has left it.

        Raises:
            TerminalTimeoutError: it has not ended in `timeout_s` seconds.
        """
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while self.is_open:
            if deadline_s is not None and time.monotonic() >= deadline_s:
                raise TerminalTimeoutError(f"it has not ended in {timeout_s:g} s", hint='end it: .send("exit\\n")')
            self._wait(_WAIT_S)
        return self.exit_code

    def close(self) -> None:
        """Close the window: a process that was started in it is hung up and ends, another is left alone."""
        if self._line.is_over:
            return
        if self._ends_with_us:
            self._line.hang_up()
        else:
            self._line.detach()
        self.wait()

    def figure(self) -> Figure:
        """Return the last screen."""
        return terminal_figure(self._screen(), self.container.name, _word(self.state))

    def __repr__(self) -> str:
        return f"<terminal of {self.container.name}: {_word(self.state)}>"

    def _ipython_display_(self) -> None:
        """Show it; what is saved with the notebook becomes the last screen when it ends."""
        deadline_s = time.monotonic() + _FIRST_OUTPUT_S
        while self.is_open and not self._line.replay() and time.monotonic() < deadline_s:
            self._wait(deadline_s - time.monotonic())
        self._shown_as = self._shown_as or uuid.uuid4().hex
        publish(self._bundle(), ident=self._shown_as)

    def _bundle(self) -> dict[str, Any]:
        shown: Any = self._repr_mimebundle_()
        bundle: dict[str, Any] = shown[0] if isinstance(shown, tuple) else shown
        return bundle

    def _screen(self) -> Screen:
        return Screen(self._line.replay(), *self._line.size)

    def _wait(self, seconds: float) -> None:
        with self._line.changed:
            if self.is_open:
                self._line.changed.wait(seconds)

    # For pages

    def do_library(self) -> None:
        """Bring what draws."""
        modules = [(STATIC / "vendor" / name).read_bytes() for name in _LIBRARY]
        self.send_message({"event": "library"}, modules)

    def do_join(self, view: str, rows: int, columns: int) -> None:
        """Begin to show everything to a view."""
        self._line.join(view, _size(rows, columns))

    def do_leave(self, view: str) -> None:
        """Show nothing more to it."""
        self._line.leave(view)

    def do_drawn(self, view: str, end: int) -> None:
        """Note how far it has come."""
        self._line.drawn(view, end)

    def do_resize(self, view: str, rows: int, columns: int) -> None:
        """Note how much room it has."""
        self._line.resize(view, _size(rows, columns))

    def do_type(self, view: str, number: int, text: str = "", buffers: "list[memoryview] | None" = None) -> None:
        """Send what was typed, as text, or as bytes where it is none (a mouse report)."""
        data = b"".join(bytes(each) for each in buffers) if buffers else text.encode(errors="surrogatepass")
        self._line.type(data, view, number)

    def do_close(self) -> None:
        """Close the window, as its button does; nobody waits for the end here."""
        if self._ends_with_us:
            self._line.hang_up()
        else:
            self._line.detach()

    def send_message(self, content: dict[str, Any], buffers: list[bytes]) -> None:
        """Send to all pages; a kernel that is ending has nobody to send to."""
        with contextlib.suppress(AttributeError):
            LiveWidget.send(self, content, buffers)

    def note_end(self, how: str, exit_code: int | None) -> None:
        """Note how it ended, and keep the last screen in the notebook; called by the line's thread."""
        self.exit_code = exit_code
        self.state = {**self.state, "how": how, "code": exit_code}
        if self._shown_as:
            publish(self._bundle(), ident=self._shown_as, is_update=True)


class _Passer:
    """Passes on to the pages what the line has to say."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def send_output(self, end: int, data: bytes) -> None:
        self._terminal.send_message({"event": "output", "end": end}, [data])

    def send_replay(self, view: str, end: int, data: bytes) -> None:
        self._terminal.send_message({"event": "replay", "view": view, "end": end}, [data])

    def send_heard(self, view: str, number: int) -> None:
        self._terminal.send_message({"event": "heard", "view": view, "number": number}, [])

    def ask_again(self, view: str) -> None:
        self._terminal.send_message({"event": "again", "view": view}, [])

    def show_size(self, size: Size) -> None:
        self._terminal.size = list(size)

    def end(self, how: str, exit_code: int | None) -> None:
        self._terminal.note_end(how, exit_code)


_opened: dict[str, tuple[int, Terminal]] = {}
"""By cell: its last execution's terminal.  A cell that is run again shows a new one, and the old has no picture."""


def open_terminal(handed: "Handed", container: Container) -> Terminal:
    """Show a process's terminal; one that this cell has opened when it was run before is closed."""
    cell, count = _running_cell(), execution_count()
    before = _opened.get(cell)
    if before is not None and before[0] != count:
        before[1].close()
    terminal = Terminal(handed, container)
    if cell:
        _opened[cell] = (count, terminal)
    return terminal


def _running_cell() -> str:
    """Return the front end's name for the cell that runs; empty: it has none."""
    kernel: Any = getattr(get_ipython(), "kernel", None)
    parent: dict[str, Any] = kernel.get_parent() if kernel is not None else {}
    return str(parent.get("metadata", {}).get("cellId", ""))


def _word(state: dict[str, Any]) -> str:
    words = {
        "open": "open",
        "ended": f"exit code {state.get('code')}",
        "detached": "left; it goes on",
        "lost": "its monitor was killed",
    }
    return words[state["how"]]


def _size(rows: object, columns: object) -> Size:
    """Return a size that makes sense, whatever a page says."""
    sides = (side if isinstance(side, int) else 0 for side in (rows, columns))
    return Size(*(min(max(side, 2), _LONGEST_SIDE) for side in sides))


def _library_name() -> str:
    return hashlib.sha256((STATIC / "vendor/VENDOR.txt").read_bytes()).hexdigest()[:12]
