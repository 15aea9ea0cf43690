"""The cards of a lab: what a check found, and what a lab is about."""

from html import escape

from toolkit.lab.task import BROKEN, DONE, LACKING, LATE, OPEN
from toolkit.lab.text import MARKS, WORDS, more_hints, points_text, shortened
from toolkit.notebook.html import AMBER, BLUE, FAINT, GREEN, INK, LINE, MONO, chip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.lab.definition import Definition
    from toolkit.lab.task import Claim, Result

_COLOURS = {DONE: GREEN, OPEN: AMBER, LATE: AMBER, LACKING: FAINT, BROKEN: FAINT}


def result_html(result: "Result") -> str:
    """Return the card of one check."""
    colour = _COLOURS[result.state]
    points = f"{result.points:g} of {points_text(result.max_points)}"
    title = f"<b>{escape(result.task)} {escape(result.title)}</b>"
    head = f'{title}&ensp;{chip(WORDS[result.state], colour)}&ensp;<span style="color:{FAINT}">{points}</span>'
    return _card(colour, head, [_first(result), _reason(result), _claims(result.claims), _hints(result)])


def _card(colour: str, head: str, parts: "Sequence[str]") -> str:
    return (
        f'<div style="border:1px solid {LINE};border-left:4px solid {colour};border-radius:6px;padding:.6em 1em;'
        f'margin:.3em 0;font-size:.95em;line-height:1.5;color:{INK};max-width:56em">{head}{"".join(parts)}</div>'
    )


def _first(result: "Result") -> str:
    if not result.first:
        return ""
    return f'<div style="margin-top:.5em">First comes <b>{escape(result.first)}</b>: this task builds on it.</div>'


def _reason(result: "Result") -> str:
    return _obstacle(result.reason, result.cure) if result.reason else ""


def _obstacle(reason: str, cure: str) -> str:
    helps = f'<br><span style="color:{FAINT}">What helps: {escape(cure)}</span>' if cure else ""
    return f'<div style="margin-top:.5em;overflow-wrap:anywhere">{escape(reason)}{helps}</div>'


def _claims(claims: "Sequence[Claim]") -> str:
    if not claims:
        return ""
    head = "".join(_cell(text, f"color:{FAINT};font-size:.85em") for text in ("", "looked at", "expected", "observed"))
    return _table([head, *map(_row, claims)])


def _table(rows: "Sequence[str]") -> str:
    lines = "".join(f'<tr style="background:none">{row}</tr>' for row in rows)
    return f'<table style="border-collapse:collapse;margin:.5em 0 0;font-size:.95em;background:none">{lines}</table>'


def _row(claim: "Claim") -> str:
    colour = GREEN if claim.holds else AMBER
    mono = f"font-family:{MONO};font-size:.92em"
    return (
        _cell(MARKS[claim.holds], f"color:{colour};font-weight:700")
        + _cell(claim.what)
        + _cell(shortened(claim.expected), mono)
        + _cell(shortened(claim.observed), f"{mono};color:{colour}")
    )


def _cell(text: str, style: str = "") -> str:
    looks = (
        f"padding:.2em 1.2em .2em 0;text-align:left;vertical-align:baseline;border:none;white-space:normal;"
        f"overflow-wrap:anywhere;{style}"
    )
    return f'<td style="{looks}">{_code(text)}</td>'


def _hints(result: "Result") -> str:
    if not result.hints:
        return ""
    lines = "".join(
        f'<div style="margin-top:.3em"><span style="color:{BLUE};font-weight:600">Hint {number}</span>&ensp;'
        f"{_code(hint)}</div>"
        for number, hint in enumerate(result.hints, 1)
    )
    count = f'<div style="color:{FAINT};margin-top:.3em">{more_hints(result)}</div>'
    return f'<div style="margin-top:.6em">{lines}{count}</div>'


def _code(text: str) -> str:
    """Return text in which what stands between backquotes looks like code."""
    looks = f"font-family:{MONO};color:inherit;background:none"
    parts = escape(text).split("`")
    return "".join(f'<code style="{looks}">{part}</code>' if index % 2 else part for index, part in enumerate(parts))


def begin_html(lab: "Definition | None", obstacles: "Sequence[tuple[str, str]]") -> str:
    """Return the card with which a lab begins."""
    told = [_obstacle(*each) for each in obstacles]
    if lab is None:
        return _card(AMBER, chip("no lab here", AMBER), told)
    mark = chip("ready", GREEN) if not obstacles else chip("something is in the way", AMBER)
    note = f'<span style="color:{FAINT}">{points_text(lab.points)}, about {lab.minutes} minutes</span>'
    rows = [
        _cell(each.ident) + _cell(each.title) + _cell(points_text(each.points), f"color:{FAINT}") for each in lab.tasks
    ]
    head = f"<b>{escape(lab.title)}</b>&ensp;{mark}&ensp;{note}"
    return _card(AMBER if obstacles else GREEN, head, [*told, _table(rows)])
