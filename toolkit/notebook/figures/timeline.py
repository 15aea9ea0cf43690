"""The calls of a start, one bar for each, in a lane for each process: facts for the live picture, and its still twin.

Bars are in the order of time and as wide as the logarithm of their cost: on a
scale of time alone the short calls, which are most, could not be seen.
"""

import math
from html import escape
from typing import Any, NamedTuple

from toolkit.cli.explain import events_text
from toolkit.notebook.colours import FAILED, OTHER, of_phase
from toolkit.notebook.figures import Figure
from toolkit.notebook.html import AMBER, FAINT, INK, MONO, chip
from toolkit.notebook.manual import page_of_call
from toolkit.trace.step import shortened
from toolkit.trace.timeline import begin_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.trace import Event
    from toolkit.trace.recorded import Recording
    from toolkit.trace.step import StepFacts

_WIDTH, _LEFT, _LANE, _BAR, _TOP = 860, 86, 40, 22, 34
_GAP = 18
_LANES = {
    "client": "whoever asked",
    "outside": "outside",
    "monitor": "monitor",
    "init": "init",
}


class Call(NamedTuple):
    """One call as it is drawn."""

    at_us: float
    """Since the start began; negative: before anyone asked."""
    cost_us: float
    lane: str
    phase: str
    """Of its step; "" outside of the plan."""
    step: int
    """Number of its step from 1; 0 outside of the plan."""
    text: str
    result: str
    errno: str
    page: str
    """Address of its manual page, or ""."""


def calls_of(recording: "Recording") -> list[Call]:
    """Return the calls of a recording in the order of time."""
    ordered = sorted(recording.events, key=lambda event: event.start_ns)
    if not ordered:
        return []
    first_ns = begin_ns(ordered, recording.steps)
    return [_call(event, first_ns, recording.steps) for event in ordered]


def _call(event: "Event", first_ns: int, steps: "Sequence[StepFacts]") -> Call:
    known = 0 <= event.step < len(steps)
    return Call(
        (event.start_ns - first_ns) / 1e3,
        event.cost_ns / 1e3,
        event.actor,
        steps[event.step].phase if known else "",
        event.step + 1 if known else 0,
        shortened(event.call),
        str(event.result),
        event.errno,
        page_of_call(event.call),
    )


def lanes_of(calls: "Sequence[Call]") -> list[str]:
    """Return the processes that made them, the outermost first."""
    there = {call.lane for call in calls}
    return [lane for lane in _LANES if lane in there] + sorted(there - _LANES.keys())


def lane_name(lane: str) -> str:
    """Return what a lane is called."""
    return _LANES.get(lane, lane)


def facts(recording: "Recording") -> dict[str, Any]:
    """Return what the live picture is drawn of."""
    calls = calls_of(recording)
    return {
        "calls": [list(call) for call in calls],
        "lanes": [[lane, lane_name(lane)] for lane in lanes_of(calls)],
        "steps": [[step.name, step.phase, step.why, step.see] for step in recording.steps],
        "colours": {call.phase: of_phase(call.phase) for call in calls},
        "summary": summary(recording, calls),
        "command": recording.header.command,
        "label": recording.header.label(),
        "warning": recording.warning,
    }


def summary(recording: "Recording", calls: "Sequence[Call]") -> str:
    """Say in a line how many calls there were and what they cost."""
    if not calls:
        return "no calls were recorded"
    asked = [call for call in calls if call.at_us >= 0]
    took_ms = max(call.at_us + call.cost_us for call in asked) / 1e3 if asked else 0.0
    failed = sum(bool(call.errno) for call in calls)
    parts = [f"{len(calls)} calls", f"{took_ms:.1f} ms until the program ran"]
    if len(asked) < len(calls):
        parts.append(f"{len(calls) - len(asked)} of them were made before anyone asked")
    if failed:
        parts.append(f"{failed} failed, as expected" if recording.exit_code is not None else f"{failed} failed")
    return ", ".join(parts)


def draw(recording: "Recording", *, is_replayed: bool) -> Figure:
    """Draw the calls of a recording.

    Args:
        recording: whose.
        is_replayed: it was read from a file, and must say so.
    """
    calls = calls_of(recording)
    text = events_text(recording.events, recording.steps)
    label = recording.header.label() if is_replayed else ""
    head = f"{chip(label, AMBER)}&ensp;" if label else ""
    warning = f'<div style="color:{AMBER}">{escape(recording.warning)}</div>' if recording.warning else ""
    html = (
        f'<div style="color:{INK}"><div style="margin:.3em 0">{head}'
        f'<span style="font-family:{MONO};font-size:.92em">{escape(recording.header.command)}</span></div>{warning}'
        f'<div style="color:{FAINT};font-size:.92em">{escape(summary(recording, calls))}</div>'
        f"{_svg(calls)}{_legend(calls)}</div>"
    )
    return Figure(html, f"{label}\n{text}" if label else text)


def _svg(calls: "Sequence[Call]") -> str:
    lanes = lanes_of(calls)
    places = _places(calls)
    height = _TOP + len(lanes) * _LANE + 10
    names = "".join(
        f'<text x="0" y="{_TOP + at * _LANE + 16}" fill="currentColor" fill-opacity=".7">'
        f"{escape(lane_name(lane))}</text>"
        for at, lane in enumerate(lanes)
    )
    bars = "".join(_bar(call, x, width, lanes.index(call.lane)) for call, (x, width) in zip(calls, places, strict=True))
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" style="max-width:100%;height:auto" role="img" '
        f'aria-label="{len(calls)} calls to the kernel in the order of time" font-size="12" '
        f'font-family="system-ui, sans-serif">{_before(calls, places, height)}{names}{bars}</svg>'
    )


def _places(calls: "Sequence[Call]") -> list[tuple[float, float]]:
    """Return where each bar begins and how wide it is: as the logarithm of its cost."""
    weights = [1 + math.log2(1 + call.cost_us) for call in calls]
    reserved = sum(call.at_us < 0 for call in calls)
    gap = _GAP if 0 < reserved < len(calls) else 0
    unit = (_WIDTH - _LEFT - gap) / (sum(weights) or 1)
    x, places = float(_LEFT), list[tuple[float, float]]()
    for at, weight in enumerate(weights):
        x += gap if at == reserved else 0
        places.append((x, weight * unit))
        x += weight * unit
    return places


def _bar(call: Call, x: float, width: float, lane: int) -> str:
    edge = f' stroke="{FAILED}" stroke-width="2"' if call.errno else ""
    failed = f" {call.errno}" if call.errno else ""
    title = escape(f"{call.text} = {call.result}{failed}\n{call.cost_us:.1f} us")
    return (
        f'<rect x="{x:.1f}" y="{_TOP + lane * _LANE}" width="{max(width - 0.6, 0.8):.1f}" height="{_BAR}" '
        f'fill="{of_phase(call.phase)}"{edge}><title>{title}</title></rect>'
    )


def _before(calls: "Sequence[Call]", places: "Sequence[tuple[float, float]]", height: int) -> str:
    """Mark what was done before anyone asked."""
    early = [place for call, place in zip(calls, places, strict=True) if call.at_us < 0]
    if not early:
        return ""
    end = early[-1][0] + early[-1][1]
    return (
        f'<rect x="{_LEFT}" y="20" width="{end - _LEFT:.1f}" height="{height - 24}" fill="currentColor" '
        f'fill-opacity=".07"/><text x="{_LEFT}" y="14" fill="currentColor" fill-opacity=".7">before anyone asked</text>'
        f'<text x="{end + _GAP:.1f}" y="14" fill="currentColor" fill-opacity=".7">since the command</text>'
    )


def _legend(calls: "Sequence[Call]") -> str:
    phases = dict.fromkeys(call.phase for call in calls)
    marks = "".join(
        f'<span style="margin-right:1.1em"><span style="color:{of_phase(phase) if phase else OTHER}">&#9632;</span> '
        f"{escape(phase or 'the engine itself')}</span>"
        for phase in phases
    )
    failed = f'<span style="color:{FAILED}">&#9633;</span> failed' if any(call.errno for call in calls) else ""
    return f'<div style="font-size:.85em;color:{FAINT}">{marks}{failed}</div>'
