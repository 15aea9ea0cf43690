"""The progress of a pull or push in a cell: one bar for each layer, redrawn in place.

A display that is updated, and not a widget: it needs no extension in the front
end, stays in the saved notebook as it was at its end, and is plain lines where
nothing can be drawn (nbconvert to text, a terminal).
"""

import time
import uuid
from collections.abc import Callable
from html import escape
from types import TracebackType

from toolkit.core.units import format_bytes
from toolkit.notebook.display import can_update, publish
from toolkit.notebook.html import BLUE, FAINT, GREEN, INK, LINE, MONO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.registry.progress import Progress

_INTERVAL_S = 0.2
_FULL = 100.0
_DONE = frozenset({"Pull complete", "Already exists", "Pushed", "Layer already exists"})


class CellProgress:
    """Draws bars; give each report of a transfer to what the `with` block returns."""

    def __init__(self) -> None:
        self._ident = uuid.uuid4().hex
        self._layers: dict[str, Progress] = {}
        self._lines: list[str] = []
        self._due_s = 0.0
        self._is_drawn = False

    def __enter__(self) -> "Callable[[Progress], None]":
        return self.update

    def __exit__(
        self, _kind: type[BaseException] | None, _exc: BaseException | None, _tb: TracebackType | None
    ) -> None:
        if self._is_drawn:
            self._draw()

    def update(self, progress: "Progress") -> None:
        """Note how far a layer is; draw at most five times a second."""
        if progress.layer:
            self._layers[progress.layer] = progress
        else:
            self._lines.append(progress.status)
        moment_s = time.monotonic()
        if moment_s >= self._due_s:
            self._due_s = moment_s + _INTERVAL_S
            self._draw()

    def _draw(self) -> None:
        layers = list(self._layers.values())
        text = "\n".join([*(f"{each.layer}: {each.status}" for each in layers), *self._lines])
        rows = "".join(map(_row, layers))
        lines = "".join(f"<div>{escape(line)}</div>" for line in self._lines)
        html = (
            f'<div style="color:{INK};font-family:{MONO};font-size:.9em"><div style="display:grid;gap:.2em 1em;'
            f'grid-template-columns:max-content 14em max-content;align-items:center">{rows}</div>{lines}</div>'
        )
        publish({"text/plain": text, "text/html": html}, ident=self._ident, is_update=self._is_drawn)
        self._is_drawn = True


def _row(progress: "Progress") -> str:
    is_done = progress.status in _DONE
    percent = _FULL if is_done else _FULL * progress.current / progress.total if progress.total else 0.0
    count = f" {format_bytes(progress.current)} / {format_bytes(progress.total)}" if progress.total else ""
    bar = f"width:{percent:.0f}%;height:100%;background:{GREEN if is_done else BLUE};border-radius:4px"
    return (
        f"<span>{escape(progress.layer)}</span>"
        f'<span style="height:.55em;border:1px solid {LINE};border-radius:4px"><div style="{bar}"></div></span>'
        f'<span style="color:{FAINT}">{escape(progress.status)}{count}</span>'
    )


def find_progress() -> "type[CellProgress] | None":
    """Return what draws progress in this front end; None: plain lines will do."""
    return CellProgress if can_update() else None
