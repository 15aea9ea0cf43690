"""What this machine can do, as a matrix of tiles: one row for each group, one tile for each feature."""

from collections.abc import Sequence
from html import escape

from toolkit.linux.probe import Feature
from toolkit.notebook.figures import Figure
from toolkit.notebook.html import AMBER, FAINT, GREEN, INK, LINE

_GRID = "display:grid;grid-template-columns:max-content 1fr;gap:.55em 1.2em;align-items:baseline"
_TILE = "border-radius:6px;padding:.12em .6em;white-space:nowrap"


def capability_matrix(features: Sequence[Feature]) -> Figure:
    """Draw the features by group; below, what is missing, why, and the cure."""
    groups: dict[str, list[Feature]] = {}
    for each in features:
        groups.setdefault(each.group, []).append(each)
    rows = "".join(_group(name, members) for name, members in groups.items())
    html = (
        f'<div style="color:{INK};font-size:.92em;max-width:760px">{_summary(features)}'
        f'<div style="{_GRID}">{rows}</div>'
        f"{_missing(features)}</div>"
    )
    return Figure(html, _text(groups))


def _summary(features: Sequence[Feature]) -> str:
    here = sum(each.is_here for each in features)
    return f'<div style="margin-bottom:.7em"><b>{here} of {len(features)}</b> features are here</div>'


def _group(name: str, members: list[Feature]) -> str:
    tiles = "".join(map(_tile, members))
    return (
        f'<div style="color:{FAINT};text-align:right">{escape(name)}</div>'
        f'<div style="display:flex;flex-wrap:wrap;gap:.35em">{tiles}</div>'
    )


def _tile(feature: Feature) -> str:
    colour, mark, line = (GREEN, "✓", "solid") if feature.is_here else (AMBER, "○", "dashed")
    return (
        f'<span title="{escape(_hint(feature))}" style="border:1px {line} {colour};{_TILE}">'
        f'<span style="color:{colour};font-weight:700">{mark}</span> {escape(feature.name)}</span>'
    )


def _hint(feature: Feature) -> str:
    return f"{feature.meaning}\n{feature.evidence}" if feature.evidence else feature.meaning


def _missing(features: Sequence[Feature]) -> str:
    lacking = [each for each in features if not each.is_here]
    if not lacking:
        return ""
    items = "".join(
        f'<li style="margin:.25em 0"><b>{escape(each.name)}</b> '
        f'<span style="color:{FAINT}">({escape(each.meaning)})</span>: '
        f"{escape(each.lack)}{f'; {escape(each.cure)}' if each.cure else ''}</li>"
        for each in lacking
    )
    return (
        f'<div style="margin-top:.9em;border-top:1px solid {LINE};padding-top:.6em">Not here, and what would help:'
        f'<ul style="margin:.3em 0 0 1.2em;padding:0">{items}</ul></div>'
    )


def _text(groups: dict[str, list[Feature]]) -> str:
    width = max(map(len, groups), default=0)
    lines = [
        f"{name:>{width}}  " + "  ".join(f"{'✓' if each.is_here else '○'} {each.name}" for each in members)
        for name, members in groups.items()
    ]
    lines += [
        f"  {each.name}: {each.lack}{f'; {each.cure}' if each.cure else ''}"
        for members in groups.values()
        for each in members
        if not each.is_here
    ]
    return "\n".join(lines)
