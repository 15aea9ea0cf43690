"""The screen that a terminal's bytes make: as text for those who read it, as HTML where nothing is live.

pyte knows one screen; a full-screen program has another, from which the first
comes back when it ends.  So what went to the other screen is left out, unless
it is the one to be seen.
"""

import contextlib
import functools
import re
from html import escape
from typing import Any

import pyte

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_SEEN_BYTES = 16 * 1024
"""Of the end: some screens, and some hundredths of a second of pyte's time."""
_SWITCH = re.compile(rb"\x1b\[\?(?:1049|1047|47)([hl])")
_UNKNOWN = re.compile(rb"\x1b\[[<=>][\d;]*[A-Za-z]|\x1b[P_^X].*?\x1b\\|\x1b\[\?[\d;]*[mnu]", re.DOTALL)
"""Sequences that pyte takes for others: a program's question of what terminal this is, keyboard protocols."""
_CONTROLS = re.compile(rb"\x1b\[[\d;?<=>]*[A-Za-z]|\x1b[\]P_^X].*?(?:\x1b\\|\x07)|\x1b[()].|\x1b.", re.DOTALL)
_COLOURS = {
    "black": "#7f7f7f", "red": "#cf4a4a", "green": "#2a9d6f", "brown": "#b07d1e", "blue": "#3b82c4",
    "magenta": "#8b6bc7", "cyan": "#2b95a3", "white": "inherit",
}  # fmt: skip
"""By pyte's names: of middle lightness, to be read on white and on black."""


class Screen:
    """What can be seen."""

    def __init__(self, replay: bytes, rows: int, columns: int) -> None:
        """Draw `replay` on a screen of this size in characters."""
        self._screen = pyte.Screen(max(columns, 1), max(rows, 1))
        data = _UNKNOWN.sub(b"", seen(replay)[-_SEEN_BYTES:])
        pyte.ByteStream(_Patient(self._screen)).feed(data)

    @property
    def text(self) -> str:
        """The lines, without the empty ones at the end."""
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip("\n")

    def html(self) -> str:
        """Return the lines with their colours, to stand in a <pre>."""
        count = self.text.count("\n") + 1
        return "\n".join(self._line(row) for row in range(count))

    def _line(self, row: int) -> str:
        cells = self._screen.buffer[row]
        runs: list[tuple[str, str]] = []
        for column in range(len(self._screen.display[row].rstrip())):
            style = _style(cells[column])
            if runs and runs[-1][0] == style:
                runs[-1] = (style, runs[-1][1] + cells[column].data)
            else:
                runs.append((style, cells[column].data))
        return "".join(_run(style, escape(text)) for style, text in runs)


class _Patient:
    """Has a screen of pyte's do what it can; what it stumbles over (any binary file has some) is left out."""

    def __init__(self, screen: pyte.Screen) -> None:
        self._screen = screen

    def __getattr__(self, name: str) -> Any:
        deed = getattr(self._screen, name)
        return functools.partial(_attempt, deed) if callable(deed) else deed


def _attempt(deed: "Callable[..., Any]", *arguments: Any, **options: Any) -> Any:
    with contextlib.suppress(Exception):
        return deed(*arguments, **options)


def plain(replay: bytes) -> str:
    """Return what was written last without what moves the cursor and colours it: quick, where no screen is needed."""
    text = _CONTROLS.sub(b"", replay[-_SEEN_BYTES:]).decode(errors="replace")
    return text.replace("\r\n", "\n")


def seen(replay: bytes) -> bytes:
    """Return what was written to the screen that is seen at the end: the usual one, or a full-screen program's."""
    parts = {"h": bytearray(), "l": bytearray()}
    which, place = "l", 0
    for found in _SWITCH.finditer(replay):
        parts[which] += replay[place : found.start()]
        which, place = found[1].decode(), found.end()
        if which == "h":
            parts["h"].clear()
    parts[which] += replay[place:]
    return bytes(parts[which])


def _run(style: str, text: str) -> str:
    return f'<span style="{style}">{text}</span>' if style else text


def _style(cell: Any) -> str:
    colour = _COLOURS.get(cell.fg, f"#{cell.fg}" if len(cell.fg) == 6 else "")
    words = [f"color:{colour}" if colour else "", "font-weight:600" if cell.bold else ""]
    words += ["text-decoration:underline" if cell.underscore else "", "filter:invert(1)" if cell.reverse else ""]
    return ";".join(filter(None, words))
