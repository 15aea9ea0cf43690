"""Quantities that differ by orders of magnitude, side by side: who is ready first, who takes how much."""

import io
from collections.abc import Mapping
from typing import Any

from toolkit.notebook.figures import Figure
from toolkit.notebook.html import AMBER, BLUE, GREEN, INK, PURPLE

_COLOURS = {"a process": GREEN, "a container": BLUE, "a virtual machine": AMBER}
_PAGE = "#123456"
"""Stands for the page's own text colour while matplotlib draws; it knows no `currentColor`."""
_WIDTH_IN, _ROW_IN, _EDGE_IN = 7.6, 0.42, 1.05
_HEADROOM, _FOOT = 6.0, 0.4
_TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
_SIZES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
"""Of ten, so that the scale's steps are whole ones."""


def time_race(seconds: Mapping[str, float], title: str) -> Figure:
    """Draw how long each took, on a scale on which every step to the right is ten times as long.

    Args:
        seconds: the contenders and their times.
        title: what was measured.
    """
    return _race(seconds, title, _TIMES)


def memory_race(sizes_bytes: Mapping[str, float], title: str) -> Figure:
    """Draw how much memory each takes, on a scale on which every step to the right is ten times as much."""
    return _race(sizes_bytes, title, _SIZES)


def _race(values: Mapping[str, float], title: str, units: tuple[tuple[float, str], ...]) -> Figure:
    labels = {name: _in_words(value, units) for name, value in values.items()}
    width = max(map(len, values), default=0)
    text = "\n".join((title, *(f"{name:>{width}}  {labels[name]}" for name in values)))
    return Figure(f'<div style="color:{INK}">{_svg(values, labels, title, units)}</div>', text)


def _in_words(value: float, units: tuple[tuple[float, str], ...]) -> str:
    size, unit = next((each for each in units if value >= each[0]), units[-1])
    return f"{value / size:.3g} {unit}"


def _svg(
    values: Mapping[str, float], labels: Mapping[str, str], title: str, units: tuple[tuple[float, str], ...]
) -> str:
    from matplotlib import rc_context
    from matplotlib.figure import Figure as Canvas
    from matplotlib.ticker import FuncFormatter, NullLocator

    def tick(value: float, _place: int | None) -> str:
        return _in_words(value, units)

    settings: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "race", "font.size": 10}
    settings |= dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor"), _PAGE)
    with rc_context(settings):
        figure = Canvas(figsize=(_WIDTH_IN, _EDGE_IN + _ROW_IN * len(values)), layout="constrained")
        axes = figure.add_subplot()
        bars = axes.barh(
            list(values),
            list(values.values()),
            height=0.55,
            color=[_COLOURS.get(name, PURPLE) for name in values],
            alpha=0.85,
        )
        axes.bar_label(bars, labels=list(labels.values()), padding=6, fontweight="bold")
        axes.set_xscale("log")
        axes.set_xlim(min(values.values()) * _FOOT, max(values.values()) * _HEADROOM)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(tick))
        axes.invert_yaxis()
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
    svg = drawn.getvalue()
    return svg[svg.index("<svg") :].replace(_PAGE, "currentColor").replace("<svg ", '<svg style="max-width:100%" ', 1)
