"""A quantity that climbs to its limit."""

from collections.abc import Sequence

from toolkit.notebook.figures import Figure
from toolkit.notebook.html import AMBER, BLUE, INK

_WIDTH, _HEIGHT = 760, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 96, 34, 40
_MIB = 1 << 20
_HEADROOM = 1.12
_SANS = "system-ui, sans-serif"


def memory_curve(curve: Sequence[tuple[float, int]], limit_bytes: int) -> Figure:
    """Draw memory over time, with the line that the kernel watches.

    Args:
        curve: seconds since the beginning, and bytes.
        limit_bytes: the line.
    """
    last_s = max(curve[-1][0], 0.001) if curve else 1.0
    most = max([limit_bytes, *(used for _, used in curve)]) * _HEADROOM

    def x(seconds: float) -> float:
        return _LEFT + seconds / last_s * (_WIDTH - _LEFT - _RIGHT)

    def y(used: float) -> float:
        return _HEIGHT - _BOTTOM - used / most * (_HEIGHT - _TOP - _BOTTOM)

    points = " ".join(f"{x(seconds):.1f},{y(used):.1f}" for seconds, used in curve)
    floor, line = y(0), y(limit_bytes)
    area = f"{x(0):.1f},{floor:.1f} {points} {x(last_s):.1f},{floor:.1f}"
    at_s, used = curve[-1] if curve else (0.0, 0)
    parts = [
        _text(8, 20, "memory of the group", 14, weight=600),
        f'<polygon points="{area}" fill="{BLUE}" fill-opacity=".14"/>',
        f'<polyline points="{points}" fill="none" stroke="{BLUE}" stroke-width="2"/>',
        _level(floor, 'stroke="currentColor" stroke-opacity=".3"'),
        _level(line, f'stroke="{AMBER}" stroke-width="2" stroke-dasharray="6 4"'),
        _text(_LEFT - 8, line + 4, f"{limit_bytes // _MIB} MiB", 12, anchor="end", colour=AMBER),
        _text(_LEFT - 8, floor + 4, "0", 12, anchor="end"),
        _text(_LEFT, floor + 20, "0 s", 12),
        _text(_WIDTH - _RIGHT, floor + 20, f"{last_s:.1f} s", 12, anchor="end"),
        f'<circle cx="{x(at_s):.1f}" cy="{y(used):.1f}" r="5" fill="{AMBER}"/>',
        _text(_WIDTH - _RIGHT + 12, line + 4, "killed", 13, weight=600, colour=AMBER),
    ]
    svg = (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" style="max-width:100%;height:auto" role="img" '
        f'aria-label="memory climbs to its limit of {limit_bytes // _MIB} MiB">{"".join(parts)}</svg>'
    )
    return Figure(f'<div style="color:{INK}">{svg}</div>', _as_text(curve, limit_bytes))


def _level(y: float, looks: str) -> str:
    return f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" {looks}/>'


def _text(
    x: float, y: float, text: str, size: int, *, weight: int = 400, anchor: str = "start", colour: str = "currentColor"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" fill="{colour}" '
        f'text-anchor="{anchor}" font-family="{_SANS}">{text}</text>'
    )


def _as_text(curve: Sequence[tuple[float, int]], limit_bytes: int) -> str:
    if not curve:
        return "nothing was measured"
    first, last = curve[0], curve[-1]
    return (
        f"memory of the group: {first[1] / _MIB:.0f} MiB at first, {last[1] / _MIB:.0f} MiB after {last[0]:.1f} s; "
        f"the line is at {limit_bytes // _MIB} MiB"
    )
