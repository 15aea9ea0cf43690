"""Small pieces of HTML in the colours of the page they are on.

Nothing sets a background or a text colour of its own: Jupyter's variables do,
with fallbacks that are readable on white and on black.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

INK = "var(--jp-content-font-color1, currentColor)"
FAINT = "var(--jp-content-font-color2, #7f7f7f)"
LINE = "var(--jp-border-color2, #8884)"
MONO = "var(--jp-code-font-family, ui-monospace, SFMono-Regular, Menlo, monospace)"
GREEN, AMBER, BLUE, PURPLE = "#2a9d6f", "#d98324", "#3b82c4", "#8b6bc7"
"""Of middle lightness, so that they can be seen on white and on black; told apart by the colour-blind, too."""

_TABLE = "border-collapse:collapse;margin:.4em 0;font-size:.92em;width:auto;background:none"
_EDGE = f"border:none;border-bottom:1px solid {LINE}"
_CELL = f"padding:.3em 1.1em .3em 0;text-align:left;vertical-align:top;white-space:nowrap;{_EDGE}"
_HEAD = f"{_CELL};font-weight:600;color:{FAINT};font-size:.85em;letter-spacing:.03em"


def table(columns: Sequence[str], rows: Iterable[Mapping[str, str]], mono: frozenset[str] = frozenset()) -> str:
    """Return a quiet table.

    Args:
        columns: the headings, which are also the keys of each row.
        rows: the cells.
        mono: the columns whose cells are machine text.
    """
    head = "".join(f'<th style="{_HEAD}">{escape(name)}</th>' for name in columns)
    lines = ("".join(_cell(row.get(name, ""), is_mono=name in mono) for name in columns) for row in rows)
    body = "".join(f'<tr style="background:none">{line}</tr>' for line in lines)
    return f'<table style="{_TABLE}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _cell(text: str, *, is_mono: bool) -> str:
    font = f";font-family:{MONO};font-size:.95em" if is_mono else ""
    return f'<td style="{_CELL}{font}">{escape(text)}</td>'


def chip(text: str, colour: str) -> str:
    """Return a word in a coloured outline."""
    style = (
        f"display:inline-block;padding:.05em .6em;border-radius:1em;border:1px solid {colour};color:{colour};"
        "font-size:.85em;font-weight:600"
    )
    return f'<span style="{style}">{escape(text)}</span>'


def card(title: str, mark: str, facts: Iterable[tuple[str, str]]) -> str:
    """Return a bordered card: a title, a chip, and pairs of name and value."""
    rows = "".join(
        f'<span style="color:{FAINT}">{escape(name)}</span>'
        f'<span style="font-family:{MONO};font-size:.95em">{escape(value)}</span>'
        for name, value in facts
    )
    return (
        f'<div style="display:inline-block;border:1px solid {LINE};border-radius:8px;padding:.6em 1em;margin:.3em 0;'
        f'font-size:.92em;color:{INK}">'
        f'<div style="margin-bottom:.4em"><b>{escape(title)}</b>&ensp;{mark}</div>'
        f'<div style="display:grid;grid-template-columns:auto auto;gap:.15em 1.2em">{rows}</div></div>'
    )
