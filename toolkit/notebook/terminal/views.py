"""Who looks at a terminal: how far each view has drawn, and how large the screen is for all of them.

Pure: moments come in as arguments, in seconds of the monotonic clock.

Invariant: no view falls more than WINDOW_BYTES behind what was sent.  One that
is behind and has not come on for SILENCE_S is forgotten (its page was closed,
or its computer sleeps), and begins anew with a replay when it speaks again.
"""

from typing import NamedTuple

WINDOW_BYTES = 256 * 1024
SILENCE_S = 3.0


class Size(NamedTuple):
    """Of a screen, in characters."""

    rows: int
    columns: int


class View:
    """One picture of the terminal in one page."""

    def __init__(self, drawn: int, size: Size) -> None:
        self.drawn = drawn
        """How many of all the bytes it has drawn, or got with its replay."""
        self.size = size
        """What it has room for."""
        self.behind_s: float | None = None
        """Since when it has not come on although there is something to draw; None: it has drawn everything."""


class Views:
    """All of them."""

    def __init__(self) -> None:
        self._views: dict[str, View] = {}

    def __len__(self) -> int:
        return len(self._views)

    def join(self, name: str, drawn: int, size: Size) -> None:
        """Note a view that begins at byte `drawn`."""
        self._views[name] = View(drawn, size)

    def leave(self, name: str) -> None:
        """Forget a view."""
        self._views.pop(name, None)

    def send(self, sent: int, now_s: float) -> None:
        """Note that now `sent` bytes have been sent in all."""
        for view in self._views.values():
            if view.behind_s is None and view.drawn < sent:
                view.behind_s = now_s

    def draw(self, name: str, drawn: int, sent: int, now_s: float) -> bool:
        """Note how far a view has come, of `sent` bytes in all; tell whether it is known."""
        view = self._views.get(name)
        if view is None:
            return False
        view.drawn = max(view.drawn, drawn)
        view.behind_s = now_s if view.drawn < sent else None
        return True

    def resize(self, name: str, size: Size) -> None:
        """Note how much room a view has."""
        view = self._views.get(name)
        if view is not None:
            view.size = size

    def room(self, sent: int) -> int:
        """Return how many bytes may be sent now, where `sent` were; 0 or less: wait."""
        return WINDOW_BYTES - max((sent - view.drawn for view in self._views.values()), default=0)

    def size(self) -> Size | None:
        """Return the largest screen that fits into every view; None without views."""
        sizes = [view.size for view in self._views.values()]
        return Size(min(size.rows for size in sizes), min(size.columns for size in sizes)) if sizes else None

    def forget_silent(self, now_s: float) -> list[str]:
        """Forget the views that do not come on; return their names."""
        silent = [
            name
            for name, view in self._views.items()
            if view.behind_s is not None and now_s - view.behind_s > SILENCE_S
        ]
        for name in silent:
            del self._views[name]
        return silent
