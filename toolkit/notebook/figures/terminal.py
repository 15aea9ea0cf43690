"""The last screen of a terminal, for where nothing is live."""

from html import escape

from toolkit.notebook.figures import Figure
from toolkit.notebook.html import FAINT, INK, LINE, MONO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.notebook.terminal.screen import Screen


def terminal_figure(screen: "Screen", name: str, word: str) -> Figure:
    """Return a screen in a frame, with the container's name and how it is."""
    frame = f"border:1px solid {LINE};border-radius:8px;margin:.3em 0;color:{INK};max-width:900px;font-size:.92em"
    head = f"padding:.35em .9em;border-bottom:1px solid {LINE};font-size:.9em"
    lines = f"margin:0;padding:.6em .9em;overflow-x:auto;font-family:{MONO};font-size:.95em;background:none;color:{INK}"
    html = (
        f'<div style="{frame}"><div style="{head}"><b>{escape(name)}</b>&ensp;'
        f'<span style="color:{FAINT}">{escape(word)}</span></div><pre style="{lines}">{screen.html()}</pre></div>'
    )
    return Figure(html, f"terminal of {name}, {word}\n{screen.text}".rstrip())
