"""The map of a user namespace as ribbons: which number inside is which number on this machine."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from toolkit.linux.procfs import read
from toolkit.notebook.figures import Figure
from toolkit.notebook.html import AMBER, BLUE, INK, MONO, PURPLE

_COLOURS = (BLUE, PURPLE, AMBER)
_WIDTH, _HEIGHT, _PAD = 760, 222, 14
_TOP, _BOTTOM, _BAR = 60, 150, 18
_SPAN = _WIDTH - 2 * _PAD
_FARTHEST = 262_144
"""What is beyond is cut off: the initial user namespace maps four thousand million numbers to themselves."""
_MARGIN = 1.08
_LEAST_WIDTH = 5.0
_CHARACTER = 7.3
"""Width of a letter of the labels."""
_SANS = "system-ui, sans-serif"


class Range(NamedTuple):
    """One line of /proc/PID/uid_map: consecutive numbers, inside and outside."""

    inside: int
    outside: int
    size: int

    @property
    def is_same(self) -> bool:
        """Tell whether the numbers mean the same inside and outside."""
        return self.inside == self.outside


def parse_map(text: str) -> list[Range]:
    """Return the ranges of a uid_map or gid_map.

    See Also:
        user_namespaces(7), User and group ID mappings
    """
    return [Range(*map(int, line.split())) for line in text.splitlines() if line.strip()]


def uid_map_ribbon(pid: int | str, name: str) -> Figure:
    """Draw the users of a process's user namespace against those of this machine.

    Args:
        pid: the process.
        name: what to call where it is.

    Raises:
        SyscallError: ENOENT, ESRCH where it is gone.
    """
    return draw(parse_map(read(f"/proc/{pid}/uid_map")), name)


def draw(ranges: Sequence[Range], name: str) -> Figure:
    """Draw what `parse_map` has read."""
    ends = [min(max(each.inside, each.outside) + each.size, _FARTHEST) for each in ranges]
    scale = _SPAN / (max(ends, default=1) * _MARGIN)
    pieces = [
        _text(_PAD, 22, f"user numbers inside {name}", 15, weight=600),
        _text(_PAD, _BOTTOM + _BAR + 44, "user numbers of this machine", 15, weight=600),
        _bar(_PAD, _SPAN, _BOTTOM),
        *(part for index, each in enumerate(ranges) for part in _ribbon(each, scale, _COLOURS[index % 3])),
        *_labels([(each.inside, each.size, index) for index, each in enumerate(ranges)], scale, _TOP - 8),
        *_labels([(each.outside, each.size, index) for index, each in enumerate(ranges)], scale, _BOTTOM + _BAR + 18),
    ]
    if not any(each.outside == 0 for each in ranges):
        pieces.append(_text(_PAD, _BOTTOM + _BAR + 18, "0: root. Nobody inside is this.", 12))
    label = f"the user numbers inside {escape(name)}, and what they are on this machine"
    svg = (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" style="max-width:100%;height:auto" role="img" '
        f'aria-label="{label}">{"".join(pieces)}</svg>'
    )
    return Figure(f'<div style="color:{INK}">{svg}</div>', _as_text(ranges, name))


def _ribbon(each: Range, scale: float, colour: str) -> list[str]:
    size = min(each.size, _FARTHEST)
    width = max(size * scale, _LEAST_WIDTH)
    upper, lower = _PAD + each.inside * scale, _PAD + each.outside * scale
    top, bottom = _TOP + _BAR, _BOTTOM
    middle = (top + bottom) / 2
    shape = (
        f"M{upper:.1f},{top} C{upper:.1f},{middle} {lower:.1f},{middle} {lower:.1f},{bottom} "
        f"L{lower + width:.1f},{bottom} C{lower + width:.1f},{middle} {upper + width:.1f},{middle} "
        f"{upper + width:.1f},{top} Z"
    )
    return [
        f'<path d="{shape}" fill="{colour}" fill-opacity=".22" stroke="{colour}" stroke-opacity=".5"/>',
        _bar(upper, width, _TOP, colour),
        _bar(lower, width, _BOTTOM, colour),
    ]


def _labels(ranges: Sequence[tuple[int, int, int]], scale: float, y: int) -> list[str]:
    """Write what the bars of one side are, from left to right, none over another: start, size and colour of each."""
    found: list[str] = []
    free = 0.0
    for start, size, index in sorted(ranges):
        label = _span(start, min(size, _FARTHEST))
        x = max(_PAD + start * scale, free)
        found.append(_text(x, y, label, 12, mono=True, colour=_COLOURS[index % 3]))
        free = x + (len(label) + 2) * _CHARACTER
    return found


def _span(start: int, size: int) -> str:
    name = "0 (root)" if start == 0 else str(start)
    if size == 1:
        return name
    return f"{name} ..." if size >= _FARTHEST else f"{name} to {start + size - 1}"


def _bar(x: float, width: float, y: int, colour: str = "") -> str:
    looks = f'fill="{colour}"' if colour else 'fill="currentColor" fill-opacity=".1"'
    return f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="3" {looks}/>'


def _text(
    x: float, y: int, text: str, size: int, *, weight: int = 400, mono: bool = False, colour: str = "currentColor"
) -> str:
    family = MONO if mono else _SANS
    return (
        f'<text x="{x:.1f}" y="{y}" font-size="{size}" font-weight="{weight}" fill="{colour}" '
        f'font-family="{family}">{escape(text)}</text>'
    )


def _as_text(ranges: Sequence[Range], name: str) -> str:
    lines = [f"{'inside ' + name:>24}   on this machine"]
    for each in ranges:
        size = min(each.size, _FARTHEST)
        lines.append(f"{_span(each.inside, size):>24} = {_span(each.outside, size)}")
    return "\n".join(lines)
