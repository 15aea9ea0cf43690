"""The same commands outside and inside of a container, side by side."""

from html import escape

from toolkit.notebook.figures import Figure
from toolkit.notebook.html import BLUE, FAINT, INK, LINE, MONO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.notebook.looking import Look, Side

_WIDTH = 64


def draw(name: str, looks: "Sequence[Look]") -> Figure:
    """Draw what was found out about the container `name`."""
    html = "".join(_look(name, each) for each in looks)
    text = "\n\n".join(_text(name, each) for each in looks)
    return Figure(f'<div style="color:{INK};font-size:.9em;max-width:1000px">{html}</div>', text)


def _look(name: str, look: "Look") -> str:
    sides = _column("this machine", look.outside) + _column(f"inside {name}", look.inside)
    return (
        f'<div style="margin:.7em 0 .2em"><b>{escape(look.topic)}</b> '
        f'<span style="color:{FAINT};font-family:{MONO}">$ {escape(look.command)}</span></div>'
        f'<div style="display:grid;grid-template-columns:1fr 1fr;gap:.8em">{sides}</div>'
    )


def _column(title: str, side: "Side") -> str:
    lines = "".join(
        f'<div style="color:{BLUE};font-weight:600">{escape(line.text)}</div>'
        if line.key
        else f"<div>{escape(line.text)}</div>"
        for line in side.lines
    )
    return (
        f'<div style="border:1px solid {LINE};border-radius:8px;padding:.4em .7em;min-width:0">'
        f'<div style="color:{FAINT}">{escape(title)}</div>'
        f'<div style="font-family:{MONO};font-size:.85em;white-space:pre;overflow-x:auto">{lines}</div>'
        f'<div style="color:{FAINT}">{escape(side.note)}</div></div>'
    )


def _text(name: str, look: "Look") -> str:
    rows = [f"{look.topic}: $ {look.command}"]
    for title, side in (("this machine", look.outside), (f"inside {name}", look.inside)):
        rows.append(f"  {title}:")
        rows += (f"  {'=' if line.key else ' '} {line.text[:_WIDTH]}" for line in side.lines)
        rows += [f"    ({side.note})"] if side.note else []
    return "\n".join(rows)
