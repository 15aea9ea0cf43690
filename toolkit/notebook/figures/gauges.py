"""What a container has used against its limits, over the time that was sampled."""

import io
from html import escape
from typing import Any

from toolkit.core.units import format_binary_bytes
from toolkit.notebook.figures import Figure
from toolkit.notebook.html import AMBER, BLUE, FAINT, GREEN, INK, PURPLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from toolkit.notebook.sampling import Sample, Sampler

_INK = "#123456"
"""Stands for the page's own colour until the drawing is text."""
_MIB = 1 << 20


def spell(sampler: "Sampler") -> list[tuple[str, str, str]]:
    """Return the last sample in words: what, how much, and against which limit."""
    last = sampler.history[-1] if sampler.history else None
    if last is None:
        return []
    totals = sampler.totals
    kills = f"; {totals.oom_kills} killed at the limit (OOM)" if totals.oom_kills else ""
    held = f"; held back in {totals.throttled} of {totals.periods} periods" if totals.throttled else ""
    refused = f"; {totals.refused_forks} forks refused" if totals.refused_forks else ""
    return [
        (
            "memory",
            _or_lack(sampler, "memory", last.memory_bytes, _bytes),
            _limit(last.memory_limit_bytes, _bytes) + kills,
        ),
        ("cpu", _or_lack(sampler, "cpu", last.cpus, _cpus), _limit(last.cpu_limit, _cpus) + held),
        ("pids", _or_lack(sampler, "pids", last.pids, str), _limit(last.pids_limit, str) + refused),
        ("disk", _or_lack(sampler, "disk", last.read_bytes, lambda read: _disk(read, last.written_bytes)), ""),
    ]


def _or_lack(sampler: "Sampler", what: str, value: Any, words: "Callable[[Any], str]") -> str:
    if value is None:
        return sampler.lacking.get(what, "not known yet")
    return words(value)


def _limit(value: Any, words: "Callable[[Any], str]") -> str:
    return "no limit" if value is None else f"limit {words(value)}"


def _bytes(value: int) -> str:
    return format_binary_bytes(value)


def _cpus(value: float) -> str:
    return f"{value:.2f} CPUs"


def _disk(read: int, written: int | None) -> str:
    return f"{format_binary_bytes(read)} read, {format_binary_bytes(written or 0)} written"


def draw(sampler: "Sampler") -> Figure:
    """Draw all samples that were taken so far."""
    rows = spell(sampler)
    state = sampler.ending or f"it runs; cgroup {sampler.layout}"
    text = "\n".join(
        [
            f"{sampler.name}: {state}",
            *(f"{what:>8}  {value}{f', {limit}' if limit else ''}" for what, value, limit in rows),
        ]
    )
    words = "".join(
        f'<div><b>{escape(what)}</b> {escape(value)} <span style="color:{FAINT}">{escape(limit)}</span></div>'
        for what, value, limit in rows
    )
    head = f'<div><b>{escape(sampler.name)}</b> <span style="color:{FAINT}">{escape(state)}</span></div>'
    svg = _chart(list(sampler.history), sampler.lacking) if len(sampler.history) > 1 else ""
    return Figure(f'<div style="color:{INK};font-size:.92em">{head}{svg}{words}</div>', text)


def _chart(history: "Sequence[Sample]", lacking: dict[str, str]) -> str:
    """Return three curves over the seconds, each with its limit, as SVG in the page's own colours."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Chart

    with mpl.rc_context({"svg.fonttype": "none", "font.size": 9, "axes.edgecolor": _INK, "text.color": _INK}):
        chart = Chart(figsize=(7.6, 4.2), layout="constrained")
        axes = chart.subplots(3, 1, sharex=True)
        start_s = history[0].at_s
        seconds = [each.at_s - start_s for each in history]
        _curve(axes[0], seconds, [_mib(each.memory_bytes) for each in history], BLUE,
               [_mib(each.memory_limit_bytes) for each in history], "memory, MiB")  # fmt: skip
        _curve(axes[1], seconds, [each.cpus for each in history], GREEN,
               [each.cpu_limit for each in history], "CPUs busy")  # fmt: skip
        _curve(axes[2], seconds, [each.pids for each in history], PURPLE,
               [each.pids_limit for each in history], "processes")  # fmt: skip
        _marks(axes[0], seconds, [each.oom_kills for each in history], "killed (OOM)")
        _marks(axes[1], seconds, [each.throttled for each in history], "held back")
        _marks(axes[2], seconds, [each.refused_forks for each in history], "fork refused")
        for axis, what in zip(axes, ("memory", "cpu", "pids"), strict=True):
            if what in lacking:
                axis.text(0.02, 0.5, lacking[what], transform=axis.transAxes)
        axes[2].set_xlabel("seconds", color=_INK)
        drawn = io.StringIO()
        chart.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
    text = drawn.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    return text.replace("<svg ", '<svg style="max-width:100%;height:auto" role="img" aria-label="use over time" ', 1)


def _mib(value: int | None) -> float | None:
    return None if value is None else value / _MIB


def _curve(
    axis: Any, seconds: list[float], values: "Sequence[float | None]", colour: str,
    limits: "Sequence[float | None]", title: str,
) -> None:  # fmt: skip
    """Draw a curve and, dashed, the limit that held at each moment; where there is none, nothing is drawn."""
    nothing = float("nan")
    points = [nothing if value is None else value for value in values]
    axis.plot(seconds, points, color=colour, linewidth=1.6, marker="." if len(points) < 40 else "")
    axis.plot(
        seconds, [nothing if limit is None else limit for limit in limits], color=AMBER, linestyle="--", linewidth=1.4
    )
    axis.set_title(
        f"{title} (dashed: the limit)" if limits[-1] is not None else f"{title} (no limit)", loc="left", fontsize=9
    )
    top = max([value for value in (*values, *limits) if value is not None], default=1.0)
    axis.set_ylim(0, top * 1.15 or 1.0)
    axis.tick_params(colors=_INK)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _marks(axis: Any, seconds: list[float], counts: list[int], label: str) -> None:
    places = [second for second, count in zip(seconds, counts, strict=True) if count > 0]
    if places:
        axis.plot(places, [axis.get_ylim()[1] * 0.97] * len(places), "v", color=AMBER, markersize=6, label=label)
        axis.legend(loc="upper left", frameon=False, fontsize=8)
